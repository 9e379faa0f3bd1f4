//! What the server counts, for Prometheus.
//!
//! One struct holds every metric; [`catalogue`] holds every name, help text and label, and is both
//! what registration reads and what `docs/metrics.md` is made from. Labels only take values from
//! closed sets (the policies of the server, words of this program, status codes), so a client can
//! never make the number of series grow.

pub mod catalogue;
mod exposition;
mod labels;
mod process;

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::job::Client;
use crate::review::Operation;
use catalogue::Description;
pub use exposition::Format;
pub use labels::{ApiResource, ApiVerb, ReplacementResult};

/// Upper bounds of the review histogram, in seconds: from a decision without effects (well under a
/// millisecond) to the longest timeout of a webhook.
const REVIEW_BUCKETS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

/// Upper bounds of the histograms of calls over the network, in seconds.
const CALL_BUCKETS: [f64; 12] =
    [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

macro_rules! label_sets {
    ($($name:ident { $($field:ident: $type:ty),* })*) => {$(
        #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
        struct $name { $($field: $type,)* }
    )*};
}

label_sets! {
    ReviewLabels { policy: Arc<str>, operation: &'static str, reason: &'static str }
    ReviewDurationLabels { policy: Arc<str>, operation: &'static str }
    ReplacementLabels { client: &'static str, result: &'static str }
    ApiLabels { verb: &'static str, resource: &'static str }
    ApiCodeLabels { verb: &'static str, resource: &'static str, code: u16 }
    CodeLabels { code: u16 }
    CertificateLabels { certificate: &'static str }
    ReportLabels { policy: String, why_not: &'static str }
    BuildLabels { version: &'static str, architecture: &'static str }
}

/// All metrics of one server. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    reviews: Family<ReviewLabels, Counter>,
    review_duration: Histograms<ReviewDurationLabels>,
    in_flight: Gauge,
    shed: Counter,
    http_errors: Family<CodeLabels, Counter>,
    connections: Gauge,
    connections_over_limit: Counter,
    tls_handshake_failures: Counter,
    replacements: Family<ReplacementLabels, Counter>,
    replacement_duration: Histograms<ReplacementLabels>,
    would_replace: Family<ReportLabels, Counter>,
    api_requests: Family<ApiCodeLabels, Counter>,
    api_request_duration: Histograms<ApiLabels>,
    dormant_jobs_reaped: Counter,
    certificate_expiry: Family<CertificateLabels, Gauge>,
    ready: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics that all stand at zero.
    pub fn new() -> Self {
        let calls = || -> Histogram { Histogram::new(CALL_BUCKETS) };
        let durations = || -> Histogram { Histogram::new(REVIEW_BUCKETS) };
        let mut registry = Registry::default();
        let r = &mut registry;
        let build = BuildLabels {
            version: env!("CARGO_PKG_VERSION"),
            architecture: std::env::consts::ARCH,
        };
        register(r, &catalogue::BUILD, Info::new(build));
        r.register_collector(Box::new(process::Process::started_now()));
        let inner = Inner {
            reviews: registered(r, &catalogue::REVIEWS),
            review_duration: histograms(r, &catalogue::REVIEW_DURATION, durations),
            in_flight: registered(r, &catalogue::IN_FLIGHT),
            shed: registered(r, &catalogue::SHED),
            http_errors: registered(r, &catalogue::HTTP_ERRORS),
            connections: registered(r, &catalogue::CONNECTIONS),
            connections_over_limit: registered(r, &catalogue::CONNECTIONS_OVER_LIMIT),
            tls_handshake_failures: registered(r, &catalogue::TLS_HANDSHAKE_FAILURES),
            replacements: registered(r, &catalogue::REPLACEMENTS),
            replacement_duration: histograms(r, &catalogue::REPLACEMENT_DURATION, calls),
            would_replace: registered(r, &catalogue::WOULD_REPLACE),
            api_requests: registered(r, &catalogue::API_REQUESTS),
            api_request_duration: histograms(r, &catalogue::API_REQUEST_DURATION, calls),
            dormant_jobs_reaped: registered(r, &catalogue::DORMANT_JOBS_REAPED),
            certificate_expiry: registered(r, &catalogue::CERTIFICATE_EXPIRY),
            ready: registered(r, &catalogue::READY),
            registry,
        };
        Self(Arc::new(inner))
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
    pub fn would_replace(&self, policy: &str, why_not: Option<&'static str>) {
        let labels =
            ReportLabels { policy: policy.to_owned(), why_not: why_not.unwrap_or_default() };
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

/// A metric that stands at zero, registered.
fn registered<M: Metric + Clone + Default>(registry: &mut Registry, what: &Description) -> M {
    let metric = M::default();
    register(registry, what, metric.clone());
    metric
}

fn histograms<L: EncodeLabelSet + Clone + Debug + Eq + Hash + Send + Sync + 'static>(
    registry: &mut Registry,
    what: &Description,
    empty: fn() -> Histogram,
) -> Histograms<L> {
    let metric = Family::new_with_constructor(empty);
    register(registry, what, metric.clone());
    metric
}

/// Registers under the name that comes out as the catalogue says: the library adds `_total`,
/// `_info` and the unit by itself.
fn register(registry: &mut Registry, what: &Description, metric: impl Metric) {
    let Description { name, help, .. } = *what;
    let name = name.strip_suffix("_total").or(name.strip_suffix("_info")).unwrap_or(name);
    match name.strip_suffix("_seconds") {
        Some(name) => registry.register_with_unit(name, help, Unit::Seconds, metric),
        None => registry.register(name, help, metric),
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
    pub fn reviewed(&self, operation: Operation, reason: &'static str, took: Duration) {
        let labels =
            ReviewLabels { policy: self.policy.clone(), operation: operation.label(), reason };
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
