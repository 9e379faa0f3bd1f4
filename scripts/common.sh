# What the scripts of a release share. Cargo.toml names version, repository, image and charts, and
# nothing else does: tests/image/names.rs finds any other.
# shellcheck shell=bash disable=SC2034

die() { echo "${0##*/}: $*" >&2 && exit 1; }

from_cargo() { sed -n "s/^$1 = \"\(.*\)\"$/\1/p" Cargo.toml | head -n 1; }
version=$(from_cargo version)
repository=$(from_cargo repository)
image=$(from_cargo image)
charts=$(from_cargo charts)

dist=${DIST:-$PWD/target/dist}
revision=$(git rev-parse HEAD)
# Every time in what is made, so that the same commit makes the same files.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

# A platform by the words of Go and OCI (linux-amd64), a target by Rust's.
platform() {
    case $1 in
        x86_64-unknown-linux-gnu) echo linux-amd64 ;;
        aarch64-unknown-linux-gnu) echo linux-arm64 ;;
        x86_64-apple-darwin) echo darwin-amd64 ;;
        aarch64-apple-darwin) echo darwin-arm64 ;;
        *) die "no release for the target $1" ;;
    esac
}
target() {
    local target
    for target in {x86_64,aarch64}-{unknown-linux-gnu,apple-darwin}; do
        if [[ $(platform "$target") == "$1" ]]; then echo "$target"; fi
    done
}
host=$(uname -s | tr '[:upper:]' '[:lower:]')-$(uname -m | sed -e s/x86_64/amd64/ -e s/aarch64/arm64/)

# A folder as an archive that is the same wherever and whenever it is made.
pack() {
    tar --directory "$1" --create --sort=name --format=posix --owner=0 --group=0 --numeric-owner \
        --mtime="@$SOURCE_DATE_EPOCH" --pax-option=delete=atime,delete=ctime "${@:2}"
}

# Tools come from the package registries, by version, into target/tools.
tools=$PWD/target/tools
PATH=$tools/bin:$PATH
cargo_tool() {
    local name=$1 release=$2
    command -v "$name" >/dev/null && return
    CARGO_TARGET_DIR=$tools/build cargo install "$name" --version "$release" --locked --root "$tools" "${@:3}" >&2
    rm -rf "$tools/build"
}
go_tool() {
    command -v "${1##*/}" >/dev/null || GOBIN=$tools/bin GOFLAGS='' go install "$1@$2" >&2
}
helm_tool() {
    if [[ -z ${HELM:-} ]]; then
        go_tool helm.sh/helm/v4/cmd/helm v4.3.1
    fi
    echo "${HELM:-helm}"
}
