#!/bin/sh
# Writes what is in images as SPDX 2.3 JSON: Debian packages and Python distributions. Nothing in an
# image is run, and nothing is fetched.
#
#   sbom.sh IMAGE...          ./IMAGE.spdx.json for each (/ and : become -)
#   OUT=directory sbom.sh …   there instead
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=${OUT:-.}

[ $# -gt 0 ] || { echo "usage: sbom.sh IMAGE..." >&2; exit 2; }
for image in "$@"; do
    id=$(docker image inspect --format '{{.Id}}' "$image" 2>/dev/null) || {
        echo "there is no image $image on this host; build it first (build.sh, build-app.sh)" >&2
        exit 1
    }
    file=$out/$(printf '%s' "$image" | tr '/:@' '---').spdx.json
    container=$(docker create --network none --entrypoint /none "$id")
    trap 'docker rm "$container" >/dev/null; rm -f "$file.part"' EXIT
    docker export "$container" | python3 "$here/sbom.py" "$image" "$id" >"$file.part"
    docker rm "$container" >/dev/null
    trap - EXIT
    mv "$file.part" "$file"
    echo "wrote $file"
done
