//! What each answer of the API server leads a replacement to.

use std::time::Duration;

use rejob_core::reason::Reason;
use rejob_core::replacement::{
    ApiError, Effect, Execution, Mode, Outcome, Plan, Reply, Success, Time,
};

use super::plan::plan;

const ENOUGH: Time = Time { left: Duration::from_secs(10), creation: Duration::ZERO };
const NONE_LEFT: Time = Time { left: Duration::ZERO, creation: Duration::ZERO };

fn error(code: u16, reason: &str, message: &str) -> ApiError {
    ApiError { code, reason: reason.into(), message: message.into() }
}

fn taken() -> ApiError {
    error(409, "AlreadyExists", "it already exists")
}

fn by_a_webhook() -> ApiError {
    error(409, "AlreadyExists", "admission webhook \"a\" denied the request: no")
}

fn forbidden(verb: &str) -> ApiError {
    let message = format!("jobs.batch is forbidden: User \"ada\" cannot {verb} resource \"jobs\"");
    error(403, "Forbidden", &message)
}

/// The reply with which it goes on.
fn yes(effect: Effect) -> Reply {
    match effect {
        Effect::OptIn => Ok(Success::OptIn(Some("replace".into()))),
        Effect::CanDelete | Effect::CanCreate => Ok(Success::Can(true)),
        Effect::DryRunCreate | Effect::DryRunDormant | Effect::DryRunCreateAsUser => Err(taken()),
        Effect::Look => Ok(Success::Works(false)),
        Effect::DryRunDeleteAsUser | Effect::Delete => Ok(Success::Deleted),
        Effect::Create => Ok(Success::Created("u2".into())),
    }
}

/// Goes on with the reply to one effect, and yes to all others of its step.
fn step(execution: &mut Execution<'_>, effect: Effect, reply: Reply, time: Time) {
    let effects = execution.effects();
    assert!(effects.contains(&effect), "{effect:?} is not among {effects:?}");
    let answer = |&asked| (asked, if asked == effect { reply.clone() } else { yes(asked) });
    execution.resume(effects.iter().map(answer).collect(), time);
}

/// Everything is answered with yes: the steps, and how it ends.
fn course(plan: &Plan, as_user: bool) -> (Vec<&'static [Effect]>, Outcome) {
    let execution = Execution::new(plan, "replace", ENOUGH);
    course_of(if as_user { execution.as_user() } else { execution })
}

fn course_of(mut execution: Execution<'_>) -> (Vec<&'static [Effect]>, Outcome) {
    let mut steps = Vec::new();
    while execution.outcome().is_none() {
        steps.push(execution.effects());
        execution.resume(execution.effects().iter().map(|&it| (it, yes(it))).collect(), ENOUGH);
    }
    assert!(execution.effects().is_empty());
    (steps, execution.outcome().unwrap().clone())
}

#[test]
fn nothing_is_deleted_before_the_checks_and_nothing_created_before_the_deletion() {
    use Effect::{
        CanCreate, CanDelete, Create, Delete, DryRunCreate, DryRunCreateAsUser, DryRunDeleteAsUser,
        DryRunDormant, Look, OptIn,
    };
    let (apply, recreate) = (plan(Mode::Apply), plan(Mode::Recreate));
    let made = Outcome::Replaced(Some("u2".into()));
    let own: &[Effect] = &[OptIn, CanDelete, CanCreate, DryRunCreate];
    let dormant: &[Effect] = &[OptIn, CanDelete, CanCreate, DryRunCreate, DryRunDormant];
    let users: &[Effect] = &[OptIn, DryRunDeleteAsUser, DryRunCreateAsUser];
    let users_dormant: &[Effect] = &[OptIn, DryRunDeleteAsUser, DryRunCreateAsUser, DryRunDormant];
    let left = Outcome::Replaced(None);
    assert_eq!(course(&apply, false), (vec![own, &[Delete]], left.clone()));
    assert_eq!(course(&recreate, false), (vec![dormant, &[Delete], &[Create]], made.clone()));
    assert_eq!(course(&apply, true), (vec![users, &[Delete]], left.clone()));
    assert_eq!(course(&recreate, true), (vec![users_dormant, &[Delete], &[Create]], made.clone()));
    let tried = || Execution::new(&recreate, "replace", ENOUGH).dormant_tried();
    assert_eq!(course_of(tried()), (vec![own, &[Delete], &[Create]], made.clone()));
    assert_eq!(course_of(tried().as_user()), (vec![users, &[Delete], &[Create]], made));
    let looks = Plan { pods: Some("a=b".into()), ..plan(Mode::Apply) };
    assert_eq!(course(&looks, false), (vec![own, &[Look], &[Delete]], left));
    let dry_run = Plan { only_checks: true, ..looks };
    assert_eq!(course(&dry_run, false), (vec![own], Outcome::WouldReplace));
}

