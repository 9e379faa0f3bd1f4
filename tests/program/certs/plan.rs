//! The plan, rule by rule: what was seen, and the one thing to do next.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rejob::certs::CertError;
use rejob::certs::bundle::Fingerprint;
use rejob::certs::change::apply;
use rejob::certs::configuration::WebhookConfiguration;
use rejob::certs::plan::{Action, Lifetimes, SecretChange, Situation, Waiting, next};
use rejob::certs::state::CertSecret;
use rejob::certs::token::TokenSource;
use serde_json::json;

const DAY: Duration = Duration::from_hours(24);

/// Counts.
#[derive(Default)]
struct Counter(u64);

impl TokenSource for Counter {
    fn token(&mut self) -> Result<String, CertError> {
        self.0 += 1;
        Ok(format!("{:040x}", self.0))
    }
}

/// A situation, changed step by step.
struct Case {
    now: Timestamp,
    lives: Lifetimes,
    names: Vec<String>,
    secret: Option<CertSecret>,
    published: Option<WebhookConfiguration>,
    published_for: BTreeMap<Fingerprint, Duration>,
    token_for: Duration,
    random: Counter,
}

impl Case {
    /// Everything made and published long ago, by the lives of the defaults.
    fn settled() -> Self {
        let mut case = Self {
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            lives: Lifetimes::new(DAY * 90, DAY * 365),
            names: vec!["rejob.ns.svc".to_owned()],
            secret: None,
            published: None,
            published_for: BTreeMap::new(),
            token_for: Duration::ZERO,
            random: Counter::default(),
        };
        case.act(&SecretChange::Create);
        case.publish();
        case
    }

    fn seen(&self) -> Situation<'_> {
        Situation {
            now: self.now,
            lives: &self.lives,
            names: &self.names,
            secret: self.secret.as_ref(),
            published: self.published.as_ref(),
            published_for: &self.published_for,
            token_for: self.token_for,
        }
    }

    fn next(&self) -> Action {
        next(self.seen())
    }

    fn act(&mut self, change: &SecretChange) {
        let mut random = std::mem::take(&mut self.random);
        self.secret = Some(apply(change, self.seen(), &mut random).unwrap());
        self.random = random;
    }

    fn secret(&mut self) -> &mut CertSecret {
        self.secret.as_mut().unwrap()
    }

    /// As every API server sees it, for an hour.
    fn publish(&mut self) {
        let token = self.secret().state.as_ref().unwrap().tokens.current.clone();
        self.publish_token(&token);
    }

    fn publish_token(&mut self, token: &str) {
        let secret = self.secret.as_ref().unwrap();
        let path = Some(format!("/v1/t/{token}/policies/ttl"));
        let published = configuration(&secret.bundle(), path);
        let hour = Duration::from_hours(1);
        self.published_for = published.trusted_by_all().map(|ca| (ca, hour)).collect();
        self.published = Some(published);
    }
}

/// A configuration with one entry.
fn configuration(bundle: &str, path: Option<String>) -> WebhookConfiguration {
    let entry = json!({
        "name": "ttl.rejob.dev", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {
            "caBundle": STANDARD.encode(bundle),
            "service": { "name": "rejob", "namespace": "ns", "path": path },
        },
    });
    let object = json!({ "metadata": {}, "webhooks": [entry] });
    WebhookConfiguration::new(serde_json::from_value(object).unwrap())
}

fn writes(action: &Action) -> &SecretChange {
    let Action::Write(change) = action else { panic!("{action:?} is not a write") };
    change
}

#[test]
fn nothing_is_done_while_everything_is_in_order() {
    let mut case = Case::settled();
    assert_eq!(case.next(), Action::Wait(Waiting::Settled));
    case.now += DAY * 59;
    assert_eq!(case.next(), Action::Wait(Waiting::Settled));
}

#[test]
fn the_next_token_takes_over_every_hour_once_the_current_one_was_seen_published() {
    let mut case = Case::settled();
    case.token_for = case.lives.propagation;
    let state = case.secret().state.clone().unwrap();
    case.now += Duration::from_hours(1) - Duration::from_secs(1);
    assert_eq!(case.next(), Action::Wait(Waiting::Settled));
    case.now += Duration::from_secs(1);
    case.token_for -= Duration::from_secs(1);
    assert_eq!(case.next(), Action::Wait(Waiting::Settled), "not yet for long enough");
    case.token_for = case.lives.propagation;
    assert_eq!(case.next(), Action::Write(SecretChange::RotateToken));
    case.act(&SecretChange::RotateToken);
    let tokens = case.secret().state.clone().unwrap().tokens;
    assert_eq!(tokens.previous, Some(state.tokens.current));
    assert_eq!(tokens.rotate_at, case.now + Duration::from_hours(1));
    assert_eq!(case.next(), Action::Publish);
    case.publish();
    assert_eq!(case.next(), Action::Wait(Waiting::Settled));
}

