//! What a kubelet writes into a Pod's status.

use serde_json::{Value, json};

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has not started, for that reason: `ContainerCreating`, `ImagePullBackOff`.
    Waiting(&'static str),
    /// It runs; whether its readiness probe is met.
    Running { ready: bool },
    /// It has ended with that code.
    Ended(i64),
    /// It has failed and is to start again after a while.
    CrashLooping,
}

impl State {
    fn status(self, name: &str, image: &Value) -> Value {
        let failed = ended(1);
        let (ready, started, restarts, state, last) = match self {
            Self::Waiting(reason) => {
                (false, false, 0, json!({ "waiting": { "reason": reason } }), json!({}))
            }
            Self::Running { ready } => {
                (ready, true, 0, json!({ "running": { "startedAt": BEGAN } }), json!({}))
            }
            Self::Ended(code) => (code == 0, false, 0, ended(code), json!({})),
            Self::CrashLooping => {
                let waiting = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
                (false, false, 2, waiting, failed)
            }
        };
        json!({
            "name": name, "image": image, "imageID": "", "ready": ready, "started": started,
            "restartCount": restarts, "state": state, "lastState": last,
        })
    }
}

const BEGAN: &str = "2026-01-01T00:00:00Z";

fn ended(code: i64) -> Value {
    let reason = if code == 0 { "Completed" } else { "Error" };
    json!({ "terminated": {
        "exitCode": code, "reason": reason, "startedAt": BEGAN, "finishedAt": BEGAN,
    }})
}

/// The status of a Pod in that phase, whose containers do that; the others wait for those.
pub fn status(pod: &Value, phase: &str, states: &[(&str, State)]) -> Value {
    let statuses = |field: &str| -> Vec<Value> {
        let containers = pod["spec"][field].as_array().into_iter().flatten();
        let all = containers.map(|container| {
            let name = container["name"].as_str().expect("a container has a name");
            let state = states.iter().find(|(of, _)| *of == name);
            state
                .map_or(State::Waiting("PodInitializing"), |(_, state)| *state)
                .status(name, &container["image"])
        });
        all.collect()
    };
    let (init, main) = (statuses("initContainers"), statuses("containers"));
    let is = |met: bool| if met { "True" } else { "False" };
    let initialized = init.iter().all(|status| status["ready"] == true);
    let ready = initialized
        && main
            .iter()
            .all(|status| status["state"]["running"].is_object() && status["ready"] == true);
    json!({
        "phase": phase,
        "conditions": [
            { "type": "PodScheduled", "status": "True" },
            { "type": "Initialized", "status": is(initialized) },
            { "type": "ContainersReady", "status": is(ready) },
            { "type": "Ready", "status": is(ready) },
        ],
        "initContainerStatuses": init,
        "containerStatuses": main,
    })
}

/// The status of a Pod that no node has room for: the scheduler's.
pub fn unschedulable() -> Value {
    json!({ "phase": "Pending", "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
    }]})
}