/// How it ends by that reply to a check; `None` where it goes on to the deletion.
fn checked(as_user: bool, effect: Effect, reply: Reply) -> Option<Outcome> {
    let plan = plan(Mode::Recreate);
    let mut execution = Execution::new(&plan, "replace", ENOUGH);
    if as_user {
        execution = execution.as_user();
    }
    step(&mut execution, effect, reply, ENOUGH);
    let goes_on = execution.effects() == [Effect::Delete];
    assert_eq!(goes_on, execution.outcome().is_none());
    execution.outcome().cloned()
}

#[track_caller]
fn refuses(outcome: Option<Outcome>, reason: Reason, said: &str) {
    let Some(Outcome::Refused(given, message)) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(*given, reason, "{message}");
    assert!(message.starts_with("job nightly was not replaced: "), "{message}");
    assert!(message.contains(said), "{message}");
}

#[track_caller]
fn is_busy(outcome: Option<Outcome>, said: &str) {
    let Some(Outcome::Busy(message)) = &outcome else { panic!("{outcome:?}") };
    assert!(message.starts_with("job nightly was not replaced: "), "{message}");
    assert!(message.contains(said), "{message}");
}

#[test]
fn each_check_can_refuse() {
    let check = |effect, reply| checked(false, effect, reply);
    for label in [None, Some("keep".to_owned())] {
        let outcome = check(Effect::OptIn, Ok(Success::OptIn(label)));
        refuses(outcome, Reason::NotOptedIn, "rejob.dev/policy: replace");
    }
    let denied = Reason::RightsDenied;
    refuses(check(Effect::CanDelete, Ok(Success::Can(false))), denied, "may not delete jobs");
    refuses(check(Effect::CanCreate, Ok(Success::Can(false))), denied, "may not create jobs");

    for effect in [Effect::DryRunCreate, Effect::DryRunDormant] {
        assert_eq!(check(effect, Ok(Success::Created("u2".into()))), None);
        for (error, said) in [
            (error(422, "Invalid", "a bad field"), "a bad field"),
            (error(409, "Conflict", "of a quota"), "of a quota"),
            (by_a_webhook(), "admission webhook"),
        ] {
            refuses(check(effect, Err(error)), Reason::InvalidDenied, said);
        }
    }
    let invalid = Reason::InvalidDenied;
    let selector = error(422, "Invalid", "`selector` not auto-generated");
    let said = "remove spec.selector";
    refuses(check(Effect::DryRunCreate, Err(selector)), invalid, said);
    let no = || error(422, "Invalid", "no");
    refuses(check(Effect::DryRunDormant, Err(no())), invalid, "with parallelism 0");
    let outcome = check(Effect::DryRunCreate, Err(no()));
    refuses(outcome.clone(), invalid, "refuses the new one: no");
    let Some(Outcome::Refused(_, message)) = outcome else { panic!() };
    assert!(!message.contains("spec.selector"), "{message}");
}

