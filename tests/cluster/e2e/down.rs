//! Without rejob, and `failurePolicy: Ignore`, there is plain Kubernetes: nothing is blocked.

use support::manifest::{annotation, image, job};
use support::plane::ControlPlane;
use support::rejob::{Options, Rejob};

#[test]
fn while_the_webhook_is_down_jobs_are_plain_jobs() {
    let plane = ControlPlane::shared();
    let ignore = Options { failure_policy: "Ignore", timeout_seconds: 2, ..Options::default() };
    let mut rejob = Rejob::start(&plane, &ignore);
    let namespace = rejob.namespace("hash-name");
    rejob.kill();

    let create = ["create", "-o", "name", "-f", "-"];
    let created = namespace.kubectl_with(&job("import", "app:1").to_string(), &create).ok();
    assert_eq!(created.line(), "job.batch/import");
    let plain = namespace.job("import").unwrap();
    assert_eq!(annotation(&plain, "rejob.dev/template-hash"), None);
    assert_eq!(plain["spec"].get("ttlSecondsAfterFinished"), None);
    let changed = job("import", "app:2").to_string();
    namespace.kubectl_with(&changed, &["apply", "-f", "-"]).exited(1).warns("field is immutable");
    assert_eq!(image(&namespace.job("import").unwrap()), "app:1");
    namespace.finish_pods("import");
    namespace.kubectl(&["delete", "job", "import"]).ok();

    // It comes back on the same address, and is called again.
    rejob.restart(&[]);
    rejob.wait_until_called(&namespace);
    let created = namespace.kubectl_with(&changed, &create).ok();
    assert!(created.line().starts_with("job.batch/import-"), "{}", created.line());
}

#[test]
fn a_removed_webhook_configuration_leaves_plain_kubernetes() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("hash-name");
    drop(rejob);
    let dry = ["create", "--dry-run=server", "-o", "name", "-f", "-"];
    let manifest = job("import", "app:1").to_string();
    // `failurePolicy: Fail`: until the API server has taken notice, every create is refused.
    support::wait::until("the API server no longer calls the webhook", || {
        let shown = namespace.kubectl_with(&manifest, &dry);
        (shown.code == 0).then(|| assert_eq!(shown.line(), "job.batch/import"))
    });
}
