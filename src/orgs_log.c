/*
 * The log callback.
 */
#include "orgs_log.h"

#include <apr_strings.h>
#include <stdarg.h>

static orgs_log_fn *log_fn;
static void *log_baton;

void orgs_log_set(orgs_log_fn *fn, void *baton)
{
    if (fn != NULL) {
        log_baton = baton;
    }
    __atomic_store_n(&log_fn, fn, __ATOMIC_RELEASE);
}

void orgs_log(orgs_log_e level, const char *format, ...)
{
    orgs_log_fn *fn = __atomic_load_n(&log_fn, __ATOMIC_ACQUIRE);
    char line[1000];
    va_list args;

    if (fn != NULL) {
        va_start(args, format);
        apr_vsnprintf(line, sizeof(line), format, args);
        va_end(args);
        fn(log_baton, level, line);
    }
}
