//! `rejob mutate` on whole streams: the laws that hold for every stream, and golden streams.

mod golden;

use std::fs;
use std::process::Output;

use assert_cmd::Command;
use proptest::prelude::*;

fn mutate(arguments: &[String], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rejob"));
    command.env_clear().arg("mutate").args(arguments).write_stdin(input).output().unwrap()
}

/// A Job in a document of its own.
fn job(namespace: &str, name: &str, image: &str) -> String {
    format!(
        "---\napiVersion: batch/v1\nkind: Job\nmetadata: {{namespace: {namespace}, name: {name}}}\n\
         spec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: app, image: {image}}}]}}}}}}\n"
    )
}

#[test]
fn two_jobs_that_come_to_share_a_name_are_told() {
    let hash_name = ["--policy".to_owned(), "hash-name".to_owned()];
    let pair = |namespace, image| job("team", "import", "app:1") + &job(namespace, "import", image);
    let said = |stream: &str| {
        let got = mutate(&hash_name, stream.as_bytes());
        assert!(got.status.success(), "{got:?}");
        String::from_utf8(got.stderr).unwrap()
    };
    for stream in [pair("other", "app:1"), pair("team", "app:2")] {
        assert_eq!(said(&stream), "");
    }
    let warning = said(&pair("team", "app:1"));
    let wanted = "two jobs import both become import-";
    assert!(warning.contains(wanted) && warning.lines().count() == 1, "{warning}");
    // In files of one command too: they come out as one stream.
    let dir = tempfile::tempdir().unwrap();
    let files = ["a.yaml", "b.yaml"].map(|name| {
        let file = dir.path().join(name);
        fs::write(&file, job("team", "import", "app:1")).unwrap();
        file.display().to_string()
    });
    let got = mutate(&[hash_name.as_slice(), &files].concat(), b"");
    assert!(String::from_utf8(got.stderr).unwrap().contains(wanted));
    // Names that stay as they are, are the user's own.
    let stable =
        mutate(&["--policy".to_owned(), "ttl".to_owned()], pair("team", "app:1").as_bytes());
    assert!(stable.status.success() && stable.stderr.is_empty(), "{stable:?}");
}

/// Documents without a Job, in the spellings people use.
fn document_without_a_job() -> impl Strategy<Value = String> {
    let name = "[a-z]{1,8}";
    prop_oneof![
        (name, name).prop_map(|(k, v)| format!("kind: ConfigMap\n{k}x:   {v}  # {v}\n")),
        name.prop_map(|n| format!(
            "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: {n}}}\n"
        )),
        name.prop_map(|n| format!("{{\"kind\": \"Pod\",  \"{n}s\": [1, 2.50, \"{n}\"]}}\n")),
        name.prop_map(|n| format!("# {n}\n\n")),
        name.prop_map(|n| format!("{n}x: &a {{b: 1}}\n{n}y: *a\n")),
        name.prop_map(|n| format!("text: |\n  {n}  \n\n  --- {n}\n{n}2: >-\n  a\n  b\n")),
        name.prop_map(|n| format!("- {n}\n-   'x'\n")),
        Just(String::new()),
    ]
}

/// The same documents as one stream, with the markers and line ends people use.
fn stream_without_a_job() -> impl Strategy<Value = String> {
    let marker = prop::sample::select(vec!["---\n", "--- # c\n", "...\n---\n", "---  \n\n"]);
    (prop::collection::vec((marker, document_without_a_job()), 0..6), any::<bool>(), any::<bool>())
        .prop_map(|(documents, crlf, cut)| {
            let stream: String = documents.iter().flat_map(|(m, d)| [*m, d.as_str()]).collect();
            let stream = if cut { stream.trim_end().to_owned() } else { stream };
            if crlf { stream.replace('\n', "\r\n") } else { stream }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_stream_without_jobs_is_copied_byte_for_byte(stream in stream_without_a_job()) {
        let got = mutate(&["--policy".into(), "hash-name".into()], stream.as_bytes());
        prop_assert!(got.status.success(), "{}", String::from_utf8_lossy(&got.stderr));
        prop_assert_eq!(String::from_utf8_lossy(&got.stdout), stream);
    }
}
