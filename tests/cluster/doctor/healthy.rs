//! Nothing is wrong: exit code 0.

use super::clinic::{doctor, installed, text, turn};

#[test]
fn a_healthy_installation_is_well_in_text_and_in_json() {
    let turn = turn();
    let (_release, rejob) = installed(&turn);
    let seen = turn.doctor();
    seen.is_well();
    assert_eq!(seen.json["server"], turn.plane().url());
    assert!(seen.json["kubernetes"].as_str().unwrap().starts_with("v1."));
    let checks = [
        "version",
        "clock",
        "webhook-configuration",
        "ca-bundle",
        "certificate",
        "deployment",
        "rights",
        "self-guard",
        "namespace",
        "calls",
        "dormant-jobs",
        "order",
        "later-admission",
    ];
    for check in checks {
        assert!(!seen.messages("ok", check).is_empty(), "{check}: {}", seen.output.stdout);
    }
    let calls = seen.messages("ok", "calls");
    assert_eq!(calls.len(), 3, "{calls:?}");
    let target = format!("matches the certificate that 127.0.0.1:{} serves", rejob.port());
    assert!(seen.messages("ok", "ca-bundle")[0].contains(&target));
    // failurePolicy Fail, and no second endpoint is known.
    assert_eq!(seen.messages("hint", "failure-policy").len(), 3, "{}", seen.output.stdout);

    // It is called by a URL, without a token.
    assert_eq!(seen.messages("hint", "callers").len(), 1, "{}", seen.output.stdout);

    let said = text(&turn.plane().admin(), &[]).ok();
    assert!(said.stdout.contains("\nok       calls "), "{}", said.stdout);
    assert!(said.stdout.contains("\nhint     failure-policy "), "{}", said.stdout);
    assert!(said.stdout.contains("\n         do: helm upgrade "), "{}", said.stdout);
    assert!(said.stdout.ends_with("\nrejob is well: 0 problems, 4 hints\n"), "{}", said.stdout);
    assert_eq!(said.stderr, "");
}

#[test]
fn nothing_is_stored_by_an_examination() {
    let turn = turn();
    let (_release, _rejob) = installed(&turn);
    turn.doctor().is_well();
    let jobs = turn.plane().admin().get("/apis/batch/v1/jobs").ok();
    let mut names = jobs["items"].as_array().unwrap().iter().map(|job| &job["metadata"]["name"]);
    assert!(!names.any(|name| name.as_str().unwrap().starts_with("rejob-doctor")), "{jobs}");
}

#[test]
fn the_rights_in_the_docs_are_enough() {
    let turn = turn();
    let (_release, _rejob) = installed(&turn);
    let plane = turn.plane();
    let page = include_str!("../../../docs/doctor.md");
    let manifest = page.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    plane.admin().kubectl(&["apply", "--filename=-"], manifest).ok();
    let name = format!("physician-{}", support::plane::unique());
    let bind = ["create", "clusterrolebinding", &name, "--clusterrole=rejob-doctor"];
    plane.admin().kubectl(&[&bind[..], &[&format!("--user={name}")]].concat(), "").ok();
    let user = plane.user(&name, None);
    support::wait::until("the role of docs/doctor.md is known everywhere", || {
        let seen = doctor(&user, &[]);
        (!seen.output.stdout.contains("forbidden")).then(|| seen.is_well())
    });
}

#[test]
fn a_user_without_rights_is_told_which_and_sees_the_rest() {
    let turn = turn();
    let (_release, _rejob) = installed(&turn);
    let user = turn.plane().user("nobody-in-particular", None);
    let seen = doctor(&user, &[]);
    seen.finds("webhook-configuration", "mutatingwebhookconfigurations");
    assert_eq!(seen.problems(), ["webhook-configuration"]);
    let namespaces = seen.messages("hint", "namespace");
    assert!(namespaces[0].contains("cannot list resource \"namespaces\""), "{namespaces:?}");
    assert_eq!(seen.messages("ok", "version").len(), 1);
}

#[test]
fn a_cluster_that_does_not_answer_is_one_sentence() {
    let turn = turn();
    let admin = turn.plane().admin();
    let config = std::fs::read_to_string(admin.kubeconfig()).unwrap();
    let nowhere = format!("https://127.0.0.1:{}", support::net::free_port());
    let file = turn.plane().dir().join("nowhere.kubeconfig");
    std::fs::write(&file, config.replace(&turn.plane().url(), &nowhere)).unwrap();
    let ask = |file: &std::path::Path, args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rejob"));
        command.env_clear().arg("doctor").arg("--kubeconfig").arg(file).args(args);
        support::output::Output::of(&mut command, "").exited(1)
    };
    let said = ask(&file, &[]);
    let begin = format!("rejob: cannot ask the API server at {nowhere}: ");
    assert!(said.stderr.starts_with(&begin), "{}", said.stderr);
    assert_eq!((said.stderr.lines().count(), said.stdout.as_str()), (1, ""));
    let said = ask(&file, &["--output", "json"]);
    let json: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(json["findings"][0]["check"], "api-server");
    let said = ask(std::path::Path::new("/does/not/exist"), &[]);
    assert!(
        said.stderr.starts_with("rejob: cannot use the kubeconfig /does/not/exist"),
        "{said:?}"
    );
    assert_eq!((said.stderr.lines().count(), said.stdout.as_str()), (1, ""));
}

#[test]
fn the_usual_kubeconfig_is_taken_when_none_is_given() {
    let turn = turn();
    let (_release, _rejob) = installed(&turn);
    let admin = turn.plane().admin();
    let ask = |variable: &str, file: &std::path::Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rejob"));
        command.env_clear().env("HOME", turn.plane().dir()).env(variable, file).arg("doctor");
        support::output::Output::of(&mut command, "")
    };
    for variable in ["KUBECONFIG", "REJOB_KUBECONFIG"] {
        let said = ask(variable, admin.kubeconfig()).ok();
        assert!(said.stdout.contains("rejob is well: 0 problems"), "{}", said.stdout);
    }
    let said = ask("NOTHING", admin.kubeconfig()).exited(1);
    assert!(said.stderr.starts_with("rejob: no cluster to look at: give --kubeconfig"), "{said:?}");
    assert_eq!((said.stderr.lines().count(), said.stdout.as_str()), (1, ""));
}
