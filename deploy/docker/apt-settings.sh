#!/bin/sh
# Writes into a directory what apt inside an image of the given Debian release needs to reach the
# mirrors of this host: sources.list, apt.conf with proxies and timeouts, certificates. They stay
# empty where this host runs another release or no apt; the image's own sources are used then.
#
#   apt-settings.sh DIRECTORY CODENAME
set -eu

into=$1 codename=$2
mkdir -p "$into"
: >"$into/sources.list"
: >"$into/apt.conf"
command -v apt-get >/dev/null || exit 0
[ "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" = "$codename" ] || exit 0

# Nothing but the distribution's own packages: a host may know other people's, too.
for suite in "$codename" "$codename-updates" "$codename-security"; do
    apt-get indextargets --format "deb \$(REPO_URI) $suite main" 'Created-By: Packages' \
        "Codename: $suite" 'Component: main' 'Origin: Debian' | sort -u | head -n 1
done >"$into/sources.list"
apt-config dump | grep -E '^Acquire::(http|https|Retries|Check-Valid-Until|Check-Date)(::| )' |
    grep -v -i '::CAInfo ' >"$into/apt.conf" || true
if grep -q ' https:' "$into/sources.list"; then
    cp /etc/ssl/certs/ca-certificates.crt "$into/certificates.crt"
    echo 'Acquire::https::CAInfo "/apt/certificates.crt";' >>"$into/apt.conf"
fi
