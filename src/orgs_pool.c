/*
 * The pool. apr_reslist keeps the records; its constructor makes empty ones, because it runs with the list's lock
 * held and a slow connect there would stop every acquire and release of the process.
 */
#include "orgs_pool.h"

#include <apr_atomic.h>
#include <apr_hash.h>
#include <apr_reslist.h>
#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <string.h>
#include <unistd.h>

#include "orgs_connector.h"
#include "orgs_limits.h"
#include "orgs_log.h"
#include "orgs_stmt.h"
#include "orgs_time.h"

struct orgs_pool_t {
    const orgs_pool_conf_t *conf;
    orgs_stats_slot_t *stats;
    apr_uint32_t account; /* digest of the parameters, not 0 */
    apr_reslist_t *list; /* NULL in a process without threads: then there is one record */
    orgs_conn_t *single;
    orgs_connector_t *connector;
    orgs_gather_t *gathers[ORGS_GATHERS]; /* likewise NULL */

    apr_uint32_t complaints[ORGS_SQL_COUNT]; /* of each statement: the error that was last told, or 0 */

    apr_thread_mutex_t *lock; /* for all below */
    orgs_gate_t *gate;
    apr_thread_cond_t *changed; /* for those who have a place, and wait for one who connects */

    apr_time_t answered; /* when the server last did */
    unsigned int epoch; /* connections of an earlier one are suspect */
    unsigned int host;  /* number of the one that connections of this epoch are to */
    int probing;        /* somebody is connecting to a database that is down or in doubt */
    int doubt;          /* it did not answer: one connects, others wait */
    int down;           /* it could not be connected to: others are refused until retry_at */
    apr_time_t retry_at;
    unsigned int trouble;   /* digest of what kept us from connecting, as last told to the operator; 0: nothing */
};

static apr_status_t construct(void **record, void *params, apr_pool_t *pool)
{
    (void)params;
    return orgs_conn_make((orgs_conn_t **)record, pool);
}

static void count(orgs_pool_t *pool, orgs_stats_item_e item, int n)
{
    orgs_stats_add(pool->stats, item, n);
}

/* apr_reslist wants to hear of success only. What is open here was idle for too long. */
static apr_status_t destruct(void *record, void *params, apr_pool_t *pool)
{
    (void)pool;
    if (orgs_conn_is_open(record)) {
        count(params, ORGS_STATS_CONNECTIONS_IDLE, -1);
    }
    orgs_conn_destroy(record);
    return APR_SUCCESS;
}

static apr_status_t settle(void *nothing)
{
    (void)nothing;
    orgs_connector_settle();
    return APR_SUCCESS;
}

static int places(const orgs_pool_t *pool)
{
    return pool->conf->threaded ? pool->conf->max : 1;
}

static void make_gathers(orgs_pool_t *pool, apr_pool_t *own)
{
    int half = pool->conf->max > 1 ? pool->conf->max / 2 : 1;
    int lanes = pool->conf->max > ORGS_LANE_OF ? pool->conf->max / ORGS_LANE_OF : 1;
    int i;

    for (i = 0; i < ORGS_GATHER_ADDS; i++) {
        pool->gathers[i] = orgs_gather_make(own, lanes, half, 2);
    }
    pool->gathers[ORGS_GATHER_ADDS] = orgs_gather_make(own, 1, half, ORGS_WRITES_LEAST);
    pool->gathers[ORGS_GATHER_CREATES]
        = orgs_gather_make(own, half < ORGS_CREATE_LANES ? half : ORGS_CREATE_LANES, half, ORGS_WRITES_LEAST);
}