#[test]
fn a_rotation_further_ahead_than_a_good_clock_writes_is_due() {
    let mut case = Case::settled();
    let latest = case.now + case.lives.token + case.lives.skew;
    let rotate_at = |case: &mut Case, at| {
        case.secret().state.as_mut().unwrap().tokens.rotate_at = at;
        case.next()
    };
    case.token_for = case.lives.propagation;
    assert_eq!(rotate_at(&mut case, latest), Action::Wait(Waiting::Settled), "clocks differ");
    let second = Duration::from_secs(1);
    assert_eq!(rotate_at(&mut case, latest + second), Action::Write(SecretChange::RotateToken));
    assert_eq!(rotate_at(&mut case, Timestamp::MAX), Action::Write(SecretChange::RotateToken));
    case.token_for -= second;
    assert_eq!(case.next(), Action::Wait(Waiting::Settled), "not yet for long enough");
}

#[test]
fn a_next_token_that_is_published_already_takes_over() {
    let mut case = Case::settled();
    let next = case.secret().state.as_ref().unwrap().tokens.next.clone();
    case.publish_token(&next);
    assert_eq!(case.next(), Action::Write(SecretChange::RotateToken));
    case.act(&SecretChange::RotateToken);
    assert_eq!(case.secret().state.as_ref().unwrap().tokens.current, next);
    assert_eq!(case.next(), Action::Wait(Waiting::Settled), "the path stays as it is");
}

#[test]
fn each_defect_has_its_repair() {
    type Spoil = fn(&mut Case);
    let cases: &[(&str, Spoil, &str)] = &[
        ("no Secret", |case| case.secret = None, "Create"),
        ("a bad CA", |case| case.secret().ca = Err("x".to_owned()), "ReplaceCa"),
        ("an expired CA", |case| case.now += DAY * 366, "ReplaceCa"),
        ("a bad state", |case| case.secret().state = Err("x".to_owned()), "RepairState"),
        ("a bad leaf", |case| case.secret().leaf = Err("x".to_owned()), "RenewLeaf"),
        ("a missing name", |case| case.names.push("other".to_owned()), "RenewLeaf"),
        ("two thirds of the life gone", |case| case.now += DAY * 60, "RenewLeaf"),
        (
            "no configuration does not stop a renewal",
            |case| {
                case.published = None;
                case.now += DAY * 60;
            },
            "RenewLeaf",
        ),
    ];
    for (what, spoil, expected) in cases {
        let mut case = Case::settled();
        spoil(&mut case);
        let action = case.next();
        assert!(format!("{:?}", writes(&action)).starts_with(expected), "{what}: {action:?}");
        // The repair is enough: after it and a publication, all is well.
        let change = writes(&action).clone();
        case.act(&change);
        case.published.is_none().then(|| case.publish());
        for _ in 0..3 {
            match case.next() {
                Action::Write(change @ SecretChange::Adopt(_)) => case.act(&change),
                Action::Publish => case.publish(),
                _ => break,
            }
        }
        assert_eq!(case.next(), Action::Wait(Waiting::Settled), "{what}");
    }
}

#[test]
fn a_configuration_is_waited_for_and_written() {
    let mut case = Case::settled();
    case.published = None;
    assert_eq!(case.next(), Action::Wait(Waiting::NoConfiguration));
    case.published = Some(WebhookConfiguration::default());
    assert_eq!(case.next(), Action::Wait(Waiting::NoConfiguration));
    case.published = Some(configuration("", None));
    assert_eq!(case.next(), Action::Publish);
}

#[test]
fn a_clock_that_is_behind_is_not_acted_on() {
    let mut case = Case::settled();
    case.now -= DAY;
    assert_eq!(case.next(), Action::Wait(Waiting::ClockBehind));
}

#[test]
fn a_ca_is_staged_published_awaited_promoted_and_its_forerunner_dropped() {
    let mut case = Case::settled();
    case.now += DAY * 244;
    for _ in 0..2 {
        // The leaf first.
        let change = writes(&case.next()).clone();
        assert!(matches!(change, SecretChange::RenewLeaf(_) | SecretChange::StageCa), "{change:?}");
        case.act(&change);
    }
    assert!(case.secret().next.is_some());
    assert_eq!(case.next(), Action::Publish);
    case.publish();
    let ca = case.secret().next.as_ref().unwrap().anchor.fingerprint;
    case.published_for.insert(ca, case.lives.propagation / 2);
    assert_eq!(case.next(), Action::Wait(Waiting::Settled), "not yet for long enough");
    case.published_for.insert(ca, case.lives.propagation);
    assert_eq!(case.next(), Action::Write(SecretChange::PromoteCa));
    case.act(&SecretChange::PromoteCa);
    assert_eq!(case.next(), Action::Wait(Waiting::Settled), "the bundle stays as it is");

    let state = case.secret().state.clone().unwrap();
    case.now = state.retired[0].until + case.lives.skew;
    while let Action::Write(change @ SecretChange::RenewLeaf(_)) = case.next() {
        case.act(&change);
    }
    assert_eq!(case.next(), Action::Wait(Waiting::Settled), "a leaf of it may still be served");
    case.now += Duration::from_secs(1);
    let change = writes(&case.next()).clone();
    assert!(matches!(change, SecretChange::Drop(_)), "{change:?}");
    case.act(&change);
    assert_eq!(case.next(), Action::Publish);
    case.publish();
    let change = writes(&case.next()).clone();
    assert!(matches!(change, SecretChange::Forget(_)), "{change:?}");
    case.act(&change);
    assert!(case.secret().state.as_ref().unwrap().retired.is_empty());
    assert_eq!(case.next(), Action::Wait(Waiting::Settled));
}
