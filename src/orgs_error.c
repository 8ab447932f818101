/*
 * Errors as values.
 */
#include "orgs_error.h"

#include <apr_strings.h>
#include <string.h>

static const struct {
    const char *name;
    int status;
    const char *text;
} errors[ORGS_E_COUNT] = {
#define ORGS_ERROR_ROW(symbol, code, status, detail) [ORGS_E_##symbol] = {code, status, detail},
    ORGS_ERRORS(ORGS_ERROR_ROW)
#undef ORGS_ERROR_ROW
};

const char *orgs_error_name(orgs_error_e code)
{
    return errors[code].name;
}

int orgs_error_status(orgs_error_e code)
{
    return errors[code].status;
}

const char *orgs_error_text(orgs_error_e code)
{
    return errors[code].text;
}

orgs_error_e orgs_error_named(const char *name, apr_size_t len)
{
    int i;

    for (i = 0; i < ORGS_E_COUNT; i++) {
        if (strlen(errors[i].name) == len && memcmp(errors[i].name, name, len) == 0) {
            break;
        }
    }
    return (orgs_error_e)i;
}

static orgs_error_t *make(apr_pool_t *pool, orgs_error_e code)
{
    orgs_error_t *error = apr_pcalloc(pool, sizeof(*error));

    error->code = code;
    error->detail = errors[code].text;
    return error;
}

const orgs_error_t *orgs_error_make(apr_pool_t *pool, orgs_error_e code)
{
    return make(pool, code);
}

const orgs_error_t *orgs_error_detail(apr_pool_t *pool, orgs_error_e code, const char *format, ...)
{
    orgs_error_t *error = make(pool, code);
    va_list args;

    va_start(args, format);
    error->detail = apr_pvsprintf(pool, format, args);
    va_end(args);
    return error;
}

const orgs_error_t *orgs_error_cause(apr_pool_t *pool, orgs_error_e code, const char *format, ...)
{
    orgs_error_t *error = make(pool, code);
    va_list args;

    va_start(args, format);
    error->cause = apr_pvsprintf(pool, format, args);
    va_end(args);
    return error;
}

static apr_status_t give_back(void *members)
{
    json_decref(members);
    return APR_SUCCESS;
}

const orgs_error_t *orgs_error_members(apr_pool_t *pool, orgs_error_e code, json_t *members)
{
    orgs_error_t *error = make(pool, code);

    if (members != NULL) {
        error->members = members;
        apr_pool_cleanup_register(pool, members, give_back, apr_pool_cleanup_null);
    }
    return error;
}