#[test]
fn a_check_without_an_answer_may_be_sent_again() {
    for effect in [Effect::OptIn, Effect::CanDelete, Effect::CanCreate, Effect::DryRunDormant] {
        let failed = |error| checked(false, effect, Err(error));
        for code in [0, 429, 500, 599] {
            is_busy(failed(error(code, "", "not now")), "failed a check (not now); try again");
        }
    }
    for (effect, reply) in [
        (Effect::OptIn, Ok(Success::Can(true))),
        (Effect::OptIn, Ok(Success::Created("u2".into()))),
        (Effect::CanDelete, Ok(Success::Works(false))),
        (Effect::CanCreate, Ok(Success::Deleted)),
        (Effect::DryRunCreate, Ok(Success::Can(true))),
    ] {
        is_busy(checked(false, effect, reply), "another question was answered");
    }
    let never = error(403, "Forbidden", "no");
    for effect in [Effect::OptIn, Effect::CanDelete] {
        let outcome = checked(false, effect, Err(never.clone()));
        refuses(outcome, Reason::ClusterError, "failed a check (no)");
    }
    let plan = plan(Mode::Apply);
    let mut execution = Execution::new(&plan, "replace", ENOUGH);
    execution.resume(vec![(Effect::OptIn, yes(Effect::OptIn))], ENOUGH);
    is_busy(execution.outcome().cloned(), "no reply to CanDelete");
}

#[test]
fn checks_in_the_users_name_tell_his_rights_from_rejobs() {
    let create = |error| checked(true, Effect::DryRunCreateAsUser, Err(error));
    let delete = |error| checked(true, Effect::DryRunDeleteAsUser, Err(error));
    refuses(create(forbidden("create")), Reason::RightsDenied, "may not create jobs");
    refuses(delete(forbidden("delete")), Reason::RightsDenied, "may not delete jobs");
    refuses(create(forbidden("delete")), Reason::InvalidDenied, "refuses the new one");
    refuses(delete(forbidden("create")), Reason::InvalidDenied, "refuses to delete the old one");
    refuses(delete(by_a_webhook()), Reason::InvalidDenied, "refuses to delete the old one");
    for outcome in [create, delete].map(|sent| sent(forbidden("impersonate"))) {
        refuses(outcome, Reason::ClusterError, "checks.asUser");
    }
    refuses(create(ApiError::not_impersonated("odd")), Reason::ClusterError, "checks.asUser");
    // The deletion itself finds out that the Job is gone or another one.
    assert_eq!(delete(error(404, "NotFound", "gone")), None);
    assert_eq!(delete(error(409, "Conflict", "another")), None);
    is_busy(delete(error(503, "", "later")), "later");
    is_busy(create(error(503, "", "later")), "later");
    let passed = Ok(Success::Created("u2".into()));
    assert_eq!(checked(true, Effect::DryRunCreateAsUser, passed), None);
}

