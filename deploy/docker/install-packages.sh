#!/bin/sh
# Inside the build of toolchain.Dockerfile: installs packages and leaves in /new what that
# added to the image.
#
#   install-packages.sh PACKAGE...
#
# /apt holds what apt needs to reach a mirror (see apt-settings.sh); where it is empty, the image's
# own sources are used.
set -eu
export DEBIAN_FRONTEND=noninteractive

if [ -s /apt/sources.list ]; then
    rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
    cp /apt/sources.list /etc/apt/sources.list
fi
if [ -s /apt/apt.conf ]; then cp /apt/apt.conf /etc/apt/apt.conf.d/99host; fi

apt-get update -qq
# The alternatives system links manual pages, and stops where their folder is missing.
mkdir -p /usr/share/man/man1
touch /apt/before
# The first file after it must have a later time.
sleep 0.1
apt-get install -qq --no-install-recommends \
    -o Dpkg::Options::=--force-unsafe-io \
    -o Dpkg::Options::=--path-exclude=/usr/share/doc/* \
    -o Dpkg::Options::=--path-exclude=/usr/share/man/* \
    -o Dpkg::Options::=--path-exclude=/usr/share/info/* \
    -o Dpkg::Options::=--path-exclude=/usr/share/locale/* \
    -o Dpkg::Options::=--path-exclude=/usr/lib/jvm/*/jmods/* \
    -o Dpkg::Options::=--path-exclude=/usr/bin/*lto-dump* \
    -o Dpkg::Options::=--path-exclude=/usr/lib/gcc/*/lto1 \
    "$@" >/dev/null

if command -v java >/dev/null; then
    # Java's own classes, loaded and checked once here instead of at every start.
    java -Xshare:dump -XX:+UseSerialGC >/dev/null
fi

mkdir /new
# Changed on disk since: packages keep their files' older modification times.
find / -xdev -cnewer /apt/before \
    ! -path / ! -path '/apt*' ! -path '/new*' ! -path '/tmp*' ! -path '/run*' ! -path '/dev*' \
    ! -path '/etc/apt/*' ! -path /etc/hosts ! -path /etc/hostname ! -path /etc/resolv.conf \
    ! -path '/var/cache/*' ! -path '/var/log/*' ! -path '/var/lib/apt/*' \
    -print0 | tar --create --null --no-recursion --files-from - | tar --extract --directory /new
