/*
 * One connection.
 */
#include "orgs_conn.h"

#include <apr_atomic.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "orgs_limits.h"
#include "orgs_log.h"
#include "orgs_session.h"
#include "orgs_stmt.h"
#include "orgs_time.h"
#include "orgs_tls.h"
#include "orgs_watchdog.h"

struct orgs_conn_t {
    apr_pool_t *pool;
    MYSQL *my;
    orgs_watch_t *watch;
    unsigned int mark;
    volatile apr_uint32_t host;
    int use;
    int mariadb;
    /* In prefork a signal handler may tear the pools down in mid-question: then nothing here is touched. */
    volatile int busy;
    orgs_landing_t *landing; /* of all its statements */
    MYSQL_STMT *stmts[ORGS_SQL_COUNT];
};

/* What the libraries obey whatever we say, or where we say nothing: how strict TLS is, code to be loaded, passwords,
 * ports, sockets, files. */
static const char *const environment[] = {
    "MARIADB_TLS_DISABLE_PEER_VERIFICATION", "LIBMYSQL_ENABLE_CLEARTEXT_PLUGIN", "LIBMYSQL_PLUGINS",
    "LIBMYSQL_PLUGIN_DIR", "MARIADB_PLUGIN_DIR", "MYSQL_PWD", "MYSQL_HOST", "MYSQL_TCP_PORT", "MARIADB_TCP_PORT",
    "MYSQL_UNIX_PORT", "MARIADB_UNIX_PORT", "MYSQL_HOME", "MARIADB_HOME", "MYSQL_GROUP_SUFFIX", "MYSQL_DEBUG"};

void orgs_conn_library_init(void)
{
    apr_size_t i;

    for (i = 0; i < sizeof(environment) / sizeof(environment[0]); i++) {
        unsetenv(environment[i]);
    }
    orgs_tls_library_init();
}

#ifdef MARIADB_PACKAGE_VERSION
#define LIBRARY "MariaDB Connector/C"
#define LIBRARY_VERSION MARIADB_PACKAGE_VERSION
#else
#define LIBRARY "libmysqlclient"
#define LIBRARY_VERSION MYSQL_SERVER_VERSION
#endif

const char *orgs_conn_library(apr_pool_t *pool)
{
    const char *version = mysql_get_client_info();

    return strcmp(version, LIBRARY_VERSION) == 0
               ? LIBRARY " " LIBRARY_VERSION
               : apr_pstrcat(pool, LIBRARY " ", version, " (built with " LIBRARY_VERSION ")", NULL);
}

void orgs_conn_library_leave(void)
{
    mysql_thread_end();
}

static apr_status_t close_conn(void *data)
{
    orgs_conn_t *conn = data;

    if (conn->busy) {
        return APR_SUCCESS;
    }
    orgs_conn_close(conn);
    if (conn->watch != NULL) {
        orgs_watch_give_back(conn->watch);
        conn->watch = NULL;
    }
    return APR_SUCCESS;
}

