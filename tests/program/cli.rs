//! The offline commands: what they print, where, and how they end.

use std::fs;
use std::io::Read;
use std::process::{Output, Stdio};

use assert_cmd::Command;
use serde_json::{Value, json};

const JOB: &str = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: backup\nspec:\n  template:\n    \
                   spec:\n      restartPolicy: Never\n      containers:\n      - name: app\n        \
                   image: busybox:1.36\n";
const CONFIG_MAP: &str = "kind: ConfigMap\ndata: {a:  b}\n";

fn rejob(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rejob"));
    command.env_clear().args(arguments).write_stdin(input).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// One sentence on standard error that has all these words, nothing on standard output.
fn assert_fails(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
    assert!(output.stdout.is_empty(), "{}", stdout(output));
    assert!(stderr(output).starts_with("rejob: ") && stderr(output).lines().count() == 1);
    for word in words {
        assert!(stderr(output).contains(word), "{word} is missing in {}", stderr(output));
    }
}

fn review(operation: &str, image: &str, annotations: &Value) -> String {
    let job = |image: &str| {
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": { "name": "backup", "namespace": "shop", "annotations": annotations },
            "spec": { "template": { "spec": {
                "restartPolicy": "Never", "containers": [{ "name": "app", "image": image }]
            } } }
        })
    };
    let old = if operation == "UPDATE" { job("busybox:1.36") } else { Value::Null };
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "kind": { "group": "batch", "version": "v1", "kind": "Job" },
            "operation": operation, "namespace": "shop", "name": "backup",
            "userInfo": { "username": "jane" }, "object": job(image), "oldObject": old
        }
    })
    .to_string()
}

#[test]
fn several_files_are_joined_into_one_stream() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let first = file("a.yaml", CONFIG_MAP.trim_end());
    let second = file("b.yaml", &format!("\u{feff}# b\n---\n{CONFIG_MAP}"));
    let third = file("c.yaml", "%YAML 1.1\n---\nkind: Secret\n");
    let fourth = file("d.json", "{\"kind\":\"Pod\"}\n");
    let output = rejob(&["mutate", &first, &second, "-", &third, &fourth], CONFIG_MAP);
    let wanted = format!(
        "{CONFIG_MAP}# b\n---\n{CONFIG_MAP}---\n{CONFIG_MAP}...\n%YAML 1.1\n---\nkind: Secret\n---\n\
         {{\"kind\":\"Pod\"}}\n"
    );
    assert_eq!(stdout(&output), wanted, "{}", stderr(&output));
}

#[test]
fn an_error_names_the_file_and_leaves_standard_output_empty() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.yaml");
    fs::write(&path, "a: 1\n---\nb: 1\nb: 2\n").unwrap();
    let path = path.to_str().unwrap();
    let words = [path, "document 2", "line 4", "\"b\""];
    assert_fails(&rejob(&["mutate", "-", path], CONFIG_MAP), 1, &words);
    assert_fails(&rejob(&["hash", "-", path], JOB), 1, &words);
    assert_fails(&rejob(&["mutate", "/no/such.yaml"], ""), 1, &["/no/such.yaml", "No such file"]);
}

#[test]
fn a_refused_job_is_named_with_its_file_and_nothing_is_written() {
    let bad =
        JOB.replace("spec:\n  temp", "  annotations: {rejob.dev/naming: Hash}\nspec:\n  temp");
    let output = rejob(&["mutate"], &format!("{CONFIG_MAP}---\n{bad}"));
    assert_fails(
        &output,
        1,
        &["stdin", "document 2", "backup", "rejob.dev/naming", "TemplateHash"],
    );
}

#[test]
fn an_unknown_policy_names_the_known_ones() {
    for arguments in [&["mutate", "--policy", "hashname"], &["review", "--policy", "hashname"]] {
        assert_fails(&rejob(arguments, JOB), 2, &["hashname", "hash-name, replace, ttl"]);
    }
}

#[test]
fn policies_come_from_a_file_by_flag_or_variable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policies.yaml");
    fs::write(&path, "policies:\n  quick: {ttlSecondsAfterFinished: 7}\n").unwrap();
    let path = path.to_str().unwrap();
    let by_flag = rejob(&["mutate", "--policies", path, "--policy", "quick"], JOB);
    assert!(stdout(&by_flag).contains("ttlSecondsAfterFinished: 7"), "{}", stderr(&by_flag));
    let by_variable = Command::new(env!("CARGO_BIN_EXE_rejob"))
        .env_clear()
        .envs([("REJOB_POLICIES", path), ("REJOB_POLICY", "quick")])
        .arg("mutate")
        .write_stdin(JOB)
        .output()
        .unwrap();
    assert_eq!(stdout(&by_variable), stdout(&by_flag));
    assert_fails(&rejob(&["mutate", "--policies", path], JOB), 2, &["\"replace\"", "quick"]);
    fs::write(path, "policies:\n  quick: {ttl: 7}\n").unwrap();
    assert_fails(
        &rejob(&["mutate", "--policies", path], JOB),
        1,
        &[&format!("rejob: {path}:2: policies.quick.ttl is not a field; allowed: onChange, ")],
    );
}

