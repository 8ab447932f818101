/*
 * One prepared statement: preparing it, its parameters, its results.
 */
#ifndef ORGS_STMT_H
#define ORGS_STMT_H

#include <apr_pools.h>
#include <mysql.h>

#include "orgs_sql.h"
#include "orgs_value.h"

/* What stands for an error without a number too: nothing is known of the connection any more. */
#define ORGS_ER_LOST 2013u
#define ORGS_ER_READ_ONLY 1290u

/** Fills an error, its text allocated in pool; number 0 becomes ORGS_ER_LOST. */
void orgs_dberr_set(apr_pool_t *pool, orgs_dberr_t *error, unsigned int number, const char *text);

/** Prepares the statement of a symbol; NULL, and error, if the server refuses or is lost. */
MYSQL_STMT *orgs_stmt_prepare(MYSQL *my, apr_pool_t *pool, orgs_sql_e sql, orgs_dberr_t *error);

/* Where rows of results land. Statements keep its address, and Oracle's library writes lengths there at the next
 * execution, before it can be told another: so it lives as long as the connection. */
typedef struct orgs_landing_t orgs_landing_t;

/** Makes one for all statements of a connection. */
orgs_landing_t *orgs_landing_make(apr_pool_t *pool);

/**
 * Runs it, and reads all results to their end.
 * @param params as many as it has
 * @param rows   what came, allocated in pool; may hold rows though an error followed
 * @param error  set if anything failed
 */
void orgs_stmt_run(MYSQL_STMT *stmt, orgs_landing_t *landing, apr_pool_t *pool, orgs_sql_e sql,
                   const orgs_value_t *params, orgs_rows_t *rows, orgs_dberr_t *error);

#endif
