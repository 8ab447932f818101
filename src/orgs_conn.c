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

#include "orgs_id.h"
#include "orgs_limits.h"
#include "orgs_stmt.h"
#include "orgs_tls.h"
#include "orgs_watchdog.h"

/* ours: the server can be reached, but not be worked with */
#define ER_UNFIT 1289u

/* my_bool of Connector/C, bool of Oracle's library */
typedef __typeof__(*((MYSQL_BIND *)NULL)->is_null) flag_t;

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

void orgs_conn_library_init(void)
{
    orgs_tls_library_init();
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
    return conn->host;
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
    unsigned int no = 0;

    conn->my = mysql_init(NULL);
    if (conn->my == NULL) {
        orgs_dberr_set(pool, error, 2008, "out of memory");
        return 0;
    }
    mysql_options(conn->my, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
    mysql_options(conn->my, MYSQL_OPT_READ_TIMEOUT, &long_enough);
    mysql_options(conn->my, MYSQL_OPT_WRITE_TIMEOUT, &long_enough);
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
    MYSQL_RES *result = NULL;

    memset(rows, 0, sizeof(*rows));
    memset(error, 0, sizeof(*error));
    mysql_thread_init();
    if (mysql_real_query(conn->my, text, (unsigned long)strlen(text)) != 0
        /* cut off among the rows, the field count is zero as well */
        || ((result = mysql_store_result(conn->my)) == NULL
            && (mysql_field_count(conn->my) > 0 || mysql_errno(conn->my) != 0))) {
        orgs_dberr_set(pool, error, mysql_errno(conn->my), mysql_error(conn->my));
    }
    else if (result != NULL) {
        apr_size_t columns = mysql_num_fields(result);
        apr_size_t count = (apr_size_t)mysql_num_rows(result);
        orgs_value_t *value = apr_pcalloc(pool, sizeof(*value) * (columns * count + 1));
        MYSQL_ROW row;

        rows->columns = (int)columns;
        rows->count = (int)count;
        rows->values = value;
        while ((row = mysql_fetch_row(result)) != NULL) {
            unsigned long *lengths = mysql_fetch_lengths(result);
            apr_size_t i;

            for (i = 0; i < columns; i++, value++) {
                if (row[i] != NULL) {
                    value->type = ORGS_BYTES;
                    value->len = lengths[i];
                    value->bytes = apr_pstrmemdup(pool, row[i], lengths[i]);
                }
            }
        }
    }
    if (result != NULL) {
        mysql_free_result(result);
    }
}

/* The session's settings by vendor. Limits lie below ours, so that the server holds no lock for one who left. */
static const char *session_text(apr_pool_t *pool, int mariadb, int timeout)
{
    int half = timeout / 2 > 1 ? timeout / 2 : 1;
    int quarter = timeout / 4 > 1 ? timeout / 4 : 1;
    const char *common = "SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', "
                         "autocommit = 1, ";

    if (mariadb) {
        return apr_psprintf(pool, "%stx_isolation = 'READ-COMMITTED', innodb_lock_wait_timeout = %d, "
                                  "lock_wait_timeout = %d, max_statement_time = %.1f, idle_transaction_timeout = %d",
                            common, half, half, (double)timeout * 0.6, half);
    }
    /* MySQL limits neither a CALL nor an idle transaction: several lock waits must fit, and idle sessions end */
    return apr_psprintf(pool, "%stransaction_isolation = 'READ-COMMITTED', innodb_lock_wait_timeout = %d, "
                              "lock_wait_timeout = %d, max_execution_time = %d, wait_timeout = %d",
                        common, quarter, quarter, timeout * 600, timeout > 30 ? timeout : 30);
}

static const char *text_of(const orgs_rows_t *rows, int column)
{
    const char *text = rows->values[column].bytes;

    return text != NULL ? text : "";
}

/* Checks what the session and the server say of themselves; NULL, or a sentence. */
static const char *unfit(apr_pool_t *pool, const orgs_rows_t *rows)
{
    long version, oldest;

    if (strcmp(text_of(rows, 0), "+00:00") != 0 || strstr(text_of(rows, 1), "STRICT_ALL_TABLES") == NULL
        || strcmp(text_of(rows, 2), "READ-COMMITTED") != 0 || strcmp(text_of(rows, 3), "1") != 0
        || strcmp(text_of(rows, 4), "utf8mb4") != 0) {
        return "the session's settings did not hold";
    }
    if (strcmp(text_of(rows, 5), "0") != 0 || strcmp(text_of(rows, 6), "0") != 0) {
        return "the server is read-only";
    }
    version = atol(text_of(rows, 7));
    oldest = atol(text_of(rows, 8));
    if (version < ORGS_SCHEMA_OLDEST || oldest > ORGS_SCHEMA_VERSION) {
        return apr_psprintf(pool, "the schema is of version %ld and serves modules from %ld on, this one works with "
                                  "%d to %d: run `orgsctl schema` of the newer one", version, oldest,
                            ORGS_SCHEMA_OLDEST, ORGS_SCHEMA_VERSION);
    }
    return NULL;
}

static void make_session(orgs_conn_t *conn, apr_pool_t *pool, int timeout, apr_time_t deadline, orgs_dberr_t *error)
{
    const char *sentence = NULL;
    orgs_rows_t rows;

    begin(conn, deadline);
    orgs_conn_text(conn, pool, session_text(pool, conn->mariadb, timeout), &rows, error);
    if (error->number == 0) {
        orgs_conn_text(conn, pool, apr_psprintf(pool,
            "SELECT @@session.time_zone, @@session.sql_mode, @@session.%s, @@session.autocommit, "
            "@@character_set_client, " ORGS_SQL_READ_ONLY ", @@innodb_read_only, version, oldest_module "
            /* no subqueries: killed, they are null without an error; no MAX(): beside it MariaDB says autocommit 0 */
            "FROM schema_version WHERE id = 1",
            conn->mariadb ? "tx_isolation" : "transaction_isolation"), &rows, error);
    }
    end(conn);
    if (error->number == 1146) {
        sentence = "there is no schema in this database: run `orgsctl schema`";
    }
    else if (error->number == 0) {
        sentence = rows.count == 1 ? unfit(pool, &rows) : "the session cannot be read back";
    }
    if (sentence != NULL) {
        orgs_dberr_set(pool, error, ER_UNFIT, sentence);
    }
    if (error->number != 0) {
        orgs_conn_close(conn);
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
        if (connect_host(conn, pool, params, host, dbname, share, error) && !bare) {
            now = orgs_clock() + apr_time_from_sec(1);
            make_session(conn, pool, timeout, share > now ? share : now, error);
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
    memset(rows, 0, sizeof(*rows));
    memset(error, 0, sizeof(*error));
    begin(conn, deadline);
    /* prepared on this connection when it is first needed */
    if (conn->stmts[sql] != NULL || (conn->stmts[sql] = orgs_stmt_prepare(conn->my, pool, sql, error)) != NULL) {
        orgs_stmt_run(conn->stmts[sql], conn->landing, pool, sql, params, rows, error);
    }
    if (end(conn)) {
        orgs_dberr_set(pool, error, ORGS_ER_LOST, "the server did not answer in time");
    }
}
