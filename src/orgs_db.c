/*
 * Reads that are repeated, writes that are repeated or settled.
 */
#include "orgs_db.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "orgs_limits.h"
#include "orgs_log.h"

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

static void repeated(orgs_db_t *db)
{
    db->retries++;
    count(db, ORGS_STATS_RETRIES, 1);
}

/* One statement on one connection. */
static void query(orgs_db_t *db, apr_pool_t *p, orgs_sql_e sql, const orgs_value_t *params, orgs_conn_t *conn,
                  apr_time_t deadline, orgs_rows_t *rows, orgs_dberr_t *dberr)
{
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

/* Until when one try may last: what hangs leaves a third of the time for another try, or for settling. The server's own
 * limit of a statement is below a first try's. */
static apr_time_t share_of(apr_time_t deadline)
{
    apr_time_t now = orgs_clock();

    return now + (deadline - now) * 2 / 3;
}

static const orgs_error_t *refused(orgs_db_t *db, apr_pool_t *p, orgs_sql_e sql, const orgs_dberr_t *dberr)
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

const orgs_error_t *orgs_db_read(orgs_db_t *db, apr_pool_t *p, orgs_use_e use, orgs_sql_e sql,
                                 const orgs_value_t *params, orgs_rows_t *rows)
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
        until = share_of(deadline);
        query(db, p, sql, params, conn, until, rows, &dberr);
        if (dberr.number == 0) {
            orgs_pool_release(db->pool, conn);
            break;
        }
        meaning = meaning_of(dberr.number);
        discard(db, conn, meaning, asked, until);
        if (meaning == NEVER || meaning == OPERATOR || tries == 0 || orgs_clock() >= deadline) {
            error = refused(db, p, sql, &dberr);
            break;
        }
        repeated(db);
    }
    orgs_db_spend(db, began);
    return error;
}

static apr_status_t give_back(void *answer)
{
    json_decref(answer);
    return APR_SUCCESS;
}

/* Reads the one row that every procedure answers. */
static const orgs_error_t *take_outcome(apr_pool_t *p, const orgs_rows_t *rows, orgs_outcome_t *outcome)
{
    const orgs_value_t *code = &rows->values[0];
    const orgs_value_t *answer = &rows->values[2];

    memset(outcome, 0, sizeof(*outcome));
    outcome->refusal = ORGS_E_COUNT;
    if (code->type == ORGS_BYTES) {
        outcome->code = code->bytes;
        outcome->refusal = orgs_error_named(code->bytes, code->len);
        if (outcome->refusal == ORGS_E_COUNT) {
            outcome->refusal = ORGS_E_INTERNAL_ERROR;
        }
    }
    outcome->replayed = rows->values[1].number != 0;
    outcome->at = -1;
    if (rows->columns == (int)strlen(ORGS_MADE_COLUMNS)) {
        outcome->has_id = orgs_row_id(rows, 0, 3, &outcome->id);
        outcome->at = orgs_row_time(rows, 0, 4);
        outcome->name = orgs_row_string(rows, 0, 5);
    }
    if (answer->type == ORGS_BYTES) {
        outcome->answer = json_loadb(answer->bytes, answer->len, 0, NULL);
        if (outcome->answer == NULL) {
            return orgs_error_cause(p, ORGS_E_INTERNAL_ERROR, "a procedure's answer is not JSON");
        }
        apr_pool_cleanup_register(p, outcome->answer, give_back, apr_pool_cleanup_null);
    }
    return NULL;
}

/* Waits a moment, another one for each who waits, longer with every try; not beyond the deadline. */
static void stand_back(int tries, apr_time_t deadline)
{
    apr_interval_time_t most = apr_time_from_msec(2) << (tries < 6 ? tries : 6);
    apr_interval_time_t left = deadline - orgs_clock();
    unsigned int chance = 0;

    apr_generate_random_bytes((unsigned char *)&chance, sizeof(chance));
    most = 1000 + (apr_interval_time_t)(chance % (unsigned int)most);
    if (left > 0) {
        apr_sleep(most < left ? most : left);
    }
}

typedef enum { DONE, LOST_AGAINST, REFUSED, UNCLEAR } end_e;

/* One CALL on one connection: what it ended in. After any error the connection gets a ROLLBACK, or is closed: a
 * killed procedure skips its handler and leaves its transaction open, and nothing in the client shows it. */
static end_e call_upon(orgs_db_t *db, apr_pool_t *p, orgs_sql_e sql, const orgs_value_t *params, orgs_conn_t *conn,
                       apr_time_t deadline, orgs_rows_t *rows, orgs_dberr_t *dberr)
{
    apr_time_t asked = orgs_clock();
    meaning_e meaning;

    query(db, p, sql, params, conn, deadline, rows, dberr);
    if (dberr->number == 0 && rows->count == 1) {
        orgs_pool_release(db->pool, conn);
        return DONE;
    }
    meaning = meaning_of(dberr->number);
    if (meaning != LOST && meaning != ELSEWHERE && rows->count == 0 && orgs_conn_rollback(conn, deadline)) {
        orgs_pool_release(db->pool, conn);
    }
    else {
        discard(db, conn, meaning, asked, deadline);
    }
    if (rows->count == 1) {
        return DONE;
    }
    if (meaning == LOST) {
        return dberr->unasked ? LOST_AGAINST : UNCLEAR;
    }
    return meaning == AGAIN || meaning == ELSEWHERE ? LOST_AGAINST : REFUSED;
}

