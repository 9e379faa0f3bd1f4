//! The path token of an installation: it changes under load without a failed call, in every
//! certificate mode, and nothing that rejob prints shows it.

use std::collections::BTreeSet;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::load::Load;
use support::helm::Helm;
use support::manifest::job;
use support::namespace::Namespace;
use support::output::Output;
use support::replica::Replica;
use support::service::Service;
use support::site::{self, CONFIGURATION, RELEASE, Site, status};
use support::wait;

/// A token changes at a time that the Secret names. This test sets it to now; how long a token is
/// then waited for follows from the life of certificates.
const SETS: [&str; 4] = [
    "webhook.failurePolicy=Fail",
    "server.logLevel=trace",
    "server.extraArgs[0]=--cert-life=20s",
    "server.extraArgs[1]=--ca-life=1h",
];

/// Where a certificate mode keeps the tokens.
struct Place {
    secret: &'static str,
    key: &'static str,
    /// Where in that key they are.
    pointer: &'static str,
}

/// All tokens that were ever in the Secret.
#[derive(Default)]
struct Seen(BTreeSet<String>);

impl Seen {
    fn add(&mut self, tokens: &Value) {
        let tokens = tokens.as_object().expect("tokens").iter();
        let texts = tokens.filter(|(key, _)| *key != "rotateAt");
        self.0.extend(texts.map(|(_, token)| token.as_str().expect("a token").to_owned()));
    }

    fn assert_not_in(&self, what: &str, text: &str) {
        for token in &self.0 {
            if let Some(at) = text.find(token.as_str()) {
                let around = at.saturating_sub(200)..(at + 240).min(text.len());
                let around = String::from_utf8_lossy(&text.as_bytes()[around]).into_owned();
                panic!("{what} shows a token: {around}");
            }
        }
    }
}

impl Place {
    fn path(&self, site: &Site<'_>) -> String {
        site.path("/api/v1", "secrets", self.secret)
    }

    /// The text of the key.
    fn read(&self, secret: &Value) -> Value {
        let text = STANDARD.decode(secret["data"][self.key].as_str().expect("the key")).unwrap();
        serde_json::from_slice(&text).expect("JSON")
    }

    fn tokens(&self, site: &Site<'_>) -> Value {
        let secret = site.plane.admin().get(&self.path(site)).ok();
        self.read(&secret).pointer(self.pointer).expect("tokens").clone()
    }

    /// Says that the token's time is over; what the tokens were.
    fn end(&self, site: &Site<'_>) -> Value {
        let mut before = Value::Null;
        site.plane.admin().edit(&self.path(site), |secret| {
            let mut state = self.read(secret);
            let tokens = state.pointer_mut(self.pointer).expect("tokens");
            before = tokens.clone();
            tokens["rotateAt"] = json!(Timestamp::now().to_string());
            secret["data"][self.key] = json!(STANDARD.encode(state.to_string()));
        });
        before
    }
}

/// The tokens in the paths of the entries.
fn published(site: &Site<'_>) -> BTreeSet<String> {
    let path = |config: &Value| config["service"]["path"].as_str().unwrap_or_default().to_owned();
    let token = |path: &str| path.split('/').nth(3).unwrap_or_default().to_owned();
    site.client_configs().iter().map(|config| token(&path(config))).collect()
}

/// Changes the token that often, waiting each time until everybody knows what comes next.
fn rotate(site: &Site<'_>, replicas: &[Replica<'_>], place: &Place, times: usize) -> Seen {
    let (mut seen, host) = (Seen::default(), format!("{RELEASE}.{}.svc", site.namespace.name()));
    for _ in 0..times {
        let tokens = place.tokens(site);
        let next = tokens["next"].as_str().expect("a token").to_owned();
        wait::until("every replica accepts the next token", || {
            let path = format!("/v1/t/{next}/policies/replace");
            let bundle = site.ca_bundle()?;
            let accepts = |replica: &Replica<'_>| {
                let port = replica.ports.expect("it is ready").webhook;
                // A review is posted; where the path is unknown, there is nothing to post to.
                status(port, &bundle, &host, &path) == Ok(405)
            };
            replicas.iter().all(accepts).then_some(())
        });
        let before = place.end(site);
        seen.add(&before);
        wait::until("the next token takes over", || {
            let tokens = place.tokens(site);
            seen.add(&tokens);
            let current = tokens["current"].as_str().expect("a token").to_owned();
            (tokens["current"] == before["next"] && published(site) == BTreeSet::from([current]))
                .then_some(())
        });
    }
    seen
}

/// Clients that change Jobs without a pause; what failed.
fn writers(team: &Namespace, work: impl FnOnce()) -> (Vec<String>, usize) {
    use std::sync::atomic::{AtomicBool, Ordering};

    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = |name: &'static str| {
            let done = &done;
            move || {
                let path = format!("{}/{name}", team.jobs_path());
                team.user().post(&team.jobs_path(), &job(name, "app:1")).ok();
                let (mut failures, mut count) = (Vec::new(), 0_usize);
                while !done.load(Ordering::SeqCst) {
                    count += 1;
                    let change =
                        json!({ "metadata": { "annotations": { "n": count.to_string() } } });
                    let answer = team.user().patch("merge", &path, &change);
                    if answer.status != 200 {
                        failures.push(format!("{} {}", answer.status, answer.body));
                    }
                }
                (failures, count)
            }
        };
        let writers = ["one", "two"].map(|name| scope.spawn(writer(name)));
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::SeqCst);
        let (mut failures, mut count) = (Vec::new(), 0);
        for writer in writers {
            let (failed, written) = writer.join().expect("a writer");
            failures.extend(failed);
            count += written;
        }
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
        (failures, count)
    })
}

