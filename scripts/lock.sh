#!/bin/sh
# Writes requirements.lock: exact versions and hashes for every Python and platform that
# pyproject.toml allows, and no address of any package index. Keeps versions that still fit;
# --upgrade takes the newest.
set -eu
cd "$(dirname "$0")/.."

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools"
"$tools/bin/pip" --disable-pip-version-check install --quiet uv
# uv does not read pip's settings; a machine with an index of its own has it there.
index=${PIP_INDEX_URL:-$("$tools/bin/pip" config get global.index-url 2>/dev/null || true)}
if [ -n "$index" ]; then
    export UV_DEFAULT_INDEX="$index"
fi

# Below 3.11.4 Python needs packages that later ones do not: Debian 12 has 3.11.2.
"$tools/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
    --all-extras pyproject.toml scripts/build-requirements.in \
    --output-file requirements.lock "$@"

if grep -n '://' requirements.lock; then
    echo "requirements.lock names an address; it must hold only names, versions and hashes" >&2
    exit 1
fi
