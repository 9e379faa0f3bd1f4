//! Defaults that depend on a sibling field.

use super::image;
use super::normal::{Fields, Normal};

/// `imagePullPolicy` where it is the default for the image.
pub(super) fn pull_policy(container: &mut Fields<'_>) {
    drop_default_policy(container, "image", "imagePullPolicy");
}

/// `pullPolicy` of an image volume where it is the default for the reference.
pub(super) fn volume_pull_policy(source: &mut Fields<'_>) {
    drop_default_policy(source, "reference", "pullPolicy");
}

fn drop_default_policy(object: &mut Fields<'_>, image: &str, policy: &str) {
    let image = object.get(image).and_then(Normal::as_str).unwrap_or_default();
    let default = image::default_pull_policy(image);
    if object.get(policy).and_then(Normal::as_str) == Some(default) {
        object.remove(policy);
    }
}

/// `serviceAccount`, the old name of `serviceAccountName`, which wins where both are set.
pub(super) fn service_account(spec: &mut Fields<'_>) {
    if let Some(account) = spec.remove("serviceAccount") {
        spec.insert_missing("serviceAccountName", account);
    }
}
