/*
 * Gathering questions. Those who wait are woken one by one, when it is their turn to ask or when they are answered.
 */
#include "orgs_gather.h"

#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <string.h>

#include "orgs_id.h"

typedef struct group_t group_t;

/* One who waits, on his own stack; whoever leaves takes himself out of the ring or the group first. */
typedef struct asker_t asker_t;
struct asker_t {
    asker_t *prev;
    asker_t *next;
    apr_thread_cond_t *called;
    const void *question;
    apr_size_t size;
    apr_time_t deadline;
    group_t *group; /* the one he was taken into */
    int place;
    int role; /* -1 while he waits */
};

struct group_t {
    orgs_crowd_t crowd; /* first: it is what the outside sees */
    asker_t *askers[ORGS_CROWD_MAX]; /* NULL: leads, has left, or been told */
    int refs;
    group_t *spare;
};

struct orgs_gather_t {
    apr_pool_t *pool; /* with an allocator of its own, as each group's: no other lock guards it */
    int lanes;
    int most; /* lanes, where some are slow */
    apr_thread_mutex_t *lock; /* for all below */
    int running;              /* lanes on which somebody asks */
    asker_t waiting;          /* a ring, in the order of coming */
    group_t *spare;
};

static apr_status_t destroy_pool(void *pool)
{
    apr_pool_destroy(pool);
    return APR_SUCCESS;
}

/* A pool that goes with its parent, but shares nothing with it. */
static apr_pool_t *pool_apart(apr_pool_t *parent)
{
    apr_pool_t *pool;

    if (apr_pool_create_unmanaged_ex(&pool, NULL, NULL) != APR_SUCCESS) {
        return NULL;
    }
    apr_pool_cleanup_register(parent, pool, destroy_pool, apr_pool_cleanup_null);
    return pool;
}

orgs_gather_t *orgs_gather_make(apr_pool_t *parent, int lanes, int most)
{
    apr_pool_t *pool = pool_apart(parent);
    orgs_gather_t *gather;

    if (pool == NULL) {
        return NULL;
    }
    gather = apr_pcalloc(pool, sizeof(*gather));
    gather->pool = pool;
    gather->lanes = lanes;
    gather->most = most > lanes ? most : lanes;
    gather->waiting.next = gather->waiting.prev = &gather->waiting;
    return apr_thread_mutex_create(&gather->lock, APR_THREAD_MUTEX_DEFAULT, pool) == APR_SUCCESS ? gather : NULL;
}

/* A group to fill; NULL without memory. With the lock held. */
static group_t *group_get(orgs_gather_t *gather)
{
    group_t *group = gather->spare;
    apr_pool_t *pool;

    if (group != NULL) {
        gather->spare = group->spare;
        pool = group->crowd.pool;
        memset(group, 0, sizeof(*group));
        group->crowd.pool = pool;
        return group;
    }
    if ((pool = pool_apart(gather->pool)) == NULL) {
        return NULL;
    }
    group = apr_pcalloc(gather->pool, sizeof(*group));
    group->crowd.pool = pool;
    return group;
}

static void take_out(asker_t *asker)
{
    asker->prev->next = asker->next;
    asker->next->prev = asker->prev;
}

static void call(asker_t *asker, orgs_gather_e role)
{
    asker->role = (int)role;
    apr_thread_cond_signal(asker->called);
}

/* Makes a group of those who have waited longest. Who asks for them is who has the most time left. With the lock held. */
static void set_out(orgs_gather_t *gather, group_t *group)
{
    orgs_crowd_t *crowd = &group->crowd;
    asker_t *leader = gather->waiting.next;
    asker_t *asker;

    while (crowd->count < ORGS_CROWD_MAX && (asker = gather->waiting.next) != &gather->waiting) {
        take_out(asker);
        asker->group = group;
        asker->place = crowd->count;
        group->askers[crowd->count] = asker;
        crowd->questions[crowd->count++] = apr_pmemdup(crowd->pool, asker->question, asker->size);
        if (asker->deadline > leader->deadline) {
            leader = asker;
        }
    }
    group->refs = crowd->count;
    call(leader, ORGS_GATHER_LEAD);
}

