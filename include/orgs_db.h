/*
 * Questions and tries of writes: a read is one statement, repeated when its connection turns out dead; a write is one
 * CALL, which orgs_call repeats and settles.
 */
#ifndef ORGS_DB_H
#define ORGS_DB_H

#include <apr_pools.h>

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

/* What one try of a CALL ended in. */
typedef enum {
    ORGS_END_DONE,    /* its row came */
    ORGS_END_AGAIN,   /* nothing was written; another try may do better */
    ORGS_END_REFUSED, /* nothing was written; another would end the same */
    ORGS_END_UNCLEAR  /* it may have been written */
} orgs_end_e;

typedef struct orgs_trial_t {
    orgs_end_e end;
    orgs_rows_t rows;   /* of DONE */
    orgs_dberr_t dberr; /* of the others */
} orgs_trial_t;

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
 * Asks for a list.
 * @param params as many as the statement has; the last one is how many items it may have
 * @param size   of an item, in bytes
 * @param take   makes an item, all zeros before, of the first row of rows. What that points to lives as long as p
 * @param of     given to take
 * @param items  the list, allocated in p
 * @return as orgs_db_read
 */
const orgs_error_t *orgs_db_list(orgs_db_t *db, apr_pool_t *p, orgs_sql_e sql, const orgs_value_t *params,
                                 apr_size_t size, void (*take)(const orgs_rows_t *row, const void *of, void *item),
                                 const void *of, apr_array_header_t **items);

/**
 * Tries a CALL, once, on one connection.
 * @param deadline of the write, by orgs_clock: a try has two thirds of what is left; as of orgs_pool_acquire
 * @param trial    what came of it, allocated in p
 * @return NULL, or ORGS_E_UNAVAILABLE: it was not tried for want of a connection. Allocated in p.
 */
const orgs_error_t *orgs_db_try(orgs_db_t *db, apr_pool_t *p, orgs_use_e use, orgs_sql_e sql,
                                const orgs_value_t *params, apr_time_t *deadline, orgs_trial_t *trial);

/** Until when one try may last: what hangs leaves a third of the time for another try, or for settling. The server's own
 * limit of a statement is below a first try's. */
apr_time_t orgs_db_share(apr_time_t deadline);

/** What is answered where a statement failed in vain, ORGS_E_UNAVAILABLE or ORGS_E_INTERNAL_ERROR, in p; the operator is
 * told what is his. */
const orgs_error_t *orgs_db_refused(orgs_db_t *db, apr_pool_t *p, orgs_sql_e sql, const orgs_dberr_t *dberr);

/** Counts that something is done once more. */
void orgs_db_repeated(orgs_db_t *db);

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

#endif
