//! `rejob serve`: flags to a running server, and its lifecycle.

mod connection;
mod greeting;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::admission::reaper::{self, Reaper};
use crate::admission::{Admission, Environment};
use crate::certs::{self, CertResolver, Supply, SystemClock};
use crate::kubernetes::KubeCluster;
use crate::metrics::Metrics;
use crate::policy::PolicySet;
use crate::server::admin::ReadinessChecks;
use crate::server::{Limits, Server, Setup, tls};
use crate::telemetry;
use connection::Connection;
use greeting::Greeting;

/// How long Events are still sent when the last review is answered.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// The flags of `rejob serve`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct ServeArgs {
    /// Address and port of the webhook (HTTPS); port 0 takes a free one.
    #[arg(
        long, env = "REJOB_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443",
        value_parser = address
    )]
    pub listen: SocketAddr,
    /// Address and port of /livez, /readyz and /metrics (HTTP); port 0 takes a free one.
    #[arg(
        long, env = "REJOB_ADMIN_LISTEN", value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8080", value_parser = address
    )]
    pub admin_listen: SocketAddr,
    /// Where policies come from.
    #[command(flatten)]
    pub policies: super::policies::PoliciesArg,
    /// The flags about the cluster.
    #[command(flatten)]
    pub cluster: connection::ConnectionArgs,
    /// The flags for logs.
    #[command(flatten)]
    pub telemetry: telemetry::LogArgs,
    /// The flags for certificates.
    #[command(flatten)]
    pub certs: certs::CertArgs,
    /// The bounds of the server.
    #[command(flatten)]
    pub limits: Limits,
}

/// Reads `address:port`.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "give an IP address and a port, such as 127.0.0.1:8443, 0.0.0.0:10250 or [::]:10250"
            .to_owned()
    })
}

/// Runs `rejob serve` until SIGTERM or SIGINT.
///
/// # Errors
/// When the server cannot start; the message says what to do.
pub fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    args.certs.source()?;
    // Held to the end: dropping it writes the last lines.
    let _log = telemetry::init_server(&args.telemetry)?;
    let policies = args.policies.load()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the threads of the server; is the limit of processes reached?")?;
    let ended = runtime.block_on(serve(args, policies));
    // A second signal waits for nothing.
    runtime.shutdown_background();
    ended
}

async fn serve(args: ServeArgs, policies: PolicySet) -> anyhow::Result<ExitCode> {
    // Before anything is announced: a signal that comes right after must already be handled.
    let mut signals = Signals::new()?;
    let metrics = Metrics::new();
    let needed = policies.checks()
        || args.cluster.kubeconfig.is_some()
        || args.certs.cert_secret.is_some()
        || args.certs.token_secret.is_some();
    let connection = if needed {
        tokio::select! {
            connection = Connection::open(&args.cluster, &metrics) => connection?,
            () = signals.next() => return Ok(ExitCode::SUCCESS),
        }
    } else {
        None
    };
    if connection.is_none() && policies.checks() {
        tracing::warn!(
            "no cluster: nothing is replaced, and requests that call for it are refused; give --kubeconfig"
        );
    }
    let client = connection.as_ref().map(|connection| connection.cluster.client());
    let mut supply = Supply::start(&args.certs, client).await?;
    let greeting = Greeting::new(supply.in_memory_ca.take(), &policies)?;
    let readiness = supply.readiness.clone();
    let environment = Environment {
        user: connection.as_ref().map(|connection| connection.introduction.own_user.clone()),
        server: connection.as_ref().and_then(|connection| connection.introduction.server),
        namespace: args.certs.pod_namespace.clone(),
    };
    let cluster = connection.map(|connection| connection.cluster);
    if let Some(cluster) = cluster.clone().filter(|_| policies.replaces()) {
        reap(&args, cluster, &policies, &metrics);
    }
    let reviews = args.limits.max_concurrent_reviews;
    let admission = Admission::new(&policies, cluster, environment, reviews, metrics.clone());
    let admission = Arc::new(admission);

    let server = Server::bind(Setup {
        listen: args.listen,
        admin_listen: args.admin_listen,
        tls: Arc::new(tls::config(Arc::new(supply.resolver.clone()), supply.client_verifier())?),
        limits: args.limits,
        tokens: supply.tokens.clone(),
        readiness: ReadinessChecks::of(vec![(
            "certificates",
            Box::new(move || readiness.check(&SystemClock)),
        )]),
        metrics: metrics.clone(),
        reviewer: Arc::clone(&admission),
    })
    .await?;
    let (webhook, admin) = server.addresses().context("cannot tell the port")?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), %webhook, %admin, "listening");
    if args.telemetry.log_format == telemetry::LogFormat::Text {
        greeting.print(webhook, admin);
    }

    tokio::spawn(export_expiry(supply.resolver.clone(), metrics));
    tokio::spawn(async move {
        supply.ended().await;
        tracing::error!("the renewal of certificates ended; restart rejob before they expire");
        // The supply is kept: what it serves stays in use.
        std::future::pending::<()>().await;
    });
    let (again, signaled_again) = oneshot::channel();
    let served = server.run(async move {
        signals.next().await;
        tokio::spawn(async move {
            signals.next().await;
            let _ = again.send(());
        });
    });
    let code = tokio::select! {
        () = served => {
            let _ = timeout(LAST_EVENTS, admission.last_events()).await;
            ExitCode::SUCCESS
        }
        Ok(()) = signaled_again => {
            tracing::warn!("second signal: ending at once");
            ExitCode::FAILURE
        }
    };
    drop(greeting);
    Ok(code)
}

/// Starts the reaper, which needs to know what guards dormant Jobs.
fn reap(args: &ServeArgs, cluster: Arc<KubeCluster>, policies: &PolicySet, metrics: &Metrics) {
    let Some(configuration) = args.certs.webhook_configuration.clone() else {
        tracing::warn!(
            "dormant Jobs that a crash leaves behind are not deleted: give --webhook-configuration, \
             so that rejob can see whether changes of them come to it"
        );
        return;
    };
    let options = reaper::ReaperOptions {
        configuration,
        policies: policies.clone(),
        own_namespace: args.certs.pod_namespace.clone(),
        interval: args.cluster.reaper_interval.unwrap_or(reaper::INTERVAL),
        grace: args.cluster.reaper_grace.unwrap_or(reaper::GRACE),
    };
    tokio::spawn(Reaper::new(cluster, options, metrics.clone()).run());
}

/// Keeps the metric at the end of the certificate that is served.
async fn export_expiry(resolver: CertResolver, metrics: Metrics) {
    let mut changes = resolver.subscribe();
    loop {
        if let Some(validity) = *changes.borrow_and_update() {
            metrics.certificate_expiry(validity.not_after.as_second());
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// SIGTERM (the kubelet) and SIGINT (Ctrl-C).
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self { terminate: listen(terminate)?, interrupt: listen(interrupt)? })
    }

    async fn next(&mut self) {
        let name = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "signal received");
    }
}