#[test]
fn a_replacement_that_cannot_be_finished_in_time_does_not_begin() {
    let time = |left, creation| Time {
        left: Duration::from_millis(left),
        creation: Duration::from_millis(creation),
    };
    let no_time = |outcome: Option<&Outcome>| assert_eq!(outcome, Some(&Outcome::NoTime));
    assert_eq!(time(0, 1000).reserve(), Duration::from_millis(2400));
    let apply = plan(Mode::Apply);
    for (enough, late) in [(time(400, 0), time(399, 0)), (time(3400, 1000), time(3399, 1000))] {
        assert_eq!(Execution::new(&apply, "replace", enough).outcome(), None);
        no_time(Execution::new(&apply, "replace", late).outcome());
    }
    // What the checks have taken counts.
    let looks = Plan { pods: Some("a=b".into()), ..plan(Mode::Apply) };
    let dry_run = Plan { only_checks: true, ..plan(Mode::Apply) };
    let (enough, late) = (time(2400, 1000), time(2399, 1000));
    let after = |plan: &Plan, effects: &[Effect], time| {
        let mut execution = Execution::new(plan, "replace", ENOUGH);
        for &effect in effects {
            step(&mut execution, effect, yes(effect), time);
        }
        (execution.effects(), execution.outcome().cloned())
    };
    let checks: &[Effect] = &[Effect::OptIn];
    let look: &[Effect] = &[Effect::OptIn, Effect::Look];
    for (plan, effects) in [(&apply, checks), (&looks, look)] {
        assert_eq!(after(plan, effects, enough), (&[Effect::Delete][..], None));
        no_time(after(plan, effects, late).1.as_ref());
    }
    assert_eq!(after(&dry_run, checks, enough).1, Some(Outcome::WouldReplace));
    no_time(after(&dry_run, checks, late).1.as_ref());
    // A creation that the deadline cuts off is slow; one that is refused in the last moment is not.
    let at_the_end = |code, time| {
        let mut execution = Execution::new(&apply, "replace", ENOUGH);
        let reply = Err(error(code, "", "no answer"));
        step(&mut execution, Effect::DryRunCreate, reply, time);
        execution.outcome().cloned()
    };
    no_time(at_the_end(0, NONE_LEFT).as_ref());
    is_busy(at_the_end(0, ENOUGH), "no answer");
    refuses(at_the_end(422, NONE_LEFT), Reason::InvalidDenied, "no answer");
}

#[test]
fn only_a_job_that_is_seen_not_to_work_is_deleted() {
    let plan = Plan { pods: Some("a=b".into()), ..plan(Mode::Apply) };
    let looked = |replies| {
        let mut execution = Execution::new(&plan, "replace", ENOUGH);
        step(&mut execution, Effect::OptIn, yes(Effect::OptIn), ENOUGH);
        assert_eq!(execution.effects(), [Effect::Look]);
        execution.resume(replies, ENOUGH);
        execution.outcome().cloned()
    };
    assert_eq!(looked(vec![(Effect::Look, Ok(Success::Works(false)))]), None);
    for reply in [Ok(Success::Works(true)), Err(taken())] {
        assert_eq!(looked(vec![(Effect::Look, reply)]), Some(Outcome::Working));
    }
    assert_eq!(looked(Vec::new()), Some(Outcome::Working));
}

/// The effects and the outcome after these replies to the deletion and to creations.
fn after(mode: Mode, steps: &[(Option<Reply>, Time)]) -> (&'static [Effect], Option<Outcome>) {
    let plan = plan(mode);
    let mut execution = Execution::new(&plan, "replace", ENOUGH);
    step(&mut execution, Effect::OptIn, yes(Effect::OptIn), ENOUGH);
    for (reply, time) in steps {
        let effect = execution.effects()[0];
        execution.resume(reply.iter().map(|reply| (effect, reply.clone())).collect(), *time);
    }
    (execution.effects(), execution.outcome().cloned())
}

#[track_caller]
fn fails(after: (&[Effect], Option<Outcome>), said: &str) {
    let Some(Outcome::Failed(message)) = &after.1 else { panic!("{after:?}") };
    assert!(message.starts_with(&format!("job nightly {said}")), "{message}");
    assert!(message.contains("send the same request again"), "{message}");
}

