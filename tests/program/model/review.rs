//! A review: the real `decide` on what the model's API server sends.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};

use rejob::decide::{Context, Fact, Verdict, decide, stale_view};
use rejob::job::Job;
use rejob::policy::{Policy, WhileRunning};
use rejob::reason::Reason;
use rejob::replacement::{Mode, Record, identity};
use rejob::review::{Operation, Request, UserInfo};
use serde_json::{Value, json};

use super::job::{self, Shared};
use super::rules::Rule;
use super::world::Planned;

/// What rejob makes of a request.
#[derive(Debug, Clone)]
pub enum Reviewed {
    /// Let through, as this object.
    Admit(Shared),
    Deny(u16),
    /// Replace, then let through as this object.
    Replace(Planned, Shared),
    /// Wait for another request's dormant Job.
    Wait,
}

/// The webhook's decisions, remembered: the same review is asked for in many states.
#[derive(Debug)]
pub struct Reviewer {
    pub policy: Policy,
    pub broken: Option<Rule>,
    memory: Mutex<HashMap<u64, Reviewed>>,
}

/// Who sends a request.
#[derive(Debug, Clone, Copy, Hash)]
pub struct Who {
    pub user: &'static str,
    pub manager: &'static str,
    pub group: Option<&'static str>,
}

impl Reviewer {
    pub fn new(broken: Option<Rule>) -> Self {
        let while_running = if broken == Some(Rule::WaitsForProgress) {
            WhileRunning::Replace
        } else {
            WhileRunning::Wait
        };
        let policy = Policy { while_running, ..Policy::default() };
        Self { policy, broken, memory: Mutex::default() }
    }

    fn breaks(&self, rule: Rule) -> bool {
        self.broken == Some(rule)
    }

    /// Decides about the object that `who` makes of the old one.
    pub fn review(&self, who: Who, old: Option<&Shared>, object: &Shared) -> Reviewed {
        let mut hasher = DefaultHasher::new();
        (who, old, object).hash(&mut hasher);
        let key = hasher.finish();
        if let Some(known) = self.memory.lock().unwrap().get(&key) {
            return known.clone();
        }
        let reviewed = self.decide(who, old, object);
        self.memory.lock().unwrap().insert(key, reviewed.clone());
        reviewed
    }

    fn decide(&self, who: Who, old: Option<&Shared>, object: &Shared) -> Reviewed {
        let mut request = request(who, old, object);
        let record = old.and_then(|old| Record::of(Job::new(old)));
        if self.breaks(Rule::ReleaseByItsUser)
            && let Some(record) = record.clone()
        {
            request.field_manager = record.manager.clone();
            let forged = Record { user: identity(&request.user), ..record };
            let old = request.old_object.as_mut().expect("a dormant Job");
            old["metadata"]["annotations"]["rejob.dev/dormant"] = json!(forged.to_text());
        }
        // A Pod that is not ready hangs, and there is no other hook.
        let context = Context { pods: Fact::Known(Vec::new()), ..Context::default() };
        let decision = decide(&request, &self.policy, &context);
        let mut answer = (**object).clone();
        decision.patch.apply(&mut answer).expect("a patch that is sent applies");
        match decision.verdict {
            Verdict::Deny(_)
                if matches!(decision.reason, Reason::MeetsDormant | Reason::NeverSettles) =>
            {
                Reviewed::Wait
            }
            Verdict::Deny(denial) => Reviewed::Deny(denial.code),
            Verdict::Admit => {
                if self.breaks(Rule::RevisionRewrite) {
                    answer["metadata"]["resourceVersion"] =
                        object["metadata"]["resourceVersion"].clone();
                }
                Reviewed::Admit(Shared::new(answer))
            }
            Verdict::Replace(plan) => {
                let mut plan = *plan;
                if self.breaks(Rule::PutBack) {
                    answer["spec"] = object["spec"].clone();
                }
                if self.breaks(Rule::Marker) {
                    job::map(&mut answer["metadata"], "annotations").remove("rejob.dev/replacing");
                }
                if self.breaks(Rule::DeleteOnlyForApply) {
                    plan.mode = Mode::Recreate;
                    plan.record.owners = None; // The recorded owners would mend it.
                }
                if self.breaks(Rule::IntendedParallelism) && record.is_some() {
                    plan.record.parallelism = Some(0);
                    plan.job["spec"]["parallelism"] = json!(0);
                }
                Reviewed::Replace(Planned::new(Arc::new(plan)), Shared::new(answer))
            }
        }
    }

    /// The answer when the Job that the request met is stored no longer.
    pub fn stale(&self, who: Who, old: &Shared, object: &Shared) -> Shared {
        let decision = stale_view(&request(who, Some(old), object));
        let mut answer: Value = (**object).clone();
        decision.patch.apply(&mut answer).expect("a patch that is sent applies");
        Shared::new(answer)
    }
}

fn request(who: Who, old: Option<&Shared>, object: &Shared) -> Request {
    Request {
        uid: "review".to_owned(),
        is_job: true,
        subresource: None,
        operation: if old.is_some() { Operation::Update } else { Operation::Create },
        namespace: job::NAMESPACE.to_owned(),
        name: job::NAME.to_owned(),
        user: UserInfo {
            username: who.user.to_owned(),
            groups: who.group.iter().map(ToString::to_string).collect(),
            ..UserInfo::default()
        },
        object: Some((**object).clone()),
        old_object: old.map(|old| (**old).clone()),
        dry_run: false,
        field_manager: Some(who.manager.to_owned()),
    }
}
