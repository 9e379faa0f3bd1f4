//! The API server fails one call of a replacement: the promises of docs/design/protocol.md hold, and
//! the same command again leads to the wanted state.
//!
//! A proxy between rejob and the API server holds one call past its deadline, cuts it before or after it
//! took effect, or answers it with an error. Each client, call and fault has a namespace of its own.
//!
//! By default each call of five clients fails in one way, another one for each client; with
//! `REJOB_FAULTS=all` each call of eight clients in every way.

use std::env;
use std::sync::Mutex;

use serde_json::Value;

use support::api_proxy::{ApiProxy, Call, Fault};
use support::manifest::{annotation, image};
use support::plane::ControlPlane;
use support::rejob::{Options, Rejob};
use support::wait;

use super::deploy::{Client, JOB, Place, assert_unmarked, uid_of};
use super::kill::{FIRST, SECOND, assert_second_ran_once};

const FAULTS: [Fault; 6] = [
    Fault::Late,
    Fault::CutBefore,
    Fault::CutAfter,
    Fault::Status(429),
    Fault::Status(500),
    Fault::Status(503),
];

/// A change that reaches the API server after the same command has succeeded; a call that fails until
/// rejob has no time left.
const MORE: [(Call, Fault); 4] = [
    (Call::PodsAgain, Fault::Always(503)),
    (Call::Delete, Fault::Stray),
    (Call::Create, Fault::Stray),
    (Call::Create, Fault::Always(503)),
];

/// The clients, and the `failurePolicy` under which each is tried.
const CLIENTS: [(Client, &str); 8] = [
    (Client::MergePatch, "Fail"),
    (Client::Put, "Ignore"),
    (Client::ForcedApply, "Ignore"),
    (Client::Apply, "Fail"),
    (Client::ServerSideApply, "Fail"),
    // From here on with `REJOB_FAULTS=all` only.
    (Client::Helm4, "Fail"),
    (Client::StrategicMergePatch, "Ignore"),
    (Client::JsonPatch, "Fail"),
];

/// The calls that client's replacement makes; those before the deletion come first.
fn calls(client: Client) -> Vec<Call> {
    let mut calls = vec![Call::OptIn, Call::MayDelete, Call::MayCreate, Call::DryRun];
    if client.applies() {
        calls.push(Call::Probe);
    } else {
        // Accepted, it is the dry run of the dormant form, too.
        calls.extend([Call::ProbeDormant, Call::DryRunDormant]);
    }
    calls.extend([Call::Pods, Call::PodsAgain, Call::Delete]);
    if !client.applies() {
        calls.push(Call::Create);
    }
    calls
}

fn all() -> bool {
    env::var_os("REJOB_FAULTS").is_some_and(|which| which == "all")
}

/// What fails for the client of that number.
fn cases(number: usize) -> Vec<(Call, Fault)> {
    let all = all();
    let client = CLIENTS[number].0;
    let calls = calls(client);
    let more = MORE.into_iter().filter(|(call, _)| calls.contains(call));
    // A client that tries again does so for minutes.
    let more = more.filter(|(call, _)| *call != Call::PodsAgain || !client.tries_again());
    let others = calls.iter().enumerate().flat_map(|(n, &call)| {
        let faults = FAULTS.into_iter().enumerate();
        let chosen = faults.filter(move |(fault, _)| all || *fault == (n + number) % FAULTS.len());
        chosen.map(move |(_, fault)| (call, fault))
    });
    more.chain(others).collect()
}

/// Whether nothing is replaced without an answer to that call. After a look at the Pods that fails, rejob
/// waits and looks again.
fn refuses(call: Call, fault: Fault) -> bool {
    match call {
        Call::PodsAgain => matches!(fault, Fault::Always(_)),
        call => !matches!(call, Call::Probe | Call::ProbeDormant | Call::Delete | Call::Create),
    }
}

/// Whether the old Job may be gone when a client gets an error for that.
fn may_be_deleted(call: Call, fault: Fault) -> bool {
    match call {
        Call::Delete => !matches!(fault, Fault::CutBefore | Fault::Status(_)),
        call => call == Call::Create,
    }
}

