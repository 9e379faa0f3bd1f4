//! Each call: its path, query and body, and what its answers become.

use http::{Request, Response};
use kube::client::Body;
use tower_test::mock::Handle;

use super::*;
use crate::metrics::Format;

struct Server {
    handle: Handle<Request<Body>, Response<Body>>,
}

fn connected(namespaces: &[&str]) -> (KubeCluster, Server, Metrics) {
    let (service, handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let metrics = Metrics::new();
    let cluster = KubeCluster {
        client: ApiClient::of(kube::Client::new(service, "default")),
        metrics: metrics.clone(),
        namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
        check_as_user: false,
    };
    (cluster, Server { handle }, metrics)
}

impl Server {
    /// Answers the next request; its method, path with query, and body.
    async fn answers(&mut self, code: u16, body: Value) -> (String, String, Value) {
        self.names(code, body).await.0
    }

    /// The same, and in whose name it is made.
    async fn names(&mut self, code: u16, body: Value) -> ((String, String, Value), Vec<String>) {
        let (request, send) = self.handle.next_request().await.expect("a request");
        let (head, sent) = request.into_parts();
        let bytes = sent.collect_bytes().await.unwrap();
        let sent = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let answer = Response::builder().status(code);
        send.send_response(answer.body(Body::from(body.to_string().into_bytes())).unwrap());
        let named = head.headers.iter().filter(|(name, _)| name.as_str().starts_with("imp"));
        let named = named.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        ((head.method.to_string(), head.uri.to_string(), sent), named.collect())
    }
}

fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure",
        "code": code, "reason": reason, "message": message
    })
}

fn counted(metrics: &Metrics, labels: &str) -> bool {
    metrics
        .exposition(Format::Prometheus)
        .lines()
        .any(|line| line.starts_with("rejob_api_requests_total") && line.contains(labels))
}

#[tokio::test]
async fn the_opt_in_label_is_read_off_the_live_namespace() {
    for (labels, expected) in [
        (json!({ "rejob.dev/policy": "replace" }), Some("replace".to_owned())),
        (json!({ "other": "x" }), None),
        (Value::Null, None),
    ] {
        let (cluster, mut server, metrics) = connected(&[]);
        let namespace = json!({ "metadata": { "labels": labels } });
        let (found, call) =
            tokio::join!(cluster.namespace_policy("team"), server.answers(200, namespace.clone()));
        assert_eq!(found, Ok(expected));
        assert_eq!((call.0.as_str(), call.1.as_str()), ("GET", "/api/v1/namespaces/team"));
        assert!(counted(&metrics, "resource=\"namespaces\""));
    }
}

#[tokio::test]
async fn rights_are_asked_for_with_all_that_is_known_of_the_user() {
    let user = UserInfo {
        username: "ada".into(),
        uid: "7".into(),
        groups: vec!["dev".into()],
        extra: [("scopes".to_owned(), vec!["a".to_owned()])].into(),
    };
    for (right, verb, name) in [
        (Right::Delete("nightly"), "delete", "nightly"),
        (Right::Create(Some("nightly")), "create", "nightly"),
        (Right::Create(None), "create", ""),
    ] {
        for (answer, expected) in [
            (json!({ "allowed": true }), true),
            (json!({ "allowed": false }), false),
            (json!({ "allowed": true, "denied": true }), false),
            (json!({}), false),
        ] {
            let (cluster, mut server, _) = connected(&[]);
            let answer = json!({ "status": answer });
            let (may, call) = tokio::join!(
                cluster.can_user(&user, "team", right),
                server.answers(201, answer.clone())
            );
            assert_eq!(may, Ok(expected), "{answer}");
            assert_eq!(call.0, "POST");
            assert_eq!(call.1, "/apis/authorization.k8s.io/v1/subjectaccessreviews");
            assert_eq!(
                call.2["spec"],
                json!({
                    "user": "ada", "uid": "7", "groups": ["dev"], "extra": { "scopes": ["a"] },
                    "resourceAttributes": {
                        "namespace": "team", "verb": verb, "group": "batch", "version": "v1",
                        "resource": "jobs", "name": name
                    }
                })
            );
        }
    }
}

