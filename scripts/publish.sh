#!/usr/bin/env bash
# Pushes the image and the chart that scripts/release.sh assembled, and prints where they are by digest:
#
#   scripts/publish.sh [REGISTRY]     another registry than Cargo.toml's: 127.0.0.1:5000 in tests
#
# The credentials are those of `docker login`. A version that is published stays what it is.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh
registry=${1:-${image%%/*}}
image=$registry/${image#*/}
charts=oci://$registry/${charts#oci://*/}
insecure=()
if [[ $registry == 127.0.0.1:* ]]; then insecure=(--plain-http); fi

go_tool github.com/google/go-containerregistry/cmd/crane v0.22.1
helm=$(helm_tool)

digest=$(jq -r '.manifests[0].digest' "$dist/image/index.json")
if there=$(crane digest "$image:$version" 2>/dev/null) && [[ $there != "$digest" ]]; then
    die "$image:$version is already published as $there"
fi
pushed=$(crane push "$dist/image" "$image:$version")
echo "image=$pushed"

# helm writes the time of the file into the manifest, and an artifact of a workflow has the time of its download.
touch --date="@$SOURCE_DATE_EPOCH" "$dist/rejob-$version.tgz"
said=$("$helm" push "${insecure[@]}" "$dist/rejob-$version.tgz" "$charts" 2>&1) || die "$said"
echo "chart=${charts#oci://}/rejob@$(sed -n 's/^Digest: //p' <<<"$said")"
