//! Certificates: one CA per control plane, kept in its folder so that other processes can use it.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// The CA in a folder, with the files that kube-apiserver reads.
#[derive(Debug, Clone)]
pub struct Pki {
    dir: PathBuf,
}

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The key, PKCS #8.
    pub key: String,
}

impl Pki {
    /// Makes a CA, the API server's certificate and the key of the service account tokens.
    pub fn create(dir: &Path) -> Self {
        fs::create_dir_all(dir).expect("create the folder of the certificates");
        let key = KeyPair::generate().expect("make a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "rejob tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).expect("sign the CA");
        let pki = Self { dir: dir.to_owned() };
        pki.write("ca.crt", &certificate.pem());
        pki.write("ca.key", &key.serialize_pem());
        let server = pki.server();
        pki.write("server.crt", &server.certificate);
        pki.write("server.key", &server.key);
        let accounts = KeyPair::generate().expect("make a key");
        pki.write("service-accounts.key", &accounts.serialize_pem());
        pki.write("service-accounts.pub", &accounts.public_key_pem());
        pki
    }

    /// The CA that another process made in that folder.
    pub fn load(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The path of one of the files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The CA's certificate, in PEM.
    pub fn ca(&self) -> String {
        self.read("ca.crt")
    }

    /// A server certificate for 127.0.0.1 and localhost.
    pub fn server(&self) -> Pair {
        self.server_for(&["127.0.0.1".to_owned(), "localhost".to_owned()])
    }

    /// A server certificate for these names.
    pub fn server_for(&self, names: &[String]) -> Pair {
        let mut params = CertificateParams::new(names).expect("names of the server");
        params.distinguished_name.push(DnType::CommonName, "server");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// A client certificate: the common name is the user, the organization is the user's group.
    pub fn client(&self, user: &str, group: Option<&str>) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Pair {
        let ca_key = KeyPair::from_pem(&self.read("ca.key")).expect("read the CA's key");
        let ca = Issuer::from_ca_cert_pem(&self.ca(), ca_key).expect("read the CA");
        let key = KeyPair::generate().expect("make a key");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let certificate = params.signed_by(&key, &ca).expect("sign a certificate");
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).expect("read a file of the certificates")
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).expect("write a file of the certificates");
    }
}
