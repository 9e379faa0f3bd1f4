//! Every metric: its exported name, what it means, and what its labels can be. Each of the server's is
//! one row, from which the metric itself is made, too.
//!
//! `docs/metrics.md` is [`markdown`] of these tables; a test keeps the two and the real exposition
//! equal.

use std::fmt::Write;
use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::job::Client;
use crate::review::Operation;

use super::labels;

/// The values that a label takes.
#[derive(Debug, Clone, Copy)]
pub enum LabelValues {
    /// In words.
    Described(&'static str),
    /// One of these.
    OneOf(fn() -> Vec<&'static str>),
}

use LabelValues::{Described, OneOf};

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
    pub kind: MetricType,
    /// What it counts: a sentence without the full stop, which the library adds.
    pub help: &'static str,
    /// Its labels.
    pub labels: &'static [Label],
}

/// The labels of a set, or of a metric that has that set.
trait HasLabels {
    const LABELS: &'static [Label] = &[];
}

impl HasLabels for Counter {}
impl HasLabels for Gauge {}
impl<L: HasLabels, M, C> HasLabels for Family<L, M, C> {
    const LABELS: &'static [Label] = L::LABELS;
}

/// Sets of labels: of each label the type and the values.
macro_rules! label_sets {
    ($($set:ident { $($label:ident: $type:ty = $values:expr),* })*) => {$(
        #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
        pub(super) struct $set { $(pub $label: $type,)* }

        impl HasLabels for $set {
            const LABELS: &'static [Label] =
                &[$(Label { name: stringify!($label), values: $values },)*];
        }
    )*};
}

const POLICY: LabelValues = Described(
    "a policy of this server; empty for a dormant Job or a rerun where none of them is named",
);

/// Text of this program.
type Word = &'static str;

label_sets! {
    ReviewLabels {
        policy: Arc<str> = POLICY,
        operation: Word = OneOf(Operation::labels),
        reason: Word = Described("the rule that decided: see `docs/reasons.md`")
    }
    ReviewDurationLabels { policy: Arc<str> = POLICY, operation: Word = OneOf(Operation::labels) }
    CodeLabels { code: u16 = Described("the HTTP status") }
    ReplacementLabels {
        client: Word = OneOf(Client::labels),
        result: Word = OneOf(labels::ReplacementResult::labels)
    }
    ReportLabels {
        policy: Arc<str> = POLICY,
        why_not: Word = Described(
            "empty where the Job would be replaced at once; else the reason of the wait or the \
             refusal: see `docs/reasons.md`")
    }
    ApiLabels {
        verb: Word = OneOf(labels::ApiVerb::labels),
        resource: Word = OneOf(labels::ApiResource::labels)
    }
    ApiCodeLabels {
        verb: Word = OneOf(labels::ApiVerb::labels),
        resource: Word = OneOf(labels::ApiResource::labels),
        code: u16 = Described("the HTTP status, `0` when there was no answer")
    }
    CertificateLabels { certificate: Word = OneOf(|| vec![labels::SERVING]) }
    BuildLabels {
        version: Word = Described("the version of rejob"),
        architecture: Word = Described("of the processor")
    }
}

/// Upper bounds of the review histogram, in seconds: from a decision without effects (well under a
/// millisecond) to the longest timeout of a webhook.
const REVIEW_BUCKETS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

/// Upper bounds of the histograms of calls over the network, in seconds.
const CALL_BUCKETS: [f64; 12] =
    [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// The metrics of the server: histograms with their bounds, all others at zero.
macro_rules! metrics {
    ($($metric:ident: $type:ty $(= $bounds:expr)?, $name:literal, $help:literal;)*) => {
        /// A metric of each row, registered.
        #[derive(Debug)]
        pub(super) struct Registered { pub registry: Registry, $(pub $metric: $type,)* }

        impl Registered {
            pub fn new(mut registry: Registry) -> Self {
                $(
                    let $metric: $type = metrics!(@start $($bounds)?);
                    register(&mut registry, $name, $help, $metric.clone());
                )*
                Self { registry, $($metric,)* }
            }
        }

        /// All metrics.
        pub const ALL: &[Description] = &[
            $(Description {
                name: $name,
                kind: <$type as TypedMetric>::TYPE,
                help: $help,
                labels: <$type as HasLabels>::LABELS,
            },)*
            BUILD, RESIDENT_MEMORY, CPU, START_TIME,
        ];
    };
    (@start) => { Default::default() };
    (@start $bounds:expr) => { Family::new_with_constructor(|| Histogram::new($bounds)) };
}

metrics! {
    reviews: Family<ReviewLabels, Counter>, "rejob_reviews_total",
        "Admission reviews answered, by the reason of the answer";
    review_duration: Histograms<ReviewDurationLabels> = REVIEW_BUCKETS, "rejob_review_duration_seconds",
        "Time from the complete request to its answer";
    in_flight: Gauge, "rejob_in_flight",
        "Admission reviews being worked on now";
    shed: Counter, "rejob_shed_total",
        "Admission reviews turned away with 503 because too many were in flight";
    http_errors: Family<CodeLabels, Counter>, "rejob_http_errors_total",
        "Requests on the webhook's port answered with an HTTP error instead of a review";
    connections: Gauge, "rejob_open_connections",
        "Connections open on the webhook's port";
    connections_over_limit: Counter, "rejob_connections_over_limit_total",
        "Connections turned away with 503 because as many were open as `--max-connections` allows";
    tls_handshake_failures: Counter, "rejob_tls_handshake_failures_total",
        "TLS handshakes that failed; a count that grows while no reviews arrive means a caBundle \
         that does not match the certificate";
    replacements: Family<ReplacementLabels, Counter>, "rejob_replacements_total",
        "Attempts to replace a Job inside a client's request, by how they ended";
    replacement_duration: Histograms<ReplacementLabels> = CALL_BUCKETS, "rejob_replacement_duration_seconds",
        "Time of the first turn of a replacement, effects included";
    would_replace: Family<ReportLabels, Counter>, "rejob_would_replace_total",
        "Requests under `onChange: Report` that would replace a Job, or why they would not";
    api_requests: Family<ApiCodeLabels, Counter>, "rejob_api_requests_total",
        "Requests to the Kubernetes API about Jobs; those about certificates are not counted";
    api_request_duration: Histograms<ApiLabels> = CALL_BUCKETS, "rejob_api_request_duration_seconds",
        "Time of a request to the Kubernetes API";
    dormant_jobs_reaped: Counter, "rejob_dormant_jobs_reaped_total",
        "Dormant Jobs deleted because their replacement was never finished";
    certificate_expiry: Family<CertificateLabels, Gauge>, "rejob_certificate_expiry_timestamp_seconds",
        "When the certificate in use expires, in seconds since 1970";
    ready: Gauge, "rejob_ready",
        "Whether `/readyz` says that this Pod is ready: 1 or 0";
}

/// The program itself.
pub(super) const BUILD: Description = Description {
    labels: BuildLabels::LABELS,
    ..process("rejob_build_info", MetricType::Gauge, "The program that runs; the value is always 1")
};
pub(super) const RESIDENT_MEMORY: Description =
    process("process_resident_memory_bytes", MetricType::Gauge, "Resident memory size in bytes");
pub(super) const CPU: Description = process(
    "process_cpu_seconds_total",
    MetricType::Counter,
    "Total user and system CPU time spent in seconds",
);
pub(super) const START_TIME: Description = process(
    "process_start_time_seconds",
    MetricType::Gauge,
    "Start time of the process since unix epoch in seconds",
);

const fn process(name: &'static str, kind: MetricType, help: &'static str) -> Description {
    Description { name, kind, help, labels: &[] }
}

/// Registers under the name that comes out as the table says: the library adds `_total`, `_info` and
/// the unit by itself.
pub(super) fn register(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    metric: impl Metric,
) {
    let name = name.strip_suffix("_total").or(name.strip_suffix("_info")).unwrap_or(name);
    match name.strip_suffix("_seconds") {
        Some(name) => registry.register_with_unit(name, help, Unit::Seconds, metric),
        None => registry.register(name, help, metric),
    }
}

/// The page `docs/metrics.md`.
pub fn markdown() -> String {
    let mut page = "\
# Metrics

`GET /metrics` on the admin port (`--admin-listen`) answers in the Prometheus text format, or in
OpenMetrics when the scraper asks for it. Every label takes its values from a closed set, so the
number of series does not grow with the cluster. A metric with labels appears with its first value, except
`rejob_review_duration_seconds`.

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
