//! What a person sees who starts `rejob serve` in a terminal: where it listens and, with an
//! in-memory certificate, a line to try it with.

use std::fs::Permissions;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

use crate::policy::PolicySet;

/// The policy that shows most when the example is posted to it.
const SHOWN: &str = "hash-name";

/// What the line posts, where it lies in the checkout.
const EXAMPLE: &str = "examples/review-create.json";
const EXAMPLE_TEXT: &str = include_str!("../../../examples/review-create.json");

/// The greeting; its files live as long as it does.
#[derive(Debug)]
pub(super) struct Greeting {
    to_try: Option<ToTry>,
    policy: String,
}

/// What it takes to try a server with an in-memory certificate.
#[derive(Debug)]
struct ToTry {
    _directory: TempDir,
    ca: PathBuf,
    example: PathBuf,
}

impl Greeting {
    /// Writes the CA of an in-memory certificate, if there is one, to a file in a private directory.
    pub fn new(ca_pem: Option<String>, policies: &PolicySet) -> anyhow::Result<Self> {
        let to_try = ca_pem.map(ToTry::write).transpose()?;
        let policy = match policies.get(SHOWN) {
            Some(_) => SHOWN,
            None => policies.names().next().unwrap_or(SHOWN),
        };
        Ok(Self { to_try, policy: policy.to_owned() })
    }

    /// Prints it to standard output; nobody reading is no reason to stop.
    pub fn print(&self, webhook: SocketAddr, admin: SocketAddr) {
        let _ = std::io::stdout().lock().write_all(self.text(webhook, admin).as_bytes());
    }

    fn text(&self, webhook: SocketAddr, admin: SocketAddr) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let listening =
            format!("rejob {version} is listening on https://{webhook} (admin: http://{admin})\n");
        let Some(ToTry { ca, example, .. }) = &self.to_try else { return listening };
        format!(
            "{listening}The certificate lives in memory only; its CA is {}\n\
             Try it. The second command puts the answer into words:\n  {} | {} review\n",
            ca.display(),
            curl(ca, example, webhook, &self.policy),
            quoted(&program())
        )
    }
}

impl ToTry {
    fn write(pem: String) -> anyhow::Result<Self> {
        let parent = std::env::temp_dir();
        let advice = || {
            format!(
                "cannot write the CA below {}; set TMPDIR to a directory that can be written, or \
                 give --tls-cert and --tls-key",
                parent.display()
            )
        };
        // Only its user can enter it, and it goes when the process ends.
        let directory = tempfile::Builder::new()
            .prefix("rejob-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&parent)
            .with_context(advice)?;
        let ca = directory.path().join("ca.pem");
        std::fs::write(&ca, pem).with_context(advice)?;
        // In the checkout its own file is shown: it can be read and changed.
        let mut example = PathBuf::from(EXAMPLE);
        if !example.is_file() {
            example = directory.path().join("review-create.json");
            std::fs::write(&example, EXAMPLE_TEXT).with_context(advice)?;
        }
        Ok(Self { _directory: directory, ca, example })
    }
}

/// This program, as a shell finds it.
fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("rejob"))
}

/// The line to try, for a shell in the directory that the server was started in.
fn curl(ca: &Path, example: &Path, webhook: SocketAddr, policy: &str) -> String {
    // The in-memory certificate names localhost and its two addresses.
    let (host, to) = match webhook.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED | Ipv4Addr::LOCALHOST) => ("127.0.0.1", String::new()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED | Ipv6Addr::LOCALHOST) => ("[::1]", String::new()),
        IpAddr::V4(other) => ("localhost", format!(" --connect-to ::{other}:")),
        IpAddr::V6(other) => ("localhost", format!(" --connect-to '::[{other}]:'")),
    };
    format!(
        "curl --silent --show-error --cacert {}{to} -H 'Content-Type: application/json' \
         --data @{} 'https://{host}:{}/v1/policies/{policy}'",
        quoted(ca),
        quoted(example),
        webhook.port(),
    )
}

/// The path as one word of a shell command.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_fits_the_address() {
        for (address, expected) in [
            ("127.0.0.1:1", "'https://127.0.0.1:1/v1/policies/ttl'"),
            ("0.0.0.0:1", "'https://127.0.0.1:1/v1/policies/ttl'"),
            ("[::]:1", "'https://[::1]:1/v1/policies/ttl'"),
            ("10.0.0.9:1", "--connect-to ::10.0.0.9: "),
        ] {
            let line =
                curl(Path::new("/tmp/ca.pem"), Path::new(EXAMPLE), address.parse().unwrap(), "ttl");
            assert!(line.contains(expected), "{line}");
        }
    }

    #[test]
    fn paths_stay_one_word() {
        assert_eq!(quoted(Path::new("/tmp/a-1/ca.pem")), "/tmp/a-1/ca.pem");
        assert_eq!(quoted(Path::new("/tmp/a b'c")), r"'/tmp/a b'\''c'");
    }

    #[test]
    fn without_an_in_memory_certificate_there_is_nothing_to_try() {
        let greeting = Greeting::new(None, &PolicySet::builtin()).unwrap();
        let text = greeting.text("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        assert!(!text.contains("curl") && text.contains("https://127.0.0.1:1 "), "{text}");
    }

    #[test]
    fn what_there_is_to_try_is_private_and_gone_afterwards() {
        let to_try = ToTry::write("PEM".to_owned()).unwrap();
        let folder = to_try.ca.parent().unwrap().to_owned();
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        drop(to_try);
        assert!(!folder.exists());
    }

    #[test]
    fn the_policy_shown_is_one_that_exists() {
        let policies = crate::policy_file::parse("policies:\n  a: {}\n  b: {}\n", "p").unwrap();
        assert_eq!(Greeting::new(None, &policies).unwrap().policy, "a");
    }
}
