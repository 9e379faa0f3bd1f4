//! Many clients at once.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use support::manifest::{image, job};
use support::namespace::Namespace;
use support::plane::{ControlPlane, Options};
use support::rejob::Rejob;
use support::user::Answer;
use support::wait;

use super::deploy::{JOB, Place, assert_unmarked, uid_of};

/// Changes the image of a Job, in one of four ways.
pub(super) fn change(
    namespace: &Namespace,
    way: usize,
    manager: &str,
    name: &str,
    image: &str,
) -> Answer {
    let user = namespace.user();
    let path = format!("{}?fieldManager={manager}", namespace.job_path(name));
    let wanted = job(name, image);
    let template = json!({ "spec": { "template": wanted["spec"]["template"] } });
    match way % 4 {
        0 => user.patch("merge", &path, &template),
        1 => user.patch("strategic-merge", &path, &template),
        2 => user.apply(&format!("{path}&force=true"), &wanted),
        _ => user.put(&path, &wanted),
    }
}

/// Whether a machine that is too busy to replace a Job in time has refused it, as its client is told to
/// send it again.
fn is_out_of_time(answer: &Answer) -> bool {
    let told = answer.message();
    let words = ["takes longer than the rest of the webhook call", "send the same request again"];
    answer.status == 403 && words.iter().any(|words| told.contains(words))
}

/// Sends a request until the machine has the time for it.
fn in_time(send: impl Fn() -> Answer) -> Answer {
    wait::until("there is time for the request", || {
        Some(send()).filter(|answer| !is_out_of_time(answer))
    })
}

#[test]
fn eight_clients_change_the_same_job_and_the_last_apply_wins() {
    eight_clients(&ControlPlane::shared());
}

#[test]
fn eight_clients_do_so_without_a_watch_cache() {
    let options = Options { no_watch_cache: true, ..Options::default() };
    eight_clients(&ControlPlane::start(&options));
}

fn eight_clients(plane: &ControlPlane) {
    let rejob = Rejob::builtin(plane);
    let place = Place::new(rejob.namespace("replace"));
    place.namespace.create_job(&job(JOB, "app:0")).ok();
    let answers = Mutex::new(BTreeMap::<u16, Vec<String>>::new());
    std::thread::scope(|scope| {
        for client in 0..8 {
            let (place, answers) = (&place, &answers);
            scope.spawn(move || {
                let manager = format!("client-{client}");
                for n in 1..=25 {
                    let image = format!("app:{client}-{n}");
                    let answer =
                        in_time(|| change(&place.namespace, client, &manager, JOB, &image));
                    let mut answers = answers.lock().unwrap();
                    answers.entry(answer.status).or_default().push(answer.message().to_owned());
                }
            });
        }
    });
    let answers = answers.into_inner().unwrap();
    let count: BTreeMap<_, _> = answers.iter().map(|(code, all)| (code, all.len())).collect();
    println!("answers: {count:?}");
    for (status, messages) in &answers {
        let expected = matches!(status, 200 | 201 | 404 | 409);
        assert!(expected, "{count:?}; {status}: {messages:?}");
    }
    assert_eq!(count.values().sum::<usize>(), 200);
    assert!(answers.contains_key(&200), "nobody ever succeeded: {count:?}");

    in_time(|| change(&place.namespace, 2, "last", JOB, "app:last")).ok();
    place.assert_runs("app:last");
}

/// As a deploy tool in several pipelines: its applies cannot be told apart by who sends them.
#[test]
fn eight_clients_apply_the_same_job_by_one_manager_and_the_last_apply_wins() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let place = Place::new(rejob.namespace("replace"));
    let apply = |image: &str| {
        let path = format!("{}?fieldManager=deployer", place.namespace.job_path(JOB));
        in_time(|| place.namespace.user().apply(&path, &job(JOB, image)))
    };
    apply("app:0").ok();
    let answers = Mutex::new(BTreeMap::<u16, usize>::new());
    std::thread::scope(|scope| {
        for client in 0..8 {
            let (apply, answers) = (&apply, &answers);
            scope.spawn(move || {
                for n in 1..=12 {
                    let wanted = format!("app:{client}-{n}");
                    let answer = apply(&wanted);
                    let (status, message) = (answer.status, answer.message());
                    assert!(matches!(status, 200 | 201 | 409), "{status} {message}");
                    if status != 409 {
                        // What the client is told about is what it asked for, and is to run.
                        assert_eq!(image(&answer.body), wanted);
                        assert_eq!(answer.body["spec"]["parallelism"], 1, "{:#}", answer.body);
                        assert_unmarked(&answer.body);
                    }
                    *answers.lock().unwrap().entry(status).or_default() += 1;
                }
            });
        }
    });
    let answers = answers.into_inner().unwrap();
    println!("answers: {answers:?}");
    assert_eq!(answers.values().sum::<usize>(), 96);
    apply("app:last").ok();
    place.assert_runs("app:last");
    // Nobody else has become an owner: the same manager's next apply is no conflict.
    let owners = place.job()["metadata"]["managedFields"].clone();
    let owners = owners.as_array().unwrap().iter().filter(|entry| entry["subresource"].is_null());
    let owners: Vec<_> = owners.map(|entry| (&entry["manager"], &entry["operation"])).collect();
    assert_eq!(owners, [(&json!("deployer"), &json!("Apply"))]);
}

const JOBS: usize = 200;
const CLIENTS: usize = 16;

/// Takes the numbers below [`JOBS`], with 16 threads.
fn by_clients(work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= JOBS {
                        return;
                    }
                    work(n);
                }
            });
        }
    });
}

#[test]
fn two_hundred_jobs_replaced_at_once() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::builtin(&plane);
    let namespace = rejob.namespace("replace");
    let name = |n: usize| format!("job-{n}");
    by_clients(|n| {
        namespace.create_job(&job(&name(n), "app:1")).ok();
    });
    let uids: BTreeMap<String, String> =
        namespace.jobs().iter().map(|job| (name_of(job), uid_of(job))).collect();
    assert_eq!(uids.len(), JOBS);
    by_clients(|n| {
        let answer = change(&namespace, n, "deployer", &name(n), "app:2");
        let (status, message) = (answer.status, answer.message());
        assert!(matches!(status, 200 | 201), "{} by {}: {status} {message}", name(n), n % 4);
    });
    let jobs = namespace.jobs();
    assert_eq!(jobs.len(), JOBS);
    for job in jobs {
        assert_ne!(uids[&name_of(&job)], uid_of(&job), "{job:#}");
        assert_eq!(image(&job), "app:2");
        assert_eq!(job["spec"]["parallelism"], 1, "{job:#}");
        assert_unmarked(&job);
    }
}

fn name_of(job: &Value) -> String {
    job["metadata"]["name"].as_str().unwrap().to_owned()
}