/* Finds out what became of a CALL whose answer was lost, by its event. */
static end_e settle(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *event, apr_time_t deadline, orgs_rows_t *rows)
{
    orgs_value_t param = orgs_value_id(event);
    int tries;

    for (tries = 0; orgs_clock() < deadline; tries++) {
        apr_time_t until = share_of(deadline);
        orgs_dberr_t dberr;
        orgs_conn_t *conn;

        if (orgs_pool_acquire(db->pool, p, ORGS_USE_SETTLE, &until, &conn) == NULL
            && call_upon(db, p, ORGS_SQL_EVENT_SETTLE, &param, conn, share_of(deadline), rows, &dberr) == DONE) {
            const orgs_value_t *code = &rows->values[0];

            return code->type == ORGS_BYTES && strcmp(code->bytes, "abandoned") == 0 ? LOST_AGAINST : DONE;
        }
        stand_back(tries + 3, deadline);
    }
    return UNCLEAR;
}

const orgs_error_t *orgs_db_call(orgs_db_t *db, apr_pool_t *p, orgs_sql_e sql, orgs_value_t *params,
                                 orgs_outcome_t *outcome)
{
    apr_time_t began = orgs_clock();
    apr_time_t deadline = began + db->left;
    const orgs_error_t *error;
    int tries;

    for (tries = 1;; tries++) {
        orgs_dberr_t dberr;
        orgs_conn_t *conn;
        orgs_rows_t rows;
        orgs_id_t event;
        end_e end;

        if (orgs_id_make_v7(&event) != APR_SUCCESS) {
            error = orgs_error_cause(p, ORGS_E_INTERNAL_ERROR, "the system gives no random bytes");
            break;
        }
        params[0] = orgs_value_id(&event);
        error = orgs_pool_acquire(db->pool, p, use_of(db, ORGS_USE_COLD), &deadline, &conn);
        if (error != NULL) {
            break;
        }
        end = call_upon(db, p, sql, params, conn, share_of(deadline), &rows, &dberr);
        if (end == UNCLEAR) {
            end = settle(db, p, &event, deadline, &rows);
            count(db, end == UNCLEAR ? ORGS_STATS_UNKNOWN : ORGS_STATS_SETTLED, 1);
            orgs_log(ORGS_LOG_INFO, ORGS_LOGNO(0111) "a write's answer was lost (%s, %u); it was %s", dberr.text,
                     dberr.number, end == DONE ? "written" : end == UNCLEAR ? "not found out" : "not written");
        }
        if (end == DONE) {
            error = take_outcome(p, &rows, outcome);
            break;
        }
        if (end == UNCLEAR) {
            error = orgs_error_cause(p, ORGS_E_OUTCOME_UNKNOWN, "%s (%u)", dberr.text, dberr.number);
            break;
        }
        /* a try that begins with too little time to be settled ends in not knowing */
        if (end == REFUSED || tries >= ORGS_CALL_TRIES
            || deadline - orgs_clock() < orgs_pool_least(db->pool)) {
            error = refused(db, p, sql, &dberr);
            break;
        }
        stand_back(tries, deadline);
        repeated(db);
    }
    orgs_db_spend(db, began);
    return error;
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
    copy->count = 1;
    copy->columns = rows->columns;
    copy->values = values;
}

const char *orgs_answer_string(apr_pool_t *p, const json_t *answer, const char *name)
{
    const json_t *value = json_object_get(answer, name);

    return json_is_string(value) ? apr_pstrmemdup(p, json_string_value(value), json_string_length(value)) : NULL;
}

apr_int64_t orgs_answer_int(const json_t *answer, const char *name, apr_int64_t absent)
{
    const json_t *value = json_object_get(answer, name);

    return json_is_integer(value)   ? json_integer_value(value)
           : json_is_string(value)  ? apr_atoi64(json_string_value(value))
           : json_is_boolean(value) ? json_is_true(value)
                                    : absent;
}

apr_time_t orgs_answer_time(const json_t *answer, const char *name)
{
    const json_t *value = json_object_get(answer, name);
    apr_time_t at;

    return json_is_string(value) && orgs_time_parse(&at, json_string_value(value), json_string_length(value)) ? at : -1;
}

int orgs_answer_id(const json_t *answer, const char *name, orgs_id_t *id)
{
    const json_t *value = json_object_get(answer, name);

    return json_is_string(value) && orgs_id_parse(id, json_string_value(value), json_string_length(value));
}
