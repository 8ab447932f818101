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
#include "orgs_gate.h"
#include "orgs_gather.h"
#include "orgs_params.h"
#include "orgs_stats.h"

typedef struct orgs_pool_t orgs_pool_t;

/* how many places there are where what travels together waits: of each kind of questions one, of new members, and of
 * creates */
#define ORGS_GATHER_ADDS 3
#define ORGS_GATHER_CREATES 4
#define ORGS_GATHERS 5

typedef struct orgs_pool_conf_t {
    const orgs_params_t *params;
    int min;      /* connections kept idle */
    int keep;     /* idle ones above it are closed after exptime */
    int max;      /* connections in all */
    int exptime;  /* seconds */
    int timeout;  /* OrgsDBTimeout, seconds */
    int threaded; /* whether the process has threads that share the pool */
    orgs_stats_t *stats; /* where all processes count, or NULL: this one counts for itself */
} orgs_pool_conf_t;

/** Makes a pool in parent. conf must live as long. Connects nothing. Fails as apr_reslist_create. */
apr_status_t orgs_pool_create(orgs_pool_t **pool, apr_pool_t *parent, const orgs_pool_conf_t *conf);

/** Connects conf->min connections; a failure is logged once and harmless. */
void orgs_pool_warm(orgs_pool_t *pool, apr_pool_t *scratch);

/**
 * A connection that is open and looks alive. Waits for one as long as orgs_pool_least is left, connects if need be.
 * @param deadline by orgs_clock; who has waited longer than the timeout has that once more, from now on, at most
 * @return NULL, or ORGS_E_UNAVAILABLE, at once while the database is known to be down. Allocated in p.
 */
const orgs_error_t *orgs_pool_acquire(orgs_pool_t *pool, apr_pool_t *p, orgs_use_e use, apr_time_t *deadline,
                                      orgs_conn_t **conn);

/** Gives a connection back that is as good as before. */
void orgs_pool_release(orgs_pool_t *pool, orgs_conn_t *conn);

/** Gives a connection back and closes it. */
void orgs_pool_invalidate(orgs_pool_t *pool, orgs_conn_t *conn);

/**
 * Says that a live connection met a dead or silent server: the idle ones are suspect and will be opened anew.
 * @param asked 0, or since when the server did not answer until the time was up: the database then counts as down until
 *              one connect succeeds; but who has hardly been asked, or answered somebody else meanwhile, is not silent
 */
void orgs_pool_suspect(orgs_pool_t *pool, const orgs_conn_t *conn, apr_time_t asked);

/** Tells the operator that the server refused a statement (number 0: one was accepted again); once, not each time. */
void orgs_pool_complain(orgs_pool_t *pool, orgs_sql_e sql, unsigned int number, const char *text);

int orgs_pool_timeout(const orgs_pool_t *pool);

/** Where what may travel together waits, of one kind (0 to ORGS_GATHERS - 1); NULL without threads. */
orgs_gather_t *orgs_pool_gather(const orgs_pool_t *pool, int kind);

/** Where what is done with the pool is counted. */
orgs_stats_slot_t *orgs_pool_stats(const orgs_pool_t *pool);

/** Nonzero while the database is known to be down: who asks now is refused at once. */
int orgs_pool_is_down(orgs_pool_t *pool);

/** The time that must be left for a question to be begun after waiting: a fifth of the timeout. */
apr_interval_time_t orgs_pool_least(const orgs_pool_t *pool);

#endif
