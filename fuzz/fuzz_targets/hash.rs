//! Bytes to a Job to its hash and its differences: no panic, and one and the same hash when the
//! Job is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rejob_core::job::{TemplateHash, changes, immutable_part};
use serde_json::{Value, json};

fuzz_target!(|bytes: &[u8]| {
    let Ok(read) = serde_json::from_slice::<Value>(bytes) else { return };
    let job = read.get("spec").map_or_else(|| json!({ "spec": read }), |_| read.clone());
    let hash = TemplateHash::of(&job);
    assert_eq!(TemplateHash::parse(hash.as_str()), Some(hash.clone()));
    let again: Value = serde_json::from_str(&job.to_string()).expect("JSON that was written");
    assert_eq!(TemplateHash::of(&again), hash);
    assert!(changes(&job, &job).is_empty());

    // The normal form is one: normalizing it once more changes nothing. It depends on two fields
    // that are not in it.
    let part = immutable_part(&job);
    let mut again = json!({ "spec": part });
    for field in ["manualSelector", "parallelism"] {
        if let Some(value) = job["spec"].get(field) {
            again["spec"][field] = value.clone();
        }
    }
    assert_eq!(immutable_part(&again), part);

    let empty = json!({});
    for change in changes(&empty, &job).iter().chain(&changes(&job, &empty)) {
        assert!(!change.describe().chars().any(char::is_control));
    }
    assert_eq!(changes(&empty, &job).is_empty(), TemplateHash::of(&empty) == hash);
});
