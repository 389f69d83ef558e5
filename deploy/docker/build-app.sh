#!/bin/sh
# Builds the images of the server and the worker, and where asked those of the services that they
# need. Quick when nothing changed: each image carries a hash of its sources.
#
#   build-app.sh                  server and worker, from the public Python image or the local base
#   build-app.sh postgres redis nginx
#                                 the services from the distribution's packages, where no registry
#                                 can be reached (`make-base.sh` has made the local base)
#   BASE=image build-app.sh       from any other Debian image with Python 3.11+
#   TAG=2 build-app.sh            as xqueue/server:2 and xqueue/worker:2, beside what is there
#
# Packages are fetched with this machine's pip and its settings, checked against the locks' hashes,
# and kept in .cache/wheels; the images are then built without a network.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
. "$here/images.env"
. "$here/building.sh"

python=$top/.venv/bin/python
wheels=$top/.cache/wheels
# Of which the wheel is made, and what it says of itself.
parts="pyproject.toml setup.py xqueue_server grader_worker sandbox graders proctoring_hooks"

# new_context: sets $context, a folder with pip in its folder wheels/
new_context() {
    context=$(mktemp -d)
    trap 'rm -rf "$context"' EXIT INT TERM
    mkdir "$context/wheels"
    "$python" -m pip --disable-pip-version-check download --quiet --no-deps --dest "$wheels" pip
    cp "$wheels"/pip-*.whl "$context/wheels/"
}

# build_from_context FILE ARGUMENT...
build_from_context() {
    file=$1
    shift
    cp "$here/$file" "$context/"
    tar -c -C "$context" . | docker_build --force-rm --network none "$@" \
        --build-arg SOURCES="$sources" --file "$file" -
    rm -rf "$context"
    docker image prune --force --filter label=org.xqueue.stage=install >/dev/null
    echo "built $tag"
}

# build_packages NAME TAG: from NAME.lock
build_packages() {
    if is_current "$2" "$BASE" "" deploy/docker/packages.Dockerfile "deploy/docker/$1.lock"; then return; fi
    mkdir -p "$wheels"
    # Without "only for Pythons below": the image's may be older than the one that fetches.
    sed "s/ ; python_full_version < '[0-9.]*'//" "$here/$1.lock" >"$wheels/fetch.lock"
    "$python" -m pip --disable-pip-version-check download --quiet --require-hashes \
        --dest "$wheels" --requirement "$wheels/fetch.lock"
    new_context
    cp "$wheels"/*.whl "$context/wheels/"
    cp "$here/$1.lock" "$context/image.lock"
    build_from_context packages.Dockerfile --build-arg BASE="$BASE"
}

# build_app NAME REPOSITORY: as REPOSITORY:$TAG
build_app() {
    packages=$2-packages:local
    build_packages "$1" "$packages"
    # shellcheck disable=SC2086 # a list
    if is_current "$2:${TAG:-local}" "$packages" "" deploy/docker/app.Dockerfile $parts; then return; fi
    mkdir -p "$wheels"
    new_context
    # Built from a copy: setuptools leaves a folder behind whose old files get into later wheels.
    mkdir "$context/source"
    # shellcheck disable=SC2086 # a list
    tar -c -C "$top" --exclude=__pycache__ README.md LICENSE $parts | tar -x -C "$context/source"
    "$python" -m pip --disable-pip-version-check wheel --quiet --no-deps --no-build-isolation \
        --wheel-dir "$context/wheels" "$context/source"
    rm -rf "$context/source"
    build_from_context app.Dockerfile --build-arg PACKAGES="$packages"
}

# build_service NAME PACKAGE...
build_service() {
    name=$1
    tag=$XQUEUE_SERVICE_PREFIX-$name:local
    shift
    if is_current "$tag" "$BASE" "$*" deploy/docker/debian.Dockerfile \
        deploy/docker/install-packages.sh "deploy/docker/debian-$name.sh"; then return; fi
    with_apt_settings "$BASE"
    tar -c -C "$settings" apt -C "$top" deploy/docker/debian.Dockerfile \
        deploy/docker/install-packages.sh "deploy/docker/debian-$name.sh" |
        docker_build --force-rm --network host \
            --build-arg http_proxy --build-arg https_proxy --build-arg no_proxy \
            --build-arg BASE="$BASE" --build-arg PACKAGES="$*" --build-arg SERVICE="$name" \
            --build-arg SOURCES="$sources" --file deploy/docker/debian.Dockerfile -
    rm -rf "$settings"
    docker image prune --force --filter label=org.xqueue.stage=install >/dev/null
    echo "built $tag"
}

choose_base
[ $# -gt 0 ] || set -- server worker
for name in "$@"; do
    case $name in
        server) build_app server "${XQUEUE_SERVER_IMAGE%:*}" ;;
        worker) build_app worker "${XQUEUE_WORKER_IMAGE%:*}" ;;
        postgres) build_service postgres postgresql ;;
        redis) build_service redis redis-server ;;
        nginx) build_service nginx nginx-light gettext-base openssl ;;
        *) echo "there is no image called $name; there are: server worker postgres redis nginx" >&2
            exit 2 ;;
    esac
done
