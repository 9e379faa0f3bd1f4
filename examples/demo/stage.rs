//! The stage: a control plane with the chart installed, somebody who plays the kubelet, and the story,
//! which is `demo.sh`, told by real kubectl and Helm.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs};

use serde_json::Value;
use support::binaries::Binaries;
use support::helm::Helm;
use support::kubelet::{State, status};
use support::paths;
use support::service::Service;
use support::site::{self, Site};
use support::user::User;

/// The namespace that the story creates.
const NAMESPACE: &str = "rejob-demo";

/// Plays the story and hands each line to `line` when it is said; the lines.
///
/// # Panics
/// When the story does not go as it should.
pub fn play(fast: bool, mut line: impl FnMut(&str)) -> Vec<String> {
    let cluster = site::cluster();
    let plane = &cluster.plane;
    let helm = Helm::V4_3;
    let site = Site::install(plane, helm, &[]);
    let replicas = site.replicas();
    let _service = Service::of(&site, &replicas);
    site.wait_until_called(&site.team("replace"));

    let user = plane.user("jane", Some("system:masters"));
    let bin = plane.dir().join("bin");
    fs::create_dir_all(&bin).expect("create a folder");
    for program in [&Binaries::get().kubectl, &helm.program()] {
        let name = program.file_name().expect("a file");
        std::os::unix::fs::symlink(program, bin.join(name)).expect("link a program");
    }
    let mut path = vec![bin];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let mut command = user.command(&paths::sources().join("examples/demo/demo.sh"));
    command.env("PATH", env::join_paths(path).expect("a PATH"));
    if fast {
        command.arg("--fast");
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| kubelet(&plane.admin(), &is_over));
        let said = listen(&mut command, &mut line);
        is_over.store(true, Ordering::SeqCst);
        said
    })
}

fn listen(command: &mut Command, line: &mut impl FnMut(&str)) -> Vec<String> {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("run the story");
    let said = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let said: Vec<_> = said.map_while(Result::ok).inspect(|text| line(text)).collect();
    let status = child.wait().expect("the end of the story");
    assert!(status.success(), "{status}:\n{}", said.join("\n"));
    said
}

/// Starts the Pods of the story, and ends each after as many seconds as its `sleep` says.
fn kubelet(admin: &User, is_over: &AtomicBool) {
    let mut started: HashMap<String, Instant> = HashMap::new();
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods");
    while !is_over.load(Ordering::SeqCst) {
        let pods = admin.get(&path).ok();
        for pod in pods["items"].as_array().into_iter().flatten() {
            let uid = pod["metadata"]["uid"].as_str().expect("a uid").to_owned();
            let name = pod["spec"]["containers"][0]["name"].as_str().expect("a container");
            let began = *started.entry(uid).or_insert_with(Instant::now);
            let (phase, state) = match pod["status"]["phase"].as_str() {
                Some("Pending") => ("Running", State::Running { ready: true }),
                Some("Running") if began.elapsed() >= length(pod) => ("Succeeded", State::Ended(0)),
                _ => continue,
            };
            let written = serde_json::json!({ "status": status(pod, phase, &[(name, state)]) });
            let pod = pod["metadata"]["name"].as_str().expect("a name");
            // It may be gone by now.
            admin.patch("merge", &format!("{path}/{pod}/status"), &written);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn length(pod: &Value) -> Duration {
    let seconds = pod["spec"]["containers"][0]["command"][1].as_str();
    Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(1))
}
