#!/bin/sh
# conf/private.sh run|start|stop|database|idle: the private database and httpd of `make run`, the tests and the bench.
#
#   database   starts the database alone, with the schema, the grants, two users and their tokens
#   start      the same and an httpd; returns when requests are answered
#   run        the same, and stays until it is interrupted; then both end
#   stop       ends what runs; fine when nothing does
#   idle       fails with a sentence while anything runs
#
# From the environment: RUN_DIR (build/run), PORT (8080), CONF (more directives for the httpd, none), DB_PORT (0: the
# one of last time, or any that is free), BUILD (build), APXS, and what servers.sh says. What a shell may want to know afterwards is in
# $RUN_DIR/env. There too, all 0600: root.cnf, admin.cnf (orgsctl's account) and orgs.cnf (the module's), option files
# with passwords; error.log and access.log of the httpd; db.log; db, the database itself. The machine's own services
# and their configuration are neither read nor touched.

set -eu
umask 077

export LC_ALL=C
. "$(dirname "$0")/servers.sh"

command=${1-}
given=${RUN_DIR:-build/run}
port=${PORT:-8080}
conf=${CONF:-}
db_port=${DB_PORT:-0}

# Nobody may be listening any more, as when the terminal was closed: that must not keep us from ending the servers.
trap '' PIPE
say() {
    echo "$*" 2>/dev/null || :
}

die() {
    echo "$*" >&2
    exit 1
}

