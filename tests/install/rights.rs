//! Each right of the chart's RBAC, taken away in turn: what the server then cannot do, and that it
//! can when the right is back. So no right is one too many.

use serde_json::{Value, json};

use super::clients::{self, uid};
use super::lifecycle::{secret_is_good, spoil_secret};
use support::helm::Helm;
use support::manifest::job;
use support::namespace::Namespace;
use support::plane;
use support::replica::Replica;
use support::service::Service;
use support::site::{self, CONFIGURATION, OFTEN, RELEASE, Site};
use support::user::User;
use support::wait;

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const REVIEW: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// What does not happen without the right.
enum Breaks {
    /// A replacement: refused with that text, the Job untouched.
    Replacement(&'static str),
    /// The replacement of a Job whose Pods hang: it is waited for as if they worked.
    Hanging,
    /// The Event about a replacement that an apply made; the calls counted under that series fail.
    EventOfAnApply(&'static str),
    /// The Event about any replacement; the log has that text.
    Event(&'static str),
    /// The removal of dormant Jobs; the log has that text.
    Reaper(&'static str),
    /// A Pod of a first installation is not ready and says so with that text.
    Start(&'static str),
    /// A certificate that cannot be used any more stays; the log has that text.
    Renewal(&'static str),
}

/// Group, resource, verb, and what breaks.
const RIGHTS: [(&str, &str, &str, Breaks); 13] = [
    (
        "authorization.k8s.io",
        "subjectaccessreviews",
        "create",
        Breaks::Replacement("subjectaccessreviews"),
    ),
    ("", "namespaces", "get", Breaks::Replacement("namespaces")),
    ("batch", "jobs", "create", Breaks::Replacement("jobs")),
    ("batch", "jobs", "delete", Breaks::Replacement("jobs")),
    ("", "pods", "list", Breaks::Hanging),
    (
        "batch",
        "jobs",
        "get",
        Breaks::EventOfAnApply(
            "rejob_api_requests_total{verb=\"get\",resource=\"jobs\",code=\"403\"}",
        ),
    ),
    ("", "events", "create", Breaks::Event("cannot create the Event Replaced")),
    ("batch", "jobs", "list", Breaks::Reaper("cannot list dormant Jobs")),
    (
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations",
        "get",
        Breaks::Start("rejob may not get MutatingWebhookConfiguration 00-rejob"),
    ),
    (
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations",
        "patch",
        Breaks::Start("rejob may not patch MutatingWebhookConfiguration 00-rejob"),
    ),
    ("", "secrets", "get", Breaks::Start("rejob may not get Secret")),
    ("", "secrets", "create", Breaks::Start("rejob may not create Secret")),
    ("", "secrets", "patch", Breaks::Renewal("rejob may not patch Secret")),
];

#[test]
fn each_right_that_is_taken_away_is_missed() {
    let cluster = site::cluster();
    let site = Site::install(&cluster.plane, Helm::V4_3, &[&OFTEN[..], &["replicas=1"]].concat());
    let mut bench = Bench::new(&site);
    let granted: usize = bench.roles.iter().map(|(_, rules)| verbs(rules)).sum();
    assert_eq!(granted, RIGHTS.len(), "a right of the chart is not in the table");
    for (group, resource, verb, breaks) in &RIGHTS {
        bench.take_away(group, resource, verb);
        bench.breaks(breaks);
        bench.give_back(group, resource, verb);
        bench.works(breaks);
    }
}

fn verbs(rules: &[Value]) -> usize {
    rules.iter().map(|rule| rule["verbs"].as_array().unwrap().len()).sum()
}

/// One replica whose rights change.
struct Bench<'a, 'p> {
    site: &'a Site<'p>,
    account: User,
    /// The paths of the two roles, and the rules that the chart gave them.
    roles: [(String, Vec<Value>); 2],
    team: Namespace,
    replica: Replica<'p>,
    service: Service,
    /// The Job that a case is about, and its uid.
    subject: (String, String),
}

impl<'a, 'p> Bench<'a, 'p> {
    fn new(site: &'a Site<'p>) -> Self {
        let replica = site.replicas().remove(0);
        let service = Service::of(site, std::slice::from_ref(&replica));
        let team = site.team("replace");
        site.wait_until_called(&team);
        let roles = [
            format!("{RBAC}/clusterroles/{RELEASE}"),
            site.path(RBAC, "roles", &format!("{RELEASE}-certificates")),
        ];
        let rules = |path: &str| site.plane.admin().get(path).ok()["rules"].clone();
        let roles = roles.map(|path| {
            let rules = rules(&path).as_array().expect("rules").clone();
            (path, rules)
        });
        let account = site.plane.service_account(site.namespace.name(), RELEASE);
        let subject = (String::new(), String::new());
        Self { site, account, roles, team, replica, service, subject }
    }

    fn take_away(&self, group: &str, resource: &str, verb: &str) {
        for (path, rules) in &self.roles {
            let mut fewer = rules.clone();
            for rule in &mut fewer {
                if rule["apiGroups"] == json!([group]) && rule["resources"] == json!([resource]) {
                    rule["verbs"].as_array_mut().unwrap().retain(|has| has != verb);
                }
            }
            fewer.retain(|rule| rule["verbs"] != json!([]));
            self.site.plane.admin().patch("merge", path, &json!({ "rules": fewer })).ok();
        }
        self.wait_for_right(group, resource, verb, false);
    }

    fn give_back(&self, group: &str, resource: &str, verb: &str) {
        for (path, rules) in &self.roles {
            self.site.plane.admin().patch("merge", path, &json!({ "rules": rules })).ok();
        }
        self.wait_for_right(group, resource, verb, true);
    }

    /// The API server learns of a changed role by its own watch.
    fn wait_for_right(&self, group: &str, resource: &str, verb: &str, allowed: bool) {
        let (namespace, name) = match resource {
            "secrets" => (self.site.namespace.name(), "rejob-tls"),
            "mutatingwebhookconfigurations" => ("", "00-rejob"),
            "namespaces" => (self.team.name(), self.team.name()),
            _ => (self.team.name(), ""),
        };
        let review = json!({ "spec": { "resourceAttributes": {
            "namespace": namespace, "name": name,
            "group": group, "resource": resource, "verb": verb,
        }}});
        wait::until(&format!("{verb} {resource} is allowed: {allowed}"), || {
            let answer = self.account.post(REVIEW, &review).ok();
            (answer["status"]["allowed"] == allowed).then_some(())
        });
    }

    fn apply(&self, image: &str) -> support::user::Answer {
        let name = &self.subject.0;
        let path = format!("{}?fieldManager=team&force=true", self.team.job_path(name));
        self.team.user().apply(&path, &job(name, image))
    }

    /// A new Job, applied.
    fn new_subject(&mut self) {
        self.subject.0 = format!("job-{}", plane::unique());
        self.apply("app:1").ok();
        self.subject.1 = uid(&self.team, &self.subject.0);
    }

    /// The new uid after a replacement by an apply of that image.
    fn replaced(&self, image: &str) -> String {
        self.apply(image).ok();
        let new = uid(&self.team, &self.subject.0);
        assert_ne!(new, self.subject.1);
        new
    }

    fn has_event(&self, uid: &str) -> Option<Value> {
        clients::event(self.site.plane, &self.team, uid)
    }

    fn breaks(&mut self, breaks: &Breaks) {
        match breaks {
            Breaks::Replacement(text) => {
                self.new_subject();
                let answer = self.apply("app:2");
                assert_eq!(answer.status, 403, "{}", answer.body);
                assert!(answer.message().contains(text), "{text}: {}", answer.message());
                assert_eq!(uid(&self.team, &self.subject.0), self.subject.1);
            }
            Breaks::Hanging => {
                self.new_subject();
                self.team.started_pods(&self.subject.0);
                wait::until("a Pod is counted", || {
                    (self.team.job(&self.subject.0)?["status"]["active"] == 1).then_some(())
                });
                let answer = self.apply("app:2");
                assert_eq!(answer.status, 429, "{}", answer.body);
                assert_eq!(uid(&self.team, &self.subject.0), self.subject.1);
            }
            Breaks::EventOfAnApply(series) => {
                self.new_subject();
                let before = self.replica.metric(series);
                self.subject.1 = self.replaced("app:2");
                // It looks ten times.
                wait::until("it gives up looking for the new Job", || {
                    (self.replica.metric(series) >= before + 10.0).then_some(())
                });
                assert!(self.has_event(&self.subject.1).is_none());
            }
            Breaks::Event(text) => {
                self.new_subject();
                self.subject.1 = self.replaced("app:2");
                self.replica.wait_for_log(text);
                assert!(self.has_event(&self.subject.1).is_none());
            }
            Breaks::Reaper(text) => {
                self.team = clients::left_dormant(self.site.plane);
                self.replica.wait_for_log(text);
                assert!(self.team.job("cut-off").is_some());
            }
            Breaks::Start(text) => {
                self.start_afresh();
                wait::until(&format!("/readyz says {text:?}"), || {
                    self.replica.readiness().err().filter(|why| why.contains(text))
                });
            }
            Breaks::Renewal(text) => {
                spoil_secret(self.site);
                self.replica.wait_for_log(text);
                assert!(!secret_is_good(self.site));
            }
        }
    }

    fn works(&mut self, breaks: &Breaks) {
        match breaks {
            Breaks::Replacement(_) | Breaks::Hanging => {
                self.replaced("app:2");
            }
            Breaks::EventOfAnApply(_) | Breaks::Event(_) => {
                let new = self.replaced("app:3");
                wait::until("the Event", || self.has_event(&new));
            }
            Breaks::Reaper(_) => {
                wait::until("the dormant Job is reaped", || {
                    self.team.job("cut-off").is_none().then_some(())
                });
                self.team = self.site.team("replace");
            }
            Breaks::Start(_) => {
                self.replica.wait_until_ready();
                self.service.add(&self.replica);
                self.site.wait_until_called(&self.team);
            }
            Breaks::Renewal(_) => {
                wait::until("the Secret is repaired", || secret_is_good(self.site).then_some(()));
            }
        }
    }

    /// A Pod of a first installation in the place of the one that runs: no Secret, and neither
    /// caBundle nor path in the webhook configuration, as the chart has it.
    fn start_afresh(&mut self) {
        let ports = self.replica.ports.expect("it was ready");
        self.replica.kill();
        self.service.wait_until_gone(ports);
        let path = self.site.path("/api/v1", "secrets", "rejob-tls");
        self.site.plane.admin().delete(&path, &json!({})).ok();
        self.unpublish();
        self.replica = Replica::start(self.site);
    }

    fn unpublish(&self) {
        self.site.plane.admin().edit(CONFIGURATION, |configuration| {
            for entry in configuration["webhooks"].as_array_mut().unwrap() {
                let config = entry["clientConfig"].as_object_mut().unwrap();
                config.remove("caBundle");
                config["service"].as_object_mut().unwrap().remove("path");
            }
        });
    }
}
