//! Names with a template hash: `<name>-<hash>`, cut so that the result is still a Job's name.
//!
//! The limit is 63 characters, that of a label value: the API server puts the Job's name into a
//! label of every Pod (`pkg/apis/batch/validation`). An Indexed Job's Pods are named
//! `<job>-<index>`, which must fit as well.

use super::{Job, TemplateHash};

/// The longest name of a Job.
const MAX: usize = 63;

/// The name a Job is stored under with naming TemplateHash.
pub fn hashed_name(base: &str, job: Job<'_>, hash: &TemplateHash) -> String {
    let index = match job.completions() {
        Some(completions) if job.is_indexed() => 1 + (completions.max(1) - 1).to_string().len(),
        _ => 0,
    };
    let room = MAX.saturating_sub(1 + hash.as_str().len() + index);
    let Some((end, _)) = base.char_indices().nth(room) else {
        return format!("{}-{hash}", base.trim_end_matches(['-', '.']));
    };
    // Two Jobs may begin alike and have one template: what was cut off distinguishes them.
    let (cut, hash) = (base.get(..end).unwrap_or(base), hash.with(base));
    format!("{}-{hash}", cut.trim_end_matches(['-', '.']))
}

/// Whether the name already ends in the hash, as [`hashed_name`] makes it of a name that need not be
/// cut.
pub fn is_hashed_name(name: &str, hash: &TemplateHash) -> bool {
    name.strip_suffix(hash.as_str()).is_some_and(|base| base.len() > 1 && base.ends_with('-'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hash() -> TemplateHash {
        TemplateHash::parse("bcdfghjklm").unwrap()
    }

    #[test]
    fn a_short_name_is_kept_whole() {
        let job = json!({ "spec": {} });
        assert_eq!(hashed_name("nightly", Job::new(&job), &hash()), "nightly-bcdfghjklm");
    }

    #[test]
    fn a_long_name_is_cut_to_63() {
        let job = json!({ "spec": {} });
        let long = "x".repeat(62);
        let names = ["a", "b", ""].map(|end| {
            let name = hashed_name(&format!("{long}{end}"), Job::new(&job), &hash());
            assert_eq!(name.len(), 63);
            assert!(name.starts_with(&"x".repeat(52)), "{name}");
            name
        });
        let different: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(different.len(), 3, "{names:?}");
        // What just fits is not cut.
        let name = hashed_name(&"x".repeat(52), Job::new(&job), &hash());
        assert!(is_hashed_name(&name, &hash()), "{name}");
    }

    #[test]
    fn an_indexed_job_leaves_room_for_its_largest_index() {
        for (completions, digits) in [(1, 1), (10, 1), (11, 2), (1000, 3), (100_000, 5)] {
            let job =
                json!({ "spec": { "completionMode": "Indexed", "completions": completions } });
            let name = hashed_name(&"x".repeat(60), Job::new(&job), &hash());
            assert_eq!(name.len() + 1 + digits, 63, "{completions}");
        }
    }

    #[test]
    fn a_cut_never_leaves_a_dash_or_dot_before_the_dash() {
        let job = json!({ "spec": {} });
        let base = format!("{}-.-{}", "x".repeat(50), "y".repeat(20));
        let name = hashed_name(&base, Job::new(&job), &hash());
        assert_eq!(name, format!("{}-{}", "x".repeat(50), hash().with(&base)));
    }
}
