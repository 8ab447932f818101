/*
 * The session of a connection: nothing of what the server's configuration makes of it stays, and what was set is read
 * back.
 */
#ifndef ORGS_SESSION_H
#define ORGS_SESSION_H

#include <apr_pools.h>
#include <mysql.h>

#include "orgs_value.h"

/**
 * Makes the session of a new connection: undoes what an init_connect may have begun, sets every setting that a
 * statement of ours may depend on, with limits below ours so that the server holds no lock for one who left, and reads
 * it back together with what the server and the schema say of themselves.
 * @param mariadb nonzero for a MariaDB, else it is a MySQL
 * @param dbname  that is to be worked with
 * @param timeout of the requests, seconds; 0: for the schema's loader, without limits, and nothing is read back
 * @param error   number 0 if all is as it should be; text, a sentence, allocated in pool
 */
void orgs_session_make(MYSQL *my, apr_pool_t *pool, int mariadb, const char *dbname, int timeout, orgs_dberr_t *error);

/** Runs a text without parameters; rows (strings and nulls) and the error's text allocated in pool. */
void orgs_session_ask(MYSQL *my, apr_pool_t *pool, const char *text, orgs_rows_t *rows, orgs_dberr_t *error);

#endif
