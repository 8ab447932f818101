/*
 * How fast somebody may do something, over all processes: a table in shared memory with one instant for each caller
 * (GCRA). It is read and changed without a lock, so a process that dies leaves nothing locked.
 */
#ifndef ORGS_RATE_H
#define ORGS_RATE_H

#include <apr_time.h>

typedef struct orgs_rate_t orgs_rate_t;

/* So many at once; later one each seconds/writes. */
typedef struct orgs_rate_limit_t {
    int writes; /* 0: no limit */
    int seconds;
} orgs_rate_limit_t;

typedef enum {
    ORGS_RATE_TAKEN,   /* it is counted */
    ORGS_RATE_REFUSED, /* it came too early, and is not counted */
    ORGS_RATE_FULL     /* there was no room for this caller: it is not counted */
} orgs_rate_e;

/** How many bytes a table takes. Zeroed memory is an empty one. */
apr_size_t orgs_rate_size(void);

/**
 * Asks for one write.
 * @param caller bytes that tell the caller from others
 * @param now    by orgs_clock, which all processes share
 * @param wait   of one who is refused: how long until the next one may be
 */
orgs_rate_e orgs_rate_take(orgs_rate_t *rate, const void *caller, apr_size_t len, const orgs_rate_limit_t *limit,
                           apr_time_t now, apr_interval_time_t *wait);

#endif
