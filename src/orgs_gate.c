/*
 * The gate before a pool. A condition that all wait on would wake a thousand for each place that becomes free, and let
 * chance choose one.
 */
#include "orgs_gate.h"

#include <apr_thread_cond.h>

#include "orgs_time.h"

typedef struct waiter_t waiter_t;
struct waiter_t {
    waiter_t *prev;
    waiter_t *next;
    apr_thread_cond_t *called;
    apr_time_t turn;
    orgs_use_e use;
    int in; /* whether a place was taken for him */
};

/* All of one rank, together with those below it, leave a place to each rank above. */
#define RANKS 3
static const int ranks[ORGS_USES] = {[ORGS_USE_HOT] = 0, [ORGS_USE_COLD] = 1, [ORGS_USE_SETTLE] = 1, [ORGS_USE_BULK] = 2};

struct orgs_gate_t {
    apr_thread_mutex_t *lock;
    int max;
    int held[RANKS];
    waiter_t waiting; /* a ring, in the order of turns */
};

orgs_gate_t *orgs_gate_make(apr_pool_t *pool, apr_thread_mutex_t *lock, int max)
{
    orgs_gate_t *gate = apr_pcalloc(pool, sizeof(*gate));

    gate->lock = lock;
    gate->max = max;
    gate->waiting.next = gate->waiting.prev = &gate->waiting;
    return gate;
}

int orgs_gate_take(orgs_gate_t *gate, orgs_use_e use)
{
    int held = 0;
    int rank;

    for (rank = RANKS - 1; rank >= 0; rank--) {
        int most = gate->max > rank ? gate->max - rank : 1;

        held += gate->held[rank];
        if (rank <= ranks[use] && held >= most) {
            return 0;
        }
    }
    gate->held[ranks[use]]++;
    return 1;
}

static void insert(orgs_gate_t *gate, waiter_t *waiter)
{
    waiter_t *before = gate->waiting.prev;

    while (before != &gate->waiting && before->turn > waiter->turn) {
        before = before->prev;
    }
    waiter->prev = before;
    waiter->next = before->next;
    before->next->prev = waiter;
    before->next = waiter;
}

static void take_out(waiter_t *waiter)
{
    waiter->prev->next = waiter->next;
    waiter->next->prev = waiter->prev;
}

/* Gives free places to those who wait for such: afterwards nobody waits who need not. */
static void call(orgs_gate_t *gate)
{
    waiter_t *waiter, *next;

    for (waiter = gate->waiting.next; waiter != &gate->waiting; waiter = next) {
        next = waiter->next;
        if (orgs_gate_take(gate, waiter->use)) {
            take_out(waiter);
            waiter->in = 1;
            apr_thread_cond_signal(waiter->called);
        }
    }
}

int orgs_gate_wait(orgs_gate_t *gate, apr_pool_t *pool, orgs_use_e use, apr_time_t turn, apr_time_t deadline)
{
    apr_interval_time_t left = deadline - orgs_clock();
    waiter_t waiter = {NULL, NULL, NULL, turn, use, 0};

    if (left <= 0 || apr_thread_cond_create(&waiter.called, pool) != APR_SUCCESS) {
        return 0;
    }
    insert(gate, &waiter);
    apr_thread_cond_timedwait(waiter.called, gate->lock, left);
    if (!waiter.in) {
        take_out(&waiter);
    }
    apr_thread_cond_destroy(waiter.called);
    return waiter.in;
}

void orgs_gate_leave(orgs_gate_t *gate, orgs_use_e use)
{
    gate->held[ranks[use]]--;
    call(gate);
}

void orgs_gate_stir(orgs_gate_t *gate)
{
    waiter_t *waiter;

    for (waiter = gate->waiting.next; waiter != &gate->waiting; waiter = waiter->next) {
        apr_thread_cond_signal(waiter->called);
    }
}
