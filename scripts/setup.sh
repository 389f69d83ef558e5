#!/bin/sh
# Makes .venv/ with exactly what requirements.lock names, and this project in it (editable).
# PYTHON names another interpreter than python3. `make setup` calls this when something changed.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

command -v "$python" >/dev/null || scripts/system-packages.sh python3 python3-venv
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Python 3.11 or newer is needed; name one with: make setup PYTHON=python3.12" >&2
    exit 1
}
# Debian ships Python without the part that makes virtual environments work.
"$python" -c 'import ensurepip' 2>/dev/null || scripts/system-packages.sh python3-venv
# Only the demo needs it, so a machine that can not have it still gets its .venv.
command -v bwrap >/dev/null || scripts/system-packages.sh bubblewrap || true
scripts/supervisor.sh

# A .venv whose interpreter is gone (a system upgrade) is made anew.
.venv/bin/python -c '' 2>/dev/null || "$python" -m venv --clear .venv
pip() { .venv/bin/python -m pip --disable-pip-version-check --quiet "$@"; }
pip install --require-hashes -r requirements.lock
# setuptools comes with the lock: nothing is fetched here, and nothing without a hash.
pip install --no-deps --no-build-isolation --editable .
echo "Ready: $(.venv/bin/python --version) in .venv/"
