#!/usr/bin/env bash
# Assembles the image as an OCI layout without a container engine, from the Linux binaries that are
# staged and from what the Dockerfile says about user, ports, command and labels:
#
#   scripts/oci-layout.sh STAGE LAYOUT
#
# https://github.com/opencontainers/image-spec/blob/main/image-layout.md
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh
stage=$1 layout=$2
created=$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$layout/blobs/sha256"

# Stores a file under its digest and prints its descriptor, as of that media type.
blob() {
    local digest
    digest=$(sha256sum "$1" | cut -d ' ' -f 1)
    cp "$1" "$layout/blobs/sha256/$digest"
    jq -nc --arg type "application/vnd.oci.image.$2" --arg digest "sha256:$digest" \
        --argjson size "$(stat --format=%s "$1")" '{mediaType: $type, digest: $digest, size: $size}'
}

of_dockerfile() { sed -n "s/^$1 //p" Dockerfile; }
labels=$(sed -n 's/.*\(org\.opencontainers\.image\.[a-z]*\)="\(.*\)".*/\1=\2/p' Dockerfile |
    sed -e "s|\$VERSION|$version|" -e "s|\$REVISION|$revision|" |
    jq -Rnc '[inputs | capture("^(?<key>[^=]*)=(?<value>.*)$")] | from_entries')
process=$(jq -nc --arg user "$(of_dockerfile USER)" --arg ports "$(of_dockerfile EXPOSE)" \
    --argjson entrypoint "$(of_dockerfile ENTRYPOINT)" --argjson cmd "$(of_dockerfile CMD)" \
    --argjson labels "$labels" '{User: $user, Entrypoint: $entrypoint, Cmd: $cmd, WorkingDir: "/",
      ExposedPorts: ($ports | split(" ") | map({(. + "/tcp"): {}}) | add), Labels: $labels}')

manifests='[]'
for binary in "$stage"/linux-*/rejob; do
    arch=$(basename "$(dirname "$binary")")
    arch=${arch#linux-}
    scripts/rootfs.sh "$binary" "$work/$arch"
    pack "$work/$arch" . >"$work/$arch.tar"
    gzip --no-name --keep "$work/$arch.tar"
    layer=$(blob "$work/$arch.tar.gz" layer.v1.tar+gzip)
    jq -n --arg arch "$arch" --arg created "$created" --argjson process "$process" \
        --arg diff "sha256:$(sha256sum "$work/$arch.tar" | cut -d ' ' -f 1)" \
        '{created: $created, architecture: $arch, os: "linux", config: $process,
          rootfs: {type: "layers", diff_ids: [$diff]},
          history: [{created: $created, created_by: "scripts/rootfs.sh"}]}' >"$work/config.json"
    config=$(blob "$work/config.json" config.v1+json)
    jq -n --argjson config "$config" --argjson layer "$layer" --argjson labels "$labels" \
        '{schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json",
          config: $config, layers: [$layer], annotations: $labels}' >"$work/manifest.json"
    manifests=$(jq -c --arg arch "$arch" --argjson manifest "$(blob "$work/manifest.json" manifest.v1+json)" \
        '. + [$manifest + {platform: {architecture: $arch, os: "linux"}}]' <<<"$manifests")
done

index() {
    jq -n --argjson manifests "$1" '{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json",
      manifests: $manifests}'
}
index "$manifests" | jq --argjson labels "$labels" '. + {annotations: $labels}' >"$work/index.json"
image_index=$(blob "$work/index.json" index.v1+json |
    jq -c --arg tag "$version" '. + {annotations: {"org.opencontainers.image.ref.name": $tag}}')
index "[$image_index]" >"$layout/index.json"
echo '{"imageLayoutVersion": "1.0.0"}' >"$layout/oci-layout"
