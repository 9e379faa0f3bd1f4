#!/usr/bin/env bash
# Makes what a release consists of; the release workflow and the tests run this script.
#
#   scripts/release.sh --dry-run [BINARY]       all of it on this machine, for this platform only
#   scripts/release.sh check TAG                the tag, Cargo.toml and CHANGELOG.md agree
#   scripts/release.sh stage TARGET [BINARY]    builds for one target, or takes that binary
#   scripts/release.sh assemble                 everything else, from all that is staged
#
# Everything goes to $DIST (target/dist). With a BINARY nothing is compiled. Nothing is published:
# that is scripts/publish.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh
# The modes of files in archives do not depend on who makes them.
umask 022

check() {
    [[ $1 == "v$version" ]] || die "the tag $1 is not v$version, the version in Cargo.toml"
    grep -q "^## $version - " CHANGELOG.md ||
        die "CHANGELOG.md has no section \"## $version - DATE\": rename Unreleased"
}

stage() {
    local target=$1 binary=${2:-} platform
    platform=$(platform "$target")
    if [[ -z $binary ]]; then
        if command -v rustup >/dev/null; then rustup target add "$target" >&2; fi
        cargo_tool cargo-auditable 0.7.7
        binary=$(scripts/build.sh "$target")
    fi
    # An image without libraries cannot run anything else.
    if [[ $platform == linux-* ]] && readelf --program-headers "$binary" | grep -q INTERP; then
        die "$binary is not static: build it with scripts/build.sh"
    fi
    mkdir -p "$dist/stage/$platform"
    cp "$binary" "$dist/stage/$platform/rejob"
}

assemble() {
    [[ -f $dist/stage/$host/rejob ]] || die "nothing is staged for $host: run scripts/release.sh stage"
    # Artifacts of workflows forget modes.
    chmod 0755 "$dist"/stage/*/rejob
    rm -rf "$dist/work" "$dist/image"
    rm -f "$dist"/*.*
    mkdir -p "$dist/work"
    "$dist/stage/$host/rejob" --version | grep -qx "rejob $version" ||
        die "the binary for $host is not of version $version"

    archives
    sboms
    package
    scripts/oci-layout.sh "$dist/stage" "$dist/image"
    notes >"$dist/notes.md"
    krew >"$dist/rejob.yaml"
    (cd "$dist" && sha256sum -- *.tar.gz *.tgz *.cdx.json rejob.yaml >SHA256SUMS)
    rm -rf "$dist/work"
}

# One archive for each platform: the program, completions, man pages, the license.
archives() {
    local shared=$dist/work/shared stage platform name shell
    mkdir -p "$shared/completions"
    for shell in bash elvish fish powershell zsh; do
        "$dist/stage/$host/rejob" generate completions "$shell" >"$shared/completions/rejob.$shell"
    done
    "$dist/stage/$host/rejob" generate man "$shared/man"
    cp LICENSE "$shared"
    for stage in "$dist"/stage/*; do
        platform=${stage##*/} name=rejob-$version-${stage##*/}
        mkdir "$dist/work/$name"
        cp -R "$shared/." "$dist/work/$name"
        cp "$stage/rejob" "$dist/work/$name"
        # The name by which kubectl finds it.
        ln -s rejob "$dist/work/$name/kubectl-rejob"
        pack "$dist/work" "$name" | gzip --no-name >"$dist/$name.tar.gz"
    done
}

# The chart. helm takes the times of its files over, which in a clone are those of the checkout.
package() {
    cp -R charts/rejob "$dist/work/chart"
    find "$dist/work/chart" -exec touch --date="@$SOURCE_DATE_EPOCH" {} +
    "$(helm_tool)" package "$dist/work/chart" --destination "$dist" >&2
}

# What is compiled into each binary, with licenses and checksums.
sboms() {
    local stage platform target made linked
    cargo_tool cargo-cyclonedx 0.5.9 --debug
    for stage in "$dist"/stage/*; do
        platform=${stage##*/} target=$(target "${stage##*/}")
        cargo cyclonedx --quiet --format json --spec-version 1.5 --describe binaries \
            --target "$target" --target-in-filename
        made=rejob_bin_$target.cdx.json
        linked=$(cargo tree --locked --package rejob --edges=normal,build --target "$target" --prefix=none --format='{p}' |
            awk '{ print "pkg:cargo/" $1 "@" substr($2, 2) }' | sort -u | jq -Rnc '[inputs]')
        # cargo-cyclonedx also lists what only features that are off would need, a second TLS provider
        # for one; and it names the folders of the build.
        jq --arg here "path+file://$PWD" --argjson linked "$linked" '
            (.. | strings) |= (sub("\\Q\($here)\\E[^#]*#"; "pkg:cargo/") | sub("\\?download_url=file:.*"; ""))
            | .components |= map(select(.purl | IN($linked[])))
            | [(.metadata.component, .components[])["bom-ref"]] as $listed
            | .dependencies |= map(select(.ref | IN($listed[]))
                | if .dependsOn then .dependsOn |= map(select(IN($listed[]))) else . end)' \
            "$made" >"$dist/rejob-$version-$platform.cdx.json"
        rm "$made"
    done
}

# The changelog's section of this version; before it has one (in a dry run), what is unreleased.
notes() {
    local title=Unreleased
    if grep -q "^## $version - " CHANGELOG.md; then title="$version - "; fi
    awk -v title="## $title" '/^## /{ on = index($0, title) == 1; next } on' CHANGELOG.md |
        sed -e '/./,$!d'
}

# The manifest of kubectl's plugin manager, for `kubectl krew install --manifest`.
krew() {
    local archive name platform
    cat <<MANIFEST
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: rejob
spec:
  version: v$version
  homepage: $repository
  shortDescription: Shows, explains and reruns the Jobs that rejob redeploys
  description: |
    rejob is an admission webhook that redeploys Kubernetes Jobs the way you
    redeploy Deployments. This plugin shows what became of the Jobs (kubectl
    rejob status), runs one again (kubectl rejob rerun), says what a deploy
    would do (kubectl rejob explain) and checks an installation (kubectl rejob
    doctor).
  platforms:
MANIFEST
    for archive in "$dist"/*.tar.gz; do
        name=$(basename "$archive" .tar.gz) platform=${archive##*"$version"-}
        platform=${platform%.tar.gz}
        cat <<MANIFEST
    - selector:
        matchLabels:
          os: ${platform%-*}
          arch: ${platform#*-}
      uri: $repository/releases/download/v$version/$name.tar.gz
      sha256: $(sha256sum "$archive" | cut -d ' ' -f 1)
      files:
        - from: $name/rejob
          to: .
        - from: $name/LICENSE
          to: .
      bin: rejob
MANIFEST
    done
}

case ${1:-} in
    --dry-run)
        rm -rf "$dist"
        stage "$(target "$host")" "${2:-}"
        assemble
        echo "made in $dist:"
        (cd "$dist" && ls -d -- *.* SHA256SUMS image)
        ;;
    check | stage | assemble) "$@" ;;
    *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2 && exit 2 ;;
esac