absolute() {
    case $1 in
        /*) printf '%s\n' "$1" ;;
        *) printf '%s/%s\n' "$PWD" "$1" ;;
    esac
}

# secret FILE: the password that an option file has, or a new one for the file to be written.
secret() {
    if [ -s "$1" ]; then
        sed -n 's/^password=//p' "$1"
    else
        od -An -v -N24 -tx1 /dev/urandom | tr -d ' \n'
    fi
}

# bindable PORT: prints the port, or a free one for 0, if 127.0.0.1:PORT can be listened on; else says why not.
bindable() {
    perl -MIO::Socket::INET -e '
        my $socket = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $ARGV[0], Listen => 1,
                                           ReuseAddr => 1) or print(lc $!) and exit 1;
        print $socket->sockport' "$1"
}

check_port() {
    case $2 in
        '' | *[!0-9]* | ??????*) die "$1 is a number from 1 to 65535, not $2." ;;
    esac
    [ "$2" -le 65535 ] || die "$1 is a number from 1 to 65535, not $2."
}

# ours PIDFILE ARGUMENT: prints the process id in the file if that process runs and was started with that argument: a
# number alone may meanwhile be somebody else's.
ours() {
    [ -s "$1" ] && read -r candidate <"$1" && grep -Fxzqs -- "$2" "/proc/$candidate/cmdline" && echo "$candidate"
}

httpd_pid() {
    ours "$run/httpd.pid" "$run/httpd.conf"
}

database_pid() {
    ours "$run/db.pid" "--defaults-file=$run/my.cnf"
}

# waiting SECONDS COMMAND...: until the command succeeds.
waiting() {
    tries=$(($1 * 10))
    shift
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1
    done
}

# Only one start or stop at a time in a run directory. The servers must not inherit the lock (9>&- below).
lock() {
    exec 9>>"$run/lock"
    flock -w 300 9 || die "Another start or stop is at work in $given and does not end."
}

unlock() {
    exec 9>&-
}

enter_run_dir() {
    # They would mean something in the configuration of httpd.
    case $given$conf in
        *[\"\\\$%]* | *'
'*) die 'RUN_DIR and CONF must not have any of " \ $ % or a line break in them.' ;;
    esac
    run=$(absolute "$given")
    if [ ! -d "$run" ]; then
        mkdir -p "$run" || exit 1
        : >"$run/lock"
    fi
    run=$(cd "$run" 2>/dev/null && pwd -P) || run=
    [ -w "$run" ] || die "$given belongs to another user: say RUN_DIR=... for a directory of your own."
    # Its mode will be changed: be sure that it is no directory of somebody else's things.
    [ -e "$run/lock" ] || [ -z "$(ls -A "$run")" ] ||
        die "$given is there already and is not a run directory: choose another RUN_DIR."
    chmod 700 "$run"
    lock
}

# --- the database ---------------------------------------------------------------------------------------------------

# The server's user when we are root: httpd's children have the same, so that they can reach the socket.
choose_user() {
    owner=
    [ "$(id -u)" -eq 0 ] || return 0
    for owner in www-data apache http daemon nobody; do
        ! id -u "$owner" >/dev/null 2>&1 || return 0
    done
    die "None of the users www-data, apache, http, daemon and nobody is there to run the servers."
}

# The directory of the database, in `db`, and an empty one for httpd to serve. When we are root, the servers' user
# cannot go through the run directory, nor through a checkout in /root, to what is its own there; and the path of a
# socket is limited to 107 bytes. So while the servers run in such a case, the database has a root of its own in
# /var/tmp, $RUN_DIR/db points there, and stopping moves it back. (Not /tmp: it must outlast a power cut.)
make_root() {
    if [ -L "$run/db" ] && [ ! -d "$run/db/" ]; then
        say "The database was in $(readlink "$run/db") and has been removed there."
        rm -f "$run/db"
    fi
    [ -e "$run/db" ] || mkdir "$run/db"
    if [ ! -L "$run/db" ]; then
        root=$run
        if [ -n "$owner" ] || [ ${#run} -gt 90 ]; then
            root=$(mktemp -d /var/tmp/mod_orgs.XXXXXXXX)
            [ -z "$owner" ] || chmod 711 "$root"
            mv "$run/db" "$root/db"
            ln -s "$root/db" "$run/db"
        fi
    fi
    db=$(cd "$run/db" && pwd -P)
    root=${db%/db}
    htdocs=$root/htdocs
    mkdir -p "$htdocs"
    chmod 755 "$htdocs"
    mkdir -p "$db/tmp"
    [ -z "$owner" ] || chown -R "$owner:" "$db"
}

unmake_root() {
    [ ! -d "$run/htdocs" ] || rmdir "$run/htdocs"
    if [ -L "$run/db" ] && [ -d "$run/db/" ]; then
        db=$(readlink "$run/db")
        rm -f "$run/db"
        mv "$db" "$run/db"
        rm -rf "${db%/db}/htdocs"
        rmdir "${db%/db}"
    fi
    # So that the owner of the run directory can go on with the data after a run as root.
    if [ "$(id -u)" -eq 0 ] && [ -d "$run/db" ]; then
        chown -R --reference="$run" "$run/db"
    fi
}

# A durable server, as small as a demo may be. Nothing in it is named by the network.
write_my_cnf() {
    cat <<EOF
[mysqld]
datadir=$db/data
tmpdir=$db/tmp
socket=$db/socket
pid_file=$db/pid
bind_address=127.0.0.1
port=$db_port
${owner:+user=$owner}
skip_name_resolve
character_set_server=utf8mb4
innodb_flush_log_at_trx_commit=1
innodb_buffer_pool_size=64M
key_buffer_size=1M
performance_schema=0
max_connections=300
table_open_cache=400
local_infile=0
EOF
    if server_is_mariadb; then
        cat <<EOF
innodb_log_file_size=32M
aria_pagecache_buffer_size=8M
EOF
    else
        cat <<EOF
innodb_redo_log_capacity=64M
skip_log_bin
mysqlx=0
secure_file_priv=NULL
EOF
    fi
}

# Makes the system tables beside their final place, so that a half-made database never counts as one.
make_database() {
    say "Making a private database in $given/db (only the first time) ..."
    rm -rf "$db/new" "$run/root.cnf" "$run/admin.cnf" "$run/orgs.cnf" "$run"/*.token "$run/demo"
    password=$(secret "$run/root.cnf")
    write_client_cnf root root "$password"
    if server_is_mariadb; then
        install_mariadb
    else
        install_mysql
    fi 9>&- >"$run/db.log" 2>&1 || { cat "$run/db.log" >&2; die "The database could not be made, as it says above."; }
    mv "$db/new" "$db/data"
}

install_mariadb() {
    cat >"$run/init.sql" <<EOF
FLUSH PRIVILEGES;
ALTER USER root@localhost IDENTIFIED BY '$password';
EOF
    # From within the directory and with a relative path: the script does not expect spaces in it. And it need not be
    # able to look up this machine's name (--force).
    (cd "$db" && "$MYSQL_INSTALL_DB" --no-defaults --force ${owner:+--user=$owner} --datadir=./new \
        --extra-file="$run/init.sql" --skip-name-resolve --skip-test-db --innodb-log-file-size=32M \
        --auth-root-authentication-method=socket --auth-root-socket-user=root) || return 1
    rm -f "$run/init.sql"
}

# Accounts cannot be changed while it is made: the server does it at its first start, before anybody may connect.
install_mysql() {
    (cd "$db" && "$MYSQLD" --no-defaults --initialize-insecure ${owner:+--user=$owner} --datadir="$db/new" \
        --innodb-redo-log-capacity=64M --skip-log-bin) || return 1
    echo "ALTER USER root@localhost IDENTIFIED BY '$password';" >"$db/init.sql"
    [ -z "$owner" ] || chown "$owner:" "$db/init.sql"
}

write_client_cnf() {
    cat >"$run/$1.cnf" <<EOF
[client]
user=$2
password=$3
socket=$db/socket
database=orgs
EOF
}

sql() {
    "$MYSQL" --defaults-file="$run/root.cnf" --database=mysql --batch "$@"
}

database_answers() {
    if sql -e 'DO 1' >/dev/null 2>&1; then
        return 0
    fi
    if ! database_pid >/dev/null; then
        tail -n 20 "$run/db.log" >&2
        die "The private database did not start; its log is $given/db.log."
    fi
    return 1
}

start_database() {
    if database_pid >/dev/null; then
        db=$(cd "$run/db" && pwd -P)
        root=${db%/db}
        htdocs=$root/htdocs
        [ "$command" != database ] || say "The private database runs already in $given."
        return 0
    fi
    make_root
    # A running httpd knows the socket, others may know the port: keep it if that can be.
    if [ "$db_port" -ne 0 ]; then
        bindable "$db_port" >/dev/null || die "Port $db_port on 127.0.0.1, for the private database, is in use."
    elif ! { [ -s "$run/db.port" ] && db_port=$(bindable "$(cat "$run/db.port")"); }; then
        db_port=$(bindable 0)
    fi
    echo "$db_port" >"$run/db.port"
    [ -d "$db/data" ] || make_database
    write_my_cnf >"$run/my.cnf"
    write_client_cnf root root "$(secret "$run/root.cnf")"
    write_client_cnf admin orgs_admin "$(secret "$run/admin.cnf")"
    password=$(secret "$run/orgs.cnf")
    printf '[client]\npassword=%s\n' "$password" >"$run/orgs.cnf"

    say "Starting the private database ($(server_version)) ..."
    # A session of its own: Ctrl-C is ours to pass on, in order.
    init=
    [ ! -e "$db/init.sql" ] || init=--init-file=$db/init.sql
    setsid "$MYSQLD" "--defaults-file=$run/my.cnf" ${init:+"$init"} </dev/null >>"$run/db.log" 2>&1 9>&- &
    echo $! >"$run/db.pid"
    started_database=1
    waiting 5 database_pid >/dev/null || :
    waiting 180 database_answers || die "The private database does not answer; its log is $given/db.log."
    rm -f "$db/init.sql"

    orgsctl root schema >/dev/null
    printf '%s\n' "s/ORGS_ADMIN_PASSWORD/$(secret "$run/admin.cnf")/g" "s/ORGS_PASSWORD/$password/g" |
        sed -f /dev/stdin "$top/sql/grants.sql" | sql
    issue_token ada@example.com "Ada Lovelace"
    issue_token bob@example.com "Bob Builder"
}

# --- the demo -------------------------------------------------------------------------------------------------------

# orgsctl ACCOUNT COMMAND...
orgsctl() {
    account=$1
    shift
    "$build/orgsctl" "--defaults-file=$run/$account.cnf" "$@"
}

# issue_token EMAIL NAME: a user with a token, once. The database has the token's hash only, so it is kept here.
issue_token() {
    file=$run/${1%@*}.token
    [ ! -s "$file" ] || return 0
    # The user may be there from a start that was interrupted; if that is not why it failed, the next line fails too.
    problem=$(orgsctl admin user add "$1" --name="$2" 2>&1 >/dev/null) || :
    orgsctl admin token issue "$1" --label=demo >"$file.new" || die "No token for $1${problem:+ ($problem)}."
    mv "$file.new" "$file"
}

# request TOKEN-FILE METHOD URL [JSON]: prints the status and the body, a line each.
request() {
    perl -MHTTP::Tiny -e '
        my ($file, $method, $url, $json) = @ARGV;
        open my $in, "<", $file or die "$file: $!\n";
        chomp(my $token = <$in>);
        my %headers = (Authorization => "Bearer $token");
        my %options = (headers => \%headers);
        if (defined $json) {
            $headers{"Content-Type"} = "application/json";
            $options{content} = $json;
        }
        # The proxy of the environment is not for us.
        my $client = HTTP::Tiny->new(timeout => 10, proxy => undef, http_proxy => undef);
        my $answer = $client->request($method, $url, \%options);
        print "$answer->{status}\n$answer->{content}\n"' "$@"
}

# An organization of Ada's with Bob in it; whatever of it was changed later stays changed.
make_demo() {
    [ ! -s "$run/demo" ] || return 0
    answer=$(request "$run/ada.token" POST "$url" '{"name":"Analytical Engines","description":"A small demo"}')
    id=$(printf '%s\n' "$answer" | sed -n 's/^{"id":"\([-0-9a-f]*\)".*/\1/p')
    [ -n "$id" ] || return 0
    echo "$id" >"$run/demo"
    request "$run/ada.token" POST "$url/$id/members" '{"email":"bob@example.com"}' >/dev/null
}

