/*
 * The pools of connections that the servers' directives amount to.
 */
#include "mod_orgs_pools.h"

#include <ap_mpm.h>
#include <apr_strings.h>
#include <http_core.h>

#include "mod_orgs_config.h"
#include "orgs_limits.h"
#include "orgs_pool.h"

static int is_threaded(void)
{
    int threaded = AP_MPMQ_NOT_SUPPORTED;

    ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded);
    return threaded != AP_MPMQ_NOT_SUPPORTED;
}

static int at_most(int value, int most)
{
    return value < most ? value : most;
}

/* What a server's directives amount to. */
static void resolve(const mod_orgs_server_t *conf, orgs_pool_conf_t *pool, orgs_params_t *params, apr_pool_t *p)
{
    static const orgs_params_t none;
    int threads = 1;

    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    *params = *orgs_params_merge(p, conf->file != NULL ? conf->file : &none,
                                 conf->params != NULL ? conf->params : &none);
    pool->params = params;
    pool->threaded = is_threaded();
    pool->min = conf->min != MOD_ORGS_UNSET ? conf->min : ORGS_DB_MIN_DEFAULT;
    pool->max = conf->max != MOD_ORGS_UNSET ? conf->max : at_most(threads > 0 ? threads : 1, ORGS_DB_MAX_DEFAULT);
    pool->keep = conf->keep != MOD_ORGS_UNSET ? conf->keep : at_most(ORGS_DB_KEEP_DEFAULT, pool->max);
    if (conf->keep == MOD_ORGS_UNSET && pool->keep < pool->min) {
        pool->keep = pool->min;
    }
    pool->exptime = conf->exptime != MOD_ORGS_UNSET ? conf->exptime : ORGS_DB_EXPTIME_DEFAULT;
    pool->timeout = conf->timeout != MOD_ORGS_UNSET ? conf->timeout : ORGS_DB_TIMEOUT_DEFAULT;
    pool->stats = NULL;
}

static const char *wrong_together(apr_pool_t *p, const mod_orgs_server_t *conf)
{
    orgs_pool_conf_t pool;
    orgs_params_t params;

    resolve(conf, &pool, &params, p);
    if (conf->needs != NULL && params.hosts == NULL && params.socket == NULL) {
        return apr_pstrcat(p, conf->needs, " needs a database: OrgsDBParams or OrgsDBDefaultsFile must name a host or "
                           "a socket", NULL);
    }
    if (conf->needs != NULL && params.dbname == NULL) {
        return apr_pstrcat(p, conf->needs, " needs the database's name: dbname= in OrgsDBParams, or database= in the "
                           "file of OrgsDBDefaultsFile", NULL);
    }
    if (pool.min > pool.max) {
        return apr_psprintf(p, "OrgsDBMin %d is more than OrgsDBMax %d", pool.min, pool.max);
    }
    if (pool.min > pool.keep) {
        return apr_psprintf(p, "OrgsDBMin %d is more than OrgsDBKeep %d", pool.min, pool.keep);
    }
    if (pool.keep > pool.max) {
        return apr_psprintf(p, "OrgsDBKeep %d is more than OrgsDBMax %d", pool.keep, pool.max);
    }
    return NULL;
}

int mod_orgs_pools_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    (void)pconf;
    (void)plog;
    for (; s != NULL; s = s->next) {
        const char *sentence = wrong_together(ptemp, ap_get_module_config(s->module_config, &orgs_module));

        if (sentence != NULL) {
            ap_log_error(APLOG_MARK, APLOG_EMERG | APLOG_STARTUP, 0, s, ORGS_LOGNO(0001) "%s (server %s)", sentence,
                         s->server_hostname != NULL ? s->server_hostname : "main");
            return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    return OK;
}

/* Once, however many virtual hosts share it; not when the configuration is read for the first of two times. */
static void tell_exposed(apr_pool_t *p, server_rec *s, const orgs_params_t *params, apr_array_header_t *told)
{
    const char *host = ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_CREATE_PRE_CONFIG ? orgs_params_exposed(p, params)
                                                                                      : NULL;

    if (host != NULL && !ap_array_str_contains(told, host)) {
        APR_ARRAY_PUSH(told, const char *) = host;
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, ORGS_LOGNO(0003) "ssl_mode=disabled: what is said to the database "
                     "at %s can be read and changed by whoever is on the way", host);
    }
}

