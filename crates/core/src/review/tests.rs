//! What is not a review is told so in words about JSON.

use serde_json::{Value, json};

use super::*;

fn review() -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "AdmissionReview",
        "request": {
            "uid": "u1",
            "kind": { "group": "batch", "version": "v1", "kind": "Job" },
            "operation": "CREATE",
            "userInfo": { "username": "jane", "groups": null },
            "object": { "metadata": { "name": "web" } },
            "oldObject": null,
            "options": { "fieldManager": "kubectl" },
        },
    })
}

fn refusal(body: impl AsRef<[u8]>) -> String {
    let sentence = parse(body.as_ref()).unwrap_err().to_string();
    for word in ["struct", "Wire", "enum", "variant", "tuple", "sequence of", "EOF", "::"] {
        assert!(!sentence.contains(word), "{sentence}");
    }
    sentence
}

#[test]
fn a_review_is_read() {
    let request = parse(review().to_string().as_bytes()).unwrap();
    assert!(request.is_job);
    assert_eq!((request.operation, request.user.username.as_str()), (Operation::Create, "jane"));
    assert_eq!(request.field_manager.as_deref(), Some("kubectl"));
    assert_eq!(
        (request.object.unwrap()["metadata"]["name"].as_str(), request.old_object),
        (Some("web"), None)
    );
}

#[test]
fn each_operation_has_its_word() {
    for (sent, word) in
        [("CREATE", "CREATE"), ("UPDATE", "UPDATE"), ("DELETE", "OTHER"), ("CONNECT", "OTHER")]
    {
        let mut review = review();
        review["request"]["operation"] = json!(sent);
        assert_eq!(parse(review.to_string().as_bytes()).unwrap().operation.label(), word);
    }
}

#[test]
fn an_empty_body_is_called_empty() {
    for body in ["", " \r\n\t"] {
        assert_eq!(
            refusal(body),
            "the body is empty; send an AdmissionReview of admission.k8s.io/v1"
        );
    }
}

#[test]
fn a_body_that_is_no_object_is_no_review() {
    let fields = json!([API_VERSION, "AdmissionReview", review()["request"]]).to_string();
    for body in ["[]", "null", "1", "\"AdmissionReview\"", "true", &fields] {
        assert_eq!(refusal(body), "the body is not an AdmissionReview: it is not a JSON object");
    }
}

#[test]
fn what_is_an_object_in_a_review_cannot_be_anything_else() {
    let values: Value = review()["request"].as_object().unwrap().values().cloned().collect();
    for (pointer, value) in [
        ("/request", values),
        ("/request", json!([])),
        ("/request", json!("x")),
        ("/request/kind", json!(["batch", "v1", "Job"])),
        ("/request/kind", json!(1)),
        ("/request/userInfo", json!(["jane", "", [], {}])),
        ("/request/options", json!(["kubectl"])),
    ] {
        let mut review = review();
        *review.pointer_mut(pointer).unwrap() = value;
        let sentence = refusal(review.to_string());
        assert!(sentence.contains("expected an object at line 1"), "{sentence}");
    }
}

#[test]
fn a_field_of_the_wrong_type_is_told_in_words_of_json() {
    for (pointer, value, words) in [
        ("/apiVersion", json!(1), "expected a string"),
        ("/request/uid", json!(["u1"]), "expected a string"),
        ("/request/uid", json!(""), "request.uid is empty"),
        ("/request/uid", json!("u".repeat(1025)), "request.uid is longer than 1024 bytes"),
        ("/request/userInfo/username", json!("u".repeat(1025)), "userInfo.username is longer"),
        ("/request/operation", json!({ "CREATE": null }), "expected a string"),
        ("/request/operation", json!(1), "expected a string"),
        ("/request/dryRun", json!("yes"), "expected a boolean"),
        ("/request/userInfo/groups", json!("admins"), "expected a sequence"),
        ("/request/userInfo/extra", json!([]), "expected a map"),
        ("/request/object", json!([]), "request.object is not an object"),
        ("/request", json!(null), "it has no request"),
        ("/request", json!({}), "missing field `uid`"),
        ("/kind", json!("Job"), "the body is a \"Job\" of"),
        ("/kind", json!(""), "the body is without a kind"),
    ] {
        let mut review = review();
        let field = pointer.rsplit('/').next().unwrap();
        let parent = review.pointer_mut(pointer.strip_suffix(&format!("/{field}")).unwrap());
        parent.unwrap()[field] = value;
        let sentence = refusal(review.to_string());
        assert!(sentence.contains(words), "{pointer}: {sentence}");
    }
}

#[test]
fn json_that_is_none_is_located() {
    let whole = review().to_string();
    for length in 1..whole.len() {
        assert!(refusal(&whole[..length]).contains("ends too early, at line 1"), "{length}");
    }
    assert!(refusal("{x}").contains("line 1 column 2"));
    assert!(refusal([b'{', 0xff]).contains("line 1 column 2"));
    assert!(refusal(format!("{whole} x")).contains("trailing characters"));
}

#[test]
fn objects_that_cannot_be_read_are_wrong_only_where_they_are_jobs() {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    for object in [r#"{"spec":1e999}"#, &format!(r#"{{"spec":{deep}}}"#), "1e999"] {
        let body = |kind: &str| {
            let mut review = review();
            review["request"]["kind"]["kind"] = json!(kind);
            review["request"]["object"] = json!("here");
            review.to_string().replace(r#""here""#, object)
        };
        let pod = parse(body("Pod").as_bytes()).unwrap();
        assert!(!pod.is_job && pod.object.is_none(), "{object}");
        assert!(parse(body("Job").as_bytes()).is_err(), "{object}");
    }
}

#[test]
fn an_object_may_be_deep_but_not_without_end() {
    for (levels, read) in [(100, true), (120, true), (200, false)] {
        let object = format!(r#"{{"spec":{}1{}}}"#, "[".repeat(levels), "]".repeat(levels));
        let mut review = review();
        review["request"]["object"] = json!("here");
        let body = review.to_string().replace(r#""here""#, &object);
        assert_eq!(parse(body.as_bytes()).is_ok(), read, "{levels}");
    }
}

/// One key is a sign for `serde_json`'s own reader, with and without an escape in it.
#[test]
fn no_string_is_read_as_json_whatever_its_key_is() {
    for key in ["$serde_json::private::RawValue", r"\u0024serde_json::private::RawValue"] {
        for text in ["oops", "[[1]]"] {
            let object = format!(r#"{{"metadata":{{"annotations":{{"{key}":"{text}"}}}}}}"#);
            for padding in [0, 100_000] {
                let mut review = review();
                review["request"]["object"] = json!("here");
                let body = review.to_string().replace(r#""here""#, &object) + &" ".repeat(padding);
                let object = parse(body.as_bytes()).unwrap().object.unwrap();
                let annotation =
                    &object["metadata"]["annotations"]["$serde_json::private::RawValue"];
                assert_eq!(*annotation, text, "{key} {padding}");
            }
        }
    }
}

#[test]
fn another_version_is_told_so_whatever_its_request_lacks() {
    for request in [json!({}), json!({ "uid": 1 }), json!([]), review()["request"].clone()] {
        let mut body =
            json!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1" });
        body["request"] = request;
        let told = "the body is a \"AdmissionReview\" of \"admission.k8s.io/v1beta1\"; send an \
                    AdmissionReview of admission.k8s.io/v1";
        assert_eq!(refusal(body.to_string()), told);
    }
}
