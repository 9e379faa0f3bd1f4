//! What happened to each Job: every command, every answer, every look at it, and every Pod.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use support::manifest::{annotation, image};

/// A Job as an answer or a look shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub uid: String,
    pub image: String,
    /// The hash of the rest of the template, which no command changes.
    pub rest: u64,
    pub parallelism: i64,
    /// The label `chaos` that commands set.
    pub label: Option<String>,
    /// It has the label or the record of a dormant Job.
    pub dormant: bool,
    /// It has the marker of a replacement.
    pub marker: bool,
}

impl Seen {
    pub fn of(job: &Value) -> Self {
        let labels = &job["metadata"]["labels"];
        let has = |mark| !labels[mark].is_null() || annotation(job, mark).is_some();
        Self {
            uid: job["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
            image: image(job).to_owned(),
            rest: rest_of_template(job),
            parallelism: job["spec"]["parallelism"].as_i64().unwrap_or(1),
            label: labels["chaos"].as_str().map(str::to_owned),
            dormant: has("rejob.dev/dormant"),
            marker: has("rejob.dev/replacing"),
        }
    }

    /// Whether it has the image that is asked for.
    pub fn is_of(&self, wish: &Wish) -> bool {
        matches!(wish, Wish::Image(image) if *image == self.image)
    }
}

/// The template without its image, the generated labels, and what the other webhook changes.
fn rest_of_template(job: &Value) -> u64 {
    let mut template = job["spec"]["template"].clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels
            .retain(|label, _| !label.ends_with("controller-uid") && !label.ends_with("job-name"));
    }
    template["spec"]["containers"][0]["image"].take();
    template["spec"]["terminationGracePeriodSeconds"].take();
    let mut hasher = DefaultHasher::new();
    template.to_string().hash(&mut hasher);
    hasher.finish()
}

/// What a command asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// That template.
    Image(String),
    /// A new run of what is there.
    Rerun,
    /// That value of the label `chaos`.
    Label(String),
    /// That many Pods at a time.
    Parallelism(i64),
}

/// One thing that happened to a Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A command begins, sent in that way.
    Asked(Wish, String),
    /// The answer to a try of it: the Job in the answer, if it is a success that shows one.
    Answered(Wish, Result<Option<Seen>, String>),
    /// The client does not send the command again after an error, so that it may have taken effect or not.
    GaveUp,
    /// The Job, or its absence, while nobody else writes to it; of a shared Job, after a success that does not
    /// show it, when others may write to it.
    Read(Option<Seen>),
    /// A success was about this Job, and it started no Pod.
    NeverStarted(String),
    /// All trouble has ended, no Job is dormant, and whether the Job is there.
    Calm(bool),
    /// The Job is still dormant long after all trouble has ended and all clients have gone.
    StaysDormant,
}

impl Event {
    /// What it is about, if a command.
    pub fn wish(&self) -> Option<&Wish> {
        match self {
            Self::Asked(wish, _) | Self::Answered(wish, _) => Some(wish),
            _ => None,
        }
    }
}

/// Whether the client is told to wait (429), by an API answer or by kubectl.
pub fn is_told_to_wait(error: &str) -> bool {
    error.starts_with("429 ") || error.contains("(TooManyRequests)")
}

/// All that happened to a Job, and the Pods that were made for it.
#[derive(Debug, Default)]
pub struct JobHistory {
    pub job: String,
    /// Several clients write to it at once.
    pub shared: bool,
    pub events: Vec<Event>,
    pub pods: Vec<Pod>,
    /// The uids of the Jobs that were deleted while a Pod was ready.
    pub deleted_while_ready: Vec<String>,
}

impl JobHistory {
    /// Whether nobody knows what is there: no command has begun and succeeded since the last one that was
    /// given up, or at all.
    pub fn is_unsure(&self) -> bool {
        let gave_up = self.events.iter().rposition(|event| *event == Event::GaveUp).unwrap_or(0);
        let since = &self.events[gave_up..];
        let begun = |wish| {
            since.iter().any(|event| matches!(event, Event::Asked(asked, _) if asked == wish))
        };
        !since.iter().any(|event| matches!(event, Event::Answered(wish, Ok(_)) if begun(wish)))
    }
}

/// A Pod that the Job controller made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// The uid of its Job.
    pub owner: String,
    pub image: String,
}
