//! One Pod of the Deployment, as the kubelet would run it, without a container: the process with
//! the arguments and the environment of the Deployment that Helm installed.
//!
//! Changed are only the two listen addresses (free loopback ports) and the place of the mounted
//! policy file. The ServiceAccount's token is where the kubelet mounts it, see `pod`.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::plane::{self, ControlPlane};
use super::pod;
use super::site::Site;
use super::{guard, net, wait};

/// A running `rejob serve`; dropping it kills it.
pub struct Replica<'p> {
    plane: &'p ControlPlane,
    child: Child,
    dir: PathBuf,
    log: PathBuf,
    readiness: String,
    /// Where it listens, once it has said so.
    pub ports: Option<Ports>,
}

/// The ports of a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    pub webhook: u16,
    pub admin: u16,
}

impl<'p> Replica<'p> {
    /// Starts one; returns at once.
    pub fn start(site: &Site<'p>) -> Self {
        let deployment = site.deployment();
        let pod = &deployment["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let dir = site.plane.dir().join(format!("replica-{}", plane::unique()));
        fs::create_dir_all(&dir).expect("create a replica's folder");
        let log = dir.join("rejob.log");
        let file = File::create(&log).expect("create a replica's log");
        let mounts = mounts(site, pod, container, &dir);
        let args: Vec<_> = strings(&container["args"]).map(|arg| argument(arg, &mounts)).collect();

        assert_eq!(pod["automountServiceAccountToken"], true);
        let account = pod["serviceAccountName"].as_str().expect("a service account");
        let mut command = pod::command(site, account, &dir);
        command.args(args).envs(environment(site, container)).stdin(Stdio::null());
        let output = command.stdout(file.try_clone().expect("share a log")).stderr(file);
        let child = output.spawn().expect("run rejob");
        guard::note(site.plane.dir(), child.id());
        let readiness = container["readinessProbe"]["httpGet"]["path"].as_str().expect("a path");
        let readiness = readiness.to_owned();
        Self { plane: site.plane, child, dir, log, readiness, ports: None }
    }

    /// Mounts what the cluster holds now, as the kubelet does from time to time.
    pub fn remount(&self, site: &Site<'p>) {
        let deployment = site.deployment();
        let pod = &deployment["spec"]["template"]["spec"];
        mounts(site, pod, &pod["containers"][0], &self.dir);
    }

    /// Waits until the readiness probe passes.
    pub fn wait_until_ready(&mut self) {
        let what = format!("a replica is ready ({})", self.log.display());
        wait::until(&what, || self.readiness().is_ok().then_some(()));
    }

    /// The readiness probe: what is missing when it fails.
    pub fn readiness(&mut self) -> Result<(), String> {
        let ended = self.child.try_wait().expect("ask for the end of rejob");
        assert!(ended.is_none(), "rejob ended: {ended:?}: {}", self.log());
        self.ports = self.ports.or_else(|| listening(&self.log()));
        let ports = self.ports.ok_or("it does not listen yet")?;
        match net::get(ports.admin, &self.readiness) {
            Some((200, _)) => Ok(()),
            Some((_, body)) => Err(body),
            None => Err("no answer".to_owned()),
        }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has logged a line with that text.
    pub fn wait_for_log(&self, text: &str) {
        wait::until(&format!("{text:?} in {}", self.log.display()), || {
            self.log().contains(text).then_some(())
        });
    }

    /// The value of a series of `/metrics`, named with its labels; 0 when there is none.
    pub fn metric(&self, series: &str) -> f64 {
        let admin = self.ports.expect("it is ready").admin;
        let (_, text) = net::get(admin, "/metrics").expect("rejob answers");
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// SIGTERM, and the exit code.
    pub fn terminate(self) -> Option<i32> {
        self.ask_to_stop();
        self.wait_until_ended()
    }

    /// Waits until it has ended by itself; the exit code.
    pub fn wait_until_ended(mut self) -> Option<i32> {
        let ended =
            wait::until("rejob ends", || self.child.try_wait().expect("ask for the end of rejob"));
        ended.code()
    }

    /// SIGTERM, without waiting.
    pub fn ask_to_stop(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("run kill");
        assert!(sent.success());
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        guard::forget(self.plane.dir(), self.child.id());
    }
}

impl Drop for Replica<'_> {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where each mounted file of the container is here.
fn mounts(
    site: &Site<'_>,
    pod: &Value,
    container: &Value,
    dir: &std::path::Path,
) -> Vec<(String, String)> {
    let mounts = container["volumeMounts"].as_array().expect("mounts");
    let volumes = pod["volumes"].as_array().expect("volumes");
    let mounted = mounts.iter().flat_map(|mount| {
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]);
        let volume = volume.expect("a volume");
        if let Some(secret) = volume["secret"]["secretName"].as_str() {
            return secret_files(site, secret, &text(&mount["mountPath"]), dir);
        }
        let map = volume["configMap"]["name"].as_str().expect("a ConfigMap");
        let key = mount["subPath"].as_str().expect("one file of the ConfigMap");
        let map = site.object("/api/v1", "configmaps", map);
        let file = dir.join(key);
        fs::write(&file, map["data"][key].as_str().expect("a text")).expect("write a file");
        vec![(text(&mount["mountPath"]), file.display().to_string())]
    });
    mounted.collect()
}

/// The files of a Secret that is mounted as a whole.
fn secret_files(
    site: &Site<'_>,
    secret: &str,
    mount: &str,
    dir: &std::path::Path,
) -> Vec<(String, String)> {
    let secret = site.plane.admin().get(&site.path("/api/v1", "secrets", secret)).ok();
    let data = secret["data"].as_object().expect("data");
    // All files change at once: a link to their folder takes the place of the old one.
    let name = format!("..{}", plane::unique());
    let folder = dir.join(&name);
    fs::create_dir(&folder).expect("create a folder");
    let file = |(key, value): (&String, &Value)| {
        let file = folder.join(key);
        let content = STANDARD.decode(value.as_str().expect("a text")).expect("base64");
        fs::write(&file, content).expect("write a file");
        (format!("{mount}/{key}"), dir.join("..data").join(key).display().to_string())
    };
    let files = data.iter().map(file).collect();
    symlink(name, dir.join("..new")).expect("make a link");
    fs::rename(dir.join("..new"), dir.join("..data")).expect("put the link in place");
    files
}

fn argument(arg: &str, mounts: &[(String, String)]) -> String {
    let Some((flag, value)) = arg.split_once('=') else { return arg.to_owned() };
    if matches!(flag, "--listen" | "--admin-listen") {
        return format!("{flag}=127.0.0.1:0");
    }
    let file = mounts.iter().find(|(path, _)| path == value);
    file.map_or_else(|| arg.to_owned(), |(_, file)| format!("{flag}={file}"))
}

fn environment(site: &Site<'_>, container: &Value) -> Vec<(String, String)> {
    let variables = container["env"].as_array().expect("an environment");
    let value = |variable: &Value| {
        if let Some(value) = variable["value"].as_str() {
            return value.to_owned();
        }
        assert_eq!(variable["valueFrom"]["fieldRef"]["fieldPath"], "metadata.namespace");
        site.namespace.name().to_owned()
    };
    variables.iter().map(|variable| (text(&variable["name"]), value(variable))).collect()
}

/// The addresses in the log line that tells them.
fn listening(log: &str) -> Option<Ports> {
    let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.rfind(|line| line["message"] == "listening")?;
    let port = |field: &str| line[field].as_str()?.rsplit_once(':')?.1.parse().ok();
    Some(Ports { webhook: port("webhook")?, admin: port("admin")? })
}

fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().expect("a list").iter().map(|item| item.as_str().expect("a text"))
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
