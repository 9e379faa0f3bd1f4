//! Names with a template hash: `<name>-<hash>`, cut so that the result is still a Job's name.
//!
//! The limit is 63 characters, that of a label value: the API server puts the Job's name into a
//! label of every Pod (`pkg/apis/batch/validation`). An Indexed Job's Pods are named
//! `<job>-<index>`, which must fit as well.

use super::{Job, TemplateHash};

/// The longest name of a Job.
const MAX: usize = 63;

/// The name a Job is stored under with naming TemplateHash.
#[must_use]
pub fn hashed_name(base: &str, job: Job<'_>, hash: &TemplateHash) -> String {
    let index = match job.completions() {
        Some(completions) if job.is_indexed() => 1 + (completions.max(1) - 1).to_string().len(),
        _ => 0,
    };
    let room = MAX.saturating_sub(1 + hash.as_str().len() + index);
    let cut =
        base.char_indices().nth(room).map_or(base, |(end, _)| base.get(..end).unwrap_or(base));
    format!("{}-{hash}", cut.trim_end_matches(['-', '.']))
}

/// Whether the name already ends in the hash, as [`hashed_name`] makes it.
#[must_use]
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
        let name = hashed_name(&"x".repeat(63), Job::new(&job), &hash());
        assert_eq!(name.len(), 63);
        assert!(is_hashed_name(&name, &hash()));
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
        assert_eq!(
            hashed_name(&base, Job::new(&job), &hash()),
            format!("{}-bcdfghjklm", "x".repeat(50))
        );
    }
}
