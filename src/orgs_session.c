/*
 * The session of a connection.
 */
#include "orgs_session.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "orgs_limits.h"
#include "orgs_sql.h"
#include "orgs_stmt.h"

/* ours: the server can be reached, but not be worked with */
#define ER_UNFIT 1289u
#define ER_UNKNOWN_TABLE 1109u
#define ER_NO_SUCH_TABLE 1146u

enum { MARIADB = 1, ORACLE = 2, EITHER = MARIADB | ORACLE };

/* What a value is: a number as it stands, a text, or computed from OrgsDBTimeout. */
typedef enum { NUMBER, TEXT, WHOLE, HALF, QUARTER, STATEMENT, STATEMENT_MS } kind_e;

/*
 * Every setting that could make a statement of ours mean something else, or last longer than ours may. Each reads back as
 * it is written here.
 */
static const struct {
    int vendor;
    kind_e kind;
    const char *name;
    const char *value;
} settings[] = {
    {EITHER, TEXT, "time_zone", "+00:00"},
    {EITHER, TEXT, "sql_mode", "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION"},
    {EITHER, TEXT, "character_set_client", "utf8mb4"},
    {EITHER, TEXT, "character_set_results", "utf8mb4"},
    {EITHER, TEXT, "collation_connection", "utf8mb4_bin"},
    {EITHER, NUMBER, "autocommit", "1"},
    {EITHER, TEXT, "completion_type", "NO_CHAIN"},
    {MARIADB, TEXT, "tx_isolation", "READ-COMMITTED"},
    {ORACLE, TEXT, "transaction_isolation", "READ-COMMITTED"},
    {MARIADB, NUMBER, "tx_read_only", "0"},
    {ORACLE, NUMBER, "transaction_read_only", "0"},
    {EITHER, NUMBER, "foreign_key_checks", "1"},
    {EITHER, NUMBER, "unique_checks", "1"},
    {MARIADB, NUMBER, "check_constraint_checks", "1"},
    /* lists come whole and in order */
    {EITHER, NUMBER, "sql_select_limit", "18446744073709551615"},
    {EITHER, NUMBER, "max_sort_length", "1024"},
    /* and so does what a procedure gathers */
    {MARIADB, NUMBER, "group_concat_max_len", "1048576"},
    {EITHER, NUMBER, "sql_big_selects", "1"},
    {EITHER, NUMBER, "sql_safe_updates", "0"},
    {EITHER, NUMBER, "sql_auto_is_null", "0"},
    /* handlers of procedures look at the conditions that were met; MySQL's, but for NOT FOUND, do so without it, and it
     * is its administrator's to set */
    {MARIADB, NUMBER, "max_error_count", "64"},
    {MARIADB, TEXT, "query_cache_type", "OFF"},
    /* the limits; MySQL has none for a CALL or an idle transaction: several lock waits must fit, and idle sessions end */
    {MARIADB, HALF, "innodb_lock_wait_timeout", NULL},
    {MARIADB, HALF, "lock_wait_timeout", NULL},
    {MARIADB, STATEMENT, "max_statement_time", NULL},
    {MARIADB, QUARTER, "idle_transaction_timeout", NULL},
    {MARIADB, QUARTER, "idle_readonly_transaction_timeout", NULL},
    {MARIADB, QUARTER, "idle_write_transaction_timeout", NULL},
    {MARIADB, NUMBER, "wait_timeout", "28800"},
    {ORACLE, QUARTER, "innodb_lock_wait_timeout", NULL},
    {ORACLE, QUARTER, "lock_wait_timeout", NULL},
    {ORACLE, STATEMENT_MS, "max_execution_time", NULL},
    {ORACLE, NUMBER, "wait_timeout", "60"},
    {EITHER, WHOLE, "net_write_timeout", NULL},
};

#define SETTINGS ((int)(sizeof(settings) / sizeof(settings[0])))

/* What else is read, after the settings. */
enum { READ_ONLY, INNODB_READ_ONLY, DATABASE, PACKET, STATEMENT_BINLOG, VERSION, OLDEST, MORE };

