//! The image that is assembled without a container engine, and how it reaches a registry.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::release::{VERSION, arch, made, script, sha256};
use super::{Running, build, instruction};
use support::helm::Helm;
use support::output::Output;
use support::{net, wait};

/// The file of a descriptor, which has its digest and its size.
#[track_caller]
fn blob(descriptor: &Value) -> PathBuf {
    let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let path = made().join("image/blobs/sha256").join(digest);
    assert_eq!(sha256(&path), digest);
    assert_eq!(descriptor["size"], fs::metadata(&path).unwrap().len());
    path
}

#[track_caller]
fn document(descriptor: &Value) -> Value {
    let document: Value = serde_json::from_slice(&fs::read(blob(descriptor)).unwrap()).unwrap();
    let media = &document["mediaType"];
    assert!(media.is_null() || *media == descriptor["mediaType"], "{media}");
    document
}

/// The only manifest of the layout, with its descriptor.
fn manifest() -> (Value, Value) {
    let read = |file: &str| -> Value {
        serde_json::from_slice(&fs::read(made().join("image").join(file)).unwrap()).unwrap()
    };
    assert_eq!(read("oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }));
    let index = &read("index.json")["manifests"];
    assert_eq!(index.as_array().unwrap().len(), 1);
    assert_eq!(index[0]["annotations"]["org.opencontainers.image.ref.name"], VERSION);
    let platforms = &document(&index[0])["manifests"];
    assert_eq!(platforms.as_array().unwrap().len(), 1);
    (platforms[0].clone(), document(&platforms[0]))
}

#[test]
fn every_digest_of_the_layout_is_right_and_no_blob_is_left_over() {
    let (_, manifest) = manifest();
    let config = document(&manifest["config"]);
    let layer = blob(&manifest["layers"][0]);
    let unpacked = tempfile::NamedTempFile::new().unwrap();
    let mut gzip = Command::new("gzip");
    gzip.args(["--decompress", "--stdout"]).arg(layer).stdout(unpacked.reopen().unwrap());
    assert!(gzip.status().unwrap().success());
    let diff = format!("sha256:{}", sha256(unpacked.path()));
    assert_eq!(config["rootfs"]["diff_ids"], json!([diff]));
    // An index, a manifest, a configuration, a layer.
    assert_eq!(fs::read_dir(made().join("image/blobs/sha256")).unwrap().count(), 4);
}

#[test]
fn the_layout_runs_what_the_dockerfile_runs() {
    let (descriptor, manifest) = manifest();
    let platform = json!({ "architecture": arch(), "os": "linux" });
    assert_eq!(descriptor["platform"], platform);
    let config = document(&manifest["config"]);
    assert_eq!(json!({ "architecture": config["architecture"], "os": config["os"] }), platform);
    let config = &config["config"];
    let of_dockerfile = |name: &str| instruction(name).split_once(' ').unwrap().1.to_owned();
    assert_eq!(config["User"], of_dockerfile("USER"));
    for (name, key) in [("ENTRYPOINT", "Entrypoint"), ("CMD", "Cmd")] {
        assert_eq!(config[key], serde_json::from_str::<Value>(&of_dockerfile(name)).unwrap());
    }
    assert_eq!(config["ExposedPorts"], json!({ "8443/tcp": {}, "8080/tcp": {} }));
    let label = |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].clone();
    assert_eq!(label("version"), VERSION);
    assert_eq!(label("source"), super::value("Cargo.toml", "repository"));
    assert_eq!(label("revision").as_str().unwrap().len(), 40);
    assert_eq!(manifest["annotations"], config["Labels"]);
}

#[test]
fn the_layer_holds_the_program_and_nothing_that_could_run_beside_it() {
    let (_, manifest) = manifest();
    let layer = blob(&manifest["layers"][0]);
    let root = tempfile::tempdir().unwrap();
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--gzip", "--file"]).arg(&layer).arg("--directory").arg(root.path());
    Output::of(&mut tar, "").ok();
    let mut find = Command::new("find");
    find.arg(".").args(["-type", "f", "-printf", "%m %P\n"]).current_dir(root.path());
    let found = Output::of(&mut find, "").ok().stdout;
    let mut found: Vec<_> = found.lines().collect();
    found.sort_unstable();
    let expected =
        ["644 etc/group", "644 etc/passwd", "644 etc/ssl/certs/ca-certificates.crt", "755 rejob"];
    assert_eq!(found, expected);
    assert_eq!(sha256(&root.path().join("rejob")), sha256(&build()));
    let passwd = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    let user = instruction("USER").replace("USER ", "");
    assert!(passwd.contains(&format!(":{user}:")), "{passwd}");
    let certificates =
        fs::read_to_string(root.path().join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    assert!(certificates.contains("-----BEGIN CERTIFICATE-----"));
}

/// crane is a client of registries and a registry in memory; the script that publishes gets it.
fn crane() -> PathBuf {
    let get = "source scripts/common.sh
        go_tool github.com/google/go-containerregistry/cmd/crane v0.22.1
        command -v crane";
    let mut bash = Command::new("bash");
    bash.args(["-euc", get]).current_dir(env!("CARGO_MANIFEST_DIR"));
    PathBuf::from(Output::of(&mut bash, "").ok().line())
}

#[test]
fn what_is_published_is_what_was_assembled_and_stays() {
    let (crane, port) = (crane(), net::free_port());
    let registry = format!("127.0.0.1:{port}");
    let mut serve = Command::new(&crane);
    serve.args(["registry", "serve", "--address", &registry]);
    let serve = serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _running = Running(serve.spawn().unwrap());
    wait::until("the registry answers", || net::get(port, "/v2/"));
    let publish = || Output::of(script("publish.sh", made()).arg(&registry), "");

    let said = publish().ok().stdout;
    let index: Value =
        serde_json::from_slice(&fs::read(made().join("image/index.json")).unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap();
    assert!(said.contains(&format!("image={registry}/rejob/rejob@{digest}\n")), "{said}");
    let mut validate = Command::new(&crane);
    let image = format!("{registry}/rejob/rejob:{VERSION}");
    Output::of(validate.args(["validate", "--remote", &image]), "").ok();

    // By tag and by the digest that was printed, which is what is signed.
    let by_digest = said.lines().find_map(|line| line.strip_prefix("chart=")).unwrap();
    let by_tag = format!("{registry}/rejob/charts/rejob:{VERSION}");
    for chart in [by_digest, &by_tag] {
        let pulled = tempfile::tempdir().unwrap();
        let mut helm = Command::new(Helm::V4_3.program());
        helm.args(["pull", &format!("oci://{chart}"), "--plain-http", "--destination"]);
        Output::of(helm.arg(pulled.path()), "").ok();
        let files: Vec<_> = fs::read_dir(pulled.path()).unwrap().flatten().collect();
        assert_eq!(files.len(), 1);
        let package = made().join(format!("rejob-{VERSION}.tgz"));
        assert_eq!(sha256(&files[0].path()), sha256(&package));
    }

    // Once more, from files that were downloaded later.
    let package = made().join(format!("rejob-{VERSION}.tgz"));
    Output::of(Command::new("touch").arg(package), "").ok();
    assert_eq!(publish().ok().stdout, said);
    let mut other = Command::new(&crane);
    let copied = format!("{registry}/other:{VERSION}");
    Output::of(other.args(["copy", &image, &copied]), "").ok();
    let mut change = Command::new(&crane);
    Output::of(change.args(["mutate", "--label", "a=b", &copied, "--tag", &image]), "").ok();
    publish().exited(1).warns("is already published");
}
