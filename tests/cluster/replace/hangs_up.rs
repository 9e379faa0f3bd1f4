//! A client that goes away while rejob checks: nothing is deleted for it.

use std::process::Stdio;

use serde_json::Value;

use support::api_proxy::{ApiProxy, Call, Fault};
use support::binaries::Binaries;
use support::plane::{self, ControlPlane};
use support::rejob::{Options, Rejob};
use support::wait;

use super::deploy::{Client, JOB, Place, uid_of};

/// Ctrl-C, or a CI job that is canceled. The API server then cancels its webhook call.
#[test]
fn nothing_is_deleted_for_a_kubectl_that_is_gone() {
    let plane = ControlPlane::start(&plane::Options { audit: true, ..plane::Options::default() });
    let proxy = ApiProxy::start(&plane);
    let rejob =
        Rejob::start(&plane, &Options { api_server: Some(proxy.url()), ..Options::default() });
    for client in [Client::Apply, Client::ServerSideApply] {
        let place = Place::new(rejob.namespace("replace"));
        let namespace = place.namespace.name();
        place.deploy(client, "app:1");
        place.namespace.finish_pods(JOB);
        let old = place.job();

        proxy.arm(namespace, &[(Call::MayDelete, Fault::Held)]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("job.json");
        std::fs::write(&file, Place::manifest("app:2").to_string()).unwrap();
        let mut kubectl = place
            .namespace
            .user()
            .command(&Binaries::get().kubectl)
            .args(["--namespace", namespace, "apply", "--filename"])
            .arg(&file)
            .arg(format!("--server-side={}", client == Client::ServerSideApply))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait::until("rejob checks", || proxy.has_happened(namespace).then_some(()));
        kubectl.kill().unwrap();
        kubectl.wait().unwrap();
        wait::until("the API server has given the request up", || {
            plane.audit_log().lines().find(|line| {
                let event: Value = serde_json::from_str(line).unwrap_or_default();
                let about = &event["objectRef"];
                event["verb"] == "patch"
                    && event["responseStatus"]["code"].as_u64() >= Some(400)
                    && (&about["namespace"], &about["name"]) == (&namespace.into(), &JOB.into())
            })?;
            Some(())
        });

        // What is there is deployed again, before rejob goes on.
        place.deploy(client, "app:1");
        proxy.let_go(namespace);
        wait::until("rejob says why it does not", || {
            let here = format!("namespace=\"{namespace}\"");
            let log = rejob.log();
            let said = |line: &str| line.contains(&here) && line.contains("the client hung up");
            log.lines().any(said).then_some(())
        });
        assert_eq!(uid_of(&place.job()), uid_of(&old), "{client:?}");
        place.deploy(client, "app:2");
        place.assert_runs("app:2");
    }
}
