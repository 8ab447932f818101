/*
 * Questions, and single tries of a CALL.
 */
#include "orgs_db.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "orgs_limits.h"
#include "orgs_log.h"
#include "orgs_time.h"

/* What an error of the server or the library means for the one who met it. Any number not listed: the connection is
 * no good any more, and of a write nothing is known. */
typedef enum {
    LOST,     /* nothing is known; the connection is closed */
    AGAIN,    /* nothing was written: lost against another transaction */
    ELSEWHERE, /* nothing was written: this server or connection will not do it, another may */
    NEVER,    /* nothing was written, and another try would end the same */
    OPERATOR  /* likewise: the schema or the grants are not what they should be */
} meaning_e;

static const struct {
    unsigned int number;
    meaning_e meaning;
} meanings[] = {
    {1205, AGAIN},     /* lock wait timeout */
    {1213, AGAIN},     /* deadlock; Galera: lost the certification */
    {1020, AGAIN},     /* record has changed since last read */
    {31000, AGAIN},    /* ours: its event was marked as abandoned */
    {31001, AGAIN},    /* ours: a statement was interrupted, and did not say so */
    {1290, ELSEWHERE}, /* read-only server */
    {1792, ELSEWHERE}, /* read-only transaction */
    {1836, ELSEWHERE}, /* read-only mode */
    {1461, ELSEWHERE}, /* too many prepared statements */
    {1048, NEVER},     /* column cannot be null */
    {1062, NEVER},     /* duplicate key */
    {1264, NEVER},     /* out of range */
    {1366, NEVER},     /* invalid value */
    {1406, NEVER},     /* data too long */
    {1142, OPERATOR},  /* denied */
    {1146, OPERATOR},  /* no such table */
    {1305, OPERATOR},  /* no such procedure */
    {1318, OPERATOR},  /* another number of arguments */
    {1356, OPERATOR},  /* view with an invalid definer or table */
    {1370, OPERATOR},  /* denied */
    {1449, OPERATOR},  /* no such definer */
};

static meaning_e meaning_of(unsigned int number)
{
    apr_size_t i;

    for (i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        if (meanings[i].number == number) {
            return meanings[i].meaning;
        }
    }
    return LOST;
}

void orgs_db_init(orgs_db_t *db, orgs_pool_t *pool)
{
    db->pool = pool;
    db->yields = 0;
    db->spent = 0;
    db->retries = 0;
    orgs_db_renew(db);
}

void orgs_db_renew(orgs_db_t *db)
{
    db->left = apr_time_from_sec(orgs_pool_timeout(db->pool)) * (db->yields ? ORGS_BULK_PATIENCE : 1);
}

void orgs_db_yield(orgs_db_t *db)
{
    db->yields = 1;
}

static orgs_use_e use_of(const orgs_db_t *db, orgs_use_e use)
{
    return db->yields ? ORGS_USE_BULK : use;
}

static void count(orgs_db_t *db, orgs_stats_item_e item, apr_int64_t n)
{
    orgs_stats_add(orgs_pool_stats(db->pool), item, n);
}

void orgs_db_repeated(orgs_db_t *db)
{
    db->retries++;
    count(db, ORGS_STATS_RETRIES, 1);
}

/* One statement on one connection. */
static void query(orgs_db_t *db, apr_pool_t *p, orgs_sql_e sql, const orgs_value_t *params, orgs_conn_t *conn,
                  apr_time_t deadline, const orgs_list_t *list, orgs_rows_t *rows, orgs_dberr_t *dberr)
{
    memset(rows, 0, sizeof(*rows));
    rows->list = list;
    if (list != NULL) {
        apr_array_clear(list->items); /* of a try that failed */
    }
    orgs_conn_query(conn, p, sql, params, deadline, rows, dberr);
    count(db, ORGS_STATS_STATEMENTS, 1);
    if (dberr->number != 0) {
        count(db, ORGS_STATS_STATEMENT_FAILURES, 1);
    }
    else {
        orgs_pool_complain(db->pool, sql, 0, NULL);
    }
}

void orgs_db_spend(orgs_db_t *db, apr_time_t began)
{
    apr_interval_time_t took = orgs_clock() - began;

    db->spent += took;
    count(db, ORGS_STATS_DATABASE_TIME, took);
    db->left -= took;
    if (db->left < 0) {
        db->left = 0;
    }
}