int mod_orgs_pools_post(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    apr_array_header_t *told = apr_array_make(ptemp, 4, sizeof(const char *));

    (void)plog;
    if (ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_CREATE_PRE_CONFIG) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, ORGS_LOGNO(0004) "mod_orgs, schema %d, %s", ORGS_SCHEMA_VERSION,
                     orgs_conn_library(ptemp));
    }
    for (; s != NULL; s = s->next) {
        mod_orgs_server_t *conf = ap_get_module_config(s->module_config, &orgs_module);

        if (conf->params != NULL || conf->file != NULL) {
            conf->pool_conf = apr_pcalloc(pconf, sizeof(*conf->pool_conf));
            resolve(conf, conf->pool_conf, apr_pcalloc(pconf, sizeof(orgs_params_t)), pconf);
            tell_exposed(ptemp, s, conf->pool_conf->params, told);
        }
    }
    return OK;
}

static int same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static int same_pool(const orgs_pool_conf_t *a, const orgs_pool_conf_t *b)
{
    const orgs_params_t *x = a->params;
    const orgs_params_t *y = b->params;

    return a->min == b->min && a->keep == b->keep && a->max == b->max && a->exptime == b->exptime
           && a->timeout == b->timeout && x->port == y->port && x->ssl_mode == y->ssl_mode
           && same_text(x->hosts, y->hosts) && same_text(x->socket, y->socket) && same_text(x->dbname, y->dbname)
           && same_text(x->user, y->user) && same_text(x->password, y->password) && same_text(x->ssl_ca, y->ssl_ca)
           && same_text(x->ssl_cert, y->ssl_cert) && same_text(x->ssl_key, y->ssl_key);
}

static orgs_pool_t *pool_of_equal(server_rec *first, const mod_orgs_server_t *conf)
{
    server_rec *s;

    for (s = first; s != NULL; s = s->next) {
        const mod_orgs_server_t *other = ap_get_module_config(s->module_config, &orgs_module);

        if (other->pool != NULL && same_pool(other->pool_conf, conf->pool_conf)) {
            return other->pool;
        }
    }
    return NULL;
}

int mod_orgs_pools_wanted(const server_rec *s)
{
    for (; s != NULL; s = s->next) {
        const mod_orgs_server_t *conf = ap_get_module_config(s->module_config, &orgs_module);

        if (conf->pool_conf != NULL) {
            return 1;
        }
    }
    return 0;
}

void mod_orgs_pools_child_init(apr_pool_t *pchild, server_rec *first)
{
    server_rec *s;

    for (s = first; s != NULL; s = s->next) {
        mod_orgs_server_t *conf = ap_get_module_config(s->module_config, &orgs_module);
        apr_status_t rv;

        if (conf->pool_conf == NULL) {
            continue;
        }
        conf->pool = pool_of_equal(first, conf);
        if (conf->pool != NULL) {
            continue;
        }
        rv = orgs_pool_create(&conf->pool, pchild, conf->pool_conf);
        if (rv != APR_SUCCESS) {
            ap_log_error(APLOG_MARK, APLOG_ERR, rv, s, ORGS_LOGNO(0002) "the pool of connections cannot be made");
        }
        else if (conf->pool_conf->min > 0) {
            apr_pool_t *scratch;

            apr_pool_create(&scratch, pchild);
            orgs_pool_warm(conf->pool, scratch);
            apr_pool_destroy(scratch);
        }
    }
}
