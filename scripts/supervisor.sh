#!/bin/sh
# Builds the sandbox's supervisor when its sources have changed, with a compiler installed if need be.
set -eu
cd "$(dirname "$0")/.."

# The static part of the C library is in the same package as its headers.
if ! command -v gcc >/dev/null || ! echo 'int main(void){return 0;}' | gcc -static -x c -o /dev/null - 2>/dev/null; then
    scripts/system-packages.sh gcc libc6-dev
fi
exec sandbox/supervisor/build.sh
