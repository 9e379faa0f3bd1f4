//! The driver under paused time.

use serde_json::json;

use super::*;
use crate::job::{Client, Job, TemplateHash};
use crate::kubernetes::fake::{Fake, NEVER, ScriptedAnswer, error, recorded};
use crate::reason::Reason;
use crate::replacement::new_job;
use crate::review::UserInfo;

const TIME: Duration = Duration::from_secs(8);

fn plan(mode: Mode) -> Plan {
    let job = json!({
        "metadata": { "name": "nightly", "uid": "old", "resourceVersion": "7" },
        "spec": { "parallelism": 2, "template": { "spec": { "containers": [] } } }
    });
    let hash = TemplateHash::of(&job);
    Plan {
        namespace: "team".into(),
        name: "nightly".into(),
        resource_version: "7".into(),
        applied: None,
        was_read_back: false,
        user: UserInfo { username: "ada".into(), ..UserInfo::default() },
        old_run: "unfinished".into(),
        old_hash: TemplateHash::of(&Value::Null),
        record: Record {
            parallelism: Some(2),
            resource_version: "7".into(),
            changed: "image changed".into(),
            ..recorded("ada", Some("kubectl"))
        },
        mode,
        only_checks: false,
        pods: None,
        job: new_job(Job::new(&job), &hash, Some(2)),
        hash,
        described: "image".into(),
        old_annotations: serde_json::Map::new(),
        client: Client::of(Job::new(&job), Some("kubectl")),
    }
}

/// Runs a plan; the outcome and how long it took.
async fn outcome(fake: &Fake, plan: &Plan, time: Duration) -> (Outcome, Duration) {
    let begun = Instant::now();
    let outcome =
        run(fake, plan, "replace", &Call::until(begun + time), ProbeResult::default()).await;
    (outcome, begun.elapsed())
}

fn well(_: &str, _: usize) -> Option<ScriptedAnswer> {
    None
}

fn late(name: &'static str, after: Duration) -> impl Fn(&str, usize) -> Option<ScriptedAnswer> {
    move |called, _| (called == name).then(|| (after, Err(error(504, "Timeout", "too late"))))
}

#[tokio::test(start_paused = true)]
async fn a_replacement_checks_deletes_and_creates_in_this_order() {
    let fake = Fake::new(well);
    let (outcome, _) = outcome(&fake, &plan(Mode::Recreate), TIME).await;
    assert_eq!(outcome, Outcome::Replaced(Some("new".into())));
    let checks = ["opt-in", "can-delete", "can-create", "dry-run", "dry-run-dormant"];
    assert_eq!(fake.names(), [checks.as_slice(), &["delete", "create"]].concat());
    let sent = fake.sent.lock().unwrap();
    assert_eq!(sent[1], json!(["ada", "Delete(\"nightly\")"]));
    assert_eq!(sent[2], json!(["ada", "Create(None)"]));
    assert_eq!(sent[3]["spec"]["parallelism"], 2, "the dry run tries the Job as it is to run");
    assert_eq!(sent[5], json!(["nightly", "old", "7"]));
    assert_eq!(sent[6]["spec"]["parallelism"], 0, "the Job is made dormant");
    assert_eq!(sent[4], sent[6], "and was tried so");
}

#[tokio::test(start_paused = true)]
async fn an_apply_is_deleted_only_and_its_right_to_create_is_asked_for_by_name() {
    let fake = Fake::new(well);
    let (outcome, _) = outcome(&fake, &plan(Mode::Apply), TIME).await;
    assert_eq!(outcome, Outcome::Replaced(None));
    assert_eq!((fake.count("create"), fake.count("dry-run-dormant")), (0, 0));
    assert_eq!(fake.sent.lock().unwrap()[2], json!(["ada", "Create(Some(\"nightly\"))"]));
}

