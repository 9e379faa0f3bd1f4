//! What is already known from the dry run that asked whose difference it is.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_dormant_form_that_was_accepted_is_not_tried_again() {
    for (as_user, accepted) in [(false, true), (false, false), (true, true), (true, false)] {
        let mut fake = Fake::new(well);
        fake.as_user = as_user;
        let (plan, deadline) = (plan(Mode::Recreate), Instant::now() + TIME);
        let checked = Checked { accepted, ..Checked::default() };
        let outcome = run(&fake, &plan, "replace", deadline, checked).await;
        assert!(matches!(outcome, Outcome::Replaced(_)), "{outcome:?}");
        assert_eq!(fake.count("dry-run-dormant"), usize::from(!accepted));
        assert_eq!(fake.count("dry-run") + fake.count("create-as-user"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn checks_that_were_made_of_the_same_job_are_not_made_again() {
    let planned = plan(Mode::Recreate);
    let looked = Plan { old_run: "active".into(), ..plan(Mode::Recreate) };
    let other = Plan { job: json!({ "metadata": {}, "spec": {} }), ..plan(Mode::Recreate) };
    let newer = Plan { resource_version: "8".into(), ..plan(Mode::Recreate) };
    for (plan, accepted, times) in [
        (&planned, true, 1),
        (&looked, true, 1),
        (&planned, false, 2),
        (&other, true, 2),
        (&newer, true, 2),
    ] {
        let fake = Fake::new(well);
        let deadline = Instant::now() + TIME;
        let checks = check(&fake, &planned, "replace", deadline).await;
        assert_eq!(fake.count("dry-run-dormant"), 0);
        let checked = Checked { accepted, checks: Some(Box::new(checks)), ..Checked::default() };
        let outcome = run(&fake, plan, "replace", deadline, checked).await;
        assert!(matches!(outcome, Outcome::Replaced(_)), "{outcome:?}");
        for check in ["opt-in", "may-delete", "may-create", "dry-run"] {
            assert_eq!(fake.count(check), times, "{check}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_failed_beside_the_question_refuses() {
    let fake =
        Fake::new(|name, _| (name == "may-delete").then_some((Duration::ZERO, Ok(json!(false)))));
    let (plan, deadline) = (plan(Mode::Recreate), Instant::now() + TIME);
    let checks = check(&fake, &plan, "replace", deadline).await;
    let checked = Checked { accepted: true, checks: Some(Box::new(checks)), ..Checked::default() };
    let outcome = run(&fake, &plan, "replace", deadline, checked).await;
    assert!(matches!(outcome, Outcome::Refused(Reason::RightsDenied, _)), "{outcome:?}");
    assert_eq!(fake.count("delete"), 0);
}