# --- httpd ----------------------------------------------------------------------------------------------------------

write_httpd_conf() {
    modules=$("$apxs" -q LIBEXECDIR)
    for module in mpm_event mpm_worker mpm_prefork; do
        if [ -e "$modules/mod_$module.so" ]; then
            echo "LoadModule ${module}_module \"$modules/mod_$module.so\""
            break
        fi
    done >"$run/load.conf"
    # What is missing here is compiled into this httpd.
    for module in unixd authn_core authz_core authz_host authz_user log_config reqtimeout unique_id status; do
        [ ! -e "$modules/mod_$module.so" ] ||
            echo "LoadModule ${module}_module \"$modules/mod_$module.so\""
    done >>"$run/load.conf"
    [ -z "$owner" ] || printf 'User %s\nGroup %s\n' "$owner" "$(id -gn "$owner")" >>"$run/load.conf"

    for word in "RUN_DIR=$run" "PORT=$port" "MODULE=$build/mod_orgs.so" "HTDOCS=$htdocs" "SOCKET=$db/socket"; do
        printf 's|@%s@|%s|g\n' "${word%%=*}" "$(printf '%s\n' "${word#*=}" | sed 's/[&|\\]/\\&/g')"
    done | sed -f /dev/stdin "$top/conf/httpd.conf.in" >"$run/httpd.conf"
    [ -z "$conf" ] || printf '\nInclude "%s"\n' "$conf" >>"$run/httpd.conf"
}

httpd_answers() {
    # Its pid file comes late, so the process is asked for itself.
    if ! kill -0 "$started_httpd" 2>/dev/null; then
        cat "$run/httpd.out" >&2
        die "The private httpd did not start; its log is $given/error.log."
    fi
    status=$(request "$run/ada.token" GET "$url" | head -n 1)
    [ "$status" = 200 ] && httpd_pid >/dev/null
}

start_httpd() {
    write_httpd_conf
    say "Starting the private httpd ..."
    # A session of its own for the same reason as the database's, and because httpd takes the change of a terminal
    # window's size (SIGWINCH) for the order to stop gracefully.
    setsid "$httpd" -DFOREGROUND -f "$run/httpd.conf" </dev/null >"$run/httpd.out" 2>&1 9>&- &
    started_httpd=$!
    if ! waiting 60 httpd_answers; then
        tail -n 20 "$run/error.log" >&2
        die "The private httpd answers $status instead of 200; its log is $given/error.log."
    fi
}

# --- starting and stopping ------------------------------------------------------------------------------------------

# end_server NAME PID-FUNCTION
end_server() {
    pid=$("$2") || return 0
    say "Ending the private $1 ..."
    kill "$pid" 2>/dev/null || :
    gone() { ! "$2" >/dev/null; }
    if ! waiting 120 gone "$@"; then
        say "The private $1 does not end in two minutes: it is killed."
        kill -KILL "$pid" 2>/dev/null || :
        waiting 10 gone "$@" || die "Process $pid does not go away."
    fi
}

# Children of an httpd that was killed with SIGKILL live on, deaf to SIGTERM, and keep the port. Their arguments tell.
strays() {
    grep -lzFxs -- "$run/httpd.conf" /proc/[0-9]*/cmdline | while read -r file; do
        ! grep -Fxzqs -- -DFOREGROUND "$file" || basename "${file%/cmdline}"
    done | grep .
}

end_strays() {
    for pid in $(strays); do
        kill -KILL "$pid" 2>/dev/null || :
    done
    gone() { ! strays >/dev/null; }
    waiting 10 gone || die "Children of a private httpd that was killed do not end."
}

stop_all() {
    end_server httpd httpd_pid
    end_strays
    end_server database database_pid
    unmake_root
    rm -f "$run/env" "$run/httpd.pid" "$run/db.pid" "$run/init.sql"
}

# What this call started, when it cannot finish.
undo() {
    status=$?
    trap '' INT TERM HUP
    if [ -n "$started_httpd" ]; then
        kill "$started_httpd" 2>/dev/null || :
        wait "$started_httpd" 2>/dev/null || :
    fi
    if httpd_pid >/dev/null; then
        # An httpd that ran before keeps its database, if that came back.
        :
    elif [ -n "$started_database" ] || ! database_pid >/dev/null; then
        stop_all >&2
    fi
    exit "$status"
}

assign() {
    case $2 in
        *[!-A-Za-z0-9_./:@]*) printf "%s='%s'\n" "$1" "$(printf '%s\n' "$2" | sed "s/'/'\\\\''/g")" ;;
        *) printf '%s=%s\n' "$1" "$2" ;;
    esac
}

