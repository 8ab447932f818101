/*
 * One connection.
 */
#include "orgs_conn.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <mysql.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "orgs_id.h"
#include "orgs_limits.h"
#include "orgs_watchdog.h"

#define PARAMS_MAX 16
#define COLUMNS_MAX 32
/* what of a value is fetched with its row; longer ones are asked for */
#define INLINE_LEN 160

#define ER_LOST 2013u
#define ER_UNFIT 1289u

/* my_bool of Connector/C, bool of Oracle's library */
typedef __typeof__(*((MYSQL_BIND *)NULL)->is_null) flag_t;

struct orgs_conn_t {
    apr_pool_t *pool;
    MYSQL *my;
    orgs_watch_t *watch;
    unsigned int mark;
    int mariadb;
    /* In prefork a signal handler may tear the pools down in mid-question: then nothing here is touched. */
    volatile int busy;
    MYSQL_STMT *stmts[ORGS_SQL_COUNT];
};

void orgs_conn_library_init(void)
{
    mysql_library_init(0, NULL, NULL);
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

int orgs_conn_is_open(const orgs_conn_t *conn)
{
    return conn->my != NULL;
}

int orgs_conn_is_mariadb(const orgs_conn_t *conn)
{
    return conn->mariadb;
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

static void fail(apr_pool_t *pool, orgs_dberr_t *error, unsigned int number, const char *text)
{
    error->number = number != 0 ? number : ER_LOST;
    error->text = apr_pstrdup(pool, text != NULL && *text != '\0' ? text : "the connection was lost");
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

static void set_ssl(MYSQL *my, const orgs_params_t *params, orgs_ssl_e mode)
{
#ifdef MARIADB_PACKAGE_VERSION
    flag_t enforce = mode != ORGS_SSL_DISABLED;
    flag_t verify = mode == ORGS_SSL_VERIFY_IDENTITY;

    mysql_options(my, MYSQL_OPT_SSL_ENFORCE, &enforce);
    mysql_options(my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
#else
    enum mysql_ssl_mode wanted = mode == ORGS_SSL_DISABLED   ? SSL_MODE_DISABLED
                                 : mode == ORGS_SSL_REQUIRED ? SSL_MODE_REQUIRED
                                                             : SSL_MODE_VERIFY_IDENTITY;

    mysql_options(my, MYSQL_OPT_SSL_MODE, &wanted);
#endif
    if (mode != ORGS_SSL_DISABLED) {
        if (params->ssl_ca != NULL) {
            mysql_options(my, MYSQL_OPT_SSL_CA, params->ssl_ca);
        }
        if (params->ssl_cert != NULL) {
            mysql_options(my, MYSQL_OPT_SSL_CERT, params->ssl_cert);
        }
        if (params->ssl_key != NULL) {
            mysql_options(my, MYSQL_OPT_SSL_KEY, params->ssl_key);
        }
    }
}

/* Connects to one host (NULL: the socket); no session yet. */
static int connect_host(orgs_conn_t *conn, apr_pool_t *pool, const orgs_params_t *params, const char *host,
                        const char *dbname, apr_time_t deadline, orgs_dberr_t *error)
{
    apr_interval_time_t left = deadline - orgs_clock();
    /* whole seconds are what the libraries know */
    unsigned int seconds = left > apr_time_from_sec(1) ? (unsigned int)apr_time_sec(left) : 1;
    /* the watchdog is what ends a question; this is for a watchdog that could not */
    unsigned int long_enough = ORGS_DB_TIMEOUT_MAX + 1;
    orgs_ssl_e mode = orgs_params_ssl(params, host);
    unsigned int no = 0;

    conn->my = mysql_init(NULL);
    if (conn->my == NULL) {
        fail(pool, error, 2008, "out of memory");
        return 0;
    }
    mysql_options(conn->my, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
    mysql_options(conn->my, MYSQL_OPT_READ_TIMEOUT, &long_enough);
    mysql_options(conn->my, MYSQL_OPT_WRITE_TIMEOUT, &long_enough);
    mysql_options(conn->my, MYSQL_OPT_LOCAL_INFILE, &no);
    mysql_options(conn->my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_set_local_infile_handler(conn->my, infile_init, infile_read, infile_end, infile_error, NULL);
    set_ssl(conn->my, params, mode);
    if (mysql_real_connect(conn->my, host, params->user, params->password, dbname, params->port, params->socket,
                           CLIENT_FOUND_ROWS) == NULL) {
        fail(pool, error, mysql_errno(conn->my), mysql_error(conn->my));
    }
    else if (mode != ORGS_SSL_DISABLED && mysql_get_ssl_cipher(conn->my) == NULL) {
        fail(pool, error, 2026, "the server offers no TLS, and without it nothing is said");
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
        || ((result = mysql_store_result(conn->my)) == NULL && mysql_field_count(conn->my) > 0)) {
        fail(pool, error, mysql_errno(conn->my), mysql_error(conn->my));
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

static int make_session(orgs_conn_t *conn, apr_pool_t *pool, int timeout, apr_time_t deadline, orgs_dberr_t *error)
{
    const char *sentence = NULL;
    orgs_rows_t rows;

    begin(conn, deadline);
    orgs_conn_text(conn, pool, session_text(pool, conn->mariadb, timeout), &rows, error);
    if (error->number == 0) {
        orgs_conn_text(conn, pool, apr_psprintf(pool,
            "SELECT @@session.time_zone, @@session.sql_mode, @@session.%s, @@session.autocommit, "
            "@@character_set_client, @@global.read_only, @@innodb_read_only, "
            "(SELECT MAX(version) FROM schema_version), (SELECT MAX(oldest_module) FROM schema_version)",
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
        fail(pool, error, ER_UNFIT, sentence);
    }
    if (error->number != 0) {
        orgs_conn_close(conn);
    }
    return error->number == 0;
}

static int open_hosts(orgs_conn_t *conn, apr_pool_t *pool, const orgs_params_t *params, int bare, int timeout,
                      apr_time_t deadline, orgs_dberr_t *error)
{
    const char *dbname = bare ? NULL : params->dbname;
    char *hosts = params->hosts != NULL ? apr_pstrdup(pool, params->hosts) : NULL;
    char *state = NULL;
    char *host = hosts != NULL ? apr_strtok(hosts, ", ", &state) : NULL;

    mysql_thread_init();
    conn->busy = 1;
    do {
        memset(error, 0, sizeof(*error));
        if (connect_host(conn, pool, params, host, dbname, deadline, error)
            && (bare || make_session(conn, pool, timeout, deadline, error))) {
            break;
        }
        if (host != NULL) {
            error->text = apr_pstrcat(pool, host, ": ", error->text, NULL);
        }
    } while (host != NULL && (host = apr_strtok(NULL, ", ", &state)) != NULL && orgs_clock() < deadline);
    conn->busy = 0;
    return conn->my != NULL;
}

int orgs_conn_open(orgs_conn_t *conn, apr_pool_t *pool, const orgs_params_t *params, int timeout, apr_time_t deadline,
                   orgs_dberr_t *error)
{
    return open_hosts(conn, pool, params, 0, timeout, deadline, error);
}

int orgs_conn_open_bare(orgs_conn_t *conn, apr_pool_t *pool, const orgs_params_t *params, apr_time_t deadline,
                        orgs_dberr_t *error)
{
    return open_hosts(conn, pool, params, 1, 0, deadline, error);
}

int orgs_conn_rollback(orgs_conn_t *conn, apr_time_t deadline)
{
    int failed;

    begin(conn, deadline);
    failed = mysql_real_query(conn->my, "ROLLBACK", 8);
    return !end(conn) && !failed;
}

/* The statement, prepared on this connection when it is first needed. */
static MYSQL_STMT *prepared(orgs_conn_t *conn, apr_pool_t *pool, orgs_sql_e sql, orgs_dberr_t *error)
{
    const orgs_sql_t *statement = orgs_sql(sql);
    MYSQL_STMT *stmt = conn->stmts[sql];

    if (stmt != NULL) {
        return stmt;
    }
    stmt = mysql_stmt_init(conn->my);
    if (stmt == NULL) {
        fail(pool, error, mysql_errno(conn->my), mysql_error(conn->my));
        return NULL;
    }
    if (mysql_stmt_prepare(stmt, statement->text, (unsigned long)strlen(statement->text)) != 0) {
        fail(pool, error, mysql_stmt_errno(stmt), mysql_stmt_error(stmt));
        mysql_stmt_close(stmt);
        return NULL;
    }
    if (mysql_stmt_param_count(stmt) != (unsigned long)statement->params) {
        fail(pool, error, 2031, "the statement has another number of parameters");
        mysql_stmt_close(stmt);
        return NULL;
    }
    conn->stmts[sql] = stmt;
    return stmt;
}

static void to_mysql_time(MYSQL_TIME *to, apr_time_t at)
{
    apr_time_exp_t t;

    apr_time_exp_gmt(&t, at);
    memset(to, 0, sizeof(*to));
    to->year = (unsigned int)t.tm_year + 1900;
    to->month = (unsigned int)t.tm_mon + 1;
    to->day = (unsigned int)t.tm_mday;
    to->hour = (unsigned int)t.tm_hour;
    to->minute = (unsigned int)t.tm_min;
    to->second = (unsigned int)t.tm_sec;
    to->second_part = (unsigned long)(t.tm_usec / 1000 * 1000);
    to->time_type = MYSQL_TIMESTAMP_DATETIME;
}

static apr_time_t from_mysql_time(const MYSQL_TIME *from)
{
    apr_time_exp_t t;
    apr_time_t at = -1;

    memset(&t, 0, sizeof(t));
    t.tm_year = (apr_int32_t)from->year - 1900;
    t.tm_mon = (apr_int32_t)from->month - 1;
    t.tm_mday = (apr_int32_t)from->day;
    t.tm_hour = (apr_int32_t)from->hour;
    t.tm_min = (apr_int32_t)from->minute;
    t.tm_sec = (apr_int32_t)from->second;
    t.tm_usec = (apr_int32_t)from->second_part;
    apr_time_exp_gmt_get(&at, &t);
    return at;
}

static int bind_params(MYSQL_STMT *stmt, const orgs_value_t *params, int count, MYSQL_BIND *binds, MYSQL_TIME *times)
{
    int i;

    memset(binds, 0, sizeof(*binds) * PARAMS_MAX);
    for (i = 0; i < count; i++) {
        switch (params[i].type) {
        case ORGS_NULL:
            binds[i].buffer_type = MYSQL_TYPE_NULL;
            break;
        case ORGS_INT:
            binds[i].buffer_type = MYSQL_TYPE_LONGLONG;
            binds[i].buffer = (void *)(apr_uintptr_t)&params[i].number;
            break;
        case ORGS_BYTES:
            binds[i].buffer_type = MYSQL_TYPE_STRING;
            binds[i].buffer = (void *)(apr_uintptr_t)params[i].bytes;
            binds[i].buffer_length = (unsigned long)params[i].len;
            break;
        case ORGS_TIME:
            to_mysql_time(&times[i], params[i].number);
            binds[i].buffer_type = MYSQL_TYPE_DATETIME;
            binds[i].buffer = &times[i];
            break;
        }
    }
    return count == 0 || mysql_stmt_bind_param(stmt, binds) == 0;
}

/* Where one row of a result lands. */
typedef struct {
    MYSQL_BIND binds[COLUMNS_MAX];
    unsigned long lengths[COLUMNS_MAX];
    flag_t nulls[COLUMNS_MAX];
    union {
        apr_int64_t number;
        MYSQL_TIME time;
        char bytes[INLINE_LEN];
    } cells[COLUMNS_MAX];
} landing_t;

static int bind_result(MYSQL_STMT *stmt, const char *columns, landing_t *landing)
{
    int i;

    memset(landing->binds, 0, sizeof(landing->binds));
    for (i = 0; columns[i] != '\0'; i++) {
        MYSQL_BIND *bind = &landing->binds[i];

        bind->buffer = &landing->cells[i];
        bind->buffer_length = sizeof(landing->cells[i]);
        bind->length = &landing->lengths[i];
        bind->is_null = &landing->nulls[i];
        bind->buffer_type = columns[i] == 'i'   ? MYSQL_TYPE_LONGLONG
                            : columns[i] == 't' ? MYSQL_TYPE_DATETIME
                                                : MYSQL_TYPE_STRING;
    }
    return mysql_stmt_bind_result(stmt, landing->binds) == 0;
}

/* Copies one column of the row in hand. Zero if a long value could not be fetched. */
static int take_value(MYSQL_STMT *stmt, apr_pool_t *pool, char column, landing_t *landing, unsigned int i,
                      orgs_value_t *value)
{
    char *bytes;

    memset(value, 0, sizeof(*value));
    if (landing->nulls[i]) {
        return 1;
    }
    switch (column) {
    case 'i':
        value->type = ORGS_INT;
        value->number = landing->cells[i].number;
        return 1;
    case 't':
        value->type = ORGS_TIME;
        value->number = from_mysql_time(&landing->cells[i].time);
        return 1;
    default:
        break;
    }
    value->type = ORGS_BYTES;
    value->len = landing->lengths[i];
    bytes = apr_palloc(pool, value->len + 1);
    value->bytes = bytes;
    bytes[value->len] = '\0';
    if (value->len <= INLINE_LEN) {
        memcpy(bytes, landing->cells[i].bytes, value->len);
        return 1;
    }
    landing->binds[i].buffer = bytes;
    landing->binds[i].buffer_length = value->len;
    if (mysql_stmt_fetch_column(stmt, &landing->binds[i], i, 0) != 0) {
        return 0;
    }
    landing->binds[i].buffer = &landing->cells[i];
    landing->binds[i].buffer_length = sizeof(landing->cells[i]);
    return 1;
}

/* Reads the rows of the result in hand. Zero if it failed; rows then holds those that came whole. */
static int take_rows(MYSQL_STMT *stmt, apr_pool_t *pool, const char *columns, orgs_rows_t *rows)
{
    unsigned int width = (unsigned int)strlen(columns);
    landing_t landing;
    orgs_value_t *value;
    apr_size_t count;
    int status = 0;

    if (!bind_result(stmt, columns, &landing) || mysql_stmt_store_result(stmt) != 0) {
        return 0;
    }
    count = (apr_size_t)mysql_stmt_num_rows(stmt);
    value = apr_palloc(pool, sizeof(*value) * (width * count + 1));
    rows->values = value;
    rows->columns = (int)width;
    while ((apr_size_t)rows->count < count
           && ((status = mysql_stmt_fetch(stmt)) == 0 || status == MYSQL_DATA_TRUNCATED)) {
        unsigned int i;

        for (i = 0; i < width; i++, value++) {
            if (!take_value(stmt, pool, columns[i], &landing, i, value)) {
                return 0;
            }
        }
        rows->count++;
    }
    return (apr_size_t)rows->count == count;
}

/* Executes, and reads every result to its end: whatever is left unread would be in the next one's way. */
static int run(MYSQL_STMT *stmt, apr_pool_t *pool, const orgs_sql_t *statement, orgs_rows_t *rows)
{
    int taken = 0;
    int status;

    if (mysql_stmt_execute(stmt) != 0) {
        return 0;
    }
    do {
        unsigned int fields = mysql_stmt_field_count(stmt);

        if (fields > 0 && !taken) {
            if (fields != strlen(statement->columns) || !take_rows(stmt, pool, statement->columns, rows)) {
                return 0;
            }
            taken = 1;
        }
        if (fields > 0) {
            mysql_stmt_free_result(stmt);
        }
        status = mysql_stmt_next_result(stmt);
    } while (status == 0);
    return status == -1;
}

void orgs_conn_query(orgs_conn_t *conn, apr_pool_t *pool, orgs_sql_e sql, const orgs_value_t *params,
                     apr_time_t deadline, orgs_rows_t *rows, orgs_dberr_t *error)
{
    const orgs_sql_t *statement = orgs_sql(sql);
    MYSQL_BIND binds[PARAMS_MAX];
    MYSQL_TIME times[PARAMS_MAX];
    MYSQL_STMT *stmt;
    int done;

    memset(rows, 0, sizeof(*rows));
    memset(error, 0, sizeof(*error));
    begin(conn, deadline);
    stmt = prepared(conn, pool, sql, error);
    done = stmt != NULL && bind_params(stmt, params, statement->params, binds, times)
           && run(stmt, pool, statement, rows);
    if (end(conn)) {
        fail(pool, error, ER_LOST, "the server did not answer in time");
    }
    else if (stmt != NULL && !done) {
        fail(pool, error, mysql_stmt_errno(stmt), mysql_stmt_error(stmt));
    }
}
