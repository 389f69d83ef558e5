#!/bin/sh
# Makes .env, settings.env, secrets/ and tls/ for compose.yaml. What is there already stays as it is.
#
#   init.sh HOST LMS_ORIGIN[,LMS_ORIGIN…]
set -eu
[ $# = 2 ] || { echo "usage: init.sh HOST LMS_ORIGIN[,LMS_ORIGIN...]" >&2; exit 2; }
cd "$(dirname "$0")"
host=$1 origins=$2
umask 077

if [ ! -e .env ]; then
    sed -e "s|^XQUEUE_HOST=.*|XQUEUE_HOST=$host|" \
        -e "s|^XQUEUE_PUBLIC_URL=.*|XQUEUE_PUBLIC_URL=https://$host:8443|" \
        -e "s|^XQUEUE_LMS_ORIGINS=.*|XQUEUE_LMS_ORIGINS=$origins|" env.example >.env
    echo "made .env"
fi

if [ ! -e settings.env ]; then
    echo "# Other settings of the server (docs/reference/settings.md): NAME=value" >settings.env
    echo "made settings.env"
fi

random() { od -A n -N 32 -t x1 /dev/urandom | tr -d ' \n'; }
# secret NAME VALUE
secret() {
    [ -e "secrets/$1" ] && return
    printf '%s' "$2" >"secrets/$1"
    # Containers read them as users of their own; the folder keeps everybody else out.
    chmod 0444 "secrets/$1"
    echo "made secrets/$1"
}
mkdir -p secrets tls
chmod 0700 secrets
secret postgres_password "$(random)"
secret database_url "postgresql://xqueue:$(cat secrets/postgres_password)@postgres/xqueue"
secret redis_password "$(random)"
# One user, who may do what nudges need (docs/reference/worker.md) and nothing else.
secret redis_conf "user default off
user xqueue on >$(cat secrets/redis_password) resetkeys ~rq:* resetchannels -@all +@read +@write +@connection +@transaction -@dangerous +info"
secret redis_url "redis://xqueue:$(cat secrets/redis_password)@redis:6379/0"
secret worker_redis_url "$(cat secrets/redis_url)"
secret secret_key "$(random)"
secret worker_password "$(random)"

if [ ! -e tls/server.pem ]; then
    openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj "/CN=$host" \
        -addext "subjectAltName=DNS:$host" -keyout tls/server.key -out tls/server.pem 2>/dev/null
    cp tls/server.pem tls/ca.pem
    chmod 0755 tls
    chmod 0444 tls/server.pem tls/ca.pem
    echo "made tls/: a certificate of its own for $host, which an LMS must be told to believe;"
    echo "put yours into tls/server.pem and tls/server.key, and its authority into tls/ca.pem"
fi