apr_status_t orgs_pool_create(orgs_pool_t **made, apr_pool_t *parent, const orgs_pool_conf_t *conf)
{
    orgs_pool_t *pool = apr_pcalloc(parent, sizeof(*pool));
    apr_pool_t *own;
    apr_status_t rv;

    *made = NULL;
    pool->conf = conf;
    pool->stats = conf->stats != NULL ? orgs_stats_enter(conf->stats, (apr_uint32_t)getpid())
                                      : apr_pcalloc(parent, sizeof(*pool->stats));
    pool->account = orgs_params_digest(conf->params);
    pool->connector = orgs_connector_make(conf->params, conf->timeout);
    if (pool->connector == NULL) {
        return APR_ENOMEM;
    }
    apr_pool_cleanup_register(parent, NULL, settle, apr_pool_cleanup_null);
    if ((rv = apr_pool_create(&own, parent)) != APR_SUCCESS
        || (rv = apr_thread_mutex_create(&pool->lock, APR_THREAD_MUTEX_DEFAULT, own)) != APR_SUCCESS
        || (rv = apr_thread_cond_create(&pool->changed, own)) != APR_SUCCESS) {
        return rv;
    }
    pool->gate = orgs_gate_make(own, pool->lock, places(pool));
    if (conf->threaded) {
        make_gathers(pool, own);
        rv = apr_reslist_create(&pool->list, 0, conf->keep, conf->max, apr_time_from_sec(conf->exptime), construct,
                                destruct, pool, own);
        if (rv == APR_SUCCESS) {
            apr_reslist_cleanup_order_set(pool->list, APR_RESLIST_CLEANUP_FIRST);
        }
    }
    else {
        rv = orgs_conn_make(&pool->single, own);
    }
    if (rv == APR_SUCCESS) {
        count(pool, ORGS_STATS_POOLS, 1);
        count(pool, ORGS_STATS_CONNECTIONS_MAX, places(pool));
        *made = pool;
    }
    return rv;
}

static const orgs_error_t *unavailable(apr_pool_t *p, const char *cause)
{
    return orgs_error_cause(p, ORGS_E_UNAVAILABLE, "%s", cause);
}

/* Whether nobody need try now. With the lock held. */
static int known_down(const orgs_pool_t *pool)
{
    return pool->down && (pool->probing || orgs_clock() < pool->retry_at);
}

/* Waits for what others do. Zero when the deadline has passed. With the lock held. */
static int wait_for_others(orgs_pool_t *pool, apr_time_t deadline)
{
    apr_interval_time_t left = deadline - orgs_clock();

    if (left <= 0) {
        return 0;
    }
    apr_thread_cond_timedwait(pool->changed, pool->lock, left);
    return 1;
}

static void tell_others(orgs_pool_t *pool)
{
    apr_thread_cond_broadcast(pool->changed);
    orgs_gate_stir(pool->gate);
}

static const orgs_error_t *refuse(orgs_pool_t *pool, apr_pool_t *p)
{
    count(pool, ORGS_STATS_REFUSED, 1);
    return unavailable(p, "the database is down");
}

/* Notes whether it is down. With the lock held. */
static void set_down(orgs_pool_t *pool, int down)
{
    count(pool, ORGS_STATS_POOLS_DOWN, down - pool->down);
    pool->down = down;
}

/* Takes a place among those who hold a connection. */
static const orgs_error_t *enter(orgs_pool_t *pool, apr_pool_t *p, orgs_use_e use, apr_time_t deadline)
{
    apr_interval_time_t timeout = apr_time_from_sec(pool->conf->timeout);
    /* who has a write to settle goes before all others; bulk gives way, but not for ever */
    apr_time_t turn = orgs_clock() + (use == ORGS_USE_SETTLE ? -timeout : use == ORGS_USE_BULK ? timeout : 0);
    /* whoever got a place in the last moment could only break a connection off */
    apr_time_t latest = deadline - (use == ORGS_USE_SETTLE ? 0 : orgs_pool_least(pool));
    const orgs_error_t *error = NULL;
    int waits = 0;
    int in;

    apr_thread_mutex_lock(pool->lock);
    in = orgs_gate_take(pool->gate, use);
    if (!in) {
        waits = 1;
        count(pool, ORGS_STATS_WAITING, 1);
    }
    while (!in && error == NULL) {
        if (known_down(pool) && use != ORGS_USE_SETTLE) {
            error = refuse(pool, p);
        }
        else if (!(in = orgs_gate_wait(pool->gate, p, use, turn, latest)) && orgs_clock() >= latest) {
            error = unavailable(p, "no connection became free in time");
            count(pool, ORGS_STATS_TIMEOUTS, 1);
        }
    }
    apr_thread_mutex_unlock(pool->lock);
    if (waits) {
        count(pool, ORGS_STATS_WAITING, -1);
    }
    if (in) {
        count(pool, ORGS_STATS_CONNECTIONS_IN_USE, 1);
    }
    return error;
}

