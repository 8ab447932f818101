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
    log_fn = fn;
    log_baton = baton;
}

void orgs_log(orgs_log_e level, const char *format, ...)
{
    char line[1000];
    va_list args;

    if (log_fn != NULL) {
        va_start(args, format);
        apr_vsnprintf(line, sizeof(line), format, args);
        va_end(args);
        log_fn(log_baton, level, line);
    }
}