#[test]
fn hash_prints_as_sha256sum_does() {
    let list =
        format!("{JOB}---\n{CONFIG_MAP}---\n{}", JOB.replace("  name: b", "  generateName: b"));
    let output = rejob(&["hash", "-"], &list);
    let lines: Vec<_> = stdout(&output).lines().collect();
    assert_eq!(lines.len(), 2, "{}", stderr(&output));
    for line in &lines {
        let (hash, name) = line.split_once("  ").unwrap();
        assert!(hash.len() == 10 && name == "backup", "{line}");
    }
    assert_eq!(lines[0], lines[1]);
    let mutated = rejob(&["mutate", "--policy", "hash-name"], JOB);
    let hash = lines[0].split("  ").next().unwrap();
    assert!(stdout(&mutated).contains(&format!("  name: backup-{hash}\n")));
    assert_eq!(stdout(&rejob(&["hash"], stdout(&mutated))), format!("{hash}  backup-{hash}\n"));
}

#[test]
fn a_review_is_answered_on_one_line_and_its_exit_code_tells() {
    let input = review("CREATE", "busybox:1.36", &json!({}));
    let output = rejob(&["review", "--policy", "ttl"], &input);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).is_empty());
    assert_eq!(stdout(&output).lines().count(), 1);
    let answer: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(answer["response"]["uid"], "u-1");
    assert_eq!(answer["response"]["patchType"], "JSONPatch");

    let input = review("UPDATE", "busybox:1.37", &json!({ "rejob.dev/on-change": "Deny" }));
    let output = rejob(&["review", "-"], &input);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let answer: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(answer["response"]["allowed"], false);
    assert_eq!(answer["response"]["status"]["code"], 403);
}

#[test]
fn explain_says_which_rule_decided_and_what_changes() {
    let input = review("CREATE", "busybox:1.36", &json!({}));
    let output = rejob(&["review", "--policy", "ttl", "--explain"], &input);
    let quiet = rejob(&["review", "--policy", "ttl"], &input);
    assert_eq!(stdout(&output), stdout(&quiet));
    for part in
        ["CREATE", "shop/backup", "jane", "ttl_injected", "/spec/ttlSecondsAfterFinished", "3600"]
    {
        assert!(stderr(&output).contains(part), "{part} is missing in {}", stderr(&output));
    }
    let input = review("UPDATE", "busybox:1.37", &json!({ "rejob.dev/on-change": "Deny" }));
    let output = rejob(&["review", "--explain"], &input);
    assert!(stderr(&output).contains("refused") && stderr(&output).contains("(denied)"));
    // Under Report, what is answered once all checks have passed; a server's answer is the same.
    let input = review("UPDATE", "busybox:1.37", &json!({ "rejob.dev/on-change": "Report" }));
    let mut input: Value = serde_json::from_str(&input).unwrap();
    for object in ["object", "oldObject"] {
        let metadata = &mut input["request"][object]["metadata"];
        (metadata["uid"], metadata["resourceVersion"]) = (json!("old"), json!("7"));
    }
    let output = rejob(&["review", "--explain"], &input.to_string());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told = rejob(&["review"], stdout(&output));
    for text in [stderr(&output), stdout(&told)] {
        for part in ["allowed\n", "(reported)", "would be replaced (onChange is Report): spec."] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(!text.contains("once the old job is replaced"), "{text}");
    }
}

/// A suspended Job that ran before gets another node selector, which the API server accepts itself
/// since 1.36.
fn stopped_job_moves() -> String {
    let annotations = json!({ "rejob.dev/on-change": "Deny" });
    let mut input: Value =
        serde_json::from_str(&review("UPDATE", "busybox:1.36", &annotations)).unwrap();
    for object in ["object", "oldObject"] {
        let job = &mut input["request"][object];
        job["spec"]["suspend"] = json!(true);
        job["status"] = json!({
            "startTime": "2026-11-30T05:00:00Z",
            "conditions": [{ "type": "Suspended", "status": "True" }],
        });
    }
    input["request"]["object"]["spec"]["template"]["spec"]["nodeSelector"] =
        json!({ "disk": "ssd" });
    input.to_string()
}