static void leave(orgs_pool_t *pool, orgs_use_e use, int answered)
{
    apr_thread_mutex_lock(pool->lock);
    if (answered) {
        pool->answered = orgs_clock();
        orgs_stats_answer(pool->stats, pool->answered);
    }
    count(pool, ORGS_STATS_CONNECTIONS_IN_USE, -1);
    orgs_gate_leave(pool->gate, use);
    apr_thread_mutex_unlock(pool->lock);
}

/* Asks whether to connect now. Where the database is down one does, and the others are told so; where it is in
 * doubt one does, and the others wait. Who has a write to settle never gives up, but waits for its turn. */
static const orgs_error_t *may_connect(orgs_pool_t *pool, apr_pool_t *p, orgs_use_e use, apr_time_t *deadline)
{
    apr_time_t short_deadline = orgs_clock() + apr_time_from_sec(ORGS_PROBE_SECONDS);
    const orgs_error_t *error = NULL;

    apr_thread_mutex_lock(pool->lock);
    for (;;) {
        if (known_down(pool) && use != ORGS_USE_SETTLE) {
            error = refuse(pool, p);
            break;
        }
        if (!pool->probing) {
            break;
        }
        if (!wait_for_others(pool, *deadline)) {
            error = unavailable(p, "the database does not answer");
            break;
        }
    }
    if (error == NULL && (pool->down || pool->doubt)) {
        pool->probing = 1;
    }
    /* who only looks whether it is back does not hang as long as a server that swallows everything would have it */
    if (error == NULL && pool->down && short_deadline < *deadline) {
        *deadline = short_deadline;
    }
    apr_thread_mutex_unlock(pool->lock);
    return error;
}

/* Errors by which a server that works refuses one more connection. */
static int is_full(unsigned int number)
{
    return number == 1040 || number == 1203 || number == 1226;
}

static void note_connected(orgs_pool_t *pool, orgs_conn_t *conn)
{
    unsigned int was;

    count(pool, ORGS_STATS_CONNECTS, 1);
    apr_thread_mutex_lock(pool->lock);
    was = pool->trouble;
    pool->trouble = 0;
    pool->doubt = pool->probing = 0;
    set_down(pool, 0);
    /* what the others are to was left for a reason: a reader must not see now the one, now the other */
    if (orgs_conn_host(conn) != pool->host) {
        pool->host = orgs_conn_host(conn);
        pool->epoch++;
    }
    orgs_conn_mark(conn, pool->epoch);
    tell_others(pool);
    apr_thread_mutex_unlock(pool->lock);
    /* one who has seen no trouble may know better than those who did */
    if (pool->conf->stats != NULL ? orgs_stats_news(pool->conf->stats, pool->account, was, 0) : was != 0) {
        orgs_log(ORGS_LOG_INFO, ORGS_LOGNO(0101) "the database is back");
    }
}

