/*
 * Connecting within a deadline. The client libraries keep none while they connect: getaddrinfo() has no limit, each
 * address of a host gets the whole timeout anew, and so does each byte of a handshake. So each attempt runs in a thread
 * of its own, which its asker may leave.
 */
#ifndef ORGS_CONNECTOR_H
#define ORGS_CONNECTOR_H

#include <apr_pools.h>
#include <apr_time.h>

#include "orgs_conn.h"
#include "orgs_params.h"

typedef struct orgs_connector_t orgs_connector_t;

/**
 * Makes one for one database, as old as the process: attempts may outlive every pool of httpd's. Starts nothing.
 * @param params  copied
 * @param timeout of the requests, seconds; see orgs_conn_open
 * @return NULL when memory is short
 */
orgs_connector_t *orgs_connector_make(const orgs_params_t *params, int timeout);

/**
 * Connects and makes the session, as orgs_conn_open, but returns by the deadline whatever the network, the name server
 * and the database do. Begins with the host that was connected to last. An attempt that is left then goes on for a while; what it still makes is the next asker's. Any
 * thread.
 * @param conn     not open; by one thread at a time
 * @param deadline by orgs_clock
 * @param error    what failed, text allocated in pool
 * @return nonzero if connected
 */
int orgs_connector_open(orgs_connector_t *connector, orgs_conn_t *conn, apr_pool_t *pool, apr_time_t deadline,
                        orgs_dberr_t *error);

/** The host of that number fell silent: unless attempts have found out more since, they begin with the next one. */
void orgs_connector_avoid(orgs_connector_t *connector, unsigned int host);

/** Waits until no attempt of the process runs, half a second at most: before exit() takes the TLS library down. */
void orgs_connector_settle(void);

#endif
