#!/bin/sh
# Builds the grader images. Quick when nothing changed: each image carries a hash of its sources.
#
#   build.sh            from the public Python image, or from the local base when that exists
#   BASE=image build.sh from any other image with Python 3.11+
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
. "$here/images.env"

if [ -z "${BASE:-}" ] && docker image inspect "$XQUEUE_LOCAL_BASE" >/dev/null 2>&1; then
    BASE=$XQUEUE_LOCAL_BASE
fi

# build TAG DOCKERFILE BASE-OR-EMPTY SOURCE...
build() {
    tag=$1 dockerfile=$2 base=$3
    shift 3
    cd "$top"
    base_id=$(docker image inspect --format '{{.Id}}' "$base" 2>/dev/null || echo "$base")
    sources=$({ echo "$base_id"; find "$dockerfile" "$@" -type f ! -path '*/__pycache__/*' |
        LC_ALL=C sort | xargs sha256sum; } | sha256sum | cut -c 1-16)
    label='{{index .Config.Labels "org.xqueue.sources"}}'
    if [ "$(docker image inspect --format "$label" "$tag" 2>/dev/null || true)" = "$sources" ]; then
        echo "$tag is up to date"
        return
    fi
    # Only the sources go to the daemon, and no layer cache can confuse two checkouts.
    tar -c --exclude=__pycache__ "$dockerfile" "$@" | docker build --quiet --network none \
        ${base:+--build-arg BASE="$base"} --build-arg SOURCES="$sources" \
        --tag "$tag" --file "$dockerfile" - >/dev/null
    echo "built $tag"
}

build "$XQUEUE_GRADER_BASE" deploy/docker/grader-base.Dockerfile "${BASE:-}" \
    sandbox/__init__.py sandbox/supervisor graders/__init__.py graders/library
build "$XQUEUE_GRADER_FUNCTIONS" deploy/docker/grader-functions.Dockerfile "$XQUEUE_GRADER_BASE" \
    graders/examples/functions