static const char *value_of(apr_pool_t *pool, int i, int timeout)
{
    int quarter = timeout / 4 > 1 ? timeout / 4 : 1;

    switch (settings[i].kind) {
    case WHOLE:
        return apr_itoa(pool, timeout);
    case HALF:
        return apr_itoa(pool, timeout / 2 > 1 ? timeout / 2 : 1);
    case QUARTER:
        return apr_itoa(pool, quarter);
    case STATEMENT:
        return apr_psprintf(pool, "%.6f", (double)timeout * 0.6);
    case STATEMENT_MS:
        return apr_itoa(pool, timeout * 600);
    case NUMBER:
    case TEXT:
        break;
    }
    return settings[i].value;
}

/* Without a timeout there are no limits. */
static int concerns(int i, int mariadb, int timeout)
{
    return (settings[i].vendor & (mariadb ? MARIADB : ORACLE)) != 0
           && (timeout > 0 || settings[i].kind == NUMBER || settings[i].kind == TEXT);
}

static const char *setting_text(apr_pool_t *pool, int mariadb, int timeout)
{
    const char *text = "SET ";
    int i;

    for (i = 0; i < SETTINGS; i++) {
        if (concerns(i, mariadb, timeout)) {
            const char *quote = settings[i].kind == TEXT ? "'" : "";

            text = apr_pstrcat(pool, text, i > 0 ? ", " : "", "SESSION ", settings[i].name, " = ", quote,
                               value_of(pool, i, timeout), quote, NULL);
        }
    }
    return text;
}

static const char *reading_text(apr_pool_t *pool, int mariadb, int timeout)
{
    const char *text = "SELECT ";
    int i;

    for (i = 0; i < SETTINGS; i++) {
        if (concerns(i, mariadb, timeout)) {
            text = apr_pstrcat(pool, text, "@@session.", settings[i].name, ", ", NULL);
        }
    }
    return apr_pstrcat(pool, text, ORGS_SQL_READ_ONLY ", @@innodb_read_only, DATABASE(), @@max_allowed_packet, ",
                       mariadb ? "@@global.log_bin AND @@session.binlog_format = 'STATEMENT', " : "0, ",
                       /* no subqueries: killed, they are null without an error; no MAX(): beside it MariaDB says
                        * autocommit 0 */
                       "version, oldest_module FROM schema_version WHERE id = 1", NULL);
}

static const char *text_of(const orgs_rows_t *rows, int column)
{
    const char *text = rows->values[column].bytes;

    return text != NULL ? text : "";
}

/* Checks what was set; NULL, or a sentence. *more: the column after the settings. */
static const char *unset(apr_pool_t *pool, const orgs_rows_t *rows, int mariadb, int timeout, int *more)
{
    const char *sentence = NULL;
    int i;

    *more = 0;
    for (i = 0; i < SETTINGS; i++) {
        if (concerns(i, mariadb, timeout)) {
            const char *value = value_of(pool, i, timeout);
            const char *said = *more < rows->columns ? text_of(rows, *more) : "";

            if (sentence == NULL && strcmp(said, value) != 0) {
                sentence = apr_psprintf(pool, "the session's settings did not hold: %s was set to '%s' and is '%.80s'",
                                        settings[i].name, value, said);
            }
            ++*more;
        }
    }
    return sentence;
}

static const char elsewhere[] = "the server's init_connect leads to another database";

/* In any case: servers may keep names in lower case. */
static int is_database(const char *name, const char *dbname)
{
    return dbname == NULL || strcasecmp(name, dbname) == 0;
}

/* Why there is no schema. */
static void explain(MYSQL *my, apr_pool_t *pool, const char *dbname, orgs_dberr_t *error)
{
    orgs_rows_t rows;

    orgs_session_ask(my, pool, "SELECT DATABASE()", &rows, error);
    if (error->number == 0) {
        orgs_dberr_set(pool, error, ER_UNFIT, rows.count == 1 && !is_database(text_of(&rows, 0), dbname)
                       ? elsewhere : "there is no schema in this database: run `orgsctl schema`");
    }
}

