#!/bin/sh
# Writes requirements.lock: exact versions and hashes for every Python and platform that
# pyproject.toml allows, and no address of any package index. Keeps versions that still fit;
# --upgrade takes the newest. The images' own lists (deploy/docker/*.lock) are parts of it.
set -eu
cd "$(dirname "$0")/.."
# NAME+EXTRA+…: an image and what it needs beside the kit
IMAGES="server+server+s3+telemetry+sentry worker+worker"

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools"
"$tools/bin/pip" --disable-pip-version-check install --quiet uv
# uv does not read pip's settings; a machine with an index of its own has it there.
index=${PIP_INDEX_URL:-$("$tools/bin/pip" config get global.index-url 2>/dev/null || true)}
if [ -n "$index" ]; then
    export UV_DEFAULT_INDEX="$index"
fi

# compile OUTPUT ARGUMENT...
compile() {
    output=$1
    shift
    # Below 3.11.4 Python needs packages that later ones do not: Debian 12 has 3.11.2.
    "$tools/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
        --output-file "$output" "$@"
}

compile requirements.lock --all-extras pyproject.toml scripts/build-requirements.in "$@"
for image in $IMAGES; do
    extras=$(echo "$image" | tr + ' ' | cut -d ' ' -f 2- | sed 's/[^ ]*/--extra &/g')
    # shellcheck disable=SC2086 # a list
    compile "deploy/docker/${image%%+*}.lock" $extras --constraint requirements.lock pyproject.toml
done

if grep -n '://' requirements.lock deploy/docker/*.lock; then
    echo "a lock names an address; it must hold only names, versions and hashes" >&2
    exit 1
fi
