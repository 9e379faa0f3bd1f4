//! `caBundle` of each entry against the certificate that is really served, and its validity.

use std::collections::BTreeSet;

use crate::doctor::facts::{Certificate, ChainSource, Facts};
use crate::doctor::finding::{About, Finding};
use crate::doctor::installation::Settings;
use crate::doctor::trust::{self, ChainVerdict};
use crate::kubernetes::webhook::{Entry, Target};
use crate::words::span;

/// Certificates that end sooner than this, in seconds, end soon; shorter-lived ones when less than
/// a sixth of their life is left. Whatever renews them should have done so at two thirds.
const SOON: i64 = 14 * 86_400;

pub fn certificates(facts: &Facts, findings: &mut Vec<Finding>) {
    let mut judged = BTreeSet::new();
    for entry in facts.entries() {
        let Some(target) = entry.target() else { continue };
        let Some(certificate) = facts.certificates.get(&target) else { continue };
        bundle(facts, &entry, &target, certificate, findings);
        if judged.insert(target.clone()) {
            validity(facts, &target, certificate, findings);
        }
    }
}

/// What gets a good certificate, and its CA, into place: it depends on who makes it.
pub(super) fn renew(facts: &Facts, target: &Target) -> String {
    let installation = facts.installation_of(target);
    let settings = installation.and_then(|one| Some((&one.namespace, one.settings()?)));
    match settings {
        Some((namespace, settings)) if settings.self_managed => format!(
            "kubectl --namespace {namespace} rollout restart deployment/{}",
            settings.deployment
        ),
        Some((namespace, Settings { secret: Some(secret), .. })) => format!(
            "kubectl --namespace {namespace} describe certificate, or put a new one into the Secret \
             {secret} as certs/README.md says"
        ),
        _ => "renew the certificate that is served there: certs/README.md".to_owned(),
    }
}

fn give_bundle(facts: &Facts, entry: &Entry<'_>, target: &Target) -> String {
    if facts.writes_itself(target) {
        return renew(facts, target);
    }
    format!(
        "certs/ca-bundle.sh ca.crt {} >ca-bundle.yaml && kubectl patch \
         mutatingwebhookconfiguration {} --type=strategic --patch-file=ca-bundle.yaml",
        entry.policy, entry.configuration
    )
}

fn judge(
    facts: &Facts,
    target: &Target,
    certificate: &Certificate,
    bundle: Option<&[u8]>,
) -> Result<ChainVerdict, String> {
    let chain = certificate.chain.as_ref().map_err(Clone::clone)?;
    trust::judge(chain, &target.host, bundle, facts.now())
}

fn bundle(
    facts: &Facts,
    entry: &Entry<'_>,
    target: &Target,
    certificate: &Certificate,
    findings: &mut Vec<Finding>,
) {
    let about = About::new("ca-bundle", entry.subject());
    let Some(bundle) = entry.ca_bundle() else {
        findings.push(if target.service.is_some() {
            about.problem(
                "it has no caBundle, so the API server trusts no certificate of rejob's",
                give_bundle(facts, entry, target),
            )
        } else {
            about.hint(
                "it has no caBundle: the API server accepts only a certificate of a public CA \
                 there",
                give_bundle(facts, entry, target),
            )
        });
        return;
    };
    let against = match &certificate.source {
        ChainSource::Handshake => format!("the certificate that {target} serves"),
        ChainSource::Secret { name, instead } => {
            format!("the certificate in the Secret {name} ({instead})")
        }
    };
    findings.push(match judge(facts, target, certificate, Some(bundle)) {
        Err(error) => about.unchecked("its caBundle", &error),
        Ok(ChainVerdict { untrusted: Some(why), .. }) => about.problem(
            format!("its caBundle does not match {against}: {why}"),
            give_bundle(facts, entry, target),
        ),
        Ok(_) => about.ok(format!("its caBundle matches {against}")),
    });
}

fn validity(
    facts: &Facts,
    target: &Target,
    certificate: &Certificate,
    findings: &mut Vec<Finding>,
) {
    let about = About::new("certificate", target.to_string());
    let verdict = match judge(facts, target, certificate, None) {
        Ok(verdict) => verdict,
        Err(error) => {
            findings.push(about.unchecked("the certificate", &error));
            return;
        }
    };
    let now = facts.now();
    let left = verdict.not_after.as_second() - now.as_second();
    let problem = |message: String| about.problem(message, renew(facts, target));
    if let Some(why) = &verdict.wrong_name {
        findings.push(problem(format!("the certificate is not for {}: {why}", target.host)));
    }
    findings.push(if left < 0 {
        problem(format!("the certificate expired at {}", verdict.not_after))
    } else if now < verdict.not_before {
        problem(format!("the certificate is not valid before {}", verdict.not_before))
    } else if left < SOON
        && left * 6 < verdict.not_after.as_second() - verdict.not_before.as_second()
    {
        problem(format!(
            "the certificate expires in {}, at {}, and should have been renewed by now",
            span(left),
            verdict.not_after
        ))
    } else {
        about.ok(format!("the certificate is valid until {}", verdict.not_after))
    });
}
