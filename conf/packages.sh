#!/bin/sh
# conf/packages.sh [test|bench]: sees that what building and running (and testing, or measuring) needs is installed.
# Debian, as root: installs what is missing. Anybody else: one sentence that says what to do. No package of the
# lists starts a service, and recommended ones, which might, are left out.

set -eu

die() {
    echo "$*" >&2
    exit 1
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    . "$(dirname "$0")/servers.sh"
    missing=
    for tools in "${CC:-cc}" "${APXS:-apxs} apxs2" "${MYSQL_CONFIG:-mysql_config} mariadb_config" "$MYSQLD" \
        "$MYSQL_INSTALL_DB" "$MYSQL" perl setpriv flock; do
        found=
        for tool in $tools; do
            ! command -v "$tool" >/dev/null || found=1
        done
        [ -n "$found" ] || missing="$missing ${tools%% *}"
    done
    [ -z "$missing" ] || die "Missing here:$missing. Please install what brings them, and jansson's headers."
    exit 0
fi

wanted='gcc libc6-dev make pkg-config perl util-linux apache2-bin apache2-dev libjansson-dev libssl-dev'
# The server: MariaDB's, unless MySQL's was chosen or is the one that is there.
case ${MYSQLD:-$(PATH=$PATH:/usr/sbin; command -v mariadbd || command -v mysqld)} in
    *mysqld) wanted="$wanted mysql-server-core mysql-client-core" ;;
    *) wanted="$wanted mariadb-server-core mariadb-client-core" ;;
esac
# The client library: Debian's default, unless another was chosen, or Oracle's is there, which might not go with it.
if [ -n "${MYSQL_CONFIG-}" ]; then
    command -v "$MYSQL_CONFIG" >/dev/null || wanted="$wanted libmysqlclient-dev"
elif ! dpkg-query -W -f='${Status}\n' libmysqlclient-dev 2>/dev/null | grep -q ' installed$'; then
    wanted="$wanted default-libmysqlclient-dev"
fi
[ "${1-}" != test ] || wanted="$wanted libapache2-mod-perl2 libwww-perl curl openssl"
# The peers in Go and PHP. Who is not root does without them, and the bench says so.
if [ "${1-}" = bench ] && [ "$(id -u)" -eq 0 ]; then
    wanted="$wanted golang-go golang-github-go-sql-driver-mysql-dev php-cli php-mysql libapparmor1 strace"
fi
# For the lines that are printed to paste; nothing else needs it.
[ "$(id -u)" -ne 0 ] || wanted="$wanted curl"

missing_of() {
    for package; do
        case $(dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null) in
            *' installed'*) ;;
            *) printf ' %s' "$package" ;;
        esac
    done
}
# shellcheck disable=SC2086 # a list of words
missing=$(missing_of $wanted)

# What would start a service is unpacked into the build directory instead, which nobody else sees.
unpack() {
    mkdir -p "$2"
    echo "Unpacking $1 into $2"
    (cd "$2" && apt-get download -q "$1" >download.log 2>&1 && dpkg-deb -x "$1"_*.deb . && rm -f "$1"_*.deb) ||
        echo "$1 cannot be had; see $2/download.log" >&2
}
unpack_fpm() {
    [ "$(id -u)" -eq 0 ] || return 0
    php=${BUILD:-build}/bench/php
    for fpm in /usr/sbin/php-fpm* "$php"/usr/sbin/php-fpm*; do
        [ ! -x "$fpm" ] || return 0
    done
    unpack "$(dpkg-query -W -f='${Package}\n' 'php*-cli' | sed -n 's/^\(php[0-9.]*[0-9]\)-cli$/\1-fpm/p' | tail -n 1)" "$php"
}
# What single tests need, which are skipped where it cannot be had, and say so: modules, clients, and Debian's own
# configuration, to install into.
for_single_tests() {
    extra=$(missing_of git libapache2-mod-auth-openidc nghttp2-client)
    # shellcheck disable=SC2086 # a list of words
    [ -z "$extra" ] || { [ "$(id -u)" -eq 0 ] && apt_get_install $extra >/dev/null 2>&1; } ||
        echo "Not installed, so some tests are skipped:$extra" >&2
    [ -e "${BUILD:-build}/stock/etc/apache2/apache2.conf" ] || unpack apache2 "${BUILD:-build}/stock"
}
others() {
    case ${1-} in
        bench) unpack_fpm ;;
        test) for_single_tests ;;
    esac
}
apt_get_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" </dev/null
}

[ -n "$missing" ] || { others "$@"; exit 0; }

[ "$(id -u)" -eq 0 ] || die "Packages are missing; please run as root: apt-get install --no-install-recommends$missing"

echo "Installing packages:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A fresh machine has no lists, an old one outdated lists: both are cured by an update.
# shellcheck disable=SC2086 # a list of words
if ! apt_get_install $missing >"$log" 2>&1 && ! { apt-get update -q && apt_get_install $missing; } >"$log" 2>&1; then
    cat "$log" >&2
    die "The packages could not be installed: apt-get says why above."
fi
others "$@"
