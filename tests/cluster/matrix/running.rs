//! A Job that does not end in time: the client waits, then gets a readable error.

use support::plane::ControlPlane;
use support::rejob::Rejob;
use support::wait;

use support::client::{JOB, Place, job};

#[test]
fn a_job_that_does_not_end_in_time_is_a_readable_error_and_untouched() {
    let plane = ControlPlane::shared();
    let rejob = Rejob::with_policies(&plane, "policies: {replace: {waitSeconds: 10}}");
    let place = Place::new(&rejob, true);
    let apply =
        |image| place.namespace.kubectl_with(&job(image).to_string(), &["apply", "-f", "-"]);
    apply("busybox:1").ok();
    place.namespace.ready_pods(JOB);
    let old = place.uid();
    let output = apply("busybox:2").exited(1);
    assert!(output.stderr.contains("job nightly is still running"), "{}", output.stderr);
    assert!(output.stderr.contains("rejob.dev/while-running"), "{}", output.stderr);
    assert_eq!(place.uid(), old);
    wait::until("kubectl is seen to have tried again by itself", || {
        let tries = rejob.log().lines().filter(|line| line.contains("running_wait")).count();
        (tries > 1).then_some(())
    });
}
