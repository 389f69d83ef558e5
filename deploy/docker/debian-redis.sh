#!/bin/sh
# Redis of the distribution, started as the public image is: arguments go to the server.
set -eu
if [ "$(id -u)" = 0 ]; then
    mkdir -p /data
    chown redis /data
    exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
fi
cd /data
[ "${1:-}" = redis-server ] || set -- redis-server "$@"
exec "$@"