#[tokio::test]
async fn a_check_in_the_users_name_carries_the_user_and_changes_nothing() {
    let user = UserInfo {
        username: "ada".into(),
        groups: vec!["dev".into(), "ops".into()],
        ..UserInfo::default()
    };
    let (cluster, mut server, metrics) = connected(&[]);
    let job = json!({ "kind": "Job" });
    let asked = cluster.create("team", &job, Some("tool"), Write::DryRunAs(&user));
    let (created, (call, named)) = tokio::join!(asked, server.names(201, job.clone()));
    assert_eq!((created, &call.2), (Ok(job.clone()), &job));
    let path = "/apis/batch/v1/namespaces/team/jobs?fieldManager=tool&dryRun=All";
    assert_eq!((call.0.as_str(), call.1.as_str()), ("POST", path));
    let ada = ["impersonate-user: ada", "impersonate-group: dev", "impersonate-group: ops"];
    assert_eq!(named, ada);
    assert!(counted(&metrics, "verb=\"dry-run-create\""));
    let asked = cluster.delete("team", "nightly", "old", "7", Write::DryRunAs(&user));
    let (deleted, (call, named)) = tokio::join!(asked, server.names(200, job.clone()));
    assert_eq!((deleted, named), (Ok(()), ada.map(str::to_owned).to_vec()));
    let path = "/apis/batch/v1/namespaces/team/jobs/nightly";
    assert_eq!((call.0.as_str(), call.1.as_str()), ("DELETE", path));
    assert_eq!(call.2["dryRun"], json!(["All"]));
    assert_eq!(call.2["propagationPolicy"], "Background");
    assert_eq!(call.2["preconditions"], json!({ "uid": "old", "resourceVersion": "7" }));
    assert!(counted(&metrics, "verb=\"dry-run-delete\""));
    // Nothing is sent in anybody else's name.
    let asked = cluster.delete("team", "nightly", "old", "7", Write::Real);
    let (_, (_, named)) = tokio::join!(asked, server.names(200, Value::Null));
    assert_eq!(named, [""; 0]);
    let odd = UserInfo { username: "ada ".into(), ..UserInfo::default() };
    let error = cluster.create("team", &job, None, Write::DryRunAs(&odd)).await.unwrap_err();
    assert!(error.is_denied_impersonation(), "{error}");
}

#[tokio::test]
async fn a_job_is_created_raw_and_by_the_clients_field_manager() {
    let job = json!({ "kind": "Job", "spec": { "fieldOfALaterVersion": 1 } });
    for (manager, dry_run, query) in [
        (Some("kubectl create"), false, "?fieldManager=kubectl%20create"),
        (None, true, "?fieldManager=rejob&dryRun=All"),
    ] {
        let (cluster, mut server, metrics) = connected(&[]);
        let stored = json!({ "metadata": { "uid": "new" } });
        let (created, call) = tokio::join!(
            cluster.create(
                "team",
                &job,
                manager,
                if dry_run { Write::DryRun } else { Write::Real }
            ),
            server.answers(201, stored.clone())
        );
        assert_eq!(created, Ok(stored));
        assert_eq!(call.0, "POST");
        assert_eq!(call.1, format!("/apis/batch/v1/namespaces/team/jobs{query}"));
        assert_eq!(call.2, job);
        let verb = if dry_run { "verb=\"dry-run-create\"" } else { "verb=\"create\"" };
        assert!(counted(&metrics, verb));
    }
}

#[tokio::test]
async fn a_deletion_names_uid_and_revision_and_leaves_no_pods() {
    let (cluster, mut server, _) = connected(&[]);
    let (deleted, call) = tokio::join!(
        cluster.delete("team", "nightly", "u", "7", Write::Real),
        server.answers(200, json!({ "kind": "Status" }))
    );
    assert_eq!(deleted, Ok(()));
    assert_eq!(call.0, "DELETE");
    assert_eq!(call.1, "/apis/batch/v1/namespaces/team/jobs/nightly");
    assert_eq!(
        call.2,
        json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
            "preconditions": { "uid": "u", "resourceVersion": "7" }
        })
    );
}

#[tokio::test]
async fn errors_keep_the_api_servers_code_reason_and_message() {
    for (code, reason, message) in [
        (409, "AlreadyExists", "jobs.batch \"nightly\" already exists"),
        (422, "Invalid", "Job.batch \"nightly\" is invalid"),
        (503, "ServiceUnavailable", "starting"),
    ] {
        let (cluster, mut server, metrics) = connected(&[]);
        let job = json!({});
        let (created, _) = tokio::join!(
            cluster.create("team", &job, None, Write::DryRun),
            server.answers(code, status(code, reason, message))
        );
        let error = created.unwrap_err();
        assert_eq!((error.code, error.reason.as_str()), (code, reason));
        assert_eq!(error.message, message);
        assert_eq!(error.is_already_exists(), code == 409);
        assert_eq!(error.is_passing(), code == 503);
        assert!(counted(&metrics, &format!("code=\"{code}\"")), "{code}");
    }
}

#[tokio::test]
async fn no_answer_is_an_error_that_may_pass() {
    let (cluster, server, _) = connected(&[]);
    drop(server);
    let error = cluster.delete("team", "nightly", "u", "7", Write::Real).await.unwrap_err();
    assert_eq!((error.code, error.is_passing(), error.is_stale()), (0, true, false));
}

/// A proxy's page is no list without Pods: a look at them that fails counts as working.
#[tokio::test]
async fn a_success_that_is_not_json_is_no_answer() {
    let (cluster, mut server, _) = connected(&[]);
    let page = async {
        let (_, send) = server.handle.next_request().await.expect("a request");
        send.send_response(Response::new(Body::from(b"<html>".to_vec())));
    };
    let (pods, ()) = tokio::join!(cluster.pods("team", "a=b"), page);
    assert_eq!(pods.unwrap_err().code, 0);
}

