//! The routes of both ports.
//!
//! Methods are not left to the router: a wrong one is answered with JSON, as everything is.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::routing::any;

use super::admin::Admin;
use super::answer::Answer;
use super::review::{Route, Webhook};
use super::reviewer::Reviewer;

type Shared<R> = State<Arc<Webhook<R>>>;

/// The webhook's port: reviews, also below a capability, and `/livez`.
pub(super) fn webhook<R: Reviewer>(webhook: Arc<Webhook<R>>) -> Router {
    Router::new()
        .route("/livez", any(live::<R>))
        .route("/v1/policies/{policy}", any(review::<R>))
        .route("/v1/t/{token}/policies/{policy}", any(review_with_token::<R>))
        .fallback(unknown::<R>)
        .with_state(webhook)
}

async fn live<R: Reviewer>(State(webhook): Shared<R>, request: Request) -> Answer {
    webhook.answer(Route::Live, request).await
}

async fn review<R: Reviewer>(
    State(webhook): Shared<R>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Answer {
    let target = match path {
        Ok(Path(policy)) => Route::Review { token: None, policy },
        Err(_) => Route::Unknown,
    };
    webhook.answer(target, request).await
}

async fn review_with_token<R: Reviewer>(
    State(webhook): Shared<R>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Answer {
    let target = match path {
        Ok(Path((token, policy))) => Route::Review { token: Some(token), policy },
        Err(_) => Route::Unknown,
    };
    webhook.answer(target, request).await
}

async fn unknown<R: Reviewer>(State(webhook): Shared<R>, request: Request) -> Answer {
    webhook.answer(Route::Unknown, request).await
}

/// The admin port: probes and metrics.
pub(super) fn admin(admin: Admin) -> Router {
    let page = async |State(admin): State<Admin>, request: Request| admin.answer(&request);
    Router::new().fallback(page).with_state(admin)
}
