/*
 * Limits of rates.
 *
 * Of each caller there is one instant, until which they have spent their allowance: every write moves it on by the time
 * that one write is worth, and one that would move it too far ahead of now is refused. An instant that has passed says
 * nothing any more, so its entry is free, whoever's it was: what it holds means the same to the next one.
 */
#include "orgs_rate.h"

#include <string.h>

#include "orgs_id.h"

/* 16 bytes each: 1 MiB */
#define ENTRIES 65536u
/* how far from its own place a caller's entry may lie */
#define REACH 32u

typedef struct {
    apr_uint64_t caller; /* a digest; 0: nobody's yet */
    apr_int64_t until;
} entry_t;

/* with a lock, as some machines have them, they would be atomic within one process only */
_Static_assert(__atomic_always_lock_free(sizeof(apr_int64_t), 0), "this machine has no atomic operations of 64 bits");

struct orgs_rate_t {
    entry_t entries[ENTRIES + REACH];
};

apr_size_t orgs_rate_size(void)
{
    return sizeof(orgs_rate_t);
}

/* Whose allowance it is: limits that differ are apart. Never 0. */
static apr_uint64_t digest_of(const void *caller, apr_size_t len, const orgs_rate_limit_t *limit)
{
    unsigned char bytes[64];
    unsigned char digest[ORGS_SHA256_LEN];
    apr_uint64_t whose;

    len = len < sizeof(bytes) - sizeof(*limit) ? len : sizeof(bytes) - sizeof(*limit);
    memcpy(bytes, limit, sizeof(*limit));
    memcpy(bytes + sizeof(*limit), caller, len);
    orgs_sha256(digest, bytes, sizeof(*limit) + len);
    memcpy(&whose, digest, sizeof(whose));
    return whose != 0 ? whose : 1;
}

static apr_uint64_t caller_of(const entry_t *entry)
{
    return __atomic_load_n(&entry->caller, __ATOMIC_ACQUIRE);
}

/* The caller's entry, or one that is free and now theirs; NULL if there is none. */
static entry_t *entry_of(orgs_rate_t *rate, apr_uint64_t whose, apr_time_t now)
{
    entry_t *first = &rate->entries[whose % ENTRIES];
    entry_t *entry;

    for (entry = first; entry < first + REACH; entry++) {
        if (caller_of(entry) == whose) {
            return entry;
        }
    }
    for (entry = first; entry < first + REACH; entry++) {
        apr_uint64_t was = caller_of(entry);

        if (was == whose
            || (__atomic_load_n(&entry->until, __ATOMIC_RELAXED) <= now
                && (__atomic_compare_exchange_n(&entry->caller, &was, whose, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
                    || was == whose))) {
            return entry;
        }
    }
    return NULL;
}

orgs_rate_e orgs_rate_take(orgs_rate_t *rate, const void *caller, apr_size_t len, const orgs_rate_limit_t *limit,
                           apr_time_t now, apr_interval_time_t *wait)
{
    apr_interval_time_t worth = apr_time_from_sec(limit->seconds) / limit->writes;
    apr_interval_time_t ahead = worth * (limit->writes - 1);
    entry_t *entry = entry_of(rate, digest_of(caller, len, limit), now);
    apr_int64_t until, next;

    if (entry == NULL) {
        return ORGS_RATE_FULL;
    }
    until = __atomic_load_n(&entry->until, __ATOMIC_RELAXED);
    do {
        apr_time_t from = until > now ? until : now;

        if (from - now > ahead) {
            *wait = from - now - ahead;
            return ORGS_RATE_REFUSED;
        }
        next = from + worth;
    } while (!__atomic_compare_exchange_n(&entry->until, &until, next, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return ORGS_RATE_TAKEN;
}
