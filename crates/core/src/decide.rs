//! `decide(request, policy, context) -> Decision`: the rule list, top to bottom.
//!
//! Pure and total: no clock, no randomness, no environment, no I/O, no panic. Effects are data
//! ([`Verdict::Replace`]), carried out by `admission` through the cluster trait, and so are facts
//! that only the cluster knows ([`Question`]). The same rules stand behind `serve`
//! ([`decide_or_ask`]), `review`, the benches and the fuzzers; `mutate` calls [`create_offline`].

mod context;
mod create;
mod left_alone;
mod marker;
mod marks;
mod messages;
mod native_updates;
mod obstacles;
mod plan;
mod replacement;
mod ttl;
mod unchanged;
mod update;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::job::{Job, keys, without_admission};
use crate::patch::{Draft, Patch, PatchError};
use crate::policy::{Policy, annotations};
use crate::reason::Reason;
use crate::replacement::{Plan, Record};
use crate::review::{Operation, Request};

pub use context::{Context, Fact, Question};
pub use left_alone::{BUILT_IN_CONTROLLERS, SAME_USER_WARNING, SYSTEM_USERS};
pub use messages::{Warnings, as_warnings, describe_changes};

/// What is to be answered, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Admit, refuse, or replace.
    pub verdict: Verdict,
    /// The rule that decided.
    pub reason: Reason,
    /// What the answer changes in the object; empty for a refusal.
    pub patch: Patch,
    /// What the client's user reads.
    pub warnings: Vec<String>,
    /// What the audit log keeps, by key.
    pub audit: BTreeMap<&'static str, String>,
    /// What is to happen beside the answer.
    pub follow_up: FollowUp,
}

/// What is to happen beside an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FollowUp {
    /// Nothing.
    #[default]
    None,
    /// Remember that the request was told to wait: a PUT comes back with a revision that is no longer
    /// the stored one.
    RememberWait,
    /// Wait until the dormant Job is released, and let the API server come back to find it so.
    AwaitRelease {
        /// Where it is not, whoever meets it from now on sends another request.
        give_up: bool,
    },
}

/// The three kinds of answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Allowed, with the decision's patch.
    Admit,
    /// Refused.
    Deny(Denial),
    /// Allowed with the decision's put-back patch, once the plan is carried out.
    Replace(Box<Plan>),
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// 403, or 429 for a client that is to try again. Never 409 or 422: Flux with force takes
    /// those as leave to delete the Job.
    pub code: u16,
    /// One sentence: the field, the rule and the way out.
    pub message: String,
    /// Seconds after which a client built on client-go tries again by itself.
    pub retry_after: Option<u32>,
}

impl Decision {
    /// Admits the request as it is.
    #[must_use]
    pub fn admit(reason: Reason) -> Self {
        Self {
            verdict: Verdict::Admit,
            reason,
            patch: Patch::default(),
            warnings: Vec::new(),
            audit: BTreeMap::new(),
            follow_up: FollowUp::None,
        }
    }

    fn followed_by(self, follow_up: FollowUp) -> Self {
        Self { follow_up, ..self }
    }

    /// Refuses with 403.
    #[must_use]
    pub fn deny(reason: Reason, message: impl AsRef<str>) -> Self {
        let denial =
            Denial { code: 403, message: messages::refusal(message.as_ref()), retry_after: None };
        Self { verdict: Verdict::Deny(denial), ..Self::admit(reason) }.audited()
    }

    /// Asks the client to try again in some seconds (429).
    #[must_use]
    pub fn retry(reason: Reason, message: impl AsRef<str>, seconds: u32) -> Self {
        let message = messages::refusal(message.as_ref());
        let denial = Denial { code: 429, message, retry_after: Some(seconds) };
        Self { verdict: Verdict::Deny(denial), ..Self::admit(reason) }.audited()
    }

    /// Admits with a patch. Where it would not apply, the request is refused: what it would take out
    /// (forged marks), put back (the immutable part) or start (a dormant Job) is what the client
    /// would be told a success about.
    fn patched(reason: Reason, draft: Draft<'_>, warnings: Warnings) -> Self {
        let warnings = warnings.into_vec();
        let job = Job::new(draft.original());
        match draft.finish() {
            Ok(patch) if patch.is_empty() => Self { warnings, ..Self::admit(reason) },
            Ok(patch) => Self { patch, warnings, ..Self::admit(reason) }.audited(),
            Err(error) => Self::patch_failed(messages::name(job, ""), &error),
        }
    }

    /// Refuses what rejob has no patch for that applies.
    fn patch_failed(name: &str, error: &PatchError) -> Self {
        let message = format!("job {name} is refused: {error}; report this as a defect of rejob");
        Self::deny(Reason::PatchFailed, message)
    }

    /// Enters the reason into the audit annotations.
    fn audited(mut self) -> Self {
        self.audit.insert("reason", self.reason.label().to_owned());
        self
    }

    /// Whether the request is let through.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        !matches!(self.verdict, Verdict::Deny(_))
    }
}

/// Decides one request without asking anybody: what the context does not tell stays unknown.
#[must_use]
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

    marks::take_out_forged_marks(&mut draft, request, old);
    // A dormant Job is rejob's own, whatever the request makes of it: a success for it would be
    // one for a Job that never starts.
    let dormant = old.is_some_and(|old| Record::of(old).is_some());
    if !dormant && let Some(reason) = left_alone::reason_from_job(job, old) {
        marks::take_out_unrecorded_hash(&mut draft, old);
        return Ok(Decision::patched(reason, draft, warnings));
    }
    let (policy, invalid) = policy.for_job(job);
    warn_of_unknown(job, old, &mut warnings);
    for annotation in invalid {
        if old.is_some_and(|old| old.annotation(annotation.key) == Some(&annotation.value)) {
            warnings.add(format!("{annotation}; the policy's value is used"));
        } else {
            return Ok(Decision::deny(
                Reason::InvalidAnnotation,
                format!("job {}: {annotation}", messages::name(job, &request.name)),
            ));
        }
    }
    let Some(old) = old else {
        return Ok(create::decide(request, job, &policy, draft, warnings));
    };
    let manager = request.field_manager.as_deref();
    let stored = &*without_admission(old, old, manager);
    let wanted = &*without_admission(job, old, manager);
    let update = update::Update { request, old, job, stored, wanted, policy: &policy, context };
    update::decide(&update, draft, warnings)
}

/// The answer to an UPDATE whose old object is known to be stored no longer: a write at its
/// revision cannot succeed, so the API server comes back with the fresh state.
#[must_use]
pub fn stale_view(request: &Request) -> Decision {
    match (&request.object, &request.old_object) {
        (Some(object), Some(old)) => marker::stale(Job::new(old), Job::new(object)),
        _ => Decision::admit(Reason::NotAJob),
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
#[must_use]
pub fn create_offline(job: &Value, policy: &Policy) -> Decision {
    let view = Job::new(job);
    let mut draft = Draft::new(job);
    marks::take_out_marks(&mut draft);
    if let Some(reason) = left_alone::reason_from_job(view, None) {
        marks::take_out_unrecorded_hash(&mut draft, None);
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
    create::offline(view, &policy, draft, warnings)
}
