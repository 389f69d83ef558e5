#!/bin/sh
# Builds the grader images. Quick when nothing changed: each image carries a hash of its sources.
#
#   build.sh            all of them, from the public Python image or, where it exists, the local base
#   build.sh NAME...    some: base functions python c cpp java javascript sql bash, and for slots of
#                       the box engine box-python box-c …
#   BASE=image build.sh from any other Debian image with Python 3.11+
#
# The languages' toolchains come from the distribution's packages, so making one the first time
# needs a mirror; everything else is built without a network.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
. "$here/images.env"
. "$here/building.sh"

LANGUAGES="python c cpp java javascript sql bash"

# Two builds at once would remove each other's first stages.
if command -v flock >/dev/null; then
    exec 9<"$here/build.sh"
    flock 9
fi

"$top/scripts/supervisor.sh"

choose_base

# packages_of LANGUAGE: beyond what every Debian has (bash, coreutils, grep, sed, diffutils)
packages_of() {
    case $1 in
        c) echo gcc libc6-dev ;;
        cpp) echo g++ ;;
        java) echo default-jdk-headless ;;
        javascript) echo nodejs ;;
        sql) echo sqlite3 ;;
        bash) echo bc gawk ;;
        box) echo bubblewrap ;;
    esac
}

# build TAG DOCKERFILE BASE SOURCE...
build() {
    tag=$1 dockerfile=$2 base=$3
    shift 3
    if is_current "$tag" "$base" "" "$dockerfile" "$@"; then return; fi
    # Only the sources go to the daemon, and no layer cache can confuse two checkouts.
    tar -c -C "$top" --exclude=__pycache__ "$dockerfile" "$@" | docker_build --network none \
        --build-arg BASE="$base" --build-arg SOURCES="$sources" \
        ${library:+--build-arg LIBRARY="$library"} \
        --file "$dockerfile" -
    echo "built $tag"
}

# build_toolchain LANGUAGE BASE
build_toolchain() {
    tag=$XQUEUE_TOOLCHAIN_PREFIX-$1:local base=$2 packages=$(packages_of "$1")
    dockerfile=deploy/docker/toolchain.Dockerfile installer=deploy/docker/install-packages.sh
    if is_current "$tag" "$base" "$packages" "$dockerfile" "$installer"; then return; fi
    with_apt_settings "$base"
    # The host's network, whose mirror or proxy may be one that only the host reaches. The names of
    # the proxies do not stay in the image: Docker keeps these arguments out of its history.
    tar -c -C "$settings" apt -C "$top" "$dockerfile" "$installer" | docker_build --force-rm \
        --network host --build-arg http_proxy --build-arg https_proxy --build-arg no_proxy \
        --build-arg BASE="$base" --build-arg PACKAGES="$packages" --build-arg SOURCES="$sources" \
        --file "$dockerfile" -
    rm -rf "$settings"
    # The older builder leaves the first stage behind, packages and all.
    docker image prune --force --filter label=org.xqueue.stage=install >/dev/null
    echo "built $tag"
}

# copied_by DOCKERFILE: what its COPY lines name, which is what it is made of
copied_by() {
    awk '{ while (sub(/\\$/, "") && (getline more) > 0) $0 = $0 more }
        $1 == "COPY" { for (i = 2; i < NF; i++) if ($i !~ /^--/) print $i }' "$top/$1"
}

build_grader_base() {
    dockerfile=deploy/docker/grader-base.Dockerfile
    # A label, so that a worker with another library sends its own.
    library=$(cd "$top" && find graders/__init__.py graders/library sandbox/__init__.py \
        sandbox/supervisor/__init__.py sandbox/supervisor/frames.py \
        sandbox/supervisor/light_json.py -name '*.py' | LC_ALL=C sort | xargs sha256sum | sha256sum)
    library=${library%% *}
    # shellcheck disable=SC2046 # a list
    build "$1" "$dockerfile" "$2" $(copied_by "$dockerfile")
    library=
}

build_language() {
    case $1 in
        python)
            build_grader_base "$XQUEUE_GRADER_BASE" "$BASE"
            docker tag "$XQUEUE_GRADER_BASE" "$XQUEUE_GRADER_PREFIX-python:local"
            return ;;
        cpp)
            # On top of C, which it needs and whose layers it shares.
            build_toolchain c "$BASE"
            build_toolchain cpp "$XQUEUE_TOOLCHAIN_PREFIX-c:local" ;;
        *) build_toolchain "$1" "$BASE" ;;
    esac
    build_grader_base "$XQUEUE_GRADER_PREFIX-$1:local" "$XQUEUE_TOOLCHAIN_PREFIX-$1:local"
}

# build_box LANGUAGE: its grader image with bubblewrap
build_box() {
    build_language "$1"
    build_toolchain box "$BASE"
    bubblewrap=$(docker image inspect --format '{{.Id}}' "$XQUEUE_TOOLCHAIN_PREFIX-box:local")
    tag=$XQUEUE_BOX_PREFIX-$1:local base=$XQUEUE_GRADER_PREFIX-$1:local
    dockerfile=deploy/docker/box.Dockerfile
    if is_current "$tag" "$base" "$bubblewrap" "$dockerfile"; then return; fi
    tar -c -C "$top" "$dockerfile" | docker_build --network none \
        --build-arg BASE="$base" --build-arg BUBBLEWRAP="$XQUEUE_TOOLCHAIN_PREFIX-box:local" \
        --build-arg SOURCES="$sources" --file "$dockerfile" -
    echo "built $tag"
}

build_named() {
    case $1 in
        box-*)
            case " $LANGUAGES " in
                *" ${1#box-} "*) build_box "${1#box-}" ;;
                *) echo "there is no image called $1" >&2
                    exit 2 ;;
            esac ;;
        base) build_grader_base "$XQUEUE_GRADER_BASE" "$BASE" ;;
        functions)
            build_grader_base "$XQUEUE_GRADER_BASE" "$BASE"
            build "$XQUEUE_GRADER_FUNCTIONS" deploy/docker/grader-functions.Dockerfile \
                "$XQUEUE_GRADER_BASE" graders/examples/functions ;;
        *)
            case " $LANGUAGES " in
                *" $1 "*) build_language "$1" ;;
                *) echo "there is no image called $1; there are: base functions $LANGUAGES" >&2
                    exit 2 ;;
            esac ;;
    esac
}

# shellcheck disable=SC2086 - a list
[ $# -gt 0 ] || set -- functions $LANGUAGES $(for name in $LANGUAGES; do echo "box-$name"; done)
for name in "$@"; do
    build_named "$name"
done
