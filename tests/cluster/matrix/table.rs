//! docs/compatibility.md: the table that the test writes.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::Outcomes;
use support::situation::Situation;

const HEAD: &str = "\
# Compatibility: client x situation

Each cell was played by the real client on a real kube-apiserver, etcd and kube-controller-manager
(`cargo test --test cluster matrix`; Pods are finished, failed and made Ready by patching their status). The
test compares this page; `UPDATE_DOCS=1 cargo test --test cluster matrix` writes it.

- *new run*: exit status 0, the Job has a new uid and the new template, and its Pod is started.
- *no run*: exit status 0, and nothing runs again.
- *waits, new run*: the client waits by itself while the old Job works, then as *new run*.
- *429, then new run*: the same for a request without a client's retries: 429 with `Retry-After`,
  and the request sent again after the old Job has finished is a new run.
- *shows the change*: the dry run's answer says which field would change from what to what.
- *for the new one*: waiting for completion sees the new Job, never the old one's.
- *error, old one untouched*: a template that the API server refuses; the old Job keeps its uid.
- *-*: the client has no such thing.
";

/// The page.
pub fn page(clients: &[&'static str], before: &Outcomes, after: &Outcomes) -> String {
    let mut page = HEAD.to_owned();
    let parts = [
        ("With rejob: the namespace is labeled `rejob.dev/policy: replace`", after),
        ("Without rejob: the namespace is not labeled", before),
    ];
    for (title, outcomes) in parts {
        let _ = write!(page, "\n## {title}\n\n| client |");
        for situation in Situation::ALL {
            let _ = write!(page, " {} |", situation.title());
        }
        let _ = writeln!(page, "\n|{}", "---|".repeat(Situation::ALL.len() + 1));
        for client in clients {
            let _ = write!(page, "| {client} |");
            for situation in Situation::ALL {
                let outcome = outcomes.get(&(*client, situation)).map_or("", String::as_str);
                let _ = write!(page, " {} |", outcome.replace('|', "\\|"));
            }
            page.push('\n');
        }
    }
    page
}

/// Compares the page with the stored one, or writes it.
pub fn compare(page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compatibility.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, page).unwrap();
        return;
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        stored, page,
        "docs/compatibility.md is stale: run UPDATE_DOCS=1 cargo test --test cluster matrix"
    );
}
