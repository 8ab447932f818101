/*
 * Attempts to connect, each in its own thread.
 */
#include "orgs_connector.h"

#include <apr_atomic.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "orgs_limits.h"
#include "orgs_stmt.h"
#include "orgs_time.h"

/* One attempt, in a pool of its own. It is its asker's, or, once that left, its thread's. */
typedef struct {
    apr_pool_t *pool;
    orgs_connector_t *connector;
    orgs_conn_t *conn;
    unsigned int first; /* the host it began with */
    apr_time_t deadline;
    orgs_dberr_t error;
    int done;
    int left;
} attempt_t;

struct orgs_connector_t {
    orgs_params_t params;
    int timeout;
    apr_thread_mutex_t *lock; /* for all below, and for done and left of attempts */
    apr_thread_cond_t *changed;
    unsigned int first; /* the host to begin with: the one that was connected to last, or the one after what failed */
    int left;           /* attempts that run and nobody waits for */
    attempt_t *spare;   /* one that was left, and connected all the same */
};

static volatile apr_uint32_t running;

orgs_connector_t *orgs_connector_make(const orgs_params_t *params, int timeout)
{
    orgs_connector_t *connector;
    apr_pool_t *pool;

    if (apr_pool_create_unmanaged_ex(&pool, NULL, NULL) != APR_SUCCESS) {
        return NULL;
    }
    connector = apr_pcalloc(pool, sizeof(*connector));
    connector->params = *orgs_params_copy(pool, params);
    connector->timeout = timeout;
    if (apr_thread_mutex_create(&connector->lock, APR_THREAD_MUTEX_DEFAULT, pool) != APR_SUCCESS
        || apr_thread_cond_create(&connector->changed, pool) != APR_SUCCESS) {
        apr_pool_destroy(pool);
        return NULL;
    }
    return connector;
}

/* What an attempt says of where to begin; nothing, if others have said something since it began. With the lock held. */
static void learn(orgs_connector_t *connector, const attempt_t *attempt, int connected)
{
    if (connector->first == attempt->first) {
        connector->first = orgs_conn_host(attempt->conn) + (connected ? 0 : 1);
    }
}

/* The attempt has ended. Nonzero if it is nobody's, and of no use. */
static int is_waste(attempt_t *attempt)
{
    orgs_connector_t *connector = attempt->connector;
    int waste;

    apr_thread_mutex_lock(connector->lock);
    attempt->done = 1;
    learn(connector, attempt, orgs_conn_is_open(attempt->conn));
    waste = attempt->left;
    if (attempt->left) {
        connector->left--;
        if (orgs_conn_is_open(attempt->conn) && connector->spare == NULL) {
            connector->spare = attempt;
            waste = 0;
        }
    }
    apr_thread_cond_broadcast(connector->changed);
    apr_thread_mutex_unlock(connector->lock);
    return waste;
}

static void *run(void *data)
{
    attempt_t *attempt = data;
    orgs_connector_t *connector = attempt->connector;

    orgs_conn_open(attempt->conn, attempt->pool, &connector->params, attempt->first, connector->timeout,
                   attempt->deadline, &attempt->error);
    if (is_waste(attempt)) {
        apr_pool_destroy(attempt->pool);
    }
    orgs_conn_library_leave();
    apr_atomic_dec32(&running);
    return NULL;
}

/* Not APR's threads: the pool of one would be a child of a pool that may go before it. */
static int start_thread(attempt_t *attempt)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    int rv;

    if (pthread_attr_init(&attributes) != 0) {
        return 0;
    }
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    apr_atomic_inc32(&running);
    /* the process's signals are for the threads that httpd means them for */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rv = pthread_create(&thread, &attributes, run, attempt);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (rv != 0) {
        apr_atomic_dec32(&running);
    }
    return rv == 0;
}

static attempt_t *start(orgs_connector_t *connector, unsigned int first, apr_time_t deadline)
{
    attempt_t *attempt;
    apr_pool_t *pool;

    if (apr_pool_create_unmanaged_ex(&pool, NULL, NULL) != APR_SUCCESS) {
        return NULL;
    }
    attempt = apr_pcalloc(pool, sizeof(*attempt));
    attempt->pool = pool;
    attempt->connector = connector;
    attempt->first = first;
    attempt->deadline = deadline;
    if (orgs_conn_make(&attempt->conn, pool) != APR_SUCCESS || !start_thread(attempt)) {
        apr_pool_destroy(pool);
        return NULL;
    }
    return attempt;
}

/* A spare one that is still alive. With the lock held. */
static attempt_t *take_spare(orgs_connector_t *connector)
{
    attempt_t *spare = connector->spare;

    connector->spare = NULL;
    if (spare != NULL && !orgs_conn_alive(spare->conn)) {
        apr_pool_destroy(spare->pool);
        spare = NULL;
    }
    return spare;
}

static void leave(orgs_connector_t *connector, attempt_t *attempt)
{
    attempt->left = 1;
    connector->left++;
    learn(connector, attempt, 0);
}

/* Waits for one's own attempt, or for what one that was left has made; NULL when neither came in time. */
static attempt_t *await(orgs_connector_t *connector, attempt_t *own, apr_time_t deadline)
{
    apr_interval_time_t left;
    attempt_t *got = NULL;

    apr_thread_mutex_lock(connector->lock);
    while (!(own != NULL && own->done) && (got = take_spare(connector)) == NULL
           && (left = deadline - orgs_clock()) > 0) {
        apr_thread_cond_timedwait(connector->changed, connector->lock, left);
    }
    if (own != NULL && own->done) {
        got = own;
    }
    else if (own != NULL) {
        leave(connector, own);
    }
    apr_thread_mutex_unlock(connector->lock);
    return got;
}

int orgs_connector_open(orgs_connector_t *connector, orgs_conn_t *conn, apr_pool_t *pool, apr_time_t deadline,
                        orgs_dberr_t *error)
{
    attempt_t *attempt = NULL;
    unsigned int first;
    int many;

    apr_thread_mutex_lock(connector->lock);
    many = connector->left >= ORGS_CONNECTS_LEFT_MAX;
    first = connector->first;
    apr_thread_mutex_unlock(connector->lock);
    /* with so many that hang it is enough to wait for what becomes of them */
    if (!many && (attempt = start(connector, first, deadline)) == NULL) {
        orgs_dberr_set(pool, error, 2008, "no memory or no thread to connect with");
        return 0;
    }
    attempt = await(connector, attempt, deadline);
    if (attempt == NULL) {
        orgs_dberr_set(pool, error, ORGS_ER_LOST, "connecting takes too long");
        return 0;
    }
    memset(error, 0, sizeof(*error));
    if (orgs_conn_is_open(attempt->conn)) {
        orgs_conn_move(conn, attempt->conn);
    }
    else {
        orgs_dberr_set(pool, error, attempt->error.number, attempt->error.text);
    }
    apr_pool_destroy(attempt->pool);
    return orgs_conn_is_open(conn);
}

void orgs_connector_avoid(orgs_connector_t *connector, unsigned int host)
{
    apr_thread_mutex_lock(connector->lock);
    if (connector->first == host) {
        connector->first = host + 1;
    }
    apr_thread_mutex_unlock(connector->lock);
}

void orgs_connector_settle(void)
{
    int tries;

    for (tries = 0; tries < 50 && apr_atomic_read32(&running) > 0; tries++) {
        apr_sleep(apr_time_from_msec(10));
    }
}
