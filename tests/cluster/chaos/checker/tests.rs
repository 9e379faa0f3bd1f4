use super::*;
use crate::chaos::history::Pod;

fn seen(uid: &str, image: &str) -> Seen {
    Seen {
        uid: uid.to_owned(),
        image: image.to_owned(),
        rest: 0,
        parallelism: 1,
        label: None,
        dormant: false,
        marker: false,
    }
}

fn image(image: &str) -> Wish {
    Wish::Image(image.to_owned())
}

fn pod(owner: &str, image: &str) -> Pod {
    Pod { owner: owner.to_owned(), image: image.to_owned() }
}

/// A command that succeeds, with that Job in the answer and in storage.
fn done(wish: Wish, now: Seen) -> Vec<Event> {
    vec![
        Event::Asked(wish.clone(), "Put".to_owned()),
        Event::Answered(wish, Ok(Some(now.clone()))),
        Event::Read(Some(now)),
    ]
}

/// Two deploys, as they should be.
fn good() -> JobHistory {
    let events = [done(image("a"), seen("1", "a")), done(image("b"), seen("2", "b"))].concat();
    let pods = vec![pod("1", "a"), pod("2", "b")];
    JobHistory { job: "nightly".to_owned(), events, pods, ..JobHistory::default() }
}

#[track_caller]
fn assert_finds(history: &JobHistory, words: &str) {
    let found = violations(history);
    assert!(found.iter().any(|found| found.contains(words)), "{words:?} is not in {found:#?}");
}

#[test]
fn a_good_history_has_no_violations() {
    assert_eq!(violations(&good()), [""; 0]);
    let mut more = good();
    more.events.extend(done(image("b"), seen("2", "b")));
    more.events.extend(done(Wish::Rerun, seen("3", "b")));
    let mut labeled = seen("3", "b");
    labeled.label = Some("x".to_owned());
    more.events.extend(done(Wish::Label("x".to_owned()), labeled));
    more.pods.push(pod("3", "b"));
    assert_eq!(violations(&more), [""; 0]);
    more.shared = true;
    more.events.push(Event::Answered(image("b"), Err("409".to_owned())));
    assert_eq!(violations(&more), [""; 0]);
}

#[test]
fn a_success_about_another_template_is_found() {
    let mut history = good();
    history.events.extend(done(image("c"), seen("2", "b")));
    assert_finds(&history, "told success about");
}

#[test]
fn a_template_that_changed_beside_its_image_is_found() {
    let mut history = good();
    history.events.extend(done(image("c"), Seen { rest: 1, ..seen("3", "c") }));
    history.pods.push(pod("3", "c"));
    assert_finds(&history, "changed beside its image");
}

#[test]
fn a_success_about_a_dormant_job_is_found() {
    let mut dormant = seen("3", "c");
    (dormant.dormant, dormant.parallelism) = (true, 0);
    let mut history = good();
    history.events.extend(done(image("c"), dormant));
    assert_finds(&history, "does not run");
    assert_finds(&history, "left half replaced");
}

#[test]
fn a_stored_marker_is_found() {
    let marked = Seen { marker: true, ..seen("3", "c") };
    let mut history = good();
    history.events.extend(done(image("c"), marked.clone()));
    assert_finds(&history, "does not run");
    let mut history = good();
    history.events.push(Event::Read(Some(marked)));
    assert_finds(&history, "left half replaced");
}

#[test]
fn a_success_that_starts_no_pod_is_found() {
    let mut history = good();
    history.pods.pop();
    assert_finds(&history, "runs nothing in the end");
    history.events.push(Event::NeverStarted("2".to_owned()));
    assert_finds(&history, "never started");
}

#[test]
fn a_run_that_nobody_asked_for_is_found() {
    let mut history = good();
    history.pods.push(pod("3", "z"));
    assert_finds(&history, "z ran 1 times, asked for 0");
}

#[test]
fn a_run_too_many_is_found() {
    let mut history = good();
    history.pods.push(pod("3", "b"));
    assert_finds(&history, "b ran 2 times, asked for 1");
}

#[test]
fn an_unchanged_deploy_that_runs_is_found() {
    let mut history = good();
    history.events.extend(done(image("b"), seen("3", "b")));
    history.pods.push(pod("3", "b"));
    assert_finds(&history, "changed nothing and ran");
    assert_finds(&history, "b ran 2 times");
}

#[test]
fn a_rerun_that_runs_nothing_is_found() {
    let mut history = good();
    history.events.extend(done(Wish::Rerun, seen("2", "b")));
    assert_finds(&history, "Rerun ran nothing");
}

#[test]
fn a_changed_deploy_that_runs_nothing_is_found() {
    let mut history = good();
    history.events.extend(done(image("c"), seen("2", "c")));
    assert_finds(&history, "Image(\"c\") ran nothing");
}

#[test]
fn a_label_that_changes_the_template_is_found() {
    let changed = Seen { label: Some("x".to_owned()), ..seen("2", "c") };
    let mut history = good();
    history.events.extend(done(Wish::Label("x".to_owned()), changed));
    assert_finds(&history, "changed the image");
}

#[test]
fn a_job_that_is_lost_is_found() {
    let mut history = good();
    history.events.push(Event::Read(None));
    assert_finds(&history, "the Job is lost");
    assert_finds(&history, "there is no Job in the end");
}

