#!/bin/sh
# Makes secrets/ for this overlay. What is there already stays as it is.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets

random() { od -A n -N 32 -t x1 /dev/urandom | tr -d ' \n'; }
# secret NAME VALUE
secret() {
    [ -e "secrets/$1" ] && return
    printf '%s' "$2" >"secrets/$1"
    echo "made secrets/$1"
}
secret postgres_password "$(random)"
secret database_url "postgresql://xqueue:$(cat secrets/postgres_password)@postgres/xqueue"
secret redis_password "$(random)"
# One user, who may do what nudges need (docs/reference/worker.md) and nothing else.
secret redis_conf "user default off
user xqueue on >$(cat secrets/redis_password) resetkeys ~rq:* resetchannels -@all +@read +@write +@connection +@transaction -@dangerous +info"
secret redis_url "redis://xqueue:$(cat secrets/redis_password)@redis:6379/0"
secret secret_key "$(random)"
