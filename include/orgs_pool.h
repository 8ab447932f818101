/*
 * The pool of a process's connections to one database: a gate with deadlines before an apr_reslist, and a breaker
 * before connecting. All functions may be called by any thread.
 */
#ifndef ORGS_POOL_H
#define ORGS_POOL_H

#include <apr_pools.h>
#include <apr_time.h>

#include "orgs_conn.h"
#include "orgs_error.h"
#include "orgs_params.h"

typedef struct orgs_pool_t orgs_pool_t;

typedef struct orgs_pool_conf_t {
    const orgs_params_t *params;
    int min;      /* connections kept idle */
    int keep;     /* idle ones above it are closed after exptime */
    int max;      /* connections in all */
    int exptime;  /* seconds */
    int timeout;  /* OrgsDBTimeout, seconds */
    int threaded; /* whether the process has threads that share the pool */
} orgs_pool_conf_t;

/* Where a pool holds more than one connection, the last is kept for the hot question. Who has to settle a write tries to
 * connect also where the database is known to be down. */
typedef enum { ORGS_USE_HOT, ORGS_USE_COLD, ORGS_USE_SETTLE } orgs_use_e;

/** Makes a pool in parent. conf must live as long. Connects nothing. Fails as apr_reslist_create. */
apr_status_t orgs_pool_create(orgs_pool_t **pool, apr_pool_t *parent, const orgs_pool_conf_t *conf);

/** Connects conf->min connections; a failure is logged once and harmless. */
void orgs_pool_warm(orgs_pool_t *pool, apr_pool_t *scratch);

/**
 * A connection that is open and looks alive. Waits for one, connects if need be.
 * @param deadline by orgs_clock
 * @return NULL, or ORGS_E_UNAVAILABLE, at once while the database is known to be down. Allocated in p.
 */
const orgs_error_t *orgs_pool_acquire(orgs_pool_t *pool, apr_pool_t *p, orgs_use_e use, apr_time_t deadline,
                                      orgs_conn_t **conn);

/** Gives a connection back that is as good as before. */
void orgs_pool_release(orgs_pool_t *pool, orgs_conn_t *conn);

/** Gives a connection back and closes it. */
void orgs_pool_invalidate(orgs_pool_t *pool, orgs_conn_t *conn);

/**
 * Says that a live connection met a dead or silent server: the idle ones are suspect and will be opened anew.
 * @param silent the server did not answer in time, so that the database counts as down until one connect succeeds
 */
void orgs_pool_suspect(orgs_pool_t *pool, const orgs_conn_t *conn, int silent);

/** Tells the operator that the server refused a statement (number 0: one was accepted again); once, not each time. */
void orgs_pool_complain(orgs_pool_t *pool, unsigned int number, const char *text);

int orgs_pool_timeout(const orgs_pool_t *pool);

#endif
