//! The HTTPS server: listener, TLS, router, limits, admin port, drain.
//!
//! The webhook's port carries reviews and nothing else; probes and metrics have a port of their
//! own, so that neither can be reached through the other. Everything that a client can make the
//! server hold (connections, reviews, bytes, time) has a bound in [`Limits`], and what is over a
//! bound gets an answer that says so.

pub mod admin;
mod answer;
mod body;
mod drain;
mod idle;
mod limits;
mod listen;
mod refusal;
mod review;
mod reviewer;
mod route;
pub mod timeout;
pub mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::certs::AcceptedTokens;
use crate::metrics::Metrics;
use admin::{Admin, ReadinessChecks};
use body::Budget;
use drain::Drain;
pub use limits::Limits;
pub use listen::ListenError;
use review::Webhook;
pub use reviewer::{Call, ReviewError, Reviewer};

/// Connections at once on the admin port. A kubelet and a few scrapers need a handful; the others are
/// left for who only holds them, since the Pod is restarted when its probes are not answered.
const ADMIN_CONNECTIONS: usize = 256;
/// How long such a connection may be silent.
const ADMIN_TIME: Duration = Duration::from_secs(2);

/// What a server is made of.
pub struct Setup<R> {
    /// Where the webhook listens.
    pub listen: SocketAddr,
    /// Where probes and metrics are served.
    pub admin_listen: SocketAddr,
    /// How the webhook's port speaks TLS: see [`tls::config`].
    pub tls: Arc<rustls::ServerConfig>,
    /// The bounds.
    pub limits: Limits,
    /// The capability tokens that a path must carry.
    pub tokens: AcceptedTokens,
    /// What must hold for the server to be ready.
    pub readiness: ReadinessChecks,
    /// Where it is counted.
    pub metrics: Metrics,
    /// What decides.
    pub reviewer: Arc<R>,
}

/// A server that listens but does not accept yet.
pub struct Server<R> {
    webhook: TcpListener,
    admin: TcpListener,
    setup: Setup<R>,
}

impl<R: Reviewer> Server<R> {
    /// Listens on both ports.
    ///
    /// # Errors
    /// When a port is taken or an address is not of this machine; the message names the flag.
    pub async fn bind(setup: Setup<R>) -> Result<Self, ListenError> {
        let webhook = listen::bind(setup.listen, "--listen").await?;
        let admin = listen::bind(setup.admin_listen, "--admin-listen").await?;
        Ok(Self { webhook, admin, setup })
    }

    /// The addresses of the webhook's and of the admin port: with port 0 the real ones.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.webhook.local_addr()?, self.admin.local_addr()?))
    }

    /// Serves until `stop`, then drains: [`Limits::drain_grace`] in which everything is accepted
    /// but readiness is off, then up to [`Limits::drain_timeout`] for what is in flight.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { webhook, admin, setup } = self;
        let limits = setup.limits.clone();
        let (drain, admin_drain) = (Drain::default(), Drain::default());
        let admin = tokio::spawn(serve_admin(
            admin,
            limits.clone(),
            admin_drain.clone(),
            Admin {
                readiness: setup.readiness.clone(),
                metrics: setup.metrics.clone(),
                drain: drain.clone(),
            },
        ));
        let webhook = tokio::spawn(serve_webhook(webhook, setup, drain.clone()));

        stop.await;
        tracing::info!("draining: not ready any more, requests are still served");
        drain.begin();
        tokio::time::sleep(limits.drain_grace).await;
        drain.close();
        if tokio::time::timeout(limits.drain_timeout, drain.tasks().wait()).await.is_err() {
            let left = drain.tasks().len();
            tracing::warn!(left, "connections or reviews did not end in time and are given up");
        }
        admin_drain.close();
        webhook.abort();
        admin.abort();
        tracing::info!("stopped");
    }
}

async fn serve_admin(listener: TcpListener, limits: Limits, drain: Drain, admin: Admin) {
    let limits = Limits { header_timeout: ADMIN_TIME, idle_timeout: ADMIN_TIME, ..limits };
    let shared = Arc::new((limits, drain.clone(), route::admin(admin)));
    listen::accept(listener, ADMIN_CONNECTIONS, drain, |stream, place| {
        let shared = Arc::clone(&shared);
        async move {
            let (limits, drain, admin) = &*shared;
            // Also over the limit: a probe costs no more than a refusal.
            listen::http(stream, limits, drain, admin.clone()).await;
            drop(place);
        }
    })
    .await;
}

async fn serve_webhook<R: Reviewer>(listener: TcpListener, setup: Setup<R>, drain: Drain) {
    let acceptor = TlsAcceptor::from(setup.tls);
    let max = setup.limits.max_connections;
    let webhook = Arc::new(Webhook {
        review_slots: Arc::new(Semaphore::new(setup.limits.max_concurrent_reviews)),
        bodies: Budget::new(setup.limits.max_body_bytes),
        reviewer: setup.reviewer,
        limits: setup.limits,
        tokens: setup.tokens,
        metrics: setup.metrics,
        drain: drain.clone(),
    });
    let router = route::webhook(Arc::clone(&webhook));
    listen::accept(listener, max, drain, |stream, place| {
        let (acceptor, webhook) = (acceptor.clone(), Arc::clone(&webhook));
        let router = router.clone();
        async move {
            serve_connection(stream, place.over, acceptor, &webhook, router).await;
            drop(place);
        }
    })
    .await;
}

async fn serve_connection<R: Reviewer>(
    mut stream: TcpStream,
    over: bool,
    acceptor: TlsAcceptor,
    webhook: &Webhook<R>,
    router: Router,
) {
    let open = webhook.metrics.connection_open();
    let handshake = async {
        if listen::speaks_plain_http(&mut stream).await {
            return Err(io::Error::other("plain HTTP on the TLS port"));
        }
        acceptor.accept(stream).await
    };
    let handshake = tokio::select! {
        handshake = tokio::time::timeout(webhook.limits.handshake_timeout, handshake) => handshake,
        () = webhook.drain.closing() => return,
    };
    match handshake {
        Ok(Ok(stream)) => {
            let (limits, drain) = (&webhook.limits, &webhook.drain);
            let refused = if over {
                webhook.metrics.connection_over_limit();
                listen::too_many(stream, limits, drain).await
            } else {
                listen::http(stream, limits, drain, router).await
            };
            if let Some(status) = refused {
                webhook.metrics.http_error(status.as_u16());
            }
        }
        Ok(Err(error)) => {
            webhook.metrics.tls_handshake_failure();
            listen::report_handshake(&error);
        }
        Err(_) => {
            webhook.metrics.tls_handshake_failure();
            tracing::debug!("a TLS handshake took too long");
        }
    }
    drop(open);
}