/// What is promised about a request whose replacement met a fault of that call.
#[track_caller]
fn assert_promises(
    place: &Place,
    old: &Value,
    client: Client,
    (call, fault): (Call, Fault),
    said: &Result<String, String>,
) {
    let what = format!("{client:?} {call:?} {fault:?}: {said:?}");
    let names = place.namespace.job_names();
    assert!(names.is_empty() || names == [JOB], "{what}: {names:?}");
    let job = place.namespace.job(JOB);
    if let Some(job) = &job {
        assert_eq!(annotation(job, "rejob.dev/replacing"), None, "{what}: the marker is stored");
    }
    match (said, job) {
        // A client that does not try again is told about a check that failed.
        (Ok(_), _) if refuses(call, fault) && !client.tries_again() => panic!("{what}: it went on"),
        (Ok(_), None) => panic!("{what}: success, and there is no Job"),
        (Ok(_), Some(job)) => {
            assert_eq!(image(&job), SECOND, "{what}");
            assert_ne!(uid_of(&job), uid_of(old), "{what}");
            assert_unmarked(&job);
            place.assert_runs(SECOND);
        }
        // Nothing is changed before the deletion.
        (Err(_), job) if !may_be_deleted(call, fault) => {
            let job = job.unwrap_or_else(|| panic!("{what}: the old Job is gone"));
            assert_eq!(uid_of(&job), uid_of(old), "{what}");
        }
        (Err(_), None) => {}
        (Err(_), Some(job)) if uid_of(&job) == uid_of(old) => {
            assert_eq!(image(&job), FIRST, "{what}");
            assert_unmarked(&job);
        }
        (Err(_), Some(job)) => {
            assert_eq!(image(&job), SECOND, "{what}");
            assert_eq!(job["metadata"]["labels"]["rejob.dev/dormant"], "true", "{what}: {job:#}");
            assert_eq!(job["spec"]["parallelism"], 0, "{what}");
        }
    }
}

fn meets(rejob: &Rejob<'_>, proxy: &ApiProxy, client: Client, call: Call, fault: Fault) {
    let what = format!("{client:?} {call:?} {fault:?}");
    let place = Place::new(rejob.namespace("replace"));
    place.deploy(client, FIRST);
    place.namespace.started_pods(JOB);
    let old = place.job();
    let namespace = place.namespace.name();
    let mut faults = vec![(call, fault)];
    if call == Call::DryRunDormant {
        // It is made where the other one was refused.
        faults.push((Call::ProbeDormant, Fault::Status(403)));
    }
    proxy.arm(namespace, &faults);
    // A machine that is busy may leave too little time to come as far as that.
    let said = wait::until(&format!("{what}: the call is made"), || {
        let said = place.try_deploy(client, SECOND);
        (said.is_ok() || proxy.has_happened(namespace)).then_some(said)
    });
    assert!(proxy.has_happened(namespace), "{what}: the call was not made: {said:?}");
    let settle = || {
        wait::until("what was late is carried out", || proxy.is_settled(namespace).then_some(()));
    };
    if fault != Fault::Stray {
        settle();
    }
    assert_promises(&place, &old, client, (call, fault), &said);
    if matches!(fault, Fault::Always(_)) {
        proxy.let_go(namespace);
    }
    let mut last = String::new();
    let done = wait::poll(wait::DEADLINE, || {
        place.try_deploy(client, SECOND).map_err(|error| last = error).ok()
    });
    assert!(done.is_some(), "{what}: the same command does not get through: {last}");
    assert_second_ran_once(&place);
    let uid = place.uid();
    proxy.let_go(namespace);
    settle();
    place.assert_runs(SECOND);
    assert_eq!(place.uid(), uid, "{what}: what was late changed something");
    place.deploy(client, SECOND);
    assert_eq!(place.uid(), uid, "{what}: an unchanged deploy ran again");
    assert_second_ran_once(&place);
}

/// Several at a time: most of the time goes by in waiting for deadlines.
fn each_call_fails(number: usize) {
    const AT_A_TIME: usize = 4;
    let (client, failure_policy) = CLIENTS[number];
    let plane = ControlPlane::shared();
    let proxy = ApiProxy::start(&plane);
    let options = Options {
        failure_policy,
        // A call that is never answered takes that long.
        timeout_seconds: 10,
        api_server: Some(proxy.url()),
        ..Options::default()
    };
    let rejob = Rejob::start(&plane, &options);
    let cases = Mutex::new(cases(number));
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let case = cases.lock().unwrap().pop();
                    let Some((call, fault)) = case else { return };
                    meets(&rejob, &proxy, client, call, fault);
                }
            });
        }
    });
}

#[test]
fn each_call_of_a_merge_patch_fails() {
    each_call_fails(0);
}

#[test]
fn each_call_of_a_put_fails() {
    each_call_fails(1);
}

#[test]
fn each_call_of_a_server_side_apply_fails() {
    each_call_fails(2);
}

#[test]
fn each_call_of_kubectl_apply_fails() {
    each_call_fails(3);
}

#[test]
fn each_call_of_kubectl_apply_server_side_fails() {
    each_call_fails(4);
}

#[test]
fn each_call_of_the_other_clients_fails() {
    if all() {
        (5..CLIENTS.len()).for_each(each_call_fails);
    }
}
