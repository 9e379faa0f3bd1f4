//! Whether a Job works, so that replacing it would throw work away.

use serde_json::Value;

use super::Job;

/// What a Job's status says about its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Complete or Failed.
    Finished,
    /// Some Pod is ready, or some Pods have succeeded and others are to come.
    Working,
    /// Pods are active or terminating and none is ready: only the Pods themselves show it.
    Unclear,
    /// No Pod is counted: not started, suspended, or the Job controller is making several.
    Idle,
}

/// Reads progress off `status`.
pub fn progress(job: Job<'_>) -> Progress {
    let some = |field| job.status(field).and_then(Value::as_i64).is_some_and(|count| count > 0);
    if is_finished(job) {
        Progress::Finished
    } else if some("ready") || some("succeeded") {
        Progress::Working
    } else if some("active") || some("terminating") {
        Progress::Unclear
    } else {
        Progress::Idle
    }
}

fn is_finished(job: Job<'_>) -> bool {
    ["Complete", "Failed"].into_iter().any(|kind| job.condition(kind).is_some())
}

/// The label selector that finds the Pods of a Job, as the list call takes it. It may find others:
/// see [`pod_works`].
pub fn pod_selector(job: Job<'_>) -> String {
    let labels = job.spec("selector").and_then(|selector| selector.get("matchLabels")?.as_object());
    let pairs = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    pairs.collect::<Vec<_>>().join(",")
}

/// Whether a Pod is the Job's and works: a container of it runs, or it is being deleted and has not
/// ended. Readiness says nothing: an init container runs before it, one of two containers may have
/// ended, a probe may not be met. A Pod that pulls its image, crashes in a loop or finds no node
/// hangs. A sidecar (an init container that is always restarted) does not count as work.
pub fn pod_works(pod: &Value, job_uid: &str) -> bool {
    let text = |path| pod.pointer(path).and_then(Value::as_str);
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let is_owned = owners.is_some_and(|owners| {
        owners.iter().any(|owner| owner.get("uid").and_then(Value::as_str) == Some(job_uid))
    });
    let has_ended = matches!(text("/status/phase"), Some("Succeeded" | "Failed"));
    is_owned
        && !has_ended
        && (text("/metadata/deletionTimestamp").is_some()
            || runs(pod, "containerStatuses")
            || runs(pod, "initContainerStatuses"))
}

/// Whether one of these containers runs, sidecars left out.
fn runs(pod: &Value, statuses: &str) -> bool {
    let list = |parent: &str, field: &str| {
        pod.get(parent).and_then(|parent| parent.get(field)?.as_array()).into_iter().flatten()
    };
    let is_sidecar = |status: &Value| {
        list("spec", "initContainers").any(|container| {
            container.get("name") == status.get("name")
                && container.get("restartPolicy").and_then(Value::as_str) == Some("Always")
        })
    };
    list("status", statuses)
        .any(|status| status.pointer("/state/running").is_some() && !is_sidecar(status))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn progress_is_read_off_the_status() {
        let finished = |kind: &str, status: &str| json!([{ "type": kind, "status": status }]);
        for (status, expected) in [
            (json!({}), Progress::Idle),
            (json!({ "active": 1, "ready": 0 }), Progress::Unclear),
            (json!({ "active": 1, "ready": 1 }), Progress::Working),
            (json!({ "active": 1 }), Progress::Unclear),
            (json!({ "active": 0, "ready": 0, "terminating": 1 }), Progress::Unclear),
            (json!({ "active": 0 }), Progress::Idle),
            (json!({ "active": 2, "ready": 0, "succeeded": 1 }), Progress::Working),
            (json!({ "active": 2, "ready": 0, "failed": 3 }), Progress::Unclear),
            (
                json!({ "succeeded": 1, "conditions": finished("Complete", "True") }),
                Progress::Finished,
            ),
            (json!({ "failed": 1, "conditions": finished("Failed", "True") }), Progress::Finished),
            (json!({ "ready": 1, "conditions": finished("Complete", "False") }), Progress::Working),
            (json!({ "ready": 1, "conditions": finished("Suspended", "True") }), Progress::Working),
        ] {
            let job = json!({ "status": status });
            assert_eq!(progress(Job::new(&job)), expected, "{status}");
        }
    }

    fn pod(status: Value) -> Value {
        json!({
            "metadata": { "ownerReferences": [{ "uid": "u", "controller": true }] },
            "spec": { "initContainers": [
                { "name": "setup" }, { "name": "proxy", "restartPolicy": "Always" }
            ] },
            "status": status
        })
    }

    #[test]
    fn a_pod_works_while_a_container_of_it_runs() {
        let running = json!({ "running": {} });
        let waiting = |reason: &str| json!({ "waiting": { "reason": reason } });
        let ended = json!({ "terminated": { "exitCode": 0 } });
        let init = |name: &str, state: &Value| {
            json!({
                "phase": "Pending",
                "initContainerStatuses": [{ "name": name, "state": state }],
                "containerStatuses": [{ "name": "app", "state": waiting("PodInitializing") }]
            })
        };
        let of = |states: &[&Value]| {
            let statuses: Vec<_> =
                states.iter().map(|state| json!({ "name": "app", "state": state })).collect();
            json!({ "phase": "Running", "containerStatuses": statuses })
        };
        for (status, works) in [
            (json!({ "phase": "Pending" }), false),
            (init("setup", &running), true),
            (init("setup", &waiting("CrashLoopBackOff")), false),
            (init("proxy", &running), false),
            (of(&[&running]), true),
            (of(&[&ended, &running]), true),
            (of(&[&waiting("CrashLoopBackOff")]), false),
            (of(&[&ended, &waiting("ImagePullBackOff")]), false),
            (of(&[&ended]), false),
        ] {
            assert_eq!(pod_works(&pod(status.clone()), "u"), works, "{status}");
        }
        assert!(!pod_works(&pod(of(&[&running])), "another"), "another Job's Pod");
    }

    #[test]
    fn a_pod_that_is_being_deleted_works_until_it_has_ended() {
        for (phase, works) in [("Running", true), ("Pending", true), ("Failed", false)] {
            let mut pod = pod(json!({ "phase": phase }));
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            assert_eq!(pod_works(&pod, "u"), works, "{phase}");
        }
    }
}
