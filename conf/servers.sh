# shellcheck shell=sh
# Which database server is run privately, for `make run`, the tests and the bench: read by the scripts of conf/ and t/.
# From the environment, or the first that is there:
#
#   MYSQLD            the server: mariadbd, mysqld
#   MYSQL             its command line client: mariadb, mysql
#   MYSQL_INSTALL_DB  what makes a MariaDB's database: mariadb-install-db, mysql_install_db
#
# The client library is the one that MYSQL_CONFIG names (see the Makefile).

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
MYSQLD=${MYSQLD:-$(command -v mariadbd || command -v mysqld || echo mariadbd)}
MYSQL=${MYSQL:-$(command -v mariadb || command -v mysql || echo mariadb)}
MYSQL_INSTALL_DB=${MYSQL_INSTALL_DB:-$(command -v mariadb-install-db || command -v mysql_install_db || echo mariadb-install-db)}
export MYSQLD MYSQL MYSQL_INSTALL_DB

# server_version: "mariadbd 10.11.19-MariaDB-...", in a line.
server_version() {
    "$MYSQLD" --no-defaults --version 2>/dev/null | sed -n 's|^[^ ]*/||; s/ *Ver */ /; s/ \(for\|from\) .*//; p'
}

# Whether it is a MariaDB; else a MySQL.
server_is_mariadb() {
    case $(server_version) in
        *MariaDB*) ;;
        *) return 1 ;;
    esac
}