#[tokio::test(start_paused = true)]
async fn the_checks_run_at_the_same_time() {
    let second = Duration::from_secs(1);
    let fake = Fake::new(move |name, _| match name {
        "opt-in" => Some((second, Ok(json!("replace")))),
        "can-delete" | "can-create" => Some((second, Ok(json!(true)))),
        "dry-run" | "dry-run-dormant" => Some((second, Ok(json!({ "metadata": {} })))),
        _ => None,
    });
    let (outcome, took) = outcome(&fake, &plan(Mode::Recreate), TIME).await;
    assert!(matches!(outcome, Outcome::Replaced(_)));
    assert_eq!(took, second);
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_is_made_again_and_nothing_is_deleted_for_a_client_that_hung_up() {
    for (last, deleted) in [("opt-in", 0), ("dry-run-dormant", 0), ("delete", 1), ("create", 1)] {
        let call = Call::until(Instant::now() + TIME);
        let token = call.abandoned.clone();
        let fake = Fake::new(move |name, _| (name == last).then(|| token.cancel()).and(None));
        let probe = ProbeResult::default();
        let outcome = run(&fake, &plan(Mode::Recreate), "replace", &call, probe).await;
        assert_eq!([fake.count("delete"), fake.count("create")], [deleted; 2], "{last}");
        assert_eq!(
            outcome == Outcome::hung_up(&plan(Mode::Recreate)),
            deleted == 0,
            "{last}: {outcome:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_ends_with_the_checks() {
    let fake = Fake::new(well);
    let (outcome, _) =
        outcome(&fake, &Plan { only_checks: true, ..plan(Mode::Recreate) }, TIME).await;
    assert_eq!(outcome, Outcome::WouldReplace);
    assert_eq!((fake.count("delete"), fake.count("create")), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_ends_at_the_deadline_with_nothing_deleted() {
    for check in ["opt-in", "can-delete", "can-create", "dry-run", "dry-run-dormant"] {
        let fake = Fake::new(late(check, NEVER));
        let (outcome, took) = outcome(&fake, &plan(Mode::Recreate), TIME).await;
        if check.starts_with("dry-run") {
            // The admission of this cluster takes longer than the call may.
            assert_eq!(outcome, Outcome::NoTime);
        } else {
            assert!(matches!(outcome, Outcome::Busy(_)), "{check}: {outcome:?}");
        }
        assert_eq!(took, TIME, "{check}");
        assert_eq!(fake.count("delete"), 0, "{check}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_refused_is_not_tried_again_later() {
    for check in ["opt-in", "can-delete"] {
        let fake = Fake::new(move |name, _| {
            (name == check).then(|| (Duration::ZERO, Err(error(403, "Forbidden", "no right"))))
        });
        let (outcome, _) = outcome(&fake, &plan(Mode::Recreate), TIME).await;
        assert!(matches!(outcome, Outcome::Refused(Reason::ClusterError, _)), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_deleted_when_no_time_is_left_to_create() {
    let slow = TIME.saturating_sub(Time::default().reserve()) + Duration::from_millis(1);
    let fake = Fake::new(move |name, _| (name == "opt-in").then(|| (slow, Ok(json!("replace")))));
    let (outcome, _) = outcome(&fake, &plan(Mode::Recreate), TIME).await;
    assert_eq!(outcome, Outcome::NoTime);
    assert_eq!(fake.count("delete"), 0);
}

/// What a creation in a dry run takes, the real one takes as well.
#[tokio::test(start_paused = true)]
async fn slow_admission_is_measured_before_anything_is_deleted() {
    for (seconds, mode, replaced) in
        [(2, Mode::Recreate, true), (3, Mode::Recreate, false), (3, Mode::Apply, false)]
    {
        let slow = Duration::from_secs(seconds);
        let fake = Fake::new(move |name, _| match name {
            "dry-run" | "dry-run-dormant" => Some((slow, Ok(Value::Null))),
            _ => None,
        });
        let (outcome, _) = outcome(&fake, &plan(mode), TIME).await;
        assert_eq!(matches!(outcome, Outcome::Replaced(_)), replaced, "{seconds} s: {outcome:?}");
        assert_eq!(fake.count("delete"), usize::from(replaced), "{seconds} s");
    }
    // It is known before the checks begin.
    let fake = Fake::new(well);
    let slow = ProbeResult { took: Duration::from_secs(3), accepted: true };
    let call = Call::until(Instant::now() + TIME);
    let outcome = run(&fake, &plan(Mode::Recreate), "replace", &call, slow).await;
    assert_eq!(outcome, Outcome::NoTime);
    assert_eq!(fake.names(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_dormant_form_that_was_accepted_is_not_tried_again() {
    for as_user in [false, true] {
        for accepted in [true, false] {
            let mut fake = Fake::new(well);
            fake.as_user = as_user;
            let probe = ProbeResult { took: Duration::ZERO, accepted };
            let call = Call::until(Instant::now() + TIME);
            let outcome = run(&fake, &plan(Mode::Recreate), "replace", &call, probe).await;
            assert!(matches!(outcome, Outcome::Replaced(_)), "{outcome:?}");
            assert_eq!(fake.count("dry-run-dormant"), usize::from(!accepted));
            assert_eq!(fake.count("dry-run") + fake.count("create-as-user"), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_creation_is_tried_until_the_deadline() {
    let fake = Fake::new(|name, _| {
        (name == "create").then(|| (Duration::ZERO, Err(error(503, "", "starting up"))))
    });
    let (outcome, took) = outcome(&fake, &plan(Mode::Recreate), TIME).await;
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    assert_eq!(took, TIME);
    assert!(fake.count("create") > 5, "{:?}", fake.calls.lock().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_creation_succeeds_once_the_api_server_is_back() {
    let fake = Fake::new(|name, nth| match (name, nth) {
        ("create", 0) => Some((Duration::ZERO, Err(error(503, "", "starting up")))),
        ("create", 1) => Some((Duration::ZERO, Err(error(409, "Conflict", "quota")))),
        _ => None,
    });
    let (outcome, took) = outcome(&fake, &plan(Mode::Recreate), TIME).await;
    assert_eq!(outcome, Outcome::Replaced(Some("new".into())));
    assert_eq!(took, FIRST_PAUSE * 3, "the pauses double");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_hangs_leaves_half_of_the_time_for_the_creation() {
    let fake = Fake::new(late("delete", NEVER));
    let (outcome, took) = outcome(&fake, &plan(Mode::Recreate), TIME).await;
    assert_eq!(outcome, Outcome::Replaced(Some("new".into())), "it was deleted: the name was free");
    assert_eq!(took, TIME / 2);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_hangs_and_did_not_happen_is_an_error() {
    let fake = Fake::new(|name, _| match name {
        "delete" => Some((NEVER, Ok(json!(null)))),
        "create" => Some((Duration::ZERO, Err(error(409, "AlreadyExists", "exists")))),
        _ => None,
    });
    let (outcome, _) = outcome(&fake, &plan(Mode::Recreate), TIME).await;
    assert!(matches!(outcome, Outcome::Failed(_)), "a stale view would store the marker");
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_deletion_for_an_apply_is_an_error() {
    let fake = Fake::new(late("delete", Duration::ZERO));
    let (outcome, _) = outcome(&fake, &plan(Mode::Apply), TIME).await;
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    assert_eq!(fake.count("create"), 0);
}

#[tokio::test(start_paused = true)]
async fn only_the_api_servers_own_word_says_that_the_view_is_stale() {
    let denied = "admission webhook \"guard\" denied the request: busy";
    for (code, reason, message, stale) in [
        (404, "NotFound", "jobs.batch \"nightly\" not found", true),
        (409, "Conflict", "Precondition failed: UID in precondition: old", true),
        (409, "Conflict", denied, false),
        (404, "NotFound", denied, false),
        (403, "Forbidden", "no right", false),
    ] {
        let fake = Fake::new(move |name, _| {
            (name == "delete").then(|| (Duration::ZERO, Err(error(code, reason, message))))
        });
        let (outcome, _) = outcome(&fake, &plan(Mode::Recreate), TIME).await;
        if stale {
            assert_eq!(outcome, Outcome::StaleView, "{message}");
        } else {
            assert!(matches!(outcome, Outcome::Refused(Reason::ClusterError, _)), "{outcome:?}");
        }
        assert_eq!(fake.count("create"), 0, "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_name_that_is_taken_passes_the_dry_run() {
    for (code, reason, message) in [
        (409, "Conflict", "Operation cannot be fulfilled on resourcequotas \"q\""),
        (409, "AlreadyExists", "admission webhook \"guard\" denied the request: twice"),
        (422, "Invalid", "Job.batch \"nightly\" is invalid: spec.template: Required value"),
    ] {
        for check in ["dry-run", "dry-run-dormant"] {
            let fake = Fake::new(move |name, _| {
                (name == check).then(|| (Duration::ZERO, Err(error(code, reason, message))))
            });
            let (outcome, _) = outcome(&fake, &plan(Mode::Recreate), TIME).await;
            let Outcome::Refused(Reason::InvalidDenied, told) = outcome else {
                panic!("{message}: {outcome:?}")
            };
            assert!(told.contains(message), "{told}");
            assert_eq!(told.contains("parallelism 0"), check == "dry-run-dormant", "{told}");
            assert_eq!(fake.count("delete"), 0, "{message}");
        }
    }
}

/// A cluster in which checks are made in the user's name.
fn as_user(script: impl Fn(&str, usize) -> Option<ScriptedAnswer> + Send + Sync + 'static) -> Fake {
    let mut fake = Fake::new(script);
    fake.as_user = true;
    fake
}

#[tokio::test(start_paused = true)]
async fn checks_in_the_users_name_ask_for_no_right() {
    let fake = as_user(well);
    let (outcome, _) = outcome(&fake, &plan(Mode::Recreate), TIME).await;
    assert_eq!(outcome, Outcome::Replaced(Some("new".into())));
    let checks = ["opt-in", "delete-as-user", "create-as-user", "dry-run-dormant"];
    assert_eq!(fake.names(), [checks.as_slice(), &["delete", "create"]].concat());
    let sent = fake.sent.lock().unwrap();
    assert_eq!(sent[1], json!(["ada", "nightly", "old", "7"]));
    assert_eq!(sent[2][0], "ada");
    assert_eq!(sent[2][1]["spec"]["parallelism"], 2, "as it is to run");
}

#[tokio::test(start_paused = true)]
async fn an_apply_is_checked_in_the_users_name_as_well() {
    let fake = as_user(well);
    let (outcome, _) = outcome(&fake, &plan(Mode::Apply), TIME).await;
    assert_eq!(outcome, Outcome::Replaced(None));
    assert_eq!(fake.names(), ["opt-in", "delete-as-user", "create-as-user", "delete"]);
}

#[tokio::test(start_paused = true)]
async fn who_refuses_in_the_users_name_is_named() {
    let rbac = |user: &str, verb: &str| {
        format!(
            "jobs.batch is forbidden: User \"{user}\" cannot {verb} resource \"jobs\" in API group \"batch\""
        )
    };
    for (call, message, reason, words) in [
        (
            "delete-as-user",
            rbac("ada", "delete"),
            Reason::RightsDenied,
            "user \"ada\" may not delete jobs",
        ),
        (
            "create-as-user",
            rbac("ada", "create"),
            Reason::RightsDenied,
            "user \"ada\" may not create jobs",
        ),
        (
            "delete-as-user",
            rbac("rejob", "impersonate-on:user-info:delete"),
            Reason::ClusterError,
            "rejob may not check it in the name of user \"ada\"",
        ),
        (
            "create-as-user",
            rbac("rejob", "impersonate:user-info"),
            Reason::ClusterError,
            "grant rejob's service account that verb",
        ),
        (
            "delete-as-user",
            "a policy denied request: never on Fridays".into(),
            Reason::InvalidDenied,
            "refuses to delete the old one: a policy denied request: never on Fridays",
        ),
        (
            "create-as-user",
            "a policy denied request: not you".into(),
            Reason::InvalidDenied,
            "refuses the new one: a policy denied request: not you",
        ),
    ] {
        let answered = message.clone();
        let fake = as_user(move |name, _| {
            (name == call).then(|| (Duration::ZERO, Err(error(403, "Forbidden", &answered))))
        });
        let (outcome, _) = outcome(&fake, &plan(Mode::Recreate), TIME).await;
        let Outcome::Refused(found, told) = outcome else { panic!("{message}: {outcome:?}") };
        assert_eq!(found, reason, "{message}");
        assert!(told.contains(words), "{told}");
        assert_eq!(fake.count("delete"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_view_is_left_to_the_deletion_and_a_passing_error_is_no_answer() {
    for (code, expected) in [(404, "replaced"), (409, "replaced"), (503, "busy"), (0, "busy")] {
        let fake = as_user(move |name, _| {
            (name == "delete-as-user").then(|| (Duration::ZERO, Err(error(code, "x", "y"))))
        });
        let found = match outcome(&fake, &plan(Mode::Recreate), TIME).await.0 {
            Outcome::Replaced(_) => "replaced",
            Outcome::Busy(_) => "busy",
            other => panic!("{code}: {other:?}"),
        };
        assert_eq!(found, expected, "{code}");
    }
}
