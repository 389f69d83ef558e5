#!/bin/sh
# Starts the supervisor as the first process of something like its container: namespaces of its own,
# a read-only root with nothing of the host but /usr, tmpfs folders, and its three capabilities.
#
# A slot is the exception, see below.
#
#   container.sh XQ MODE LEARNER-UID SCRATCH-BYTES [HOST-PY]     needs root; frames on stdin, stdout
set -eu
if [ "${INSIDE:-}" != yes ]; then
    INSIDE=yes exec unshare --mount --pid --ipc --net --fork --kill-child "$0" "$@"
fi
if [ "$2" = --slot ]; then
    # Boxes cannot be made below a changed root. It sees the host's, but for what it looks at.
    exec 9<"$1" # it may lie below one of these folders
    for folder in /tmp /dev/shm /sys/fs/cgroup; do mount -t tmpfs -o mode=0755 own "$folder"; done
    mount -t proc proc /proc
    cat <&9 >/tmp/xq
    exec 9<&-
    chmod 0755 /tmp/xq
    exec env -i "$(command -v setpriv)" --reuid "$3" --regid "$3" --clear-groups \
        --bounding-set=-all --inh-caps=-all --no-new-privs /tmp/xq --slot
fi
xq=$1 mode=$2 learner=$3 scratch=$4 host_py=${5:-}
top=$(cd "$(dirname "$0")/../.." && pwd)
root=/mnt # of our own mount namespace
mount -t tmpfs -o mode=0755 root "$root"
cd "$root"
mkdir usr proc dev xq etc grade box tmp scratch
mount --rbind -o ro /usr usr
for name in bin lib lib64; do
    if [ -L "/$name" ]; then ln -s "$(readlink "/$name")" "$name"; fi
done
mount -t proc proc proc
for name in null urandom; do
    touch "dev/$name"
    mount --bind "/dev/$name" "dev/$name"
done
cp "$xq" xq/xq
if [ -n "$host_py" ]; then
    # And with it what the images have: the grader library.
    cp "$host_py" xq/host.py
    mkdir -p xq/lib/graders xq/lib/sandbox/supervisor
    cp "$top/graders/__init__.py" xq/lib/graders/
    cp -r "$top/graders/library" xq/lib/graders/
    cp "$top/sandbox/__init__.py" xq/lib/sandbox/
    for name in __init__ frames light_json; do
        cp "$top/sandbox/supervisor/$name.py" xq/lib/sandbox/supervisor/
    done
    python3 -m compileall -q xq/lib
fi
case $mode in
    --container) uid=0 grader=10001 caps=-all,+setuid,+setgid,+kill ;;
    --grader) uid=10001 grader=10001 caps=-all ;;
    --learner) uid=$learner grader=10001 caps=-all ;;
esac
small=$((scratch / 4))
mount -t tmpfs -o "mode=0700,uid=$grader,size=48m" grade grade
mount -t tmpfs -o "mode=0700,uid=$grader,size=$scratch" scratch scratch
mount -t tmpfs -o "mode=0700,uid=$learner,size=$((scratch - small)),nr_inodes=2000" box box
mount -t tmpfs -o "mode=0700,uid=$learner,size=$small,nr_inodes=2000" tmp tmp
mount -o remount,ro "$root"
# The copy of /bin/sh that runs this is outside; nothing of it is left after the exec.
exec env -i "$(command -v chroot)" "$root" \
    /usr/bin/setpriv --reuid "$uid" --regid "$uid" --clear-groups \
    --bounding-set="$caps" --inh-caps=-all --no-new-privs /xq/xq "$mode"
