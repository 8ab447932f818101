/*
 * OrgsRateLimit.
 *
 * Not in one of httpd's object caches: in the one that is shared memory, each change of an entry takes a new place, and
 * when all are taken the oldest go, however long they are to last; so who writes often would end the limits of others.
 */
#include "mod_orgs_rate.h"

#include <apr_atomic.h>
#include <apr_shm.h>
#include <apr_strings.h>
#include <http_core.h>

#include "mod_orgs_config.h"
#include "mod_orgs_problem.h"
#include "orgs_rate.h"
#include "orgs_time.h"

/* Without a name, and of the parent's lifetime, so that a restart forgets nothing. */
static orgs_rate_t *shared;
static apr_uint32_t full; /* was told */

static apr_status_t share(apr_pool_t *process, apr_pool_t *p)
{
    /* another version of the module, which a restart may bring, would have one of its own */
    const char *key = apr_psprintf(p, "mod_orgs_rate-%" APR_SIZE_T_FMT, orgs_rate_size());
    orgs_rate_t **retained = ap_retained_data_get(key);
    apr_status_t rv = APR_SUCCESS;
    apr_shm_t *shm;

    if (retained == NULL) {
        retained = ap_retained_data_create(key, sizeof(*retained));
    }
    if (*retained == NULL && (rv = apr_shm_create(&shm, orgs_rate_size(), NULL, process)) == APR_SUCCESS) {
        /* the system gives it zeroed, page by page as they are needed */
        *retained = apr_shm_baseaddr_get(shm);
    }
    shared = *retained;
    return rv;
}

int mod_orgs_rate_post(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *first)
{
    apr_status_t rv;
    server_rec *s;

    (void)pconf;
    (void)plog;
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK;
    }
    for (s = first; s != NULL; s = s->next) {
        const mod_orgs_server_t *conf = ap_get_module_config(s->module_config, &orgs_module);

        if (conf->limits && (rv = share(first->process->pool, ptemp)) != APR_SUCCESS) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, rv, s, ORGS_LOGNO(0061) "no shared memory for OrgsRateLimit");
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    return OK;
}

int mod_orgs_rate_check(orgs_request_t *rq)
{
    request_rec *r = rq->r;
    const orgs_rate_limit_t *limit = mod_orgs_config_dir(r)->rate_limit;
    const orgs_id_t *caller = &rq->lookup->user.id;
    apr_interval_time_t wait;

    if (limit == NULL || limit->writes == 0 || r->method_number == M_GET) {
        return OK;
    }
    switch (orgs_rate_take(shared, caller->bytes, sizeof(caller->bytes), limit, orgs_clock(), &wait)) {
    case ORGS_RATE_REFUSED:
        apr_table_setn(r->err_headers_out, "Retry-After",
                       apr_psprintf(r->pool, "%" APR_TIME_T_FMT, apr_time_sec(wait + APR_USEC_PER_SEC - 1)));
        return mod_orgs_problem_code(rq, ORGS_E_TOO_MANY_REQUESTS);
    case ORGS_RATE_FULL:
        if (apr_atomic_xchg32(&full, 1) == 0) {
            ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, ORGS_LOGNO(0062) "OrgsRateLimit: more callers write than "
                          "there is room to count for; some are not limited");
        }
        return OK;
    case ORGS_RATE_TAKEN:
    default:
        return OK;
    }
}