/* began: since when one waited to connect; asked: since when one connected. */
static void note_failed(orgs_pool_t *pool, const orgs_dberr_t *failure, apr_time_t began, apr_time_t asked,
                        apr_time_t deadline)
{
    /* whose time was up when it had hardly begun, as at the end of settling, knows nothing of the server */
    int hasty = orgs_clock() >= deadline && deadline - asked < orgs_pool_least(pool);
    apr_ssize_t len = APR_HASH_KEY_STRING;
    unsigned int trouble = (failure->number ^ apr_hashfunc_default(failure->text, &len)) | 1u;
    unsigned int was;

    count(pool, ORGS_STATS_CONNECT_FAILURES, 1);
    apr_thread_mutex_lock(pool->lock);
    was = pool->trouble;
    if (!hasty) {
        pool->trouble = trouble;
    }
    pool->probing = 0;
    /* a server that has no time to greet, but answers, is not down */
    if (!hasty && !is_full(failure->number) && !(failure->number == ORGS_ER_LOST && pool->answered > began)) {
        pool->doubt = 0;
        set_down(pool, 1);
        pool->retry_at = orgs_clock() + apr_time_from_sec(ORGS_BREAKER_SECONDS);
    }
    tell_others(pool);
    apr_thread_mutex_unlock(pool->lock);
    if (was != trouble && (pool->conf->stats == NULL || orgs_stats_news(pool->conf->stats, pool->account, was, trouble))) {
        orgs_log(ORGS_LOG_ERR, ORGS_LOGNO(0102) "the database cannot be used: %s (%u)", failure->text,
                 failure->number);
    }
}

/* Errors by which a connection ends in the midst of being made. */
static int is_cut(unsigned int number)
{
    return number == 2006 || number == ORGS_ER_LOST || number == 1317 || number == 1927;
}

/* Connects; once more where it was cut and there is time, for that may have been meant for this one alone: a server that
 * is down refuses. */
static int try_to_connect(orgs_pool_t *pool, apr_pool_t *p, orgs_conn_t *conn, apr_time_t deadline, orgs_dberr_t *failure)
{
    apr_time_t asked = orgs_clock();

    if (orgs_connector_open(pool->connector, conn, p, deadline, failure)) {
        return 1;
    }
    return is_cut(failure->number) && orgs_clock() - asked < (deadline - asked) / 2
           && orgs_connector_open(pool->connector, conn, p, deadline, failure);
}

static const orgs_error_t *connect_now(orgs_pool_t *pool, apr_pool_t *p, orgs_use_e use, orgs_conn_t *conn,
                                       apr_time_t deadline)
{
    apr_time_t began = orgs_clock();
    orgs_dberr_t failure;
    const orgs_error_t *error = may_connect(pool, p, use, &deadline);
    apr_time_t asked = orgs_clock();

    if (error != NULL) {
        return error;
    }
    if (try_to_connect(pool, p, conn, deadline, &failure)) {
        note_connected(pool, conn);
        return NULL;
    }
    note_failed(pool, &failure, began, asked, deadline);
    return orgs_error_cause(p, ORGS_E_UNAVAILABLE, "%s (%u)", failure.text, failure.number);
}

const orgs_error_t *orgs_pool_acquire(orgs_pool_t *pool, apr_pool_t *p, orgs_use_e use, apr_time_t *deadline,
                                      orgs_conn_t **conn)
{
    const orgs_error_t *error = enter(pool, p, use, *deadline);
    void *record = pool->single;
    unsigned int epoch;
    apr_time_t latest;

    if (error != NULL) {
        return error;
    }
    latest = orgs_clock() + apr_time_from_sec(pool->conf->timeout);
    if (*deadline > latest) {
        *deadline = latest;
    }
    /* never waits: whoever entered has a record to take */
    if (pool->list != NULL && apr_reslist_acquire(pool->list, &record) != APR_SUCCESS) {
        leave(pool, use, 0);
        return unavailable(p, "no memory for a connection");
    }
    *conn = record;
    if (orgs_conn_is_open(*conn)) {
        count(pool, ORGS_STATS_CONNECTIONS_IDLE, -1);
    }
    orgs_conn_set_use(*conn, (int)use);
    apr_thread_mutex_lock(pool->lock);
    epoch = pool->epoch;
    apr_thread_mutex_unlock(pool->lock);
    if (orgs_conn_is_open(*conn) && (orgs_conn_marked(*conn) != epoch || !orgs_conn_alive(*conn))) {
        orgs_conn_close(*conn);
    }
    if (!orgs_conn_is_open(*conn) && (error = connect_now(pool, p, use, *conn, *deadline)) != NULL) {
        orgs_pool_invalidate(pool, *conn);
        *conn = NULL;
    }
    return error;
}

