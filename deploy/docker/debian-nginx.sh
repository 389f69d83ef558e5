#!/bin/sh
# nginx of the distribution, started as the public image is: templates become configuration.
set -eu
mkdir -p /etc/nginx/conf.d /var/log/nginx /var/lib/nginx
for template in /etc/nginx/templates/*.template; do
    [ -e "$template" ] || continue
    # Only our own names: nginx has variables of its own that look the same.
    envsubst "$(env | sed -n 's/^\(XQUEUE_[A-Z_]*\)=.*/${\1}/p' | tr '\n' ' ')" \
        <"$template" >"/etc/nginx/conf.d/$(basename "${template%.template}")"
done
[ "${1:-nginx}" = nginx ] || exec "$@"
exec nginx -g 'daemon off; error_log /dev/stderr;'
