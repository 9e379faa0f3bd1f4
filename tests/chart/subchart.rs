//! The chart as a dependency of another one, as a platform's umbrella chart has it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::examples::files;
use super::render::{HELMS, chart, objects, of_kind, the};
use support::helm::Helm;
use support::output::Output;
use support::plane::{self, ControlPlane};

/// A chart with a ConfigMap of its own, and this one below it under a condition.
fn umbrella(folder: &Path) {
    let about = json!({
        "apiVersion": "v2", "name": "umbrella", "version": "1.0.0",
        "dependencies": [{ "name": "rejob", "version": "*", "condition": "rejob.enabled" }],
    });
    let map = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "umbrella"}}"#;
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).expect("create a folder");
        fs::write(path, text).expect("write a chart");
    };
    write("Chart.yaml", &about.to_string());
    write("templates/map.yaml", map);
    for path in files("charts/rejob") {
        let inside = path.strip_prefix(chart()).expect("a file of the chart");
        let text = fs::read_to_string(&path).expect("a text");
        write(&Path::new("charts/rejob").join(inside).display().to_string(), &text);
    }
}

fn template(helm: Helm, folder: &Path, values: &Value) -> Vec<Value> {
    let mut command = Command::new(helm.program());
    command.args(["template", "platform"]).arg(folder).args(["--namespace", "platform"]);
    command.args(["--skip-tests", "--kube-version", "1.37.2", "--values", "-"]);
    command.env_clear().env("HOME", env!("CARGO_TARGET_TMPDIR"));
    objects(&Output::of(&mut command, &values.to_string()).ok().stdout)
}

#[test]
fn a_condition_of_the_parent_switches_the_whole_chart() {
    let folder = tempfile::tempdir().expect("a folder");
    umbrella(folder.path());
    for helm in HELMS {
        for enabled in [true, false] {
            let values = json!({ "rejob": { "enabled": enabled } });
            let objects = template(helm, folder.path(), &values);
            let webhooks = of_kind(&objects, "MutatingWebhookConfiguration");
            assert_eq!(webhooks.len(), usize::from(enabled), "Helm {}", helm.version());
            if !enabled {
                assert_eq!(objects.len(), 1, "{objects:?}");
            }
        }
        assert!(template(helm, folder.path(), &json!({})).len() > 10, "Helm {}", helm.version());
    }
}

#[test]
fn values_of_all_charts_of_the_parent_reach_the_pods() {
    let folder = tempfile::tempdir().expect("a folder");
    umbrella(folder.path());
    for (repository, global, image) in [
        (None, "", "ghcr.io/rejob/rejob"),
        (None, "registry.example.com", "registry.example.com/rejob/rejob"),
        (None, "registry.example.com:5000/mirror", "registry.example.com:5000/mirror/rejob/rejob"),
        (Some("other.example.com/a/b"), "registry.example.com", "registry.example.com/a/b"),
        (Some("localhost/a"), "registry.example.com", "registry.example.com/a"),
        // No host in it: the first part is a folder.
        (Some("team/rejob"), "registry.example.com", "registry.example.com/team/rejob"),
        (Some("rejob"), "registry.example.com", "registry.example.com/rejob"),
    ] {
        // What other charts of the parent understand is no concern of this one.
        let mut values = json!({
            "global": { "imageRegistry": global, "imagePullSecrets": ["a", { "name": "b" }], "other": 1 },
            "rejob": { "imagePullSecrets": [{ "name": "c" }, { "name": "b" }] },
        });
        if let Some(repository) = repository {
            values["rejob"]["image"] = json!({ "repository": repository });
        }
        for helm in HELMS {
            let objects = template(helm, folder.path(), &values);
            let pod = &the(&objects, "Deployment")["spec"]["template"]["spec"];
            let expected = format!("{image}:{}", env!("CARGO_PKG_VERSION"));
            assert_eq!(pod["containers"][0]["image"], expected, "Helm {}", helm.version());
            let secrets = json!([{ "name": "c" }, { "name": "b" }, { "name": "a" }]);
            assert_eq!(pod["imagePullSecrets"], secrets, "Helm {}", helm.version());
        }
    }
}

#[test]
fn an_umbrella_chart_installs_and_removes_it() {
    let plane = ControlPlane::shared();
    for helm in HELMS {
        let folder = tempfile::tempdir().expect("a folder");
        umbrella(folder.path());
        let namespace = plane.namespace("umbrella", &[]);
        let release = format!("umbrella-{}", plane::unique());
        let configuration = format!(
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/00-rejob-{release}-rejob"
        );
        let own = format!("rejob.policies.{release}.onChange=Keep");
        let others =
            "rejob.policies.replace=null,rejob.policies.hash-name=null,rejob.policies.ttl=null";
        let run = |command: &str, enabled: &str| {
            let chart = folder.path().to_str().expect("a path");
            let args = [command, &release, chart, "--set", &own, "--set", others, "--set", enabled];
            namespace.helm(helm, &args).ok();
            plane.admin().get(&configuration).status
        };
        assert_eq!(run("install", "rejob.enabled=true"), 200, "Helm {}", helm.version());
        assert_eq!(run("upgrade", "rejob.enabled=false"), 404, "Helm {}", helm.version());
        assert_eq!(run("upgrade", "rejob.enabled=true"), 200, "Helm {}", helm.version());
        namespace.helm(helm, &["uninstall", &release]).ok();
        assert_eq!(plane.admin().get(&configuration).status, 404, "Helm {}", helm.version());
    }
}
