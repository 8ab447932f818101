/*
 * Times: their text, and a clock.
 */
#ifndef ORGS_TIME_H
#define ORGS_TIME_H

#include <apr_pools.h>
#include <apr_time.h>

#define ORGS_TIME_TEXT_LEN 24

/** Writes a time of RFC 3339 in UTC with milliseconds and Z, with a NUL; answers buffer. */
const char *orgs_time_print(char buffer[ORGS_TIME_TEXT_LEN + 1], apr_time_t at);

/** The same, allocated in pool. */
const char *orgs_time_text(apr_pool_t *pool, apr_time_t at);

/** Reads RFC 3339 with offset Z, or "YYYY-MM-DD hh:mm:ss[.mmm]" in UTC. Returns nonzero if it is a time. */
int orgs_time_parse(apr_time_t *at, const char *text, apr_size_t len);

/** Microseconds of a clock that only goes forward. */
apr_time_t orgs_clock(void);

#endif
