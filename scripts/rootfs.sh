#!/usr/bin/env bash
# Lays out the root file system of the image: the program, its user, the CA certificates of this
# machine, /tmp. No shell, no libraries, no package manager:
#
#   scripts/rootfs.sh BINARY DIR
set -euo pipefail
binary=$1 root=$2

install -D --mode=0755 "$binary" "$root/rejob"
# For API servers whose certificate a public CA has signed (`rejob doctor` with a kubeconfig).
install -D --mode=0644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
echo "rejob:x:65532:65532:rejob:/:/nonexistent" >"$root/etc/passwd"
echo "rejob:x:65532:" >"$root/etc/group"
mkdir -p "$root/tmp"
# Whatever the umask says.
chmod 0755 "$root" "$root/etc" "$root/etc/ssl" "$root/etc/ssl/certs"
chmod 0644 "$root/etc/passwd" "$root/etc/group"
chmod 1777 "$root/tmp"
