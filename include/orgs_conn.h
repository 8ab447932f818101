/*
 * One connection: opening it, its session, its prepared statements, one question on it.
 * A connection is used by one thread at a time.
 */
#ifndef ORGS_CONN_H
#define ORGS_CONN_H

#include <apr_pools.h>
#include <apr_time.h>

#include "orgs_params.h"
#include "orgs_sql.h"
#include "orgs_value.h"

typedef struct orgs_conn_t orgs_conn_t;

/** An empty record, not connected, in a sub-pool of parent; destroying that closes it. Fails as apr_pool_create. */
apr_status_t orgs_conn_make(orgs_conn_t **conn, apr_pool_t *parent);

/** Closes the connection and gives the record's memory back. */
void orgs_conn_destroy(orgs_conn_t *conn);

/**
 * Connects to the first of the hosts that answers, may be written to and has a schema that fits, and makes the
 * session. The hosts share the time until deadline (orgs_clock), each gets a second at least; but while the client
 * library connects it keeps no deadline, which orgs_connector.h is for.
 * @param first   number of the host that is tried first, counted on from the last to the first again
 * @param timeout of the requests, seconds: the server's own limits are set below it
 * @param error   what failed, text allocated in pool
 * @return nonzero if connected
 */
int orgs_conn_open(orgs_conn_t *conn, apr_pool_t *pool, const orgs_params_t *params, unsigned int first, int timeout,
                   apr_time_t deadline, orgs_dberr_t *error);

/** The number of the host that an open connection is to; while or after it was tried, of the one tried last. */
unsigned int orgs_conn_host(const orgs_conn_t *conn);

/** Moves the connection of one record to another, which is not open. */
void orgs_conn_move(orgs_conn_t *to, orgs_conn_t *from);

/** Closes the connection; the record can be opened again. */
void orgs_conn_close(orgs_conn_t *conn);

/** Nonzero if open and, as far as its socket shows without a round trip, alive. */
int orgs_conn_alive(const orgs_conn_t *conn);

int orgs_conn_is_open(const orgs_conn_t *conn);

/* Numbers of the pool's, kept with the record: which generation the connection is of, and what its holder wants it
 * for. */
void orgs_conn_mark(orgs_conn_t *conn, unsigned int mark);
unsigned int orgs_conn_marked(const orgs_conn_t *conn);
void orgs_conn_set_use(orgs_conn_t *conn, int use);
int orgs_conn_use(const orgs_conn_t *conn);

/**
 * Runs one prepared statement and reads all it answers.
 * @param params   as many as the statement has
 * @param deadline the socket is shut when it passes (orgs_clock)
 * @param rows     all zeros before, but for the list where rows go that are not kept; what came, allocated in pool; may
 *                 hold rows though an error followed
 * @param error    number 0 if all went well; text allocated in pool
 */
void orgs_conn_query(orgs_conn_t *conn, apr_pool_t *pool, orgs_sql_e sql, const orgs_value_t *params,
                     apr_time_t deadline, orgs_rows_t *rows, orgs_dberr_t *error);

/** ROLLBACK by the text protocol. Nonzero if the server confirmed it in time. */
int orgs_conn_rollback(orgs_conn_t *conn, apr_time_t deadline);

/** Runs a text without parameters, for the schema's loader; rows (strings and nulls) allocated in pool. */
void orgs_conn_text(orgs_conn_t *conn, apr_pool_t *pool, const char *text, orgs_rows_t *rows, orgs_dberr_t *error);

/** As orgs_conn_open, without asking for a schema or naming a database: for the schema's loader. */
int orgs_conn_open_bare(orgs_conn_t *conn, apr_pool_t *pool, const orgs_params_t *params, apr_time_t deadline,
                        orgs_dberr_t *error);

/** Nonzero if the server is a MariaDB (else a MySQL). Of an open connection. */
int orgs_conn_is_mariadb(const orgs_conn_t *conn);

/** To be called once in each process, before its threads are there. */
void orgs_conn_library_init(void);

/** The client library that runs, and the one this was built with if that is another. Asks nothing of it, so that it may
 * be called before orgs_conn_library_init. */
const char *orgs_conn_library(apr_pool_t *pool);

/** To be called by a thread that ends and had to do with connections. */
void orgs_conn_library_leave(void);

#endif
