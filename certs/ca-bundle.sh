#!/bin/sh
# Prints the patch that puts a CA into rejob's webhook configuration: one entry for each policy
# and, where a policy replaces, dormant and rerun, the entries of rejob's own:
#
#   certs/ca-bundle.sh ca.crt replace hash-name ttl dormant rerun >ca-bundle.yaml
#   kubectl patch mutatingwebhookconfiguration 00-rejob --type=strategic --patch-file=ca-bundle.yaml
#
# A patch and not an apply: the entries stay those of the chart, which can take one out again.
set -eu

fail() { echo "ca-bundle.sh: $1" >&2; exit "${2:-1}"; }

[ $# -ge 2 ] || fail "usage: ca-bundle.sh CA_FILE POLICY…" 2
ca=$1
shift
command -v openssl >/dev/null || fail "openssl is not on PATH: install it"
openssl x509 -noout -in "$ca" 2>/dev/null || fail "$ca holds no certificate in PEM"
bundle=$(openssl base64 -A -in "$ca")
echo "webhooks:"
for policy; do
    case $policy in *[!a-z0-9-]*|-*|'') fail "$policy is not the name of a policy" 2 ;; esac
    printf '  - name: %s.rejob.dev\n    clientConfig:\n      caBundle: %s\n' "$policy" "$bundle"
done
