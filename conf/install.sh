#!/bin/sh
# conf/install.sh [-r] MODS-AVAILABLE LIBEXECDIR: what a2enmod wants, where Debian's layout is there; -r takes it away.
# DESTDIR is honoured.

set -eu

remove=
if [ "$1" = -r ]; then
    remove=1
    shift
fi
mods=$1
libexec=$2
here=$(dirname "$0")
there=${DESTDIR-}$mods

[ -d "$mods" ] || [ -d "$there" ] || exit 0

if [ -n "$remove" ]; then
    # a link that leads nowhere would keep httpd from starting
    if [ -L "${there%available}enabled/orgs.load" ]; then
        echo "The module is enabled. First: a2dismod orgs, and restart httpd." >&2
        exit 1
    fi
    rm -f "$there/orgs.load"
    if ! [ -e "$there/orgs.conf" ] || cmp -s "$here/orgs.conf" "$there/orgs.conf"; then
        rm -f "$there/orgs.conf"
    else
        echo "$mods/orgs.conf is yours and stays."
    fi
    exit 0
fi

install -d "$there"
sed "s|/usr/lib/apache2/modules|$libexec|" "$here/orgs.load" >"$there/orgs.load"
chmod 644 "$there/orgs.load"

# The configuration is the administrator's once it is there.
if [ -e "$there/orgs.conf" ]; then
    echo "$mods/orgs.conf is there already and stays as it is."
else
    install -m 644 "$here/orgs.conf" "$there/orgs.conf"
fi