#[test]
fn a_success_that_does_not_last_is_found() {
    let mut history = good();
    history.events.push(Event::Read(Some(seen("1", "a"))));
    assert_finds(&history, "nobody asked");
}

#[test]
fn a_lost_label_and_a_lost_scale_are_found() {
    for wish in [Wish::Label("x".to_owned()), Wish::Parallelism(2)] {
        let mut history = good();
        history.events.extend(done(wish, seen("2", "b")));
        assert_finds(&history, "told success about");
    }
}

#[test]
fn a_command_that_never_succeeds_is_found() {
    let mut history = good();
    history.events.push(Event::Asked(image("c"), "Put".to_owned()));
    history.events.push(Event::Answered(image("c"), Err("500".to_owned())));
    history.events.push(Event::Read(Some(seen("2", "b"))));
    assert_finds(&history, "never succeeded");
}

#[test]
fn after_a_command_that_was_given_up_either_job_may_be_there() {
    for run in [true, false] {
        let mut history = good();
        history.events.extend([
            Event::Asked(image("c"), "Put".to_owned()),
            Event::Answered(image("c"), Err("500".to_owned())),
            Event::GaveUp,
        ]);
        history.events.extend(done(image("d"), seen("4", "d")));
        history.pods.push(pod("4", "d"));
        if run {
            history.pods.push(pod("3", "c"));
        }
        assert_eq!(violations(&history), [""; 0]);
        history.pods.push(pod("5", "c"));
        history.pods.push(pod("6", "c"));
        assert_finds(&history, "asked for 1");
    }
}

#[test]
fn a_job_that_stays_dormant_is_found() {
    let mut history = good();
    history.events.push(Event::StaysDormant);
    assert_finds(&history, "it stays dormant");
}

#[test]
fn a_deploy_that_fails_where_nothing_goes_wrong_is_found() {
    let with = |there, error: &str| {
        let mut history = good();
        history.events.push(Event::Calm(there));
        history.events.push(Event::Asked(image("c"), "Put".to_owned()));
        history.events.push(Event::Answered(image("c"), Err(error.to_owned())));
        history.events.extend(done(image("c"), seen("3", "c")).split_off(1));
        history.pods.push(pod("3", "c"));
        history
    };
    assert_finds(&with(true, "404 not found"), "nothing goes wrong");
    let busy = "Error from server (TooManyRequests): try again";
    for (there, error) in [(true, "429 wait"), (true, busy), (false, "404 not found")] {
        assert_eq!(violations(&with(there, error)), [""; 0]);
    }
}

/// Two clients deploy to the Job at once; kubectl's success about `a` is followed by that look.
fn shared(look: Option<Seen>, meanwhile: bool) -> JobHistory {
    let b = vec![
        Event::Asked(image("b"), "Put".to_owned()),
        Event::Answered(image("b"), Ok(Some(seen("2", "b")))),
    ];
    let a = vec![Event::Answered(image("a"), Ok(None)), Event::Read(look)];
    let asked = vec![Event::Asked(image("a"), "KubectlApply".to_owned())];
    let events = if meanwhile { [asked, b, a] } else { [b, asked, a] };
    let pods = vec![pod("1", "a"), pod("2", "b")];
    let (job, events) = ("nightly".to_owned(), events.concat());
    JobHistory { job, shared: true, events, pods, ..JobHistory::default() }
}

#[test]
fn a_shared_job_that_is_not_as_asked_is_found() {
    let dormant = Seen { dormant: true, ..seen("1", "a") };
    assert_eq!(violations(&shared(Some(seen("1", "a")), false)), [""; 0]);
    for look in [None, Some(seen("2", "b")), Some(dormant)] {
        assert_eq!(violations(&shared(look.clone(), true)), [""; 0]);
        assert_finds(&shared(look, false), "told success, and found");
    }
    for look in [seen("3", "z"), Seen { marker: true, ..seen("1", "a") }] {
        assert_finds(&shared(Some(look), true), "told success, and found");
    }
}

#[test]
fn a_shared_job_that_runs_too_often_is_found() {
    let mut history = shared(Some(seen("1", "a")), true);
    history.pods.push(pod("3", "a"));
    assert_finds(&history, "a ran 2 times, asked for 1");
    history.events.insert(1, Event::Answered(image("a"), Err("429 wait".to_owned())));
    assert_finds(&history, "a ran 2 times, asked for 1");
    history.events.insert(1, Event::Answered(image("a"), Err("500 cut".to_owned())));
    assert_eq!(violations(&history), [""; 0]);
}

#[test]
fn what_is_there_is_known_from_a_success_on() {
    let mut history = shared(Some(seen("1", "a")), true);
    assert!(!history.is_unsure());
    history.events.insert(1, Event::GaveUp);
    assert!(!history.is_unsure(), "b began later");
    history.events.push(Event::GaveUp);
    assert!(history.is_unsure());
    history.events.push(Event::Answered(image("a"), Ok(None)));
    assert!(history.is_unsure(), "a began before");
}

#[test]
fn a_job_that_is_deleted_while_it_works_is_found() {
    let history = JobHistory { deleted_while_ready: vec!["1".to_owned()], ..good() };
    assert_finds(&history, "deleted while a Pod of it was ready");
}
