#!/bin/sh
# PostgreSQL of the distribution, started as the public image is: POSTGRES_DB, POSTGRES_USER and
# POSTGRES_PASSWORD_FILE make the database once, in $PGDATA. Arguments go to the server.
set -eu
PGDATA=${PGDATA:-/var/lib/postgresql/data}
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH

if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" /run/postgresql
    chown -R postgres "$PGDATA" /run/postgresql
    chmod 0700 "$PGDATA"
    # The password is readable for root alone; the server's user gets a copy that is gone at once.
    if [ ! -s "$PGDATA/PG_VERSION" ]; then
        install -m 0400 -o postgres "$POSTGRES_PASSWORD_FILE" /run/postgresql/password
    fi
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

[ "${1:-postgres}" = postgres ] || exec "$@"
[ $# = 0 ] || shift
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --pgdata "$PGDATA" --username "$POSTGRES_USER" --pwfile /run/postgresql/password \
        --auth-local peer --auth-host scram-sha-256 --encoding UTF8 --locale C.UTF-8 >/dev/null
    rm -f /run/postgresql/password
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    echo "CREATE DATABASE \"$POSTGRES_DB\" OWNER \"$POSTGRES_USER\";" |
        postgres --single -D "$PGDATA" -j postgres >/dev/null
fi
exec postgres -D "$PGDATA" -c listen_addresses='*' "$@"
