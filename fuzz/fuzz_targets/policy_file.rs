//! Bytes to a policy file: no panic, and an error is one that names the file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match rejob_fuzz::policy_file::parse(text, "policies.yaml") {
        Ok(set) => assert!(set.names().next().is_some()),
        Err(error) => assert!(error.to_string().contains("policies.yaml")),
    }
});