write_env() {
    {
        if pid=$(httpd_pid); then
            assign ORGS_URL "$(sed -n 's|^Listen \(.*\)|http://\1/organizations|p' "$run/httpd.conf")"
        fi
        assign ORGS_TOKEN "$(cat "$run/ada.token")"
        assign ORGS_DEFAULTS_FILE "$run/admin.cnf"
        if [ -n "$pid" ]; then
            assign ORGS_HTTPD_PID "$pid"
        fi
        assign ORGS_DB_PID "$(database_pid)"
        if [ -n "$pid" ]; then
            assign ORGS_ERROR_LOG "$run/error.log"
        fi
    } >"$run/env.new"
    mv "$run/env.new" "$run/env"
}

show() {
    ada=$(cat "$run/ada.token")
    bob=$(cat "$run/bob.token")
    cat <<EOF

mod_orgs answers at $url

  Ada's token, an admin of the demo organization:  $ada
  Bob's token, another user:                       $bob

Some lines to paste: a list, a new organization, one of them, and an error.

  curl -H 'Authorization: Bearer $ada' $url

  curl -H 'Authorization: Bearer $ada' -H 'Content-Type: application/json' \\
       -d '{"name":"Difference Engines"}' $url

EOF
    [ ! -s "$run/demo" ] || cat <<EOF
  curl -H 'Authorization: Bearer $ada' $url/$(cat "$run/demo")

EOF
    cat <<EOF
  curl -i -H 'Authorization: Bearer $ada' $url/no-such-organization

EOF
}

