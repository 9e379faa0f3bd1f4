//! What a decision asks the cluster, and what becomes of a decision by the answers.

use rejob_core::decide::{
    Context, Decision, Denial, Fact, FollowUp, Question, Report, Verdict, create_offline, decide,
    decide_or_ask, stale_view,
};
use rejob_core::job::keys;
use rejob_core::policy::{OnChange, Policy};
use rejob_core::reason::Reason;
use rejob_core::review::{self, Request};
use serde_json::json;

/// A PUT of a changed template, as an API server sent it.
fn changed() -> Request {
    let path = "tests/cases/reviews/captured/1.37/14-put-update-nightly.json";
    review::parse(&std::fs::read(crate::root().join(path)).unwrap()).unwrap()
}

#[test]
fn what_would_be_stored_is_asked_where_somebody_can_be_asked() {
    let (request, policy) = (changed(), Policy::default());
    let context = |can_be_asked| Context { creation: Fact::of(can_be_asked), ..Context::default() };
    let Err(Question::Creation(plan)) = decide_or_ask(&request, &policy, &context(true)) else {
        panic!("nothing is asked")
    };
    assert_eq!(plan.name, "nightly");
    let decision = decide_or_ask(&request, &policy, &context(false)).unwrap();
    assert_eq!(decision.reason, Reason::Replaced);
    assert_eq!(decide(&request, &policy, &context(true)), decision);
}

#[test]
fn a_write_that_is_known_to_be_stale_changes_nothing_but_the_marker() {
    let request = changed();
    let decision = stale_view(&request);
    assert_eq!(decision.reason, Reason::StaleView);
    let mut after = request.object.clone().unwrap();
    decision.patch.apply(&mut after).unwrap();
    let old = request.old_object.as_ref().unwrap();
    assert_eq!(after["spec"], old["spec"]);
    assert!(after["metadata"]["annotations"][keys::REPLACING].is_string());
    assert_eq!(stale_view(&Request { old_object: None, ..request }).reason, Reason::NoObject);
}

#[test]
fn a_report_tells_what_the_checks_have_found() {
    let policy = Policy { on_change: OnChange::Report, ..Policy::default() };
    let decision = decide(&changed(), &policy, &Context::default());
    assert!(matches!(decision.verdict, Verdict::Replace(_)), "{decision:?}");
    let report = |decision: &Decision| -> Report {
        assert_eq!(decision.verdict, Verdict::Admit);
        let FollowUp::Report(report) = &decision.follow_up else { panic!("{decision:?}") };
        *report.clone()
    };
    let passed = decision.clone().passed();
    assert_eq!(report(&passed).refusal, None);
    let warning = "job nightly would be replaced (onChange is Report): spec.template";
    assert!(passed.warnings[0].starts_with(warning), "{:?}", passed.warnings);

    let denial = |reason| Decision {
        verdict: Verdict::Deny(Denial {
            code: 403,
            message: "job nightly was not replaced: no room".into(),
            retry_after: None,
        }),
        ..Decision::admit(reason)
    };
    let refused = decision.clone().judged(denial(Reason::InvalidDenied));
    assert_eq!(report(&refused).refusal.as_deref(), Some("no room"));
    let warning = "job nightly would not be replaced (onChange is Report): no room";
    assert_eq!(refused.warnings, [warning]);
    // One Event for each change and refusal.
    let others = decision.judged(denial(Reason::RightsDenied));
    let keys = [&passed, &refused, &others].map(|decision| report(decision).key());
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2], "{keys:?}");

    // What is no report is answered as it came out.
    let replaced = decide(&changed(), &Policy::default(), &Context::default());
    let outcome = denial(Reason::InvalidDenied);
    assert_eq!(replaced.judged(outcome.clone()), outcome);
}

#[test]
fn a_misspelt_annotation_is_told() {
    let job = |key: &str| json!({ "metadata": { "name": "a", "annotations": { key: "Keep" } } });
    let warnings = |key| create_offline(&job(key), &Policy::default()).warnings;
    let told = "annotation rejob.dev/on-chnage is not known to rejob and does nothing";
    assert_eq!(warnings("rejob.dev/on-chnage"), [told]);
    for known in ["rejob.dev/on-change", "example.com/on-chnage"] {
        assert_eq!(warnings(known), [""; 0]);
    }
}
