//! Every metric by its exported name, with what it means and what its labels can be.
//!
//! `docs/metrics.md` is [`markdown`] of this table; a test keeps the two and the real exposition
//! equal.

use std::fmt::Write;

use super::labels::{self, ApiResource, ApiVerb, Operation, ReplacementResult};

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
    #[must_use]
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
pub enum Values {
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
    pub values: Values,
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
const CLIENT: Label = one_of("client", labels::clients);
const RESULT: Label = one_of("result", ReplacementResult::labels);
const VERB: Label = one_of("verb", ApiVerb::labels);
const RESOURCE: Label = one_of("resource", ApiResource::labels);
const API_CODE: Label = described("code", "the HTTP status, `0` when there was no answer");
const CERTIFICATE: Label = one_of("certificate", || vec![labels::SERVING]);

const fn described(name: &'static str, words: &'static str) -> Label {
    Label { name, values: Values::Described(words) }
}

const fn one_of(name: &'static str, values: fn() -> Vec<&'static str>) -> Label {
    Label { name, values: Values::OneOf(values) }
}

/// Answered reviews.
pub const REVIEWS: Description = Description {
    name: "rejob_reviews_total",
    kind: Kind::Counter,
    help: "Admission reviews answered, by the reason of the answer",
    labels: &[POLICY, OPERATION, REASON],
};
/// How long reviews take.
pub const REVIEW_DURATION: Description = Description {
    name: "rejob_review_duration_seconds",
    kind: Kind::Histogram,
    help: "Time from the complete request to its answer",
    labels: &[POLICY, OPERATION],
};
/// Reviews being worked on.
pub const IN_FLIGHT: Description = Description {
    name: "rejob_in_flight",
    kind: Kind::Gauge,
    help: "Admission reviews being worked on now",
    labels: &[],
};
/// Reviews turned away.
pub const SHED: Description = Description {
    name: "rejob_shed_total",
    kind: Kind::Counter,
    help: "Admission reviews turned away with 503 because too many were in flight",
    labels: &[],
};
/// Requests answered with an error.
pub const HTTP_ERRORS: Description = Description {
    name: "rejob_http_errors_total",
    kind: Kind::Counter,
    help: "Requests on the webhook's port answered with an HTTP error instead of a review",
    labels: &[described("code", "the HTTP status")],
};
/// Open connections.
pub const CONNECTIONS: Description = Description {
    name: "rejob_open_connections",
    kind: Kind::Gauge,
    help: "Connections open on the webhook's port",
    labels: &[],
};
/// Connections turned away.
pub const CONNECTIONS_OVER_LIMIT: Description = Description {
    name: "rejob_connections_over_limit_total",
    kind: Kind::Counter,
    help: "Connections turned away with 503 because as many were open as `--max-connections` allows",
    labels: &[],
};
/// Failed handshakes.
pub const TLS_HANDSHAKE_FAILURES: Description = Description {
    name: "rejob_tls_handshake_failures_total",
    kind: Kind::Counter,
    help: "TLS handshakes that failed; one that grows while reviews stay away means a caBundle \
           that does not match the certificate",
    labels: &[],
};
/// Replacements.
pub const REPLACEMENTS: Description = Description {
    name: "rejob_replacements_total",
    kind: Kind::Counter,
    help: "Replacements of a Job inside a client's request",
    labels: &[CLIENT, RESULT],
};
/// How long replacements take.
pub const REPLACEMENT_DURATION: Description = Description {
    name: "rejob_replacement_duration_seconds",
    kind: Kind::Histogram,
    help: "Time of the first turn of a replacement, effects included",
    labels: &[CLIENT, RESULT],
};
/// Calls of the Kubernetes API.
pub const API_REQUESTS: Description = Description {
    name: "rejob_api_requests_total",
    kind: Kind::Counter,
    help: "Requests to the Kubernetes API",
    labels: &[VERB, RESOURCE, API_CODE],
};
/// How long calls of the Kubernetes API take.
pub const API_REQUEST_DURATION: Description = Description {
    name: "rejob_api_request_duration_seconds",
    kind: Kind::Histogram,
    help: "Time of a request to the Kubernetes API",
    labels: &[VERB, RESOURCE],
};
/// Dormant Jobs deleted.
pub const DORMANT_JOBS_REAPED: Description = Description {
    name: "rejob_dormant_jobs_reaped_total",
    kind: Kind::Counter,
    help: "Dormant Jobs deleted because their replacement was never finished",
    labels: &[],
};
/// When certificates end.
pub const CERTIFICATE_EXPIRY: Description = Description {
    name: "rejob_certificate_expiry_timestamp_seconds",
    kind: Kind::Gauge,
    help: "When the certificate in use ends, in seconds since 1970",
    labels: &[CERTIFICATE],
};
/// Whether the server is ready.
pub const READY: Description = Description {
    name: "rejob_ready",
    kind: Kind::Gauge,
    help: "Whether `/readyz` says that this Pod is ready: 1 or 0",
    labels: &[],
};
/// What runs.
pub const BUILD: Description = Description {
    name: "rejob_build_info",
    kind: Kind::Gauge,
    help: "The program that runs; the value is always 1",
    labels: &[
        described("version", "the version of rejob"),
        described("architecture", "of the processor"),
    ],
};
/// Memory of the process.
pub const RESIDENT_MEMORY: Description = Description {
    name: "process_resident_memory_bytes",
    kind: Kind::Gauge,
    help: "Resident memory size in bytes",
    labels: &[],
};
/// Processor time of the process.
pub const CPU: Description = Description {
    name: "process_cpu_seconds_total",
    kind: Kind::Counter,
    help: "Total user and system CPU time spent in seconds",
    labels: &[],
};
/// Start of the process.
pub const START_TIME: Description = Description {
    name: "process_start_time_seconds",
    kind: Kind::Gauge,
    help: "Start time of the process since unix epoch in seconds",
    labels: &[],
};

/// All of them, in the order of the exposition.
pub const ALL: [&Description; 19] = [
    &REVIEWS,
    &REVIEW_DURATION,
    &IN_FLIGHT,
    &SHED,
    &HTTP_ERRORS,
    &CONNECTIONS,
    &CONNECTIONS_OVER_LIMIT,
    &TLS_HANDSHAKE_FAILURES,
    &REPLACEMENTS,
    &REPLACEMENT_DURATION,
    &API_REQUESTS,
    &API_REQUEST_DURATION,
    &DORMANT_JOBS_REAPED,
    &CERTIFICATE_EXPIRY,
    &READY,
    &BUILD,
    &RESIDENT_MEMORY,
    &CPU,
    &START_TIME,
];

/// The page `docs/metrics.md`.
#[must_use]
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

impl Values {
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
