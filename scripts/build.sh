#!/usr/bin/env bash
# Builds the program for one target and prints the path of the binary:
#
#   scripts/build.sh x86_64-unknown-linux-gnu [release|dev]
#
# The Dockerfile, the release and the tests build with this script. On Linux the binary is static (glibc
# with crt-static), so that it runs in an image that holds nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$1 profile=${2:-release}

case $target in
    *-linux-gnu) export RUSTFLAGS="-C target-feature=+crt-static" ;;
esac
# Debian and Ubuntu have the native linker under this name too.
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc

# cargo-auditable writes the list of dependencies into the binary, for scanners (`cargo audit bin`,
# Trivy, Grype).
case $profile in
    release) command=(auditable build) folder=release ;;
    dev) command=(build) folder=debug ;;
    *) echo "no profile $profile: release or dev" >&2 && exit 2 ;;
esac
cargo "${command[@]}" --locked --profile "$profile" --bin rejob --target "$target" >&2
echo "${CARGO_TARGET_DIR:-target}/$target/$folder/rejob"
