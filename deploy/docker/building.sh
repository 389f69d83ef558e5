# What the scripts that build images share. Sourced, with $here and $top set.

# choose_base: sets $BASE unless the caller did
choose_base() {
    [ -z "${BASE:-}" ] || return 0
    BASE=python:3.11-slim-bookworm
    if docker image inspect "$XQUEUE_LOCAL_BASE" >/dev/null 2>&1; then BASE=$XQUEUE_LOCAL_BASE; fi
}

# is_current TAG BASE EXTRA SOURCE...: sets $sources; true when TAG was built from exactly these
is_current() {
    tag=$1 base=$2 extra=$3
    shift 3
    base_id=$(docker image inspect --format '{{.Id}}' "$base" 2>/dev/null || echo "$base")
    sources=$({ echo "$base_id $extra"; cd "$top" && find "$@" -type f ! -path '*/__pycache__/*' |
        LC_ALL=C sort | xargs sha256sum; } | sha256sum | cut -c 1-16)
    label='{{index .Config.Labels "org.xqueue.sources"}}'
    [ "$(docker image inspect --format "$label" "$tag" 2>/dev/null || true)" = "$sources" ] || return 1
    echo "$tag is up to date"
}

# docker_build ARGUMENT...: builds $tag and removes the image it was, unless that is still in use.
# Says nothing but what went wrong (the older builder says that it is old).
docker_build() {
    replaced=$(docker image inspect --format '{{.Id}}' "$tag" 2>/dev/null || true)
    said=$(docker build --tag "$tag" "$@" 2>&1) || {
        printf '%s\n' "$said" >&2
        return 1
    }
    if [ -n "$replaced" ]; then docker image rm "$replaced" >/dev/null 2>&1 || true; fi
}

# with_apt_settings BASE: sets $settings, a folder with what apt inside BASE needs
with_apt_settings() {
    codename=$(docker run --rm --network none --entrypoint sh "$1" \
        -c '. /etc/os-release && echo "$VERSION_CODENAME"')
    settings=$(mktemp -d)
    trap 'rm -rf "$settings"' EXIT INT TERM
    sh "$here/apt-settings.sh" "$settings/apt" "$codename"
}
