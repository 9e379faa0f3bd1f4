//! Bytes to a review, decided under several policies, to an answer: no panic, and a patch that
//! applies to the object that came.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rejob_core::decide::{Context, Fact, Verdict, create_offline, decide};
use rejob_core::policy::PolicySet;
use rejob_core::answer::answer;
use rejob_core::review::parse;

static POLICIES: LazyLock<PolicySet> = LazyLock::new(|| {
    let file = "policies:
  a: { naming: TemplateHash, ttlSecondsAfterFinished: 60, whileRunning: Replace }
  b: { onChange: Keep }
  c: { onChange: Deny }
  d: { onChange: Ignore, whileRunning: Deny }
  e: { onChange: Report }
  f: { whileRunning: Wait }
";
    rejob_fuzz::policy_file::parse(file, "fuzz").expect("the policies are valid")
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(request) = parse(bytes) else { return };
    for (_, policy) in POLICIES.iter() {
        // Nothing is known, and everything: a Pod runs, and the new Job would be what is asked for.
        let uid = request.old_object.as_ref().and_then(|old| old.pointer("/metadata/uid"));
        let pod = serde_json::json!({
            "metadata": { "ownerReferences": [{ "uid": uid }] },
            "status": { "containerStatuses": [{ "state": { "running": {} } }] },
        });
        let known = Context {
            server_minor: Some(36),
            given_up: true,
            was_told_to_wait: true,
            applied_just_now: true,
            creation: request.object.clone().map_or(Fact::Unavailable, Fact::Known),
            pods: Fact::Known(vec![pod]),
            ..Context::default()
        };
        let later = Context { server_minor: Some(36), ..Context::default() };
        for context in [Context::default(), later, known] {
            let decision = decide(&request, policy, &context);
            let answer = answer(&request.uid, &decision);
            assert!(serde_json::from_slice::<serde_json::Value>(&answer).is_ok());
            let mut object = request.object.clone().unwrap_or_default();
            decision.patch.apply(&mut object).expect("a patch applies to its object");
            for warning in &decision.warnings {
                assert!(warning.chars().count() <= 120 && !warning.chars().any(char::is_control));
            }
            match &decision.verdict {
                Verdict::Deny(denial) => {
                    assert!(matches!(denial.code, 403 | 429));
                    assert!(!denial.message.contains("immutable"));
                }
                Verdict::Replace(plan) => drop(plan.dormant("replace")),
                Verdict::Admit => {}
            }
        }
        if let Some(object) = &request.object {
            drop(create_offline(object, policy));
        }
    }
});
