#!/bin/sh
# Makes a CA and a serving certificate for rejob with openssl, and writes the manifests that bring
# them into the cluster. Nothing is sent anywhere: read the files, then apply them.
#
#   certs/make-certificate.sh --namespace rejob --service rejob --out ./rejob-certs
#
# Run it again with the same --out to renew the serving certificate under the same CA.
set -eu

namespace=rejob service=rejob secret=rejob-serving out=./rejob-certs
configuration='' policies=replace,hash-name,ttl,dormant,rerun days=365 ca_days=3650 ca_cert='' ca_key='' names=''

usage() {
    cat <<'HELP'
Usage: make-certificate.sh [OPTIONS]
  --namespace NAME      namespace of the release                        [rejob]
  --service NAME        name of rejob's Service                         [rejob]
  --secret NAME         name of the Secret that is written              [rejob-serving]
  --configuration NAME  MutatingWebhookConfiguration                    [00-<service>]
  --policies A,B,…      policies of the release, for ca-bundle.yaml, and
                        dormant and rerun where one replaces
                                          [replace,hash-name,ttl,dormant,rerun]
  --names A,B,…         more DNS names, such as the host of webhook.url
  --days N              life of the serving certificate                 [365]
  --ca-days N           life of the CA                                  [3650]
  --ca-cert FILE        sign with this CA instead of making one …
  --ca-key FILE         … and its key
  --out DIR             where the files go                              [./rejob-certs]
HELP
}

fail() { echo "make-certificate.sh: $1" >&2; exit "${2:-1}"; }

while [ $# -gt 0 ]; do
    case $1 in
        -h|--help) usage; exit 0 ;;
        --namespace|--service|--secret|--configuration|--policies|--names|--days|--ca-days|--ca-cert|--ca-key|--out) ;;
        *) fail "unknown option $1; --help lists the options" 2 ;;
    esac
    [ $# -gt 1 ] || fail "$1 needs a value" 2
    case $1 in
        --namespace) namespace=$2 ;;
        --service) service=$2 ;;
        --secret) secret=$2 ;;
        --configuration) configuration=$2 ;;
        --policies) policies=$2 ;;
        --names) names=$2 ;;
        --days) days=$2 ;;
        --ca-days) ca_days=$2 ;;
        --ca-cert) ca_cert=$2 ;;
        --ca-key) ca_key=$2 ;;
        --out) out=$2 ;;
    esac
    shift 2
done

command -v openssl >/dev/null || fail "openssl is not on PATH: install it"
for number in "$days" "$ca_days"; do
    case $number in ''|*[!0-9]*) fail "$number is not a number of days" 2 ;; esac
done
for name in "$namespace" "$service" "$secret" $(echo "$policies,$names" | tr ',' ' '); do
    case $name in *[!a-z0-9.*-]*|-*|.*) fail "$name is not a name that Kubernetes or DNS allows" 2 ;; esac
done
if [ -n "$ca_cert$ca_key" ]; then
    if [ ! -f "$ca_cert" ] || [ ! -f "$ca_key" ]; then
        fail "--ca-cert and --ca-key must both name a file" 2
    fi
fi
# As the chart derives it from the full name.
case $service in
    rejob*) : "${configuration:=00-$service}" ;;
    *) : "${configuration:=00-rejob-$service}" ;;
esac

umask 077
mkdir -p "$out"
work=$(mktemp -d "$out/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# 1. The CA: given, made by an earlier run, or made now.
if [ -n "$ca_cert" ]; then
    cp "$ca_cert" "$work/ca.crt"
    ca_key_file=$ca_key
elif [ -f "$out/ca.crt" ] && [ -f "$out/ca.key" ]; then
    openssl x509 -checkend $((days * 86400)) -noout -in "$out/ca.crt" >/dev/null ||
        fail "the CA in $out ends before a certificate of $days days would: move ca.crt and ca.key away for a new CA, and put both CAs into caBundle while you change over"
    cp "$out/ca.crt" "$work/ca.crt"
    ca_key_file=$out/ca.key
else
    [ "$ca_days" -gt "$days" ] || fail "--ca-days must be more than --days" 2
    cat >"$work/ca.cnf" <<'CNF'
[req]
distinguished_name = dn
x509_extensions = ext
prompt = no
[dn]
CN = rejob-ca
[ext]
basicConstraints = critical, CA:true, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
CNF
    openssl ecparam -name prime256v1 -genkey -noout -out "$work/ca.key"
    openssl req -x509 -new -sha256 -key "$work/ca.key" -days "$ca_days" -config "$work/ca.cnf" -out "$work/ca.crt"
    ca_key_file=$work/ca.key
fi

# 2. The serving certificate. API servers look at the alternative names alone.
{
    cat <<CNF
[req]
distinguished_name = dn
prompt = no
[dn]
CN = rejob
[ext]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = @names
[names]
CNF
    number=0
    for name in "$service.$namespace.svc" "$service.$namespace.svc.cluster.local" $(echo "$names" | tr ',' ' '); do
        number=$((number + 1))
        echo "DNS.$number = $name"
    done
} >"$work/leaf.cnf"
openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$work/tls.key"
openssl req -new -sha256 -key "$work/tls.key" -config "$work/leaf.cnf" -out "$work/leaf.csr"
openssl x509 -req -sha256 -in "$work/leaf.csr" -days "$days" -set_serial "0x$(openssl rand -hex 16 | sed 's/^./1/')" \
    -CA "$work/ca.crt" -CAkey "$ca_key_file" -extfile "$work/leaf.cnf" -extensions ext -out "$work/leaf.crt" 2>/dev/null ||
    fail "the CA cannot sign: is the key the one of the certificate?"
cat "$work/leaf.crt" "$work/ca.crt" >"$work/tls.crt"
openssl verify -x509_strict -CAfile "$work/ca.crt" -purpose sslserver "$work/leaf.crt" >/dev/null ||
    fail "the certificate does not verify against the CA"

# 3. The manifests.
encode() { openssl base64 -A -in "$1"; }
cat >"$work/secret.yaml" <<YAML
apiVersion: v1
kind: Secret
metadata:
  name: $secret
  namespace: $namespace
type: kubernetes.io/tls
data:
  tls.crt: $(encode "$work/tls.crt")
  tls.key: $(encode "$work/tls.key")
YAML
# shellcheck disable=SC2046 # one word for each policy
"$(dirname "$0")/ca-bundle.sh" "$work/ca.crt" $(echo "$policies" | tr ',' ' ') >"$work/ca-bundle.yaml"
for file in ca.key tls.crt tls.key ca.crt secret.yaml ca-bundle.yaml; do
    if [ -f "$work/$file" ]; then mv "$work/$file" "$out/$file"; fi
done

cat <<DONE
Written to $out: tls.crt, tls.key, ca.crt, secret.yaml, ca-bundle.yaml

Next:
  kubectl apply -f $out/secret.yaml
  helm upgrade --install rejob charts/rejob --namespace $namespace \\
    --set certificates.mode=provided --set certificates.provided.secretName=$secret \\
    --set webhook.pathToken=true
  kubectl patch mutatingwebhookconfiguration $configuration --type=strategic --patch-file=$out/ca-bundle.yaml
DONE
