/*
 * Figures in shared memory.
 */
#include "orgs_stats.h"

#include <apr_atomic.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

const orgs_stats_item_t orgs_stats_items[] = {
#define ORGS_STATS_ROW(symbol, kind, name, help) [ORGS_STATS_##symbol] = {ORGS_STATS_##kind, name, help},
    ORGS_STATS_ITEMS(ORGS_STATS_ROW)
#undef ORGS_STATS_ROW
};

const int orgs_stats_statuses[ORGS_STATS_STATUSES] = {0,   200, 201, 204, 206, 207, 301, 302, 304, 400, 401, 403, 404,
                                                      405, 408, 409, 412, 413, 415, 422, 429, 500, 502, 503, 504};

/* with a lock, as some machines have them, they would be atomic within one process only */
_Static_assert(__atomic_always_lock_free(sizeof(apr_int64_t), 0), "this machine has no atomic operations of 64 bits");

struct orgs_stats_t {
    apr_time_t since;
    int places;
    struct {
        apr_uint32_t account; /* 0: nobody's */
        apr_uint32_t trouble; /* as last told to the operator */
    } told[16];
    orgs_stats_slot_t slots[]; /* the first is for all who find no other */
};

apr_size_t orgs_stats_size(int processes)
{
    return sizeof(orgs_stats_t) + sizeof(orgs_stats_slot_t) * (apr_size_t)(processes + 1);
}

orgs_stats_t *orgs_stats_init(void *memory, int processes, apr_time_t since)
{
    orgs_stats_t *stats = memory;

    stats->since = since;
    stats->places = processes + 1;
    return stats;
}

apr_time_t orgs_stats_since(const orgs_stats_t *stats)
{
    return stats->since;
}

orgs_stats_slot_t *orgs_stats_enter(orgs_stats_t *stats, apr_uint32_t pid)
{
    int i;

    for (i = 1; i < stats->places; i++) {
        if (apr_atomic_read32(&stats->slots[i].pid) == pid) {
            return &stats->slots[i];
        }
    }
    for (i = 1; i < stats->places; i++) {
        if (apr_atomic_cas32(&stats->slots[i].pid, pid, 0) == 0) {
            return &stats->slots[i];
        }
    }
    return &stats->slots[0];
}

static void clear(orgs_stats_slot_t *slot)
{
    int i;

    for (i = 0; i < ORGS_STATS_COUNT; i++) {
        if (orgs_stats_items[i].kind == ORGS_STATS_GAUGE) {
            __atomic_store_n(&slot->items[i], 0, __ATOMIC_RELAXED);
        }
    }
    apr_atomic_set32(&slot->pid, 0);
}

void orgs_stats_leave(orgs_stats_t *stats, apr_uint32_t pid)
{
    int i;

    for (i = 1; i < stats->places; i++) {
        if (apr_atomic_read32(&stats->slots[i].pid) == pid) {
            clear(&stats->slots[i]);
        }
    }
}

void orgs_stats_sweep(orgs_stats_t *stats)
{
    int i;

    for (i = 1; i < stats->places; i++) {
        apr_uint32_t pid = apr_atomic_read32(&stats->slots[i].pid);

        if (pid != 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH) {
            clear(&stats->slots[i]);
        }
    }
}

int orgs_stats_news(orgs_stats_t *stats, apr_uint32_t account, apr_uint32_t was, apr_uint32_t trouble)
{
    apr_size_t i;

    for (i = 0; i < sizeof(stats->told) / sizeof(stats->told[0]); i++) {
        apr_uint32_t whose = apr_atomic_cas32(&stats->told[i].account, account, 0);

        if (whose == 0 || whose == account) {
            return apr_atomic_read32(&stats->told[i].trouble) != trouble
                   && apr_atomic_xchg32(&stats->told[i].trouble, trouble) != trouble;
        }
    }
    return was != trouble;
}

void orgs_stats_count(orgs_stats_slot_t *slot, orgs_stats_answers_e whose, int status)
{
    int i;

    for (i = ORGS_STATS_STATUSES - 1; i > 0 && orgs_stats_statuses[i] != status; i--) {
    }
    __atomic_fetch_add(&slot->answers[whose][i], 1, __ATOMIC_RELAXED);
}

apr_int64_t orgs_stats_sum(const orgs_stats_t *stats, orgs_stats_item_e item)
{
    apr_int64_t sum = 0;
    int i;

    for (i = 0; i < stats->places; i++) {
        sum += __atomic_load_n(&stats->slots[i].items[item], __ATOMIC_RELAXED);
    }
    return sum;
}

apr_int64_t orgs_stats_sum_answers(const orgs_stats_t *stats, orgs_stats_answers_e whose, int index)
{
    apr_int64_t sum = 0;
    int i;

    for (i = 0; i < stats->places; i++) {
        sum += __atomic_load_n(&stats->slots[i].answers[whose][index], __ATOMIC_RELAXED);
    }
    return sum;
}

apr_time_t orgs_stats_answered(const orgs_stats_t *stats)
{
    apr_time_t latest = 0;
    int i;

    for (i = 0; i < stats->places; i++) {
        apr_time_t answered = __atomic_load_n(&stats->slots[i].answered, __ATOMIC_RELAXED);

        latest = answered > latest ? answered : latest;
    }
    return latest;
}
