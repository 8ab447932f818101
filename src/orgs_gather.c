/*
 * Gathering. Those who wait are woken one by one, when it is their turn to ask or when they are answered; each
 * by a lock of his own, and after the queue's was given back: who wakes finds no lock held that he needs.
 */
#include "orgs_gather.h"

#include <apr_atomic.h>
#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <string.h>

#include "orgs_time.h"

typedef struct group_t group_t;

/* One who waits. It is used again and never freed: who calls him may be late to let go of it. */
typedef struct asker_t asker_t;
struct asker_t {
    asker_t *prev;
    asker_t *next; /* while he waits; also of those to be called, and of the spare */
    const void *question;
    apr_size_t size;
    apr_time_t deadline;
    orgs_queue_t *queue;
    group_t *group; /* the one he was taken into */
    int place;
    int role; /* -1 until it is decided */
    apr_thread_mutex_t *lock; /* for called */
    apr_thread_cond_t *bell;
    int called; /* the role is his to take */
};

struct group_t {
    orgs_crowd_t crowd; /* first: it is what the outside sees */
    asker_t *askers[ORGS_CROWD_MAX]; /* NULL: leads, has left, or been told */
    volatile apr_uint32_t refs;
    group_t *spare;
};

/* Of one key; it is there while somebody asks, and others may wait. */
struct orgs_queue_t {
    orgs_id_t key;
    int running;     /* lanes on which somebody asks */
    int crowds;      /* those of them on which one asks for others */
    int count;       /* who wait */
    asker_t waiting; /* a ring, in the order of coming */
    orgs_queue_t *next;
};

#define BUCKETS 64