/* Checks what the server and the schema say of themselves; NULL, or a sentence. */
static const char *unfit(apr_pool_t *pool, const orgs_rows_t *rows, int more, const char *dbname)
{
    long version = atol(text_of(rows, more + VERSION));
    long oldest = atol(text_of(rows, more + OLDEST));

    if (strcmp(text_of(rows, more + READ_ONLY), "0") != 0 || strcmp(text_of(rows, more + INNODB_READ_ONLY), "0") != 0) {
        return "the server is read-only";
    }
    if (!is_database(text_of(rows, more + DATABASE), dbname)) {
        return elsewhere;
    }
    if (apr_atoi64(text_of(rows, more + PACKET)) < ORGS_PACKET_MIN) {
        return apr_psprintf(pool, "the server's max_allowed_packet is below %d", ORGS_PACKET_MIN);
    }
    if (strcmp(text_of(rows, more + STATEMENT_BINLOG), "0") != 0) {
        return "the server's binlog_format is STATEMENT, which takes no writes under READ COMMITTED";
    }
    if (version < ORGS_SCHEMA_OLDEST || oldest > ORGS_SCHEMA_VERSION) {
        return apr_psprintf(pool, "the schema is of version %ld and serves modules from %ld on, this one works with "
                                  "%d to %d: run `orgsctl schema` of the newer one", version, oldest,
                            ORGS_SCHEMA_OLDEST, ORGS_SCHEMA_VERSION);
    }
    return NULL;
}

void orgs_session_ask(MYSQL *my, apr_pool_t *pool, const char *text, orgs_rows_t *rows, orgs_dberr_t *error)
{
    MYSQL_RES *result = NULL;

    memset(rows, 0, sizeof(*rows));
    memset(error, 0, sizeof(*error));
    mysql_thread_init();
    if (mysql_real_query(my, text, (unsigned long)strlen(text)) != 0
        /* cut off among the rows, the field count is zero as well */
        || ((result = mysql_store_result(my)) == NULL && (mysql_field_count(my) > 0 || mysql_errno(my) != 0))) {
        orgs_dberr_set(pool, error, mysql_errno(my), mysql_error(my));
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

/* Reads it back; a sentence, or NULL and perhaps an error. */
static const char *read_back(MYSQL *my, apr_pool_t *pool, int mariadb, const char *dbname, int timeout,
                             orgs_dberr_t *error)
{
    const char *sentence;
    orgs_rows_t rows;
    int more;

    orgs_session_ask(my, pool, reading_text(pool, mariadb, timeout), &rows, error);
    if (error->number == ER_NO_SUCH_TABLE || error->number == ER_UNKNOWN_TABLE) {
        explain(my, pool, dbname, error);
    }
    if (error->number != 0) {
        return NULL;
    }
    if (rows.count != 1) {
        return "the session cannot be read back";
    }
    sentence = unset(pool, &rows, mariadb, timeout, &more);
    if (sentence == NULL && rows.columns != more + MORE) {
        sentence = "the session cannot be read back";
    }
    return sentence != NULL ? sentence : unfit(pool, &rows, more, dbname);
}

void orgs_session_make(MYSQL *my, apr_pool_t *pool, int mariadb, const char *dbname, int timeout, orgs_dberr_t *error)
{
    const char *sentence;
    orgs_rows_t none;

    mysql_thread_init();
    memset(error, 0, sizeof(*error));
    /* of that Connector/C would wait for the rest, in vain but for ever once the connection is shut */
    if (mysql_more_results(my)) {
        orgs_dberr_set(pool, error, ORGS_ER_LOST, "the server has more to say than it was asked");
        return;
    }
    /* a transaction, table locks, temporary tables, variables, a clock that stands still: whatever init_connect left */
    if (mysql_reset_connection(my) != 0) {
        orgs_dberr_set(pool, error, mysql_errno(my), mysql_error(my));
        return;
    }
    orgs_session_ask(my, pool, setting_text(pool, mariadb, timeout), &none, error);
    if (error->number != 0 || timeout == 0) {
        return;
    }
    sentence = read_back(my, pool, mariadb, dbname, timeout, error);
    if (sentence != NULL) {
        orgs_dberr_set(pool, error, ER_UNFIT, sentence);
    }
}
