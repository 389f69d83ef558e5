#!/bin/sh
# Makes the base image where no registry can be reached: a minimal Debian with Python, from the
# package mirror this host's apt already uses. Needs root, debootstrap and docker; about 30 s,
# nothing when the image exists (--force makes it again).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/images.env"

if [ "${1:-}" != "--force" ] && docker image inspect "$XQUEUE_LOCAL_BASE" >/dev/null 2>&1; then
    echo "$XQUEUE_LOCAL_BASE exists (use --force to make it again)"
    exit 0
fi
command -v debootstrap >/dev/null || { echo "install debootstrap first (apt-get install debootstrap)" >&2; exit 2; }

suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
# The mirror is whatever apt was told to use for this release's main component.
mirror=$(apt-get indextargets --format '$(REPO_URI)' \
    'Created-By: Packages' "Codename: $suite" 'Component: main' 'Origin: Debian' | head -n 1)
[ -n "$mirror" ] || { echo "apt on this host knows no Debian mirror for $suite; run apt-get update" >&2; exit 2; }

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT INT TERM
debootstrap --variant=minbase --include=python3 "$suite" "$root" "$mirror" >"$root.log" 2>&1 || {
    tail -n 20 "$root.log" >&2
    rm -f "$root.log"
    exit 1
}
rm -rf "$root.log" "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/doc/*
tar -C "$root" -c . | docker import --change 'CMD ["python3"]' - "$XQUEUE_LOCAL_BASE" >/dev/null
echo "made $XQUEUE_LOCAL_BASE"
