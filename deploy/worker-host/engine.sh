#!/bin/sh
# Gives this host a Docker Engine for grading whose root is nobody on the host: containers' user ids
# are mapped to others (userns-remap). Who reaches its socket can therefore not become root here,
# as it can with the usual engine's. Needs root and dockerd; may run again.
#
#   engine.sh           as a service of systemd, started now and at boot
#   engine.sh --here    in the foreground, where there is no systemd
#
# It stands beside the host's own engine, with data, containerd and a bridge of its own, and pulls
# images over the host's network. Graders' containers have no network at all.
#
# Rootless Docker is no replacement on hosts with cgroup v1: it ignores limits there without a word.
# With cgroup v2 and delegation it is one; `grader-worker doctor` proves that limits bite.
set -eu

NAME=xqueue-engine
USER_NAME=xqueue
USER_ID=10100
SOCKET=/run/$NAME/docker.sock
CONFIG=/etc/xqueue/engine.json
BRIDGE=xqueue0

[ "$(id -u)" = 0 ] || { echo "engine.sh needs root" >&2; exit 1; }
command -v dockerd >/dev/null || { echo "install Docker Engine first (apt-get install docker.io)" >&2; exit 1; }

# The user of our containers; the group may use the socket.
getent group "$USER_NAME" >/dev/null || groupadd --system --gid "$USER_ID" "$USER_NAME"
getent passwd "$USER_NAME" >/dev/null ||
    useradd --system --uid "$USER_ID" --gid "$USER_ID" --home-dir /nonexistent "$USER_NAME"

mkdir -p /etc/xqueue "/var/lib/$NAME" "/run/$NAME"
chmod 0755 "/run/$NAME"
[ -e "$CONFIG" ] || cat >"$CONFIG" <<JSON
{
    "userns-remap": "default",
    "hosts": ["unix://$SOCKET"],
    "group": "$USER_NAME",
    "data-root": "/var/lib/$NAME",
    "exec-root": "/run/$NAME/exec",
    "pidfile": "/run/$NAME/pid",
    "bridge": "$BRIDGE",
    "iptables": false,
    "ip-forward": false,
    "ip-masq": false
}
JSON

# With "none" in place of a bridge of its own, an engine removes the other engine's.
ip link show "$BRIDGE" >/dev/null 2>&1 || {
    ip link add name "$BRIDGE" type bridge
    ip address add 192.0.2.1/30 dev "$BRIDGE"
}

if [ "${1:-}" = --here ]; then
    exec dockerd --config-file "$CONFIG"
fi
[ -d /run/systemd/system ] || { echo "no systemd here: run engine.sh --here under your supervisor" >&2; exit 1; }

cat >"/etc/systemd/system/$NAME.service" <<UNIT
[Unit]
Description=Docker Engine for grading, with mapped users
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
ExecStartPre=-/sbin/ip link add name $BRIDGE type bridge
ExecStartPre=-/sbin/ip address add 192.0.2.1/30 dev $BRIDGE
ExecStart=/usr/bin/env dockerd --config-file $CONFIG
ExecReload=/bin/kill -s HUP \$MAINPID
RuntimeDirectory=$NAME
RuntimeDirectoryMode=0755
Delegate=yes
KillMode=process
LimitNOFILE=infinity
LimitNPROC=infinity
TasksMax=infinity
Restart=always
RestartSec=2

[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --now "$NAME"
echo "ready: DOCKER_HOST=unix://$SOCKET (group $USER_NAME, $USER_ID)"
