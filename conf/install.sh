#!/bin/sh
# conf/install.sh MODS-AVAILABLE LIBEXECDIR: what a2enmod wants, where Debian's layout is there; DESTDIR is honoured.

set -eu

mods=$1
libexec=$2
here=$(dirname "$0")

[ -d "$mods" ] || exit 0

install -d "${DESTDIR-}$mods"
sed "s|/usr/lib/apache2/modules|$libexec|" "$here/orgs.load" >"${DESTDIR-}$mods/orgs.load"
chmod 644 "${DESTDIR-}$mods/orgs.load"

# The configuration is the administrator's once it is there.
if [ -e "${DESTDIR-}$mods/orgs.conf" ]; then
    echo "$mods/orgs.conf is there already and stays as it is."
else
    install -m 644 "$here/orgs.conf" "${DESTDIR-}$mods/orgs.conf"
fi
