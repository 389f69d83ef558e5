#!/bin/sh
# Installs the named Debian packages that are missing; needs root or sudo without a password.
# Where it can not, it says in one line what to run, and fails.
set -eu

missing=
for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "Please install with your system's package manager:$missing" >&2
    exit 1
elif [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo "Please run: sudo apt-get install -y$missing" >&2
    exit 1
fi

echo "Installing:$missing"
install() {
    # shellcheck disable=SC2086 # a list of packages, and perhaps no sudo
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
# A bare machine has no package lists yet, and old ones name packages that are gone.
install 2>/dev/null || { $as_root apt-get update -qq && install; }
