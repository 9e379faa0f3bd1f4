//! The wire envelope of an AdmissionReview with the answer.
//!
//! It is our own: kube's serializes `patch` as an array of numbers.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::decide::{Decision, Verdict};
use crate::review::API_VERSION;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireAnswer<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: WireResponse<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireResponse<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<WireStatus<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: &'a BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct WireStatus<'a> {
    status: &'static str,
    message: &'a str,
    reason: &'static str,
    code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<WireDetails>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireDetails {
    retry_after_seconds: u32,
}

/// Writes the answer to a request: one line of JSON.
///
/// A [`Verdict::Replace`] is answered as allowed with the put-back patch: the caller has carried
/// the plan out.
pub fn answer(uid: &str, decision: &Decision) -> Vec<u8> {
    let (allowed, status) = match &decision.verdict {
        Verdict::Admit | Verdict::Replace(_) => (true, None),
        Verdict::Deny(denial) => (
            false,
            Some(WireStatus {
                status: "Failure",
                message: &denial.message,
                reason: if denial.code == 429 { "TooManyRequests" } else { "Forbidden" },
                code: denial.code,
                details: denial
                    .retry_after
                    .map(|seconds| WireDetails { retry_after_seconds: seconds }),
            }),
        ),
    };
    let patch = (allowed && !decision.patch.is_empty()).then(|| {
        STANDARD.encode(serde_json::to_vec(decision.patch.operations()).unwrap_or_default())
    });
    let answer = WireAnswer {
        api_version: API_VERSION,
        kind: "AdmissionReview",
        response: WireResponse {
            uid,
            allowed,
            status,
            patch_type: patch.as_ref().map(|_| "JSONPatch"),
            patch,
            warnings: &decision.warnings,
            audit_annotations: &decision.audit,
        },
    };
    // A struct of strings always serializes.
    serde_json::to_vec(&answer).unwrap_or_default()
}
