//! Volumes and their sources.
//!
//! Restates the Go types of `k8s.io/api`: `plain` is a value field, `pointer` a pointer field.

use super::common::LOCAL_OBJECT_REFERENCE;
use super::hooks::volume_pull_policy;
use super::projected::{
    DOWNWARD_API_VOLUME_FILE, EPHEMERAL_VOLUME_SOURCE, KEY_TO_PATH, PROJECTED_VOLUME_SOURCE,
};
use super::shape::Shape::{Bool, Int, Object, Objects, Quantity, Text, TextMap, Texts};
use super::shape::{Default, Type, of, plain, pointer};

pub(super) static VOLUME: Type = of(&[
    plain("name", Text),
    pointer("hostPath", Object(&HOST_PATH_VOLUME_SOURCE)),
    pointer("emptyDir", Object(&EMPTY_DIR_VOLUME_SOURCE)).or(Default::EmptyObject),
    pointer("gcePersistentDisk", Object(&GCE_PERSISTENT_DISK_VOLUME_SOURCE)),
    pointer("awsElasticBlockStore", Object(&AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE)),
    pointer("gitRepo", Object(&GIT_REPO_VOLUME_SOURCE)),
    pointer("secret", Object(&SECRET_VOLUME_SOURCE)),
    pointer("nfs", Object(&NFS_VOLUME_SOURCE)),
    pointer("iscsi", Object(&ISCSI_VOLUME_SOURCE)),
    pointer("glusterfs", Object(&GLUSTERFS_VOLUME_SOURCE)),
    pointer("persistentVolumeClaim", Object(&PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE)),
    pointer("rbd", Object(&RBD_VOLUME_SOURCE)),
    pointer("flexVolume", Object(&FLEX_VOLUME_SOURCE)),
    pointer("cinder", Object(&CINDER_VOLUME_SOURCE)),
    pointer("cephfs", Object(&CEPH_FS_VOLUME_SOURCE)),
    pointer("flocker", Object(&FLOCKER_VOLUME_SOURCE)),
    pointer("downwardAPI", Object(&DOWNWARD_API_VOLUME_SOURCE)),
    pointer("fc", Object(&FC_VOLUME_SOURCE)),
    pointer("azureFile", Object(&AZURE_FILE_VOLUME_SOURCE)),
    pointer("configMap", Object(&CONFIG_MAP_VOLUME_SOURCE)),
    pointer("vsphereVolume", Object(&VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE)),
    pointer("quobyte", Object(&QUOBYTE_VOLUME_SOURCE)),
    pointer("azureDisk", Object(&AZURE_DISK_VOLUME_SOURCE)),
    pointer("photonPersistentDisk", Object(&PHOTON_PERSISTENT_DISK_VOLUME_SOURCE)),
    pointer("projected", Object(&PROJECTED_VOLUME_SOURCE)),
    pointer("portworxVolume", Object(&PORTWORX_VOLUME_SOURCE)),
    pointer("scaleIO", Object(&SCALE_IO_VOLUME_SOURCE)),
    pointer("storageos", Object(&STORAGE_OS_VOLUME_SOURCE)),
    pointer("csi", Object(&CSI_VOLUME_SOURCE)),
    pointer("ephemeral", Object(&EPHEMERAL_VOLUME_SOURCE)),
    pointer("image", Object(&IMAGE_VOLUME_SOURCE)),
]);

pub(super) static HOST_PATH_VOLUME_SOURCE: Type =
    of(&[plain("path", Text), pointer("type", Text).or(Default::Text(""))]);

pub(super) static EMPTY_DIR_VOLUME_SOURCE: Type =
    of(&[plain("medium", Text), pointer("sizeLimit", Quantity), pointer("mode", Int)]);

pub(super) static GCE_PERSISTENT_DISK_VOLUME_SOURCE: Type = of(&[
    plain("pdName", Text),
    plain("fsType", Text),
    plain("partition", Int),
    plain("readOnly", Bool),
]);

pub(super) static AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE: Type = of(&[
    plain("volumeID", Text),
    plain("fsType", Text),
    plain("partition", Int),
    plain("readOnly", Bool),
]);

pub(super) static GIT_REPO_VOLUME_SOURCE: Type =
    of(&[plain("repository", Text), plain("revision", Text), plain("directory", Text)]);

pub(super) static SECRET_VOLUME_SOURCE: Type = of(&[
    plain("secretName", Text),
    plain("items", Objects(&KEY_TO_PATH, &["path"])),
    pointer("defaultMode", Int).or(Default::Int(420)),
    pointer("optional", Bool),
    pointer("defaultUser", Int),
]);

pub(super) static NFS_VOLUME_SOURCE: Type =
    of(&[plain("server", Text), plain("path", Text), plain("readOnly", Bool)]);

pub(super) static ISCSI_VOLUME_SOURCE: Type = of(&[
    plain("targetPortal", Text),
    plain("iqn", Text),
    plain("lun", Int),
    plain("iscsiInterface", Text).or(Default::Text("default")),
    plain("fsType", Text),
    plain("readOnly", Bool),
    plain("portals", Texts),
    plain("chapAuthDiscovery", Bool),
    plain("chapAuthSession", Bool),
    pointer("secretRef", Object(&LOCAL_OBJECT_REFERENCE)),
    pointer("initiatorName", Text),
]);