/// Changes the token under load; then reads all that was printed.
fn changes_unseen(site: &Site<'_>, place: &Place, times: usize) {
    let mut replicas = site.replicas();
    assert_eq!(replicas.len(), 2);
    let service = Service::of(site, &replicas);
    let team = site.team("replace");
    site.wait_until_called(&team);
    let mut seen = Seen::default();
    let mut load = None;
    let (failures, written) = writers(&team, || {
        load = Some(Load::during(&team, |_| seen = rotate(site, &replicas, place, times)));
    });
    let load = load.expect("a load");
    let refused = load.failures();
    assert!(refused.is_empty(), "{} of {}: {refused:?}", refused.len(), load.reviewed());
    assert!(failures.is_empty(), "{} of {written}: {failures:?}", failures.len());
    assert!(seen.0.len() >= times, "only {} tokens", seen.0.len());
    eprintln!("{times} tokens, {} reviews, {written} writes, none failed", load.reviewed());

    let (path, dry) = (team.jobs_path(), format!("{}?dryRun=All", team.jobs_path()));
    let ok = site.doctor();
    assert!(ok.stdout.contains("its paths carry a secret token"), "{}", ok.stdout);
    for replica in &mut replicas {
        let admin = replica.ports.expect("it is ready").admin;
        for page in ["/metrics", "/readyz", "/livez"] {
            seen.assert_not_in(page, &support::net::get(admin, page).expect("an answer").1);
        }
        replica.kill();
    }
    // What fails shows the whole URL to the client; the doctor takes the token out.
    drop(service);
    let refused = team.user().post(&dry, &job("nobody", "app:1"));
    assert!(refused.message().contains("/v1/t/"), "{}", refused.message());
    let down = site.doctor();
    assert!(down.stdout.contains("/v1/t/***/policies/replace"), "{}", down.stdout);

    let program = |args: &[&str]| {
        let mut command = Command::new(support::paths::rejob());
        Output::of(command.env_clear().args(args), "")
    };
    let kubeconfig = site.plane.admin().kubeconfig().display().to_string();
    let json = program(&["doctor", "--output", "json", "--kubeconfig", &kubeconfig]);
    for (what, output) in [
        ("the doctor", ok),
        ("the doctor of what is down", down),
        ("the doctor's JSON", json),
        ("--help", program(&["serve", "--help"])),
    ] {
        assert!(!output.stdout.is_empty(), "{what}");
        seen.assert_not_in(what, &format!("{}{}", output.stdout, output.stderr));
    }
    for replica in &replicas {
        let log = replica.log();
        assert!(log.contains("\"TRACE\""), "the log has no such lines");
        seen.assert_not_in("a log", &log);
    }
    let admin = site.plane.admin();
    seen.assert_not_in("an Event", &admin.get("/api/v1/events").ok().to_string());
    seen.assert_not_in("a Job", &admin.get(&path).ok().to_string());
}

#[test]
fn thirty_tokens_under_load_fail_no_call_and_are_never_printed() {
    let cluster = site::cluster();
    let site = Site::install(&cluster.plane, Helm::V4_3, &SETS);
    let place = Place { secret: "rejob-tls", key: "state.json", pointer: "/tokens" };
    changes_unseen(&site, &place, 30);
}

#[test]
fn a_token_beside_a_provided_certificate_changes_the_same_way_and_leaves_the_bundle_alone() {
    let cluster = site::cluster();
    let provided = [
        "certificates.mode=provided",
        "certificates.provided.secretName=serving",
        "webhook.pathToken=true",
    ];
    let site = Site::install(&cluster.plane, Helm::V4_3, &[&SETS[..], &provided].concat());
    let (admin, pki) = (cluster.plane.admin(), cluster.plane.pki());
    let pair = pki.server_for(&[format!("{RELEASE}.{}.svc", site.namespace.name())]);
    let secret = json!({
        "metadata": { "name": "serving" }, "type": "kubernetes.io/tls",
        "stringData": { "tls.crt": pair.certificate, "tls.key": pair.key },
    });
    admin.post(&format!("/api/v1/namespaces/{}/secrets", site.namespace.name()), &secret).ok();
    let names: Vec<_> = site.entries().iter().map(|entry| entry["name"].clone()).collect();
    let bundle = STANDARD.encode(pki.ca());
    let webhooks: Vec<_> = names
        .iter()
        .map(|name| json!({ "name": name, "clientConfig": { "caBundle": bundle } }))
        .collect();
    admin.patch("strategic-merge", CONFIGURATION, &json!({ "webhooks": webhooks })).ok();

    let place = Place { secret: "rejob-token", key: "tokens.json", pointer: "" };
    changes_unseen(&site, &place, 10);
    assert_eq!(site.ca_bundle(), Some(pki.ca()));
    let writers = site.plane.admin().get(CONFIGURATION).ok()["metadata"]["managedFields"].clone();
    let own = writers.as_array().unwrap().iter().find(|entry| entry["manager"] == "rejob");
    let own = own.expect("rejob wrote something").to_string();
    assert!(own.contains("f:path") && !own.contains("f:caBundle"), "{own}");
}