#[test]
fn a_deletion_that_was_refused_is_told_from_one_that_may_have_happened() {
    let deleted = |error| Some(Err(error));
    for mode in [Mode::Apply, Mode::Recreate] {
        let delete = |reply, time| after(mode, &[(reply, time)]);
        for code in [404, 409] {
            let stale = delete(deleted(error(code, "", "another")), ENOUGH);
            assert_eq!(stale.1, Some(Outcome::StaleView));
        }
        for error in [error(403, "Forbidden", "no"), by_a_webhook()] {
            let outcome = delete(deleted(error), ENOUGH).1;
            refuses(outcome, Reason::ClusterError, "refused to delete the old one");
        }
        let full = delete(deleted(error(429, "", "too many")), ENOUGH);
        is_busy(full.1, "refused to delete the old one: too many");
        for reply in [None, deleted(error(0, "", "cut")), deleted(error(500, "", "cut"))] {
            if mode == Mode::Recreate {
                // The name is free only when it happened.
                assert_eq!(delete(reply.clone(), ENOUGH), (&[Effect::Create][..], None));
            } else {
                fails(delete(reply.clone(), ENOUGH), "may be deleted and was not created again");
            }
            fails(delete(reply, NONE_LEFT), "may be deleted and was not created again");
        }
    }
}

#[test]
fn a_creation_is_sent_again_while_it_may_succeed() {
    let created = |error| Some(Err(error));
    let quota = || error(403, "Forbidden", "jobs \"a\" is forbidden: exceeded quota: jobs");
    let made = Some(Ok(Success::Created("u2".into())));
    let again = [
        error(503, "", "later"),
        error(0, "", "cut"),
        quota(),
        error(409, "Conflict", "a quota's"),
    ];
    let never = [error(422, "Invalid", "no"), error(403, "Forbidden", "no"), by_a_webhook()];
    for (deletion, is_deleted) in
        [(Some(yes(Effect::Delete)), true), (Some(Err(error(0, "", "cut"))), false)]
    {
        let create = |replies: &[(Option<Reply>, Time)]| {
            let steps = [&[(deletion.clone(), ENOUGH)], replies].concat();
            after(Mode::Recreate, &steps)
        };
        let replaced = Some(Outcome::Replaced(Some("u2".into())));
        let lost = if is_deleted {
            "was deleted and could not be created again"
        } else {
            "may be deleted"
        };
        assert_eq!(create(&[(made.clone(), NONE_LEFT)]).1, replaced);
        for error in &again {
            let reply = created(error.clone());
            assert_eq!(create(&[(reply.clone(), ENOUGH)]), (&[Effect::Create][..], None));
            assert_eq!(create(&[(reply.clone(), ENOUGH), (made.clone(), ENOUGH)]).1, replaced);
            fails(create(&[(reply.clone(), ENOUGH), (reply, NONE_LEFT)]), lost);
        }
        for error in &never {
            fails(create(&[(created(error.clone()), ENOUGH)]), lost);
        }
        let found = create(&[(created(again[0].clone()), ENOUGH), (created(taken()), ENOUGH)]);
        if is_deleted {
            assert_eq!(found.1, Some(Outcome::Overtaken));
            fails(create(&[(None, ENOUGH)]), "was deleted and not created again");
        } else {
            // The old Job may still be there.
            fails(found, "may be deleted");
        }
    }
}

#[test]
fn what_has_ended_stays_as_it_is() {
    let plan = plan(Mode::Apply);
    let mut execution = Execution::new(&plan, "replace", ENOUGH);
    step(&mut execution, Effect::OptIn, Ok(Success::OptIn(None)), ENOUGH);
    let outcome = execution.outcome().cloned();
    assert!(outcome.is_some() && execution.effects().is_empty());
    execution.resume(vec![(Effect::Delete, yes(Effect::Delete))], ENOUGH);
    assert_eq!(execution.outcome().cloned(), outcome);
}

#[test]
fn what_may_succeed_a_moment_later_is_told_by_its_code() {
    for (code, passes) in
        [(0, true), (1, false), (403, false), (428, false), (429, true), (430, false)]
            .into_iter()
            .chain([(499, false), (500, true), (599, true), (600, false)])
    {
        assert_eq!(error(code, "", "").is_passing(), passes, "{code}");
    }
    assert!(!error(409, "AlreadyExists", "exceeded quota").is_exceeded_quota());
    assert!(!error(403, "AlreadyExists", "").is_already_exists());
}