/* Gives a lane to those who wait, of whom there are some. With the lock held. */
static void send_next(orgs_gather_t *gather)
{
    asker_t *first = gather->waiting.next;
    group_t *group;

    if (first->next != &gather->waiting && (group = group_get(gather)) != NULL) {
        set_out(gather, group);
    }
    else {
        take_out(first);
        call(first, ORGS_GATHER_ALONE);
    }
}

/* With the lock held. */
static void let_go(orgs_gather_t *gather, group_t *group)
{
    if (--group->refs == 0) {
        apr_pool_clear(group->crowd.pool);
        group->spare = gather->spare;
        gather->spare = group;
    }
}

/* Waits until called, or until the deadline. With the lock held. */
static orgs_gather_e wait_for_call(orgs_gather_t *gather, asker_t *asker)
{
    apr_interval_time_t left;

    asker->prev = gather->waiting.prev;
    asker->next = &gather->waiting;
    asker->prev->next = asker->next->prev = asker;
    while (asker->role < 0 && (left = asker->deadline - orgs_clock()) > 0) {
        int impatient = left > ORGS_GATHER_PATIENCE;

        apr_thread_cond_timedwait(asker->called, gather->lock, impatient ? ORGS_GATHER_PATIENCE : left);
        /* a connection that hangs is not to hold up everybody */
        if (impatient && asker->role < 0 && asker->group == NULL && gather->running < gather->most) {
            gather->running++;
            send_next(gather);
        }
    }
    if (asker->role == (int)ORGS_GATHER_LEAD) {
        /* who leads is gone from here when the answer is there */
        asker->group->askers[asker->place] = NULL;
    }
    if (asker->role >= 0) {
        return (orgs_gather_e)asker->role;
    }
    if (asker->group == NULL) {
        take_out(asker);
    }
    else {
        asker->group->askers[asker->place] = NULL;
        let_go(gather, asker->group);
    }
    return ORGS_GATHER_LATE;
}

orgs_gather_e orgs_gather_join(orgs_gather_t *gather, apr_pool_t *p, const void *question, apr_size_t size,
                               apr_time_t deadline, orgs_crowd_t **crowd, int *place)
{
    asker_t asker = {NULL, NULL, NULL, question, size, deadline, NULL, 0, -1};
    orgs_gather_e role = ORGS_GATHER_ALONE;

    apr_thread_mutex_lock(gather->lock);
    if (gather->running < gather->lanes) {
        gather->running++;
    }
    else if (apr_thread_cond_create(&asker.called, p) != APR_SUCCESS) {
        role = ORGS_GATHER_LATE;
    }
    else {
        role = wait_for_call(gather, &asker);
        apr_thread_cond_destroy(asker.called);
    }
    apr_thread_mutex_unlock(gather->lock);
    *crowd = role == ORGS_GATHER_LEAD || role == ORGS_GATHER_ANSWERED ? &asker.group->crowd : NULL;
    *place = asker.place;
    return role;
}

void orgs_gather_done(orgs_gather_t *gather, orgs_crowd_t *crowd)
{
    group_t *group = (group_t *)crowd;
    int i;

    apr_thread_mutex_lock(gather->lock);
    /* the next set out before the last are told: they have the database to wait for */
    if (gather->running > gather->lanes || gather->waiting.next == &gather->waiting) {
        gather->running--;
    }
    else {
        send_next(gather);
    }
    for (i = 0; group != NULL && i < crowd->count; i++) {
        asker_t *asker = group->askers[i];

        group->askers[i] = NULL;
        if (asker != NULL) {
            call(asker, ORGS_GATHER_ANSWERED);
        }
    }
    apr_thread_mutex_unlock(gather->lock);
}

void orgs_gather_take(orgs_gather_t *gather, orgs_crowd_t *crowd)
{
    apr_thread_mutex_lock(gather->lock);
    let_go(gather, (group_t *)crowd);
    apr_thread_mutex_unlock(gather->lock);
}