void orgs_pool_release(orgs_pool_t *pool, orgs_conn_t *conn)
{
    orgs_use_e use = (orgs_use_e)orgs_conn_use(conn);

    count(pool, ORGS_STATS_CONNECTIONS_IDLE, 1);
    if (pool->list != NULL) {
        apr_reslist_release(pool->list, conn);
    }
    leave(pool, use, 1);
}

void orgs_pool_invalidate(orgs_pool_t *pool, orgs_conn_t *conn)
{
    orgs_use_e use = (orgs_use_e)orgs_conn_use(conn);

    orgs_conn_close(conn);
    if (pool->list != NULL) {
        apr_reslist_invalidate(pool->list, conn);
    }
    leave(pool, use, 0);
}

void orgs_pool_suspect(orgs_pool_t *pool, const orgs_conn_t *conn, apr_time_t asked)
{
    int silent;

    apr_thread_mutex_lock(pool->lock);
    silent = asked != 0 && pool->answered < asked && orgs_clock() - asked >= orgs_pool_least(pool);
    if (asked == 0 || silent) {
        pool->epoch++;
    }
    if (silent && !pool->down) {
        pool->doubt = 1;
    }
    apr_thread_mutex_unlock(pool->lock);
    if (silent) {
        orgs_connector_avoid(pool->connector, orgs_conn_host(conn));
    }
}

void orgs_pool_complain(orgs_pool_t *pool, orgs_sql_e sql, unsigned int number, const char *text)
{
    if (apr_atomic_read32(&pool->complaints[sql]) != number
        && apr_atomic_xchg32(&pool->complaints[sql], number) != number && number != 0) {
        orgs_log(ORGS_LOG_ERR, ORGS_LOGNO(0103) "the database refuses a statement: %s (%u)", text, number);
    }
}

void orgs_pool_warm(orgs_pool_t *pool, apr_pool_t *scratch)
{
    int max = places(pool);
    int wanted = pool->conf->min < max ? pool->conf->min : max;
    orgs_conn_t **conns = apr_pcalloc(scratch, sizeof(*conns) * (apr_size_t)(wanted + 1));
    apr_time_t deadline = orgs_clock() + apr_time_from_sec(pool->conf->timeout);
    int i;

    for (i = 0; i < wanted; i++) {
        if (orgs_pool_acquire(pool, scratch, ORGS_USE_HOT, &deadline, &conns[i]) != NULL) {
            break;
        }
    }
    while (i-- > 0) {
        orgs_pool_release(pool, conns[i]);
    }
}

orgs_gather_t *orgs_pool_gather(const orgs_pool_t *pool, int kind)
{
    return pool->gathers[kind];
}

int orgs_pool_timeout(const orgs_pool_t *pool)
{
    return pool->conf->timeout;
}

orgs_stats_slot_t *orgs_pool_stats(const orgs_pool_t *pool)
{
    return pool->stats;
}

int orgs_pool_is_down(orgs_pool_t *pool)
{
    int down;

    apr_thread_mutex_lock(pool->lock);
    down = known_down(pool);
    apr_thread_mutex_unlock(pool->lock);
    return down;
}

apr_interval_time_t orgs_pool_least(const orgs_pool_t *pool)
{
    return apr_time_from_sec(pool->conf->timeout) / 5;
}
