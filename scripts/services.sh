#!/bin/sh
# Installs and starts Docker Engine, PostgreSQL and Redis from the distribution's packages, makes
# gVisor known to Docker where the distribution has it, and builds the sandbox images. What is there
# already is left alone, so it may run again and again.
#
#   services.sh               needs root; fails if a service can not be had
#   services.sh --start-only  installs nothing and never fails: starts what is installed, if it may
set -eu
cd "$(dirname "$0")/.."

START_SECONDS=60
DOCKER_LOG=/var/log/dockerd.log
DOCKER_CONFIG_FILE=/etc/docker/daemon.json

docker_answers() { docker version >/dev/null 2>&1; }
postgres_answers() { pg_isready -q -h 127.0.0.1 2>/dev/null; }
docker_knows_runsc() { docker info --format '{{json .Runtimes}}' 2>/dev/null | grep -q '"runsc"'; }
redis_answers() { [ "$(redis-cli -h 127.0.0.1 ping 2>/dev/null)" = PONG ]; }

has_systemd() { [ -d /run/systemd/system ]; }

start_docker() {
    if has_systemd; then
        systemctl start docker
    else
        # A pid file of a machine that was switched off would keep dockerd from starting.
        pidof dockerd >/dev/null || rm -f /var/run/docker.pid
        setsid dockerd >>"$DOCKER_LOG" 2>&1 </dev/null &
    fi
}

# The platform that works everywhere, also on machines that are virtual themselves. A network of
# its own would be one more way out; our containers have none.
register_runsc() {
    runsc=$(command -v runsc) || return 0
    [ "$(id -u)" = 0 ] || return 0
    mkdir -p "$(dirname "$DOCKER_CONFIG_FILE")"
    python3 - "$DOCKER_CONFIG_FILE" "$runsc" <<'PYTHON'
import json, pathlib, sys

file = pathlib.Path(sys.argv[1])
config = json.loads(file.read_text()) if file.exists() else {}
runtime = {"path": sys.argv[2], "runtimeArgs": ["--platform=ptrace", "--network=none"]}
if config.setdefault("runtimes", {}).setdefault("runsc", runtime) is runtime:
    file.write_text(json.dumps(config, indent=4) + "\n")
PYTHON
    # A daemon that runs already reads its runtimes again on SIGHUP; its containers stay.
    if docker_answers && ! docker_knows_runsc; then
        pid=$(pidof dockerd) || return 0
        # shellcheck disable=SC2086 # one pid, or several
        kill -HUP $pid
        wait_for "gVisor's runtime runsc" docker_knows_runsc
    fi
}

start_postgres() {
    if has_systemd; then systemctl start postgresql; else service postgresql start >/dev/null; fi
}

start_redis() {
    if has_systemd; then systemctl start redis-server; else service redis-server start >/dev/null; fi
}

# wait_for NAME CHECK
wait_for() {
    left=$((START_SECONDS * 5))
    until "$2"; do
        left=$((left - 1))
        if [ "$left" -le 0 ]; then
            echo "$1 does not answer after $START_SECONDS s" >&2
            return 1
        fi
        sleep 0.2
    done
}

# ensure NAME PROGRAM CHECK START
ensure() {
    if "$3"; then
        return
    fi
    command -v "$2" >/dev/null || { echo "$1 is not installed" >&2; return 1; }
    [ "$(id -u)" = 0 ] || { echo "$1 does not run, and only root may start it" >&2; return 1; }
    "$4" || { echo "$1 can not be started" >&2; return 1; }
    wait_for "$1" "$3"
}

ensure_docker() {
    ensure "Docker Engine" dockerd docker_answers start_docker && return
    if [ -s "$DOCKER_LOG" ]; then tail -n 5 "$DOCKER_LOG" >&2; fi
    return 1
}
ensure_postgres() { ensure PostgreSQL psql postgres_answers start_postgres; }
ensure_redis() { ensure Redis redis-server redis_answers start_redis; }

# The program is for the tests, which start it for themselves on loopback; the service that comes with
# the package is switched off again unless it was there before.
install_registry() {
    command -v docker-registry >/dev/null && return
    scripts/system-packages.sh docker-registry || return
    if has_systemd; then systemctl disable --quiet --now docker-registry; fi
}

# For promtool, which checks the alert rules; its server is not started.
install_promtool() {
    command -v promtool >/dev/null && return
    scripts/system-packages.sh prometheus || return
    if has_systemd; then systemctl disable --quiet --now prometheus prometheus-node-exporter || true; fi
}

build_images() {
    deploy/docker/build.sh && return
    # No registry in reach: make the base image from the distribution's packages.
    [ "$(id -u)" = 0 ] || return 1
    scripts/system-packages.sh debootstrap && deploy/docker/make-base.sh && deploy/docker/build.sh
}

if [ "${1:-}" = --start-only ]; then
    register_runsc || true
    ensure_postgres || true
    ensure_redis || true
    if docker_answers || ensure_docker; then
        said=$(deploy/docker/build.sh 2>&1) || {
            printf '%s\nThe sandbox images can not be built\n' "$said" >&2
        }
    fi
    exit 0
fi

[ "$(id -u)" = 0 ] || { echo "Please run as root: scripts/services.sh" >&2; exit 1; }
scripts/system-packages.sh docker.io postgresql redis-server
# Debian has it, other distributions may not: then only `runtime: runsc` is missing.
scripts/system-packages.sh runsc || echo "gVisor (runsc) can not be installed from here" >&2
install_promtool || echo "promtool (Debian's package prometheus) can not be installed from here" >&2
# The admin pages are tested in a browser.
scripts/system-packages.sh chromium || echo "chromium can not be installed from here" >&2
# The worker of exam pages is tested with a clock of its own, which no browser has.
command -v node >/dev/null || scripts/system-packages.sh nodejs || echo "nodejs can not be installed from here" >&2
# Brings the Compose files up in a test; `docker compose` of other distributions reads them as well.
scripts/system-packages.sh docker-compose || echo "docker-compose can not be installed from here" >&2
install_registry || echo "docker-registry can not be installed from here" >&2
register_runsc
ensure_postgres
ensure_redis
ensure_docker
build_images
echo "Docker Engine, PostgreSQL and Redis answer; the sandbox images are built"
