//! `naive-webhook ADDRESS CERTIFICATE KEY`: gives a created Job a TTL and the hash of its template,
//! and lets an update pass, comparing the templates. It writes a line of JSON per review.

use std::net::SocketAddr;

use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use axum::{Json, Router};
use axum_server::tls_rustls::RustlsConfig;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation};
use sha2::{Digest, Sha256};

#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().json().init();
    rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, certificate, key]: [String; 3] =
        arguments.try_into().expect("ADDRESS CERTIFICATE KEY");
    let tls = RustlsConfig::from_pem_file(certificate, key).await.unwrap();
    let app =
        Router::new().route("/mutate", post(mutate)).layer(DefaultBodyLimit::max(8 * 1024 * 1024));
    let address: SocketAddr = address.parse().unwrap();
    axum_server::bind_rustls(address, tls).serve(app.into_make_service()).await.unwrap();
}

async fn mutate(Json(review): Json<AdmissionReview<Job>>) -> Json<AdmissionReview<DynamicObject>> {
    let request: AdmissionRequest<Job> = match review.try_into() {
        Ok(request) => request,
        Err(error) => return Json(AdmissionResponse::invalid(error.to_string()).into_review()),
    };
    let mut response = AdmissionResponse::from(&request);
    let Some(job) = &request.object else { return Json(response.into_review()) };
    let (mut changed, mut hash) = (false, None);
    if request.operation == Operation::Create {
        let before = serde_json::to_value(job).unwrap();
        let mut job = job.clone();
        let spec = job.spec.get_or_insert_default();
        spec.ttl_seconds_after_finished.get_or_insert(3600);
        let digest = Sha256::digest(serde_json::to_vec(&spec.template).unwrap());
        let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let annotations = job.metadata.annotations.get_or_insert_default();
        annotations.insert("example.com/template-hash".to_owned(), hex.clone());
        hash = Some(hex);
        let after = serde_json::to_value(&job).unwrap();
        response = response.with_patch(json_patch::diff(&before, &after)).unwrap();
    } else if let Some(old) = &request.old_object {
        changed = template(old) != template(job);
    }
    tracing::info!(
        uid = request.uid,
        operation = ?request.operation,
        namespace = request.namespace,
        name = request.name,
        user = request.user_info.username,
        changed,
        hash,
        "reviewed"
    );
    Json(response.into_review())
}

fn template(job: &Job) -> Option<&PodTemplateSpec> {
    job.spec.as_ref().map(|spec| &spec.template)
}
