//! Each right of rejob's service account, taken away in turn.

use super::clinic::{installed, rules, turn};
use support::wait;

/// In the order of the rules.
const RIGHTS: [&str; 9] = [
    "get jobs.batch",
    "list jobs.batch",
    "create jobs.batch",
    "delete jobs.batch",
    "create subjectaccessreviews.authorization.k8s.io",
    "get namespaces",
    "list pods",
    "create events",
    "get mutatingwebhookconfigurations.admissionregistration.k8s.io",
];

#[test]
fn each_right_that_is_missing_is_named_and_no_other() {
    let turn = turn();
    let (release, rejob) = installed(&turn);
    let admin = turn.plane().admin();
    turn.doctor().is_well();
    for (index, right) in RIGHTS.iter().enumerate() {
        let mut fewer = rules(rejob.configuration());
        fewer.remove(index);
        release.grant(&admin, &fewer);
        let account = format!("{}/{}", release.namespace.name(), release.account);
        let only = format!("{account}: the service account may not {right}");
        // The API server learns of a changed role by its own watch.
        wait::until(&format!("the doctor misses {right}, and nothing else"), || {
            let seen = turn.doctor();
            let missing = seen.messages("problem", "rights");
            let is_it = missing.len() == 1 && missing[0].starts_with(&only);
            is_it.then(|| seen.finds("rights", right))
        });
    }
    release.grant(&admin, &rules(rejob.configuration()));
    wait::until("all rights are back", || (turn.doctor().output.code == 0).then_some(()));
}