struct orgs_gather_t {
    apr_pool_t *pool; /* with an allocator of its own, as each group's: no other lock guards it */
    int lanes;
    int most;  /* lanes, where some are slow */
    int least; /* who travel together; fewer go alone */
    apr_thread_mutex_t *lock; /* for all below, and what queues, askers and groups have but for called and refs */
    orgs_queue_t *queues[BUCKETS];
    orgs_queue_t *empty;
    asker_t *idle;
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

orgs_gather_t *orgs_gather_make(apr_pool_t *parent, int lanes, int most, int least)
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
    gather->least = least;
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

/* One to wait as; NULL without memory. With the lock held. */
static asker_t *asker_get(orgs_gather_t *gather)
{
    asker_t *asker = gather->idle;

    if (asker != NULL) {
        gather->idle = asker->next;
        return asker;
    }
    asker = apr_pcalloc(gather->pool, sizeof(*asker));
    if (apr_thread_mutex_create(&asker->lock, APR_THREAD_MUTEX_DEFAULT, gather->pool) != APR_SUCCESS
        || apr_thread_cond_create(&asker->bell, gather->pool) != APR_SUCCESS) {
        return NULL;
    }
    return asker;
}

/* Where the queue of this key stands in its list, or would. The last byte of an id is random. */
static orgs_queue_t **queue_at(orgs_gather_t *gather, const orgs_id_t *key)
{
    orgs_queue_t **at = &gather->queues[key->bytes[sizeof(key->bytes) - 1] % BUCKETS];

    while (*at != NULL && memcmp(&(*at)->key, key, sizeof(*key)) != 0) {
        at = &(*at)->next;
    }
    return at;
}

/* The queue of this key, made if nobody asks; NULL without memory. With the lock held. */
static orgs_queue_t *queue_get(orgs_gather_t *gather, const orgs_id_t *key)
{
    orgs_queue_t **at = queue_at(gather, key);
    orgs_queue_t *queue = *at;

    if (queue == NULL) {
        queue = gather->empty;
        if (queue != NULL) {
            gather->empty = queue->next;
        }
        else if ((queue = apr_pcalloc(gather->pool, sizeof(*queue))) == NULL) {
            return NULL;
        }
        queue->key = *key;
        queue->next = NULL;
        queue->waiting.next = queue->waiting.prev = &queue->waiting;
        *at = queue;
    }
    return queue;
}

/* The last has asked, and nobody waits. With the lock held. */
static void put_away(orgs_gather_t *gather, orgs_queue_t *queue)
{
    *queue_at(gather, &queue->key) = queue->next;
    queue->next = gather->empty;
    gather->empty = queue;
}

static void take_out(asker_t *asker)
{
    asker->queue->count--;
    asker->prev->next = asker->next;
    asker->next->prev = asker->prev;
}

/* Tells those of the list that their roles are decided. Without the lock. */
static void call_all(asker_t *list)
{
    while (list != NULL) {
        asker_t *asker = list;

        list = asker->next;
        apr_thread_mutex_lock(asker->lock);
        asker->called = 1;
        apr_thread_mutex_unlock(asker->lock);
        apr_thread_cond_signal(asker->bell);
    }
}

/* Makes a group of those who have waited longest, and returns who asks for them: who has the most time left. With the
 * lock held. */
static asker_t *set_out(orgs_queue_t *queue, group_t *group)
{
    orgs_crowd_t *crowd = &group->crowd;
    asker_t *leader = queue->waiting.next;
    asker_t *asker;

    while (crowd->count < ORGS_CROWD_MAX && (asker = queue->waiting.next) != &queue->waiting) {
        take_out(asker);
        asker->group = group;
        asker->place = crowd->count;
        group->askers[crowd->count] = asker;
        crowd->questions[crowd->count++] = apr_pmemdup(crowd->pool, asker->question, asker->size);
        if (asker->deadline > leader->deadline) {
            leader = asker;
        }
    }
    group->refs = (apr_uint32_t)crowd->count;
    /* who leads is gone from here when the answer is there */
    group->askers[leader->place] = NULL;
    leader->role = ORGS_GATHER_LEAD;
    return leader;
}

/* Gives a lane to those who wait, of whom there are some; returns whom to call. With the lock held. */
static asker_t *send_next(orgs_gather_t *gather, orgs_queue_t *queue)
{
    asker_t *first = queue->waiting.next;
    group_t *group;

    queue->running++;
    if (queue->count >= gather->least && (group = group_get(gather)) != NULL) {
        first = set_out(queue, group);
        queue->crowds++;
    }
    else {
        take_out(first);
        first->role = ORGS_GATHER_ALONE;
    }
    first->next = NULL;
    return first;
}

/* Waits until called, or so long. Whether he was called. */
static int wait_for_call(asker_t *asker, apr_interval_time_t most)
{
    apr_time_t until = orgs_clock() + most;
    int called;

    apr_thread_mutex_lock(asker->lock);
    /* the bell may also ring for who was here before */
    while (!asker->called && (most = until - orgs_clock()) > 0) {
        apr_thread_cond_timedwait(asker->bell, asker->lock, most);
    }
    called = asker->called;
    apr_thread_mutex_unlock(asker->lock);
    return called;
}

/* Somebody has waited for long: a connection that hangs is not to hold up everybody. */
static void open_another(orgs_gather_t *gather, const asker_t *asker)
{
    asker_t *next = NULL;

    apr_thread_mutex_lock(gather->lock);
    if (asker->role < 0 && asker->group == NULL && asker->queue->running < gather->most) {
        next = send_next(gather, asker->queue);
    }
    apr_thread_mutex_unlock(gather->lock);
    call_all(next);
}

/* The group's memory is needed by one less. */
static void release(orgs_gather_t *gather, group_t *group)
{
    if (apr_atomic_dec32(&group->refs) == 0) {
        apr_pool_clear(group->crowd.pool);
        apr_thread_mutex_lock(gather->lock);
        group->spare = gather->spare;
        gather->spare = group;
        apr_thread_mutex_unlock(gather->lock);
    }
}

/* Leaves, his deadline having passed. Zero if his role is decided already. */
static int leave(orgs_gather_t *gather, asker_t *asker)
{
    group_t *group = NULL;
    int role;

    apr_thread_mutex_lock(gather->lock);
    role = asker->role;
    if (role < 0) {
        group = asker->group;
        if (group == NULL) {
            take_out(asker);
        }
        else {
            group->askers[asker->place] = NULL;
        }
        asker->role = group == NULL ? ORGS_GATHER_LATE : ORGS_GATHER_LEFT;
    }
    apr_thread_mutex_unlock(gather->lock);
    if (group != NULL) {
        release(gather, group);
    }
    return role < 0;
}

static void wait_in_queue(orgs_gather_t *gather, asker_t *asker)
{
    apr_interval_time_t left;

    while ((left = asker->deadline - orgs_clock()) > 0) {
        int impatient = left > ORGS_GATHER_PATIENCE;

        if (wait_for_call(asker, impatient ? ORGS_GATHER_PATIENCE : left)) {
            return;
        }
        if (impatient) {
            open_another(gather, asker);
        }
    }
    if (!leave(gather, asker)) {
        while (!wait_for_call(asker, ORGS_GATHER_PATIENCE)) {
            /* the call is under way */
        }
    }
}

/* Puts himself at the end of the queue; NULL without memory. With the lock held. */
static asker_t *queue_up(orgs_gather_t *gather, orgs_queue_t *queue, const void *question, apr_size_t size,
                         apr_time_t deadline)
{
    asker_t *asker = asker_get(gather);

    if (asker != NULL) {
        asker->question = question;
        asker->size = size;
        asker->deadline = deadline;
        asker->queue = queue;
        asker->group = NULL;
        asker->place = 0;
        asker->role = -1;
        asker->called = 0;
        asker->prev = queue->waiting.prev;
        asker->next = &queue->waiting;
        asker->prev->next = asker->next->prev = asker;
        queue->count++;
    }
    return asker;
}

/* Whether one more may ask. While one asks for others the next crowd gathers. With the lock held. */
static int has_lane(const orgs_gather_t *gather, const orgs_queue_t *queue)
{
    return queue->running < gather->lanes && queue->crowds == 0;
}

void orgs_gather_join(orgs_gather_t *gather, const orgs_id_t *key, const void *question, apr_size_t size,
                      apr_time_t deadline, orgs_turn_t *turn)
{
    asker_t *asker = NULL;

    memset(turn, 0, sizeof(*turn));
    turn->role = ORGS_GATHER_LATE;
    apr_thread_mutex_lock(gather->lock);
    turn->queue = queue_get(gather, key);
    if (turn->queue != NULL && has_lane(gather, turn->queue)) {
        turn->queue->running++;
        turn->role = ORGS_GATHER_ALONE;
    }
    else if (turn->queue != NULL) {
        asker = queue_up(gather, turn->queue, question, size, deadline);
    }
    apr_thread_mutex_unlock(gather->lock);
    if (asker == NULL) {
        return;
    }
    wait_in_queue(gather, asker);
    turn->role = (orgs_gather_e)asker->role;
    if (turn->role == ORGS_GATHER_LEAD || turn->role == ORGS_GATHER_ANSWERED) {
        turn->crowd = &asker->group->crowd;
        turn->place = asker->place;
    }
    apr_thread_mutex_lock(gather->lock);
    asker->next = gather->idle;
    gather->idle = asker;
    apr_thread_mutex_unlock(gather->lock);
}

void orgs_gather_done(orgs_gather_t *gather, const orgs_turn_t *turn)
{
    orgs_queue_t *queue = turn->queue;
    group_t *group = (group_t *)turn->crowd;
    asker_t *list = NULL;
    int i;

    apr_thread_mutex_lock(gather->lock);
    for (i = 0; group != NULL && i < group->crowd.count; i++) {
        asker_t *asker = group->askers[i];

        group->askers[i] = NULL;
        if (asker != NULL) {
            asker->role = ORGS_GATHER_ANSWERED;
            asker->next = list;
            list = asker;
        }
    }
    queue->crowds -= group != NULL;
    queue->running--;
    /* the next set out before the last are told: they have the database to wait for */
    while (queue->count > 0 && has_lane(gather, queue)) {
        asker_t *next = send_next(gather, queue);

        next->next = list;
        list = next;
    }
    if (queue->running == 0) {
        put_away(gather, queue);
    }
    apr_thread_mutex_unlock(gather->lock);
    call_all(list);
}

void orgs_gather_take(orgs_gather_t *gather, const orgs_turn_t *turn)
{
    release(gather, (group_t *)turn->crowd);
}