apr_status_t orgs_conn_make(orgs_conn_t **conn, apr_pool_t *parent)
{
    apr_pool_t *pool;
    apr_status_t rv = apr_pool_create(&pool, parent);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *conn = apr_pcalloc(pool, sizeof(**conn));
    (*conn)->pool = pool;
    (*conn)->landing = orgs_landing_make(pool);
    (*conn)->watch = orgs_watch_make();
    if ((*conn)->watch == NULL) {
        apr_pool_destroy(pool);
        return APR_ENOMEM;
    }
    apr_pool_cleanup_register(pool, *conn, close_conn, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

void orgs_conn_destroy(orgs_conn_t *conn)
{
    apr_pool_destroy(conn->pool);
}

void orgs_conn_mark(orgs_conn_t *conn, unsigned int mark)
{
    conn->mark = mark;
}

unsigned int orgs_conn_marked(const orgs_conn_t *conn)
{
    return conn->mark;
}

unsigned int orgs_conn_host(const orgs_conn_t *conn)
{
    /* also of an attempt that another thread still makes */
    return __atomic_load_n(&conn->host, __ATOMIC_RELAXED);
}

void orgs_conn_set_use(orgs_conn_t *conn, int use)
{
    conn->use = use;
}

int orgs_conn_use(const orgs_conn_t *conn)
{
    return conn->use;
}

int orgs_conn_is_open(const orgs_conn_t *conn)
{
    return conn->my != NULL;
}

int orgs_conn_is_mariadb(const orgs_conn_t *conn)
{
    return conn->mariadb;
}

void orgs_conn_move(orgs_conn_t *to, orgs_conn_t *from)
{
    /* it has no statements yet: they would know where their results land */
    to->my = from->my;
    to->mariadb = from->mariadb;
    to->host = from->host;
    from->my = NULL;
}

static int socket_of(MYSQL *my)
{
#ifdef MARIADB_PACKAGE_VERSION
    return (int)mysql_get_socket(my);
#else
    return (int)my->net.fd;
#endif
}

int orgs_conn_alive(const orgs_conn_t *conn)
{
    struct pollfd idle;

    if (conn->my == NULL) {
        return 0;
    }
    /* an idle server has nothing to say but goodbye */
    idle.fd = socket_of(conn->my);
    idle.events = POLLIN | POLLRDHUP;
    idle.revents = 0;
    return poll(&idle, 1, 0) == 0;
}

void orgs_conn_close(orgs_conn_t *conn)
{
    int i;

    if (conn->my == NULL) {
        return;
    }
    /* the connection first: its statements are then closed without asking the server for what they left unread */
    mysql_close(conn->my);
    conn->my = NULL;
    for (i = 0; i < ORGS_SQL_COUNT; i++) {
        if (conn->stmts[i] != NULL) {
            mysql_stmt_close(conn->stmts[i]);
            conn->stmts[i] = NULL;
        }
    }
}

static void begin(orgs_conn_t *conn, apr_time_t deadline)
{
    conn->busy = 1;
    mysql_thread_init();
    orgs_watch_arm(conn->watch, socket_of(conn->my), deadline);
}

/* Nonzero if the deadline passed meanwhile. */
static int end(orgs_conn_t *conn)
{
    int shut = orgs_watch_disarm(conn->watch);

    conn->busy = 0;
    return shut;
}

/* A rogue server may ask for a file whatever the statement. */
static int infile_init(void **handle, const char *name, void *data)
{
    (void)name;
    (void)data;
    *handle = NULL;
    return 1;
}

static int infile_read(void *handle, char *buffer, unsigned int len)
{
    (void)handle;
    (void)buffer;
    (void)len;
    return -1;
}

static void infile_end(void *handle)
{
    (void)handle;
}

static int infile_error(void *handle, char *text, unsigned int len)
{
    (void)handle;
    apr_cpystrn(text, "refused", len);
    return 2000;
}

/* Connects to one host (NULL: the socket); no session yet. */
static int connect_host(orgs_conn_t *conn, apr_pool_t *pool, const orgs_params_t *params, const char *host,
                        const char *dbname, apr_time_t deadline, orgs_dberr_t *error)
{
    /* whole seconds are what the libraries know; a name may have two addresses */
    apr_interval_time_t half = (deadline - orgs_clock()) / 2;
    unsigned int seconds = half > apr_time_from_sec(1) ? (unsigned int)apr_time_sec(half) : 1;
    /* the watchdog is what ends a question; this is for a watchdog that could not */
    unsigned int long_enough = ORGS_DB_TIMEOUT_MAX + 1;
    orgs_ssl_e mode = orgs_params_ssl(params, host);
    unsigned long packet = ORGS_PACKET_MAX;
    unsigned int no = 0;

    conn->my = mysql_init(NULL);
    if (conn->my == NULL) {
        orgs_dberr_set(pool, error, 2008, "out of memory");
        return 0;
    }
    mysql_options(conn->my, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
    mysql_options(conn->my, MYSQL_OPT_READ_TIMEOUT, &long_enough);
    mysql_options(conn->my, MYSQL_OPT_WRITE_TIMEOUT, &long_enough);
    mysql_options(conn->my, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
    mysql_options(conn->my, MYSQL_OPT_LOCAL_INFILE, &no);
    mysql_options(conn->my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_set_local_infile_handler(conn->my, infile_init, infile_read, infile_end, infile_error, NULL);
    orgs_tls_set(conn->my, params, host, mode);
    /* no password is none, not one of the environment */
    if (mysql_real_connect(conn->my, host, params->user, params->password != NULL ? params->password : "", dbname,
                           params->port, params->socket, CLIENT_FOUND_ROWS) == NULL) {
        orgs_dberr_set(pool, error, mysql_errno(conn->my), orgs_tls_error(conn->my));
    }
    else if (mode != ORGS_SSL_DISABLED && mysql_get_ssl_cipher(conn->my) == NULL) {
        orgs_dberr_set(pool, error, 2026, "the connection is not encrypted");
    }
    else {
        int fd = socket_of(conn->my);

        /* or CGI scripts would inherit the session */
        fcntl(fd, F_SETFD, fcntl(fd, F_GETFD) | FD_CLOEXEC);
        conn->mariadb = strstr(mysql_get_server_info(conn->my), "MariaDB") != NULL;
        return 1;
    }
    orgs_conn_close(conn);
    return 0;
}

void orgs_conn_text(orgs_conn_t *conn, apr_pool_t *pool, const char *text, orgs_rows_t *rows, orgs_dberr_t *error)
{
    orgs_session_ask(conn->my, pool, text, rows, error);
}

/* the process has said what it is connected to */
static apr_uint32_t told;

static void make_session(orgs_conn_t *conn, apr_pool_t *pool, const char *dbname, int timeout, apr_time_t deadline,
                         orgs_dberr_t *error)
{
    begin(conn, deadline);
    orgs_session_make(conn->my, pool, conn->mariadb, dbname, timeout, error);
    if (end(conn) && error->number == 0) {
        orgs_dberr_set(pool, error, ORGS_ER_LOST, "the server did not answer in time");
    }
    if (error->number != 0) {
        orgs_conn_close(conn);
    }
    else if (apr_atomic_xchg32(&told, 1) == 0) {
        const char *version = mysql_get_server_info(conn->my);

        orgs_log(ORGS_LOG_INFO, ORGS_LOGNO(0005) "the database is %s%s", conn->mariadb ? "" : "MySQL ", version);
    }
}

static int open_hosts(orgs_conn_t *conn, apr_pool_t *pool, const orgs_params_t *params, int bare, unsigned int first,
                      int timeout, apr_time_t deadline, orgs_dberr_t *error)
{
    const char *dbname = bare ? NULL : params->dbname;
    apr_array_header_t *hosts = orgs_params_hosts(pool, params);
    int i;

    mysql_thread_init();
    conn->busy = 1;
    for (i = 0; i < hosts->nelts && conn->my == NULL && (i == 0 || orgs_clock() < deadline); i++) {
        unsigned int number = (first + (unsigned int)i) % (unsigned int)hosts->nelts;
        const char *host = APR_ARRAY_IDX(hosts, (int)number, const char *);
        apr_time_t now = orgs_clock();
        apr_time_t share = now + (deadline - now) / (hosts->nelts - i);

        apr_atomic_set32(&conn->host, number);
        memset(error, 0, sizeof(*error));
        if (connect_host(conn, pool, params, host, dbname, share, error)) {
            now = orgs_clock() + apr_time_from_sec(1);
            make_session(conn, pool, dbname, bare ? 0 : timeout, share > now ? share : now, error);
        }
        if (host != NULL && conn->my == NULL) {
            error->text = apr_pstrcat(pool, host, ": ", error->text, NULL);
        }
    }
    conn->busy = 0;
    return conn->my != NULL;
}

int orgs_conn_open(orgs_conn_t *conn, apr_pool_t *pool, const orgs_params_t *params, unsigned int first, int timeout,
                   apr_time_t deadline, orgs_dberr_t *error)
{
    return open_hosts(conn, pool, params, 0, first, timeout, deadline, error);
}

int orgs_conn_open_bare(orgs_conn_t *conn, apr_pool_t *pool, const orgs_params_t *params, apr_time_t deadline,
                        orgs_dberr_t *error)
{
    return open_hosts(conn, pool, params, 1, 0, 0, deadline, error);
}

int orgs_conn_rollback(orgs_conn_t *conn, apr_time_t deadline)
{
    int failed;

    begin(conn, deadline);
    failed = mysql_real_query(conn->my, "ROLLBACK", 8);
    return !end(conn) && !failed;
}

void orgs_conn_query(orgs_conn_t *conn, apr_pool_t *pool, orgs_sql_e sql, const orgs_value_t *params,
                     apr_time_t deadline, orgs_rows_t *rows, orgs_dberr_t *error)
{
    memset(error, 0, sizeof(*error));
    begin(conn, deadline);
    /* prepared on this connection when it is first needed */
    if (conn->stmts[sql] != NULL || (conn->stmts[sql] = orgs_stmt_prepare(conn->my, pool, sql, error)) != NULL) {
        orgs_stmt_run(conn->stmts[sql], conn->landing, pool, sql, params, rows, error);
    }
    if (end(conn)) {
        orgs_dberr_set(pool, error, ORGS_ER_LOST, "the server did not answer in time");
    }
    error->unasked = conn->stmts[sql] == NULL;
}