apr_time_t orgs_db_share(apr_time_t deadline)
{
    apr_time_t now = orgs_clock();

    return now + (deadline - now) * 2 / 3;
}

const orgs_error_t *orgs_db_refused(orgs_db_t *db, apr_pool_t *p, orgs_sql_e sql, const orgs_dberr_t *dberr)
{
    meaning_e meaning = meaning_of(dberr->number);

    if (meaning == OPERATOR) {
        orgs_pool_complain(db->pool, sql, dberr->number, dberr->text);
    }
    return orgs_error_cause(p, meaning == NEVER ? ORGS_E_INTERNAL_ERROR : ORGS_E_UNAVAILABLE, "%s (%u)", dberr->text,
                            dberr->number);
}

/* A failed connection is closed, and what that says of the others is passed on. */
static void discard(orgs_db_t *db, orgs_conn_t *conn, meaning_e meaning, apr_time_t asked, apr_time_t deadline)
{
    if (meaning == LOST || meaning == ELSEWHERE) {
        orgs_pool_suspect(db->pool, conn, orgs_clock() >= deadline ? asked : 0);
    }
    orgs_pool_invalidate(db->pool, conn);
}

static const orgs_error_t *ask(orgs_db_t *db, apr_pool_t *p, orgs_use_e use, orgs_sql_e sql,
                               const orgs_value_t *params, const orgs_list_t *list, orgs_rows_t *rows)
{
    apr_time_t began = orgs_clock();
    apr_time_t deadline = began + db->left;
    const orgs_error_t *error;
    int tries;

    for (tries = 3;; tries--) {
        orgs_dberr_t dberr;
        orgs_conn_t *conn;
        meaning_e meaning;
        apr_time_t until;
        apr_time_t asked;

        error = orgs_pool_acquire(db->pool, p, use_of(db, use), &deadline, &conn);
        if (error != NULL) {
            break;
        }
        asked = orgs_clock();
        until = orgs_db_share(deadline);
        query(db, p, sql, params, conn, until, list, rows, &dberr);
        if (dberr.number == 0) {
            orgs_pool_release(db->pool, conn);
            break;
        }
        meaning = meaning_of(dberr.number);
        discard(db, conn, meaning, asked, until);
        if (meaning == NEVER || meaning == OPERATOR || tries == 0 || orgs_clock() >= deadline) {
            error = orgs_db_refused(db, p, sql, &dberr);
            break;
        }
        orgs_db_repeated(db);
    }
    orgs_db_spend(db, began);
    return error;
}

const orgs_error_t *orgs_db_read(orgs_db_t *db, apr_pool_t *p, orgs_use_e use, orgs_sql_e sql,
                                 const orgs_value_t *params, orgs_rows_t *rows)
{
    return ask(db, p, use, sql, params, NULL, rows);
}

const orgs_error_t *orgs_db_list(orgs_db_t *db, apr_pool_t *p, orgs_sql_e sql, const orgs_value_t *params,
                                 apr_size_t size, void (*take)(const orgs_rows_t *row, const void *of, void *item),
                                 const void *of, apr_array_header_t **items)
{
    orgs_list_t list = {apr_array_make(p, (int)params[orgs_sql(sql)->params - 1].number, (int)size), take, of};
    orgs_rows_t rows;

    *items = list.items;
    return ask(db, p, ORGS_USE_COLD, sql, params, &list, &rows);
}

/* One CALL on one connection: what it ended in. After any error the connection gets a ROLLBACK, or is closed: a
 * killed procedure skips its handler and leaves its transaction open, and nothing in the client shows it. */
static orgs_end_e call_upon(orgs_db_t *db, apr_pool_t *p, orgs_sql_e sql, const orgs_value_t *params, orgs_conn_t *conn,
                            apr_time_t deadline, orgs_rows_t *rows, orgs_dberr_t *dberr)
{
    apr_time_t asked = orgs_clock();
    meaning_e meaning;

    query(db, p, sql, params, conn, deadline, NULL, rows, dberr);
    if (dberr->number == 0 && rows->count == 1) {
        orgs_pool_release(db->pool, conn);
        return ORGS_END_DONE;
    }
    meaning = meaning_of(dberr->number);
    if (meaning != LOST && meaning != ELSEWHERE && rows->count == 0 && orgs_conn_rollback(conn, deadline)) {
        orgs_pool_release(db->pool, conn);
    }
    else {
        discard(db, conn, meaning, asked, deadline);
    }
    if (rows->count == 1) {
        return ORGS_END_DONE;
    }
    if (meaning == LOST) {
        return dberr->unasked ? ORGS_END_AGAIN : ORGS_END_UNCLEAR;
    }
    return meaning == AGAIN || meaning == ELSEWHERE ? ORGS_END_AGAIN : ORGS_END_REFUSED;
}

