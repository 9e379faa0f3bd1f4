//! Defaults that depend on a sibling field.

use serde_json::{Map, Value};

use super::image;

/// `imagePullPolicy` where it is the default for the image.
pub(super) fn pull_policy(container: &mut Map<String, Value>) {
    drop_default_policy(container, "image", "imagePullPolicy");
}

/// `pullPolicy` of an image volume where it is the default for the reference.
pub(super) fn volume_pull_policy(source: &mut Map<String, Value>) {
    drop_default_policy(source, "reference", "pullPolicy");
}

fn drop_default_policy(object: &mut Map<String, Value>, image: &str, policy: &str) {
    let image = object.get(image).and_then(Value::as_str).unwrap_or_default();
    let default = image::default_pull_policy(image);
    if object.get(policy).and_then(Value::as_str) == Some(default) {
        object.remove(policy);
    }
}

/// `serviceAccount`, the old name of `serviceAccountName`, which wins where both are set.
pub(super) fn service_account(spec: &mut Map<String, Value>) {
    if let Some(account) = spec.remove("serviceAccount") {
        spec.entry("serviceAccountName").or_insert(account);
    }
}
