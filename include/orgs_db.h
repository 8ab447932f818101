/*
 * Questions and writes: a read is one statement, repeated when its connection turns out dead; a write is one CALL,
 * repeated when it lost a race, settled when its answer was lost.
 */
#ifndef ORGS_DB_H
#define ORGS_DB_H

#include <apr_pools.h>
#include <jansson.h>

#include "orgs_conn.h"
#include "orgs_error.h"
#include "orgs_id.h"
#include "orgs_pool.h"

/* One request's access to its database. */
typedef struct orgs_db_t {
    orgs_pool_t *pool;
    apr_interval_time_t left; /* database time that remains, microseconds */
    int yields;               /* others go first */
    apr_interval_time_t spent; /* database time in all, microseconds */
    int retries;               /* how often something was repeated */
} orgs_db_t;

/* What a write ended in. */
typedef struct orgs_outcome_t {
    orgs_error_e refusal; /* ORGS_E_COUNT: it was done */
    const char *code;     /* the refusal's name as the procedure gave it, or NULL */
    int replayed;         /* an Idempotency-Key's first answer was given again */
    json_t *answer;       /* an object, or NULL; lives as long as the pool */
    /* of ORGS_MADE_COLUMNS */
    int has_id;
    orgs_id_t id;     /* what was made */
    apr_time_t at;    /* when; -1: not known */
    const char *name; /* of the user it is about, or NULL */
} orgs_outcome_t;

/** A request's access with the pool's full OrgsDBTimeout. */
void orgs_db_init(orgs_db_t *db, orgs_pool_t *pool);

/** Gives the full time again: a list has it for each batch. Who yields has some times more, to wait for his turn. */
void orgs_db_renew(orgs_db_t *db);

/** The time since then (orgs_clock) is spent. */
void orgs_db_spend(orgs_db_t *db, apr_time_t began);

/** From now on gives way to who else wants a connection: the further batches of a list, and what nobody waits for. */
void orgs_db_yield(orgs_db_t *db);

/**
 * Asks one question.
 * @param params as many as the statement has
 * @param rows   what came, allocated in p
 * @return NULL, ORGS_E_UNAVAILABLE, or ORGS_E_INTERNAL_ERROR when the server refused the statement. Allocated in p.
 */
const orgs_error_t *orgs_db_read(orgs_db_t *db, apr_pool_t *p, orgs_use_e use, orgs_sql_e sql,
                                 const orgs_value_t *params, orgs_rows_t *rows);

/**
 * Writes, by one CALL whose first parameter is the id of its event: params[0] is filled here.
 * @param outcome what became of it, allocated in p
 * @return NULL if outcome tells; else nothing was written (ORGS_E_UNAVAILABLE, ORGS_E_INTERNAL_ERROR), or it could
 *         not be found out in time (ORGS_E_OUTCOME_UNKNOWN). Allocated in p.
 */
const orgs_error_t *orgs_db_call(orgs_db_t *db, apr_pool_t *p, orgs_sql_e sql, orgs_value_t *params,
                                 orgs_outcome_t *outcome);

/* Parameters. What they point to must live until the statement ran. */
orgs_value_t orgs_value_null(void);
orgs_value_t orgs_value_int(apr_int64_t number);
orgs_value_t orgs_value_time(apr_time_t at);             /* -1: null */
orgs_value_t orgs_value_bytes(const void *bytes, apr_size_t len);
orgs_value_t orgs_value_blob(const void *bytes, apr_size_t len); /* of which the server takes parts */
orgs_value_t orgs_value_string(const char *string);      /* NULL: null */
orgs_value_t orgs_value_id(const orgs_id_t *id);         /* NULL: null */

/* Columns: the value of a row. Absent strings are NULL, absent times -1, absent numbers the default given. */
const char *orgs_row_string(const orgs_rows_t *rows, int row, int column);
apr_int64_t orgs_row_int(const orgs_rows_t *rows, int row, int column, apr_int64_t absent);
apr_time_t orgs_row_time(const orgs_rows_t *rows, int row, int column);
int orgs_row_is_null(const orgs_rows_t *rows, int row, int column);
/** Copies an id; nonzero if there is one. */
int orgs_row_id(const orgs_rows_t *rows, int row, int column, orgs_id_t *id);
/** Copies a row, and all it points to, into p. */
void orgs_row_copy(apr_pool_t *p, const orgs_rows_t *rows, int row, orgs_rows_t *copy);

/* Members of an answer, likewise. Numbers and flags may come as strings: MariaDB's JSON_OBJECT quotes them. */
const char *orgs_answer_string(apr_pool_t *p, const json_t *answer, const char *name);
apr_int64_t orgs_answer_int(const json_t *answer, const char *name, apr_int64_t absent);
apr_time_t orgs_answer_time(const json_t *answer, const char *name);
int orgs_answer_id(const json_t *answer, const char *name, orgs_id_t *id);

#endif
