#!/bin/sh
# Builds the supervisor, one static program: bin/xq. Nothing when its sources have not changed.
#
#   build.sh           needs gcc and the C library's static part (Debian: gcc libc6-dev)
#   build.sh test      the parsers under random and hostile input, with the sanitizers watching
set -eu
cd "$(dirname "$0")"

CC=${CC:-gcc}
WARNINGS="-std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wshadow -Wformat=2 \
    -Wstrict-prototypes -Wmissing-prototypes"
PARSERS="bytes.c json.c base64.c frames.c"
SOURCES="xq.c $PARSERS watch.c program.c start.c becoming.c files.c execute.c session.c \
    by_uid.c by_container.c by_box.c scratch.c dying.c memory.c in_box.c slot.c python_host.c \
    commands.c readable.c"

if [ "${1:-}" = test ]; then
    program=$(mktemp -d)
    trap 'rm -rf "$program"' EXIT INT TERM
    # shellcheck disable=SC2086 - lists
    $CC $WARNINGS -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all \
        -o "$program/parsers" parsers_test.c $PARSERS program.c -lm
    "$program/parsers" "${2:-20000}"
    exit
fi

# Not by time: a checkout makes all files new, and an image may be built from another.
sources=$({ $CC --version; cat build.sh ./*.h $SOURCES; } | sha256sum | cut -c 1-64)
if [ -x bin/xq ] && [ "$(cat bin/xq.sources 2>/dev/null)" = "$sources" ]; then
    exit
fi
command -v "$CC" >/dev/null || {
    echo "no C compiler: install gcc and libc6-dev, or run make setup" >&2
    exit 1
}
mkdir -p bin
# Beside its place first, so that nobody ever starts half a program.
# shellcheck disable=SC2086 - lists
$CC $WARNINGS -O2 -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fno-plt \
    -ffunction-sections -fdata-sections -Wl,--gc-sections -static -s \
    -o "bin/xq.$$" $SOURCES -lm
mv "bin/xq.$$" bin/xq
echo "$sources" >bin/xq.sources
echo "built sandbox/supervisor/bin/xq"
