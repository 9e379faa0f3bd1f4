#!/usr/bin/env bash
# Shows rejob at work in the cluster of the current kubectl context, where rejob is installed:
#
#   examples/demo/demo.sh           paced for reading
#   examples/demo/demo.sh --fast    without pauses
#
# Everything happens in the namespace rejob-demo, which the script creates, and deletes at the end.
# It needs kubectl, and Helm 3 or 4. Where something is not as the story says, it ends with exit code 1.
# Without a cluster: cargo run --example demo
set -euo pipefail
cd "$(dirname "$0")/../.."

case ${1:-} in
    --fast) pause=0 ;;
    "") pause=2 ;;
    *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2 && exit 2 ;;
esac

die() { echo "demo.sh: $*" >&2 && exit 1; }

say() {
    sleep "$pause"
    echo
    echo "# $*"
    sleep "$pause"
}

# The API server's refusal repeats the whole template, and Helm says where in its code it warns.
shorten() { sed -E -e 's/(Invalid value: ).*(: field is immutable)/\1…\2/' -e 's/^[IW][0-9]{4} [^]]*\] "(.*)"$/\1/'; }

show() {
    echo "$ $1"
    eval "$1" 2>&1 | shorten
}

run() { show "$1" || die "it failed, and should not have"; }

fails() {
    if show "$1"; then die "it did not fail, and should have"; fi
}

# Waits until a command succeeds, silently.
until_true() {
    for _ in {1..60}; do
        if eval "$1" >/dev/null 2>&1; then return; fi
        sleep 1
    done
    die "$2"
}

kubectl create namespace rejob-demo >/dev/null || die "the namespace rejob-demo must be the demo's own"
work=$(mktemp -d)
trap 'kubectl delete namespace rejob-demo --wait=false >/dev/null; rm -rf "$work"' EXIT
cp -R examples/demo/nightly.yaml examples/fleet/with-rejob "$work"
cd "$work"
# A context of the demo's own, with its namespace.
kubectl config view --raw --minify --flatten >kubeconfig
export KUBECONFIG=$work/kubeconfig
kubectl config set-context --current --namespace=rejob-demo >/dev/null

# A dry run shows whether rejob is asked: it records the template's hash.
rejob_answers() {
    sed s/nightly/probe/ nightly.yaml | kubectl create -f - --dry-run=server -o yaml | grep template-hash
}
one_pod_is_left() { [[ $(kubectl get pods -o name | wc -l) == 1 ]]; }
the_event_is_there() { kubectl get events --field-selector reason=Replaced -o name | grep .; }

say "A Job is deployed, and runs."
run 'kubectl apply -f nightly.yaml'
run 'kubectl wait --for=condition=complete job/nightly --timeout=3m'

say "Its image changes. Kubernetes refuses the deploy."
run 'sed -i.bak s/busybox:1.36/busybox:1.37/ nightly.yaml'
fails 'kubectl apply -f nightly.yaml'

say "The namespace opts in to rejob. The same deploy replaces the Job."
run 'kubectl label namespace rejob-demo rejob.dev/policy=replace'
until_true rejob_answers "rejob does not answer in this cluster: install it, then rejob doctor"
run 'kubectl apply -f nightly.yaml'

say "The Job runs again, with the new image. An Event says why."
run 'kubectl wait --for=condition=complete job/nightly --timeout=3m'
until_true one_pod_is_left "the old Pod is not gone"
run 'kubectl get pods -o custom-columns=POD:.metadata.name,IMAGE:.spec.containers[*].image'
until_true the_event_is_there "there is no Event"
run "kubectl get events --field-selector reason=Replaced -o jsonpath='{..message}{\"\\n\"}'"

say "Nothing has changed: nothing runs."
run 'kubectl apply -f nightly.yaml'

say "A run that works is not cut off: the client waits for its end."
run "sed -i.bak 's/\"1\"/\"8\"/' nightly.yaml"
run 'kubectl apply -f nightly.yaml'
run "kubectl wait --for=jsonpath='{.status.ready}'=1 job/nightly --timeout=3m"
run "sed -i.bak 's/\"8\"/\"1\"/' nightly.yaml"
run 'kubectl apply -f nightly.yaml'

say "What edits a Deployment edits a Job."
run 'kubectl set image job/nightly report=docker.io/library/busybox:1.36'
run "EDITOR='sed -i.bak s/busybox:1.36/busybox:1.35/' kubectl edit job nightly"

say "Helm upgrades it."
run "helm upgrade --install pi ./with-rejob | grep STATUS"
run "helm upgrade --install pi ./with-rejob --set piplaces=20 | grep -E 'STATUS|REVISION'"

say "Without the label everything is as it was."
run 'kubectl label namespace rejob-demo rejob.dev/policy-'
until_true "! rejob_answers" "rejob still answers"
fails 'kubectl set image job/nightly report=docker.io/library/busybox:1.37'