start_both() {
    httpd=$("$apxs" -q SBINDIR)/$("$apxs" -q PROGNAME)
    check_port PORT "$port"
    [ -z "$conf" ] || [ -r "$conf" ] || die "CONF=$conf cannot be read."
    if httpd_pid >/dev/null; then
        [ "$command" = start ] || die "The private servers run already in $given; \`make stop\` ends them."
        grep -Fxq "Listen 127.0.0.1:$port" "$run/httpd.conf" ||
            die "The private httpd of $given runs already, on another port than $port; \`make stop\` ends it."
        say "The private httpd runs already in $given; \`make stop\` ends it."
    else
        end_strays
        why=$(bindable "$port") || die "Port $port on 127.0.0.1 cannot be had ($why): choose another with PORT=..."
        port=$why
    fi
    start_database
    url=http://127.0.0.1:$port/organizations
    httpd_pid >/dev/null || start_httpd
    make_demo
}

# GNU make sits out an interrupt that was sent to it alone, waiting for us, with the signal blocked meanwhile: so one
# can see it, and end as if it had come here.
make_was_interrupted() {
    case $(cat "/proc/$PPID/comm" 2>/dev/null) in
        make | gmake) grep -q '^SigBlk:.*[2367abef]$' "/proc/$PPID/status" ;;
        *) return 1 ;;
    esac
}

