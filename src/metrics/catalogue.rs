//! Every metric by its exported name, with what it means and what its labels can be.
//!
//! `docs/metrics.md` is [`markdown`] of this table; a test keeps the two and the real exposition
//! equal.

use std::fmt::Write;

use crate::job::Client;
use crate::review::Operation;

use super::labels::{self, ApiResource, ApiVerb, ReplacementResult};

/// What kind of metric it is, as Prometheus says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by size.
    Histogram,
}

impl Kind {
    /// The word of the text format.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// The values that a label takes.
#[derive(Debug, Clone, Copy)]
pub enum LabelValues {
    /// In words.
    Described(&'static str),
    /// One of these.
    OneOf(fn() -> Vec<&'static str>),
}

/// One label.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub values: LabelValues,
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// The exported name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// What it counts: a sentence without the full stop, which the library adds.
    pub help: &'static str,
    /// Its labels.
    pub labels: &'static [Label],
}

const POLICY: Label = described(
    "policy",
    "a policy of this server; empty for a dormant Job or a rerun where none of them is named",
);
const OPERATION: Label = one_of("operation", Operation::labels);
const REASON: Label = described("reason", "the rule that decided: see `docs/reasons.md`");
const WHY_NOT: Label = described(
    "why_not",
    "empty where the Job would be replaced at once; else the reason of the wait or the refusal: see `docs/reasons.md`",
);
const CLIENT: Label = one_of("client", Client::labels);
const RESULT: Label = one_of("result", ReplacementResult::labels);
const VERB: Label = one_of("verb", ApiVerb::labels);
const RESOURCE: Label = one_of("resource", ApiResource::labels);
const API_CODE: Label = described("code", "the HTTP status, `0` when there was no answer");
const CERTIFICATE: Label = one_of("certificate", || vec![labels::SERVING]);

const VERSION: Label = described("version", "the version of rejob");
const ARCHITECTURE: Label = described("architecture", "of the processor");

const fn described(name: &'static str, words: &'static str) -> Label {
    Label { name, values: LabelValues::Described(words) }
}

const fn one_of(name: &'static str, values: fn() -> Vec<&'static str>) -> Label {
    Label { name, values: LabelValues::OneOf(values) }
}

/// The constants, and all of them.
macro_rules! descriptions {
    ($($name:ident = $kind:ident $metric:literal [$($label:expr),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $name: Description = Description {
                name: $metric, kind: Kind::$kind, help: $help, labels: &[$($label),*],
            };
        )*
        /// All of them, in the order of the exposition.
        pub const ALL: &[&Description] = &[$(&$name,)*];
    };
}

descriptions! {
    REVIEWS = Counter "rejob_reviews_total" [POLICY, OPERATION, REASON]
        "Admission reviews answered, by the reason of the answer";
    REVIEW_DURATION = Histogram "rejob_review_duration_seconds" [POLICY, OPERATION]
        "Time from the complete request to its answer";
    IN_FLIGHT = Gauge "rejob_in_flight" []
        "Admission reviews being worked on now";
    SHED = Counter "rejob_shed_total" []
        "Admission reviews turned away with 503 because too many were in flight";
    HTTP_ERRORS = Counter "rejob_http_errors_total" [described("code", "the HTTP status")]
        "Requests on the webhook's port answered with an HTTP error instead of a review";
    CONNECTIONS = Gauge "rejob_open_connections" []
        "Connections open on the webhook's port";
    CONNECTIONS_OVER_LIMIT = Counter "rejob_connections_over_limit_total" []
        "Connections turned away with 503 because as many were open as `--max-connections` allows";
    TLS_HANDSHAKE_FAILURES = Counter "rejob_tls_handshake_failures_total" []
        "TLS handshakes that failed; one that grows while reviews stay away means a caBundle \
         that does not match the certificate";
    REPLACEMENTS = Counter "rejob_replacements_total" [CLIENT, RESULT]
        "Replacements of a Job inside a client's request";
    REPLACEMENT_DURATION = Histogram "rejob_replacement_duration_seconds" [CLIENT, RESULT]
        "Time of the first turn of a replacement, effects included";
    WOULD_REPLACE = Counter "rejob_would_replace_total" [POLICY, WHY_NOT]
        "Requests under `onChange: Report` that would replace a Job, or why they would not";
    API_REQUESTS = Counter "rejob_api_requests_total" [VERB, RESOURCE, API_CODE]
        "Requests to the Kubernetes API";
    API_REQUEST_DURATION = Histogram "rejob_api_request_duration_seconds" [VERB, RESOURCE]
        "Time of a request to the Kubernetes API";
    DORMANT_JOBS_REAPED = Counter "rejob_dormant_jobs_reaped_total" []
        "Dormant Jobs deleted because their replacement was never finished";
    CERTIFICATE_EXPIRY = Gauge "rejob_certificate_expiry_timestamp_seconds" [CERTIFICATE]
        "When the certificate in use ends, in seconds since 1970";
    READY = Gauge "rejob_ready" []
        "Whether `/readyz` says that this Pod is ready: 1 or 0";
    BUILD = Gauge "rejob_build_info" [VERSION, ARCHITECTURE]
        "The program that runs; the value is always 1";
    RESIDENT_MEMORY = Gauge "process_resident_memory_bytes" []
        "Resident memory size in bytes";
    CPU = Counter "process_cpu_seconds_total" []
        "Total user and system CPU time spent in seconds";
    START_TIME = Gauge "process_start_time_seconds" []
        "Start time of the process since unix epoch in seconds";
}

/// The page `docs/metrics.md`.
pub fn markdown() -> String {
    let mut page = "\
# Metrics

`GET /metrics` on the admin port (`--admin-listen`) answers in the Prometheus text format, or in
OpenMetrics when the scraper asks for it. Every label takes its values from a closed set, so the
number of series does not grow with the cluster. A metric with labels appears with its first value.

This page is made from `src/metrics/catalogue.rs`: `UPDATE_DOCS=1 cargo test --lib metrics`.

| metric | kind | labels | meaning |
|---|---|---|---|
"
    .to_owned();
    for Description { name, kind, help, labels } in ALL {
        let labels = labels.iter().map(|label| format!("`{}`", label.name)).collect::<Vec<_>>();
        let _ = writeln!(page, "| `{name}` | {} | {} | {help} |", kind.as_str(), labels.join(", "));
    }
    page.push_str("\n## Labels\n\n| label | of | values |\n|---|---|---|\n");
    let mut rows: Vec<(&str, String, Vec<String>)> = Vec::new();
    for metric in ALL {
        for label in metric.labels {
            let (of, values) = (format!("`{}`", metric.name), label.values.markdown());
            match rows.iter_mut().find(|row| row.0 == label.name && row.1 == values) {
                Some(row) => row.2.push(of),
                None => rows.push((label.name, values, vec![of])),
            }
        }
    }
    for (name, values, of) in rows {
        let _ = writeln!(page, "| `{name}` | {} | {values} |", of.join(", "));
    }
    page
}

impl LabelValues {
    fn markdown(self) -> String {
        let values = match self {
            Self::Described(words) => return words.to_owned(),
            Self::OneOf(values) => values(),
        };
        let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
        match values.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => values.join(""),
        }
    }
}