#[tokio::test]
async fn a_job_that_is_not_there_is_none() {
    let (cluster, mut server, _) = connected(&[]);
    let missing = status(404, "NotFound", "jobs.batch \"nightly\" not found");
    let (found, call) =
        tokio::join!(cluster.get("team", "nightly"), server.answers(404, missing.clone()));
    assert_eq!(found, Ok(None));
    assert_eq!(call.1, "/apis/batch/v1/namespaces/team/jobs/nightly");
}

#[tokio::test]
async fn the_webhook_configuration_is_read_by_name() {
    let (cluster, mut server, metrics) = connected(&[]);
    for (code, expected) in [(200, true), (404, false)] {
        let object = if expected {
            json!({ "apiVersion": "admissionregistration.k8s.io/v1",
                    "kind": "MutatingWebhookConfiguration", "metadata": { "name": "00-rejob" } })
        } else {
            status(code, "NotFound", "no")
        };
        let answer = server.answers(code, object);
        let (found, call) = tokio::join!(cluster.webhook_configuration("00-rejob"), answer);
        assert_eq!(found.unwrap().is_some(), expected);
        let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/00-rejob";
        assert_eq!((call.0.as_str(), call.1.as_str()), ("GET", path));
    }
    let labels = "verb=\"get\",resource=\"mutatingwebhookconfigurations\",code=\"404\"";
    assert!(counted(&metrics, labels));
}

#[tokio::test]
async fn dormant_jobs_are_listed_by_label_where_the_server_looks() {
    let (cluster, mut server, _) = connected(&[]);
    let list = json!({ "items": [{ "metadata": { "name": "a" } }] });
    let (found, call) =
        tokio::join!(cluster.list_dormant_jobs(), server.answers(200, list.clone()));
    assert_eq!(found.unwrap().len(), 1);
    assert_eq!(call.1, "/apis/batch/v1/jobs?labelSelector=rejob.dev%2Fdormant");

    let (cluster, mut server, _) = connected(&["a", "b"]);
    let (found, paths) = tokio::join!(cluster.list_dormant_jobs(), async {
        let first = server.answers(200, list.clone()).await.1;
        (first, server.answers(200, list.clone()).await.1)
    });
    assert_eq!(found.unwrap().len(), 2);
    assert!(paths.0.starts_with("/apis/batch/v1/namespaces/a/jobs?"), "{paths:?}");
    assert!(paths.1.starts_with("/apis/batch/v1/namespaces/b/jobs?"), "{paths:?}");
}

#[tokio::test]
async fn an_event_is_about_its_job_and_told_once_where_that_is_asked() {
    let event = |once| JobEvent {
        namespace: "team",
        job: "nightly",
        uid: "new",
        reason: "Replaced",
        message: "Replaced it".to_owned(),
        once,
        annotations: json!({ "rejob.dev/user": "anna" }),
    };
    let exists = json!({ "kind": "Status", "reason": "AlreadyExists", "message": "exists" });
    for (once, code, body, field, name) in [
        (None, 201, json!({}), "generateName", "nightly."),
        (Some("key"), 201, json!({}), "name", "nightly.key"),
        (Some("key"), 409, exists, "name", "nightly.key"),
    ] {
        let (cluster, mut server, _) = connected(&[]);
        let (told, call) =
            tokio::join!(cluster.publish_event(event(once)), server.answers(code, body));
        assert_eq!(told, Ok(()));
        assert_eq!((call.0.as_str(), call.1.as_str()), ("POST", "/api/v1/namespaces/team/events"));
        let event = call.2;
        assert_eq!((&event["reason"], &event["type"]), (&json!("Replaced"), &json!("Normal")));
        assert_eq!(event["message"], "Replaced it");
        assert_eq!(event["involvedObject"]["uid"], "new");
        assert_eq!(event["involvedObject"]["kind"], "Job");
        assert_eq!(event["metadata"][field], name);
        assert_eq!(event["metadata"]["annotations"]["rejob.dev/user"], "anna");
    }
}

#[tokio::test]
async fn an_introduction_is_the_version_and_the_own_name() {
    for (version, expected) in [("v1.37.2", Some((37, 2))), ("", None)] {
        let (cluster, mut server, _) = connected(&[]);
        let who = json!({ "status": { "userInfo": { "username": "me" } } });
        let (told, _) = tokio::join!(cluster.introduce(), async {
            server.answers(200, json!({ "gitVersion": version })).await;
            server.answers(201, who.clone()).await
        });
        let told = told.unwrap();
        let server = told.server.map(|server| (server.minor, server.patch));
        assert_eq!((server, told.own_user.as_str()), (expected, "me"));
    }
}
