//! What the kubelet gives every Pod: the ServiceAccount's token, the CA and the namespace in
//! `/var/run/secrets`, and the API server's address in the environment.
//!
//! The folder is mounted in a mount namespace of the process's own. Where that is not allowed, the
//! same token comes in a kubeconfig (`REJOB_KUBECONFIG`), and `/var/run/secrets` stays untested.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use super::site::Site;

/// `$1`: the folder to be mounted; the rest: the command.
const MOUNT: &str = "\
mount -t tmpfs tmpfs /run &&
mkdir -p /var/run/secrets/kubernetes.io &&
ln -s \"$1\" /var/run/secrets/kubernetes.io/serviceaccount || exit 120
shift
exec \"$@\"";

/// `rejob`, its arguments to follow, as that service account.
pub fn command(site: &Site<'_>, account: &str, dir: &Path) -> Command {
    let user = site.plane.service_account(site.namespace.name(), account);
    let mut command;
    if may_mount() {
        let folder = dir.join("serviceaccount");
        fs::create_dir_all(&folder).expect("create a folder");
        let file = |name, text: &str| fs::write(folder.join(name), text).expect("write a file");
        let config = fs::read_to_string(user.kubeconfig()).expect("a kubeconfig");
        let config: Value = serde_json::from_str(&config).expect("JSON");
        file("token", config["users"][0]["user"]["token"].as_str().expect("a token"));
        file("ca.crt", &site.plane.pki().ca());
        file("namespace", site.namespace.name());
        command = in_namespace();
        command.arg(&folder).arg(super::paths::rejob()).env_clear();
        let url = site.plane.url();
        let (host, port) = url.trim_start_matches("https://").split_once(':').expect("a port");
        command.env("KUBERNETES_SERVICE_HOST", host).env("KUBERNETES_SERVICE_PORT", port);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    } else {
        command = Command::new(super::paths::rejob());
        command.env_clear().env("REJOB_KUBECONFIG", user.kubeconfig());
    }
    command
}

fn in_namespace() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, "pod"]);
    command
}

fn may_mount() -> bool {
    static MAY: OnceLock<bool> = OnceLock::new();
    *MAY.get_or_init(|| {
        let tried = in_namespace().args(["/", "true"]).stderr(Stdio::null()).status();
        let may = tried.is_ok_and(|status| status.success());
        if !may {
            eprintln!("no mount namespaces here: the token comes in a kubeconfig");
        }
        may
    })
}
