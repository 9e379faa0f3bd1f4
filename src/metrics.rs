//! What the server counts, for Prometheus.
//!
//! [`catalogue`] holds every metric with its name, help text and labels, and is both what registration
//! reads and what `docs/metrics.md` is made from. Labels only take values from closed sets (the
//! policies of the server, words of this program, status codes), so a client can never make the number
//! of series grow.

pub mod catalogue;
mod exposition;
mod labels;
mod process;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::job::Client;
use crate::reason::Reason;
use crate::review::Operation;
use catalogue::{
    ApiCodeLabels, ApiLabels, BUILD, BuildLabels, CertificateLabels, CodeLabels, Registered,
    ReplacementLabels, ReportLabels, ReviewDurationLabels, ReviewLabels,
};
pub use exposition::Format;
pub use labels::*;

/// All metrics of one server. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Registered>);

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics that all stand at zero.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let build = BuildLabels {
            version: env!("CARGO_PKG_VERSION"),
            architecture: std::env::consts::ARCH,
        };
        catalogue::register(&mut registry, BUILD.name, BUILD.help, Info::new(build));
        registry.register_collector(Box::new(process::Process::started_now()));
        Self(Arc::new(Registered::new(registry)))
    }

    /// The handles of one policy. Called once a policy when the server starts: the policies that
    /// exist are the values that the label can take, and the empty one, which is made when it is met.
    pub fn policy(&self, name: &str) -> PolicyMetrics {
        let policy: Arc<str> = name.into();
        let duration = |operation: Operation| {
            let operation = operation.label();
            let labels = ReviewDurationLabels { policy: policy.clone(), operation };
            self.0.review_duration.get_or_create_owned(&labels)
        };
        PolicyMetrics {
            create: duration(Operation::Create),
            update: duration(Operation::Update),
            other: duration(Operation::Other),
            reviews: self.0.reviews.clone(),
            policy,
        }
    }

    /// A review is being worked on until the guard is dropped.
    pub fn review_in_flight(&self) -> GaugeGuard {
        GaugeGuard::new(&self.0.in_flight)
    }

    /// A connection is open until the guard is dropped.
    pub fn connection_open(&self) -> GaugeGuard {
        GaugeGuard::new(&self.0.connections)
    }

    /// A review was turned away because too many were in flight.
    pub fn shed(&self) {
        self.0.shed.inc();
    }

    /// A request was answered with an HTTP error.
    pub fn http_error(&self, code: u16) {
        self.0.http_errors.get_or_create(&CodeLabels { code }).inc();
    }

    /// A connection was over the limit and got 503.
    pub fn connection_over_limit(&self) {
        self.0.connections_over_limit.inc();
    }

    /// A TLS handshake did not come about.
    pub fn tls_handshake_failure(&self) {
        self.0.tls_handshake_failures.inc();
    }

    /// A replacement ended: for which kind of client, how, and after how long.
    pub fn replacement(&self, client: Client, result: ReplacementResult, took: Duration) {
        let labels = ReplacementLabels { client: client.label(), result: result.label() };
        self.0.replacements.get_or_create(&labels).inc();
        self.0.replacement_duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A request was reported; `why_not` is the reason why the Job would not be replaced at once.
    pub fn would_replace(&self, policy: &str, why_not: Option<Reason>) {
        let why_not = why_not.map_or("", Reason::label);
        let labels = ReportLabels { policy: policy.into(), why_not };
        self.0.would_replace.get_or_create(&labels).inc();
    }

    /// A call of the Kubernetes API ended; `code` is the HTTP status, `None` if there was no answer.
    pub fn api_request(
        &self,
        verb: ApiVerb,
        resource: ApiResource,
        code: Option<u16>,
        took: Duration,
    ) {
        let (verb, resource) = (verb.label(), resource.label());
        let code = code.unwrap_or(0);
        self.0.api_requests.get_or_create(&ApiCodeLabels { verb, resource, code }).inc();
        let labels = ApiLabels { verb, resource };
        self.0.api_request_duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// The reaper deleted a dormant Job.
    pub fn dormant_job_reaped(&self) {
        self.0.dormant_jobs_reaped.inc();
    }

    /// When the certificate that is served ends, in seconds since 1970.
    pub fn certificate_expiry(&self, unix_seconds: i64) {
        let labels = CertificateLabels { certificate: labels::SERVING };
        self.0.certificate_expiry.get_or_create(&labels).set(unix_seconds);
    }

    /// Whether the server is ready now.
    pub fn ready(&self, ready: bool) {
        self.0.ready.set(ready.into());
    }

    /// Everything, as text.
    pub fn exposition(&self, format: Format) -> String {
        exposition::encode(&self.0.registry, format)
    }
}

/// The metrics of one policy, ready for the hot path.
#[derive(Debug, Clone)]
pub struct PolicyMetrics {
    policy: Arc<str>,
    reviews: Family<ReviewLabels, Counter>,
    create: Histogram,
    update: Histogram,
    other: Histogram,
}

impl PolicyMetrics {
    /// A review was answered, for this reason, after this long.
    pub fn reviewed(&self, operation: Operation, reason: Reason, took: Duration) {
        let policy = self.policy.clone();
        let labels = ReviewLabels { policy, operation: operation.label(), reason: reason.label() };
        self.reviews.get_or_create(&labels).inc();
        let duration = match operation {
            Operation::Create => &self.create,
            Operation::Update => &self.update,
            Operation::Other => &self.other,
        };
        duration.observe(took.as_secs_f64());
    }
}

/// Holds a gauge one higher while it lives.
#[derive(Debug)]
pub struct GaugeGuard(Gauge);

impl GaugeGuard {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests;