#[test]
fn a_review_is_decided_for_the_version_of_the_api_server() {
    let input = stopped_job_moves();
    let ends = |arguments: &[&str]| rejob(&[&["review"], arguments].concat(), &input).status.code();
    assert_eq!(ends(&[]), Some(3));
    for (version, code) in [("1.35", 3), ("1.36", 0), ("v1.37.2-gke.1", 0)] {
        assert_eq!(ends(&["--kubernetes-version", version]), Some(code), "{version}");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_rejob"));
    command.env_clear().env("REJOB_KUBERNETES_VERSION", "1.36");
    command.arg("review").write_stdin(input.as_str()).assert().success();
    let output = rejob(&["review", "--kubernetes-version", "36"], &input);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("give it as 1.36"), "{}", stderr(&output));
}

#[test]
fn explain_says_what_was_not_known() {
    let fact = "--kubernetes-version";
    let input = stopped_job_moves();
    let unknown = rejob(&["review", "--explain"], &input);
    for fact in [fact, "unknown:  the user that rejob's own", "the namespace that rejob", "replica"]
    {
        assert!(stderr(&unknown).contains(fact), "{fact} is missing in {}", stderr(&unknown));
    }
    let known = rejob(&["review", "--explain", fact, "1.36"], &input);
    assert!(!stderr(&known).contains(fact), "{}", stderr(&known));
}

#[test]
fn what_is_no_review_fails() {
    for input in ["", "{", "{}", JOB, "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"v1\"}"] {
        assert_fails(&rejob(&["review"], input), 1, &["stdin"]);
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [&["mutat"][..], &["mutate", "--polcy", "x"], &["review", "a", "b"], &[]] {
        assert_eq!(rejob(arguments, "").status.code(), Some(2), "{arguments:?}");
    }
    let output = rejob(&["mutate", "--log-level", "rejob=lots"], "");
    assert_eq!(output.status.code(), Some(2));
    for word in ["--log-level", "rejob=lots", "warn"] {
        assert!(stderr(&output).contains(word), "{word} is missing in {}", stderr(&output));
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let big = format!("{CONFIG_MAP}---\n").repeat(40_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.yaml");
    fs::write(&path, big).unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_rejob"))
        .args([std::ffi::OsStr::new("mutate"), path.as_os_str()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 16];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(stderr(&output), "");
}

#[test]
fn generate_prints_what_belongs_to_an_installation() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = rejob(&["generate", "completions", shell], "");
        assert!(output.status.success() && stdout(&output).contains("mutate"), "{shell}");
    }
    let schema: Value =
        serde_json::from_str(stdout(&rejob(&["generate", "policy-schema"], ""))).unwrap();
    let policy = &schema["properties"]["policies"]["additionalProperties"];
    assert_eq!(policy["properties"]["waitSeconds"]["maximum"], 3600);
    assert_eq!(
        (&policy["type"], &policy["additionalProperties"]),
        (&json!(["object", "null"]), &json!(false))
    );

    let folder = tempfile::tempdir().unwrap();
    let man = folder.path().join("new/man1");
    assert!(rejob(&["generate", "man", man.to_str().unwrap()], "").status.success());
    for page in ["rejob.1", "rejob-mutate.1", "rejob-serve.1", "rejob-generate-man.1"] {
        assert!(fs::read_to_string(man.join(page)).unwrap().starts_with(".ie"), "{page}");
    }
    assert!(stdout(&rejob(&["generate", "man"], "")).contains(".TH rejob-mutate 1"));
}

#[test]
fn the_generated_configuration_is_the_built_in_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policies.yaml");
    fs::write(&path, rejob(&["generate", "config"], "").stdout).unwrap();
    for policy in ["replace", "hash-name", "ttl"] {
        let from_file =
            rejob(&["mutate", "--policies", path.to_str().unwrap(), "--policy", policy], JOB);
        assert!(from_file.status.success(), "{}", stderr(&from_file));
        assert_eq!(from_file.stdout, rejob(&["mutate", "--policy", policy], JOB).stdout);
    }
}

#[test]
fn an_answer_is_told_in_words_with_its_exit_code() {
    for (policy, image, code, words) in [
        ("hash-name", "busybox:1.36", 0, ["answer:   allowed", "rule:     create (renamed)"]),
        ("replace", "busybox:1.37", 3, ["answer:   refused", "invalid_annotation"]),
    ] {
        let annotations = match code {
            0 => json!({}),
            _ => json!({ "rejob.dev/on-change": "Perhaps" }),
        };
        let request = review("CREATE", image, &annotations);
        let answer = rejob(&["review", "--policy", policy], &request);
        let told = rejob(&["review"], stdout(&answer));
        assert_eq!(told.status.code(), Some(code), "{}", stderr(&told));
        for word in words {
            assert!(stdout(&told).contains(word), "{word} is missing in {}", stdout(&told));
        }
        // What a refusal says is its message; what is allowed says what changes.
        let last = if code == 0 { "patch:    {\"op\":" } else { "message:  job backup: " };
        assert!(stdout(&told).contains(last), "{}", stdout(&told));
    }
}
