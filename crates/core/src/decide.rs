//! `decide(request, policy, context) -> Decision`: the rule list, top to bottom.
//!
//! Pure and total: no clock, no randomness, no environment, no I/O, no panic. Effects are data
//! ([`Verdict::Replace`]), carried out by `admission` through the cluster trait, and so are facts
//! that only the cluster knows ([`Question`]). The same rules stand behind `serve`
//! ([`decide_or_ask`]), `review`, the benches and the fuzzers; `mutate` calls [`create_offline`].

mod conclusion;
mod context;
mod create;
mod decision;
mod left_alone;
mod marker;
mod marks;
mod messages;
mod native_updates;
mod obstacles;
mod plan;
mod release;
mod replacement;
mod report;
mod restore;
mod timing;
mod ttl;
mod unchanged;
mod update;
mod view;

use serde_json::Value;

use crate::job::{Job, keys, without_queue_fields};
use crate::patch::Draft;
use crate::policy::{OnChange, Policy, annotations};
use crate::reason::Reason;
use crate::review::{Operation, Request};

pub use conclusion::UnknownPolicy;
pub use context::{Context, Fact, Question};
pub use decision::{Decision, Denial, FollowUp, Report, Verdict};
pub use left_alone::{BUILT_IN_CONTROLLERS, SAME_USER_WARNING, SYSTEM_USERS, is_protected};
pub use messages::{ONLY_REPORTED, RERUN_DOES_NOTHING, Warnings, as_warnings, describe_changes};
pub use report::only_reports;
pub use timing::{LONGEST_REQUEST, applied_just_now, is_being_started, may_be_released};

/// Decides one request without any call: a fact that is not in the context stays unknown.
pub fn decide(request: &Request, policy: &Policy, context: &Context<'_>) -> Decision {
    let mut context = context.clone();
    loop {
        match decide_or_ask(request, policy, &context) {
            Ok(decision) => return decision,
            Err(Question::Creation(_)) => context.creation = Fact::Unavailable,
            Err(Question::Pods) => context.pods = Fact::Unavailable,
        }
    }
}

/// Decides one request: the rules of the design, in their order.
///
/// # Errors
/// The fact that is missing, where the context says that it can be asked for.
pub fn decide_or_ask(
    request: &Request,
    policy: &Policy,
    context: &Context<'_>,
) -> Result<Decision, Question> {
    if let Some(reason) = left_alone::reason_from_request(request, context) {
        let mut warnings = Warnings::default();
        if let Some(warning) = left_alone::warning(reason, request) {
            warnings.add(warning);
        }
        return Ok(Decision { warnings: warnings.into_vec(), ..Decision::admit(reason) });
    }
    let Some(object) = &request.object else { return Ok(Decision::admit(Reason::NoObject)) };
    let old = match request.operation {
        Operation::Update => match &request.old_object {
            Some(old) => Some(Job::new(old)),
            None => return Ok(Decision::admit(Reason::NoObject)),
        },
        _ => None,
    };
    let job = Job::new(object);
    let mut draft = Draft::new(object);
    let mut warnings = Warnings::default();

    let dormant = &view::Dormant::of(old, request);
    marks::remove_forged_marks(&mut draft, request, old, dormant);
    // A dormant Job is rejob's own, whatever the request makes of it: a success for it would be
    // one for a Job that never starts.
    if dormant.record().is_none()
        && let Some(reason) = left_alone::reason_from_job(job, old)
    {
        marks::remove_unrecorded_hash(&mut draft, old);
        return Ok(Decision::patched(reason, draft, warnings));
    }
    let (policy, invalid) = policy.for_job(job);
    warn_of_unknown(job, old, &mut warnings);
    for annotation in invalid {
        // Report refuses nothing.
        if policy.on_change == OnChange::Report
            || old.is_some_and(|old| old.annotation(annotation.key) == Some(&annotation.value))
        {
            warnings.add(format!("{annotation}; the policy's value is used"));
        } else {
            return Ok(Decision::deny(
                Reason::InvalidAnnotation,
                format!("job {}: {annotation}", messages::name(job, &request.name)),
            ));
        }
    }
    let Some(old) = old else {
        return Ok(create::decide(job, Some(request), &policy, draft, warnings));
    };
    let manager = request.field_manager.as_deref();
    let update = view::Update {
        request,
        old,
        job,
        old_without_queue: &without_queue_fields(old, old, manager),
        job_without_queue: &without_queue_fields(job, old, manager),
        dormant,
        policy: &policy,
        context,
    };
    update::decide(&update, draft, warnings)
}

/// The answer to an UPDATE whose old object is known to be stored no longer: a write at its
/// revision cannot succeed, so the API server comes back with the fresh state.
pub fn stale_view(request: &Request) -> Decision {
    match (&request.object, &request.old_object) {
        (Some(object), Some(old)) => marker::stale(Job::new(old), Job::new(object)),
        _ => Decision::admit(Reason::NoObject),
    }
}

/// A misspelt annotation does nothing, which its author must learn.
fn warn_of_unknown(job: Job<'_>, old: Option<Job<'_>>, warnings: &mut Warnings) {
    for (key, _) in job.annotations() {
        let known = keys::ALL.contains(&key) || annotations::overrides(key);
        let new = old.is_none_or(|old| old.annotation(key).is_none());
        if key.starts_with("rejob.dev/") && !known && new {
            warnings.add(format!("annotation {key} is not known to rejob and does nothing"));
        }
    }
}

/// The CREATE decision for a manifest that is not yet in a cluster: hash names are safe for every
/// client here, because the client itself then knows the name.
pub fn create_offline(job: &Value, policy: &Policy) -> Decision {
    let view = Job::new(job);
    let mut draft = Draft::new(job);
    marks::remove_marks(&mut draft);
    if let Some(reason) = left_alone::reason_from_job(view, None) {
        marks::remove_unrecorded_hash(&mut draft, None);
        return Decision::patched(reason, draft, Warnings::default());
    }
    let (policy, invalid) = policy.for_job(view);
    if let Some(annotation) = invalid.first() {
        return Decision::deny(
            Reason::InvalidAnnotation,
            format!("job {}: {annotation}", messages::name(view, "")),
        );
    }
    let mut warnings = Warnings::default();
    warn_of_unknown(view, None, &mut warnings);
    create::decide(view, None, &policy, draft, warnings)
}