pub(super) static GLUSTERFS_VOLUME_SOURCE: Type =
    of(&[plain("endpoints", Text), plain("path", Text), plain("readOnly", Bool)]);

pub(super) static PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE: Type =
    of(&[plain("claimName", Text), plain("readOnly", Bool)]);

pub(super) static RBD_VOLUME_SOURCE: Type = of(&[
    plain("monitors", Texts),
    plain("image", Text),
    plain("fsType", Text),
    plain("pool", Text).or(Default::Text("rbd")),
    plain("user", Text).or(Default::Text("admin")),
    plain("keyring", Text).or(Default::Text("/etc/ceph/keyring")),
    pointer("secretRef", Object(&LOCAL_OBJECT_REFERENCE)),
    plain("readOnly", Bool),
]);

pub(super) static FLEX_VOLUME_SOURCE: Type = of(&[
    plain("driver", Text),
    plain("fsType", Text),
    pointer("secretRef", Object(&LOCAL_OBJECT_REFERENCE)),
    plain("readOnly", Bool),
    plain("options", TextMap),
]);

pub(super) static CINDER_VOLUME_SOURCE: Type = of(&[
    plain("volumeID", Text),
    plain("fsType", Text),
    plain("readOnly", Bool),
    pointer("secretRef", Object(&LOCAL_OBJECT_REFERENCE)),
]);

pub(super) static CEPH_FS_VOLUME_SOURCE: Type = of(&[
    plain("monitors", Texts),
    plain("path", Text),
    plain("user", Text),
    plain("secretFile", Text),
    pointer("secretRef", Object(&LOCAL_OBJECT_REFERENCE)),
    plain("readOnly", Bool),
]);

pub(super) static FLOCKER_VOLUME_SOURCE: Type =
    of(&[plain("datasetName", Text), plain("datasetUUID", Text)]);

pub(super) static DOWNWARD_API_VOLUME_SOURCE: Type = of(&[
    plain("items", Objects(&DOWNWARD_API_VOLUME_FILE, &["path"])),
    pointer("defaultMode", Int).or(Default::Int(420)),
    pointer("defaultUser", Int),
]);

pub(super) static FC_VOLUME_SOURCE: Type = of(&[
    plain("targetWWNs", Texts),
    pointer("lun", Int),
    plain("fsType", Text),
    plain("readOnly", Bool),
    plain("wwids", Texts),
]);

pub(super) static AZURE_FILE_VOLUME_SOURCE: Type =
    of(&[plain("secretName", Text), plain("shareName", Text), plain("readOnly", Bool)]);

pub(super) static CONFIG_MAP_VOLUME_SOURCE: Type = of(&[
    plain("name", Text),
    plain("items", Objects(&KEY_TO_PATH, &["path"])),
    pointer("defaultMode", Int).or(Default::Int(420)),
    pointer("optional", Bool),
    pointer("defaultUser", Int),
]);

pub(super) static VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE: Type = of(&[
    plain("volumePath", Text),
    plain("fsType", Text),
    plain("storagePolicyName", Text),
    plain("storagePolicyID", Text),
]);

pub(super) static QUOBYTE_VOLUME_SOURCE: Type = of(&[
    plain("registry", Text),
    plain("volume", Text),
    plain("readOnly", Bool),
    plain("user", Text),
    plain("group", Text),
    plain("tenant", Text),
]);

pub(super) static AZURE_DISK_VOLUME_SOURCE: Type = of(&[
    plain("diskName", Text),
    plain("diskURI", Text),
    pointer("cachingMode", Text).or(Default::Text("ReadWrite")),
    pointer("fsType", Text).or(Default::Text("ext4")),
    pointer("readOnly", Bool).or(Default::Bool(false)),
    pointer("kind", Text).or(Default::Text("Shared")),
]);

pub(super) static PHOTON_PERSISTENT_DISK_VOLUME_SOURCE: Type =
    of(&[plain("pdID", Text), plain("fsType", Text)]);

pub(super) static PORTWORX_VOLUME_SOURCE: Type =
    of(&[plain("volumeID", Text), plain("fsType", Text), plain("readOnly", Bool)]);

pub(super) static SCALE_IO_VOLUME_SOURCE: Type = of(&[
    plain("gateway", Text),
    plain("system", Text),
    pointer("secretRef", Object(&LOCAL_OBJECT_REFERENCE)),
    plain("sslEnabled", Bool),
    plain("protectionDomain", Text),
    plain("storagePool", Text),
    plain("storageMode", Text).or(Default::Text("ThinProvisioned")),
    plain("volumeName", Text),
    plain("fsType", Text).or(Default::Text("xfs")),
    plain("readOnly", Bool),
]);

pub(super) static STORAGE_OS_VOLUME_SOURCE: Type = of(&[
    plain("volumeName", Text),
    plain("volumeNamespace", Text),
    plain("fsType", Text),
    plain("readOnly", Bool),
    pointer("secretRef", Object(&LOCAL_OBJECT_REFERENCE)),
]);

pub(super) static CSI_VOLUME_SOURCE: Type = of(&[
    plain("driver", Text),
    pointer("readOnly", Bool),
    pointer("fsType", Text),
    plain("volumeAttributes", TextMap),
    pointer("nodePublishSecretRef", Object(&LOCAL_OBJECT_REFERENCE)),
]);

pub(super) static IMAGE_VOLUME_SOURCE: Type =
    of(&[plain("reference", Text), plain("pullPolicy", Text)]).then(volume_pull_policy);