const orgs_error_t *orgs_db_try(orgs_db_t *db, apr_pool_t *p, orgs_use_e use, orgs_sql_e sql,
                                const orgs_value_t *params, apr_time_t *deadline, orgs_trial_t *trial)
{
    const orgs_error_t *error;
    orgs_conn_t *conn;

    memset(trial, 0, sizeof(*trial));
    error = orgs_pool_acquire(db->pool, p, use_of(db, use), deadline, &conn);
    if (error != NULL) {
        return error;
    }
    trial->end = call_upon(db, p, sql, params, conn, orgs_db_share(*deadline), &trial->rows, &trial->dberr);
    return NULL;
}

orgs_value_t orgs_value_null(void)
{
    orgs_value_t value = {ORGS_NULL, 0, NULL, 0};

    return value;
}

orgs_value_t orgs_value_int(apr_int64_t number)
{
    orgs_value_t value = {ORGS_INT, number, NULL, 0};

    return value;
}

orgs_value_t orgs_value_time(apr_time_t at)
{
    orgs_value_t value = {at == -1 ? ORGS_NULL : ORGS_TIME, at, NULL, 0};

    return value;
}

orgs_value_t orgs_value_bytes(const void *bytes, apr_size_t len)
{
    orgs_value_t value = {bytes == NULL ? ORGS_NULL : ORGS_BYTES, 0, bytes, len};

    return value;
}

orgs_value_t orgs_value_blob(const void *bytes, apr_size_t len)
{
    orgs_value_t value = {ORGS_BLOB, 0, bytes, len};

    return value;
}

orgs_value_t orgs_value_string(const char *string)
{
    return orgs_value_bytes(string, string != NULL ? strlen(string) : 0);
}

orgs_value_t orgs_value_id(const orgs_id_t *id)
{
    return orgs_value_bytes(id != NULL ? id->bytes : NULL, sizeof(id->bytes));
}

static const orgs_value_t *cell(const orgs_rows_t *rows, int row, int column)
{
    return &rows->values[row * rows->columns + column];
}

int orgs_row_is_null(const orgs_rows_t *rows, int row, int column)
{
    return cell(rows, row, column)->type == ORGS_NULL;
}

const char *orgs_row_string(const orgs_rows_t *rows, int row, int column)
{
    return cell(rows, row, column)->bytes;
}

apr_int64_t orgs_row_int(const orgs_rows_t *rows, int row, int column, apr_int64_t absent)
{
    const orgs_value_t *value = cell(rows, row, column);

    return value->type == ORGS_INT ? value->number : absent;
}

apr_time_t orgs_row_time(const orgs_rows_t *rows, int row, int column)
{
    const orgs_value_t *value = cell(rows, row, column);

    return value->type == ORGS_TIME ? value->number : -1;
}

int orgs_row_id(const orgs_rows_t *rows, int row, int column, orgs_id_t *id)
{
    const orgs_value_t *value = cell(rows, row, column);

    if (value->type != ORGS_BYTES || value->len != sizeof(id->bytes)) {
        return 0;
    }
    memcpy(id->bytes, value->bytes, sizeof(id->bytes));
    return 1;
}

void orgs_row_copy(apr_pool_t *p, const orgs_rows_t *rows, int row, orgs_rows_t *copy)
{
    apr_size_t width = (apr_size_t)rows->columns;
    const orgs_value_t *from = cell(rows, row, 0);
    orgs_value_t *values = apr_pmemdup(p, from, sizeof(*from) * width);
    apr_size_t size = 0;
    apr_size_t i;
    char *bytes;

    for (i = 0; i < width; i++) {
        size += from[i].type == ORGS_BYTES ? from[i].len + 1 : 0;
    }
    bytes = apr_palloc(p, size);
    for (i = 0; i < width; i++) {
        if (from[i].type == ORGS_BYTES) {
            values[i].bytes = memcpy(bytes, from[i].bytes, from[i].len + 1);
            bytes += from[i].len + 1;
        }
    }
    memset(copy, 0, sizeof(*copy));
    copy->count = 1;
    copy->columns = rows->columns;
    copy->values = values;
}