stay() {
    end=
    trap 'end=1' INT TERM HUP
    unlock
    say "Ctrl-C ends both."
    while [ -z "$end" ] && httpd_pid >/dev/null; do
        sleep 1 &
        nap=$!
        wait "$nap" || :
        ! make_was_interrupted || end=1
    done
    kill "$nap" 2>/dev/null || :
    trap '' INT TERM HUP
    [ -n "$end" ] || say "The private httpd has ended."
    lock
    stop_all
}

top=$(cd "$(dirname "$0")/.." && pwd -P)
build=$(absolute "${BUILD:-build}")
apxs=${APXS:-$(command -v apxs || command -v apxs2 || :)}
[ -z "$conf" ] || conf=$(absolute "$conf")
check_port DB_PORT "$db_port"
started_database=
started_httpd=

case $command in
    run | start | database)
        if [ -z "$apxs" ] || ! command -v "$MYSQLD" >/dev/null; then
            die "Packages are missing: conf/packages.sh, as root, installs them."
        fi
        if [ ! -x "$build/orgsctl" ] || [ ! -e "$build/mod_orgs.so" ]; then
            die "Nothing is built yet: run make first."
        fi
        choose_user
        enter_run_dir
        trap undo EXIT
        trap 'exit 130' INT TERM HUP
        if [ "$command" = database ]; then
            start_database
        else
            start_both
        fi
        write_env
        [ "$command" = database ] || show 2>/dev/null || :
        trap - EXIT INT TERM HUP
        [ "$command" != run ] || stay
        ;;
    stop | idle)
        [ -d "$given" ] || exit 0
        enter_run_dir
        if [ "$command" = stop ]; then
            stop_all
        elif httpd_pid >/dev/null || database_pid >/dev/null; then
            die "Private servers run in $given: \`make stop\` ends them."
        else
            unmake_root
        fi
        ;;
    *)
        die "Usage: conf/private.sh run|start|stop|database|idle"
        ;;
esac
