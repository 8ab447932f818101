/*
 * mod_orgs: organizations, their members, their license and their deployments, served by httpd from MySQL or MariaDB.
 *
 * This file is the table of contents: the module record, every hook and its order, the steps of the handler.
 */
#include "mod_orgs.h"

#include <apr_strings.h>
#include <http_protocol.h>
#include <http_request.h>
#include <jansson.h>

#include "mod_orgs_api.h"
#include "mod_orgs_auth.h"
#include "mod_orgs_authz.h"
#include "mod_orgs_config.h"
#include "mod_orgs_gate.h"
#include "mod_orgs_notes.h"
#include "mod_orgs_pools.h"
#include "mod_orgs_private.h"
#include "mod_orgs_problem.h"
#include "mod_orgs_rate.h"
#include "mod_orgs_route.h"
#include "mod_orgs_stats.h"
#include "mod_orgs_status.h"
#include "orgs_conn.h"
#include "orgs_limits.h"
#include "orgs_watchdog.h"

/* What the request is to us; from the first time on httpd's own errors on it are problems too. */
static orgs_request_t *start(request_rec *r)
{
    orgs_request_t *rq = mod_orgs_request_of(r);

    if (rq == NULL && (rq = mod_orgs_request_start(r)) != NULL) {
        mod_orgs_route_names(rq);
        mod_orgs_problem_prepare(r);
    }
    return rq;
}

/* Notes the mount while the <Location>'s configuration is there: before map_to_storage it is reset. */
static int translate_name(request_rec *r)
{
    if (r->proxyreq || start(r) == NULL) {
        return DECLINED;
    }
    r->filename = apr_pstrcat(r->pool, "orgs:", r->uri, NULL);
    return OK;
}

/* Nothing on disk is consulted: no directory walk, no .htaccess. TRACE is httpd's own. */
static int map_to_storage(request_rec *r)
{
    if (mod_orgs_request_of(r) == NULL || r->method_number == M_TRACE) {
        return DECLINED;
    }
    /* neither a file nor "no file", on which mod_negotiation and mod_speling would go and look */
    r->finfo.filetype = APR_UNKFILE;
    return OK;
}

static int handler(request_rec *r)
{
    orgs_request_t *rq;
    int status;

    if (r->handler == NULL || strcmp(r->handler, "orgs") != 0) {
        return DECLINED;
    }
    rq = start(r);
    if (rq == NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, ORGS_LOGNO(0031) "the handler orgs was reached without a mount: "
                      "it works by SetHandler orgs in a plain <Location>, not by AddHandler or a rewrite rule");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    status = mod_orgs_route(rq);
    if (status != OK) {
        return status == DONE ? OK : status;
    }
    if (rq->route->open) {
        return rq->route->endpoint(rq);
    }
    if (rq->server->pool == NULL) {
        return mod_orgs_problem(rq, orgs_error_cause(r->pool, ORGS_E_INTERNAL_ERROR, "this server has no database"));
    }
    status = mod_orgs_auth_caller(rq);
    if (status == OK && (status = mod_orgs_auth_same_site(rq)) == OK && (status = mod_orgs_rate_check(rq)) == OK) {
        status = rq->route->endpoint(rq);
        rq->wrote = status == OK && r->method_number != M_GET;
    }
    return status;
}

/* The answer is on its way: now and then a write clears what older ones left for a day, and no request waits for it. */
static int log_transaction(request_rec *r)
{
    orgs_request_t *rq = mod_orgs_request_of(r);
    unsigned short chance = 1;

    if (rq != NULL && rq->wrote && apr_generate_random_bytes((unsigned char *)&chance, sizeof(chance)) == APR_SUCCESS
        && chance % ORGS_EXPIRE_ONE_IN == 0) {
        orgs_db_renew(&rq->db);
        orgs_db_yield(&rq->db);
        orgs_store_event_expire(&rq->db, r->pool, ORGS_EXPIRE_ROWS);
    }
    return DECLINED;
}

static void log_to_httpd(void *server, orgs_log_e level, const char *message)
{
    static const int levels[] = {[ORGS_LOG_ERR] = APLOG_ERR,
                                 [ORGS_LOG_WARNING] = APLOG_WARNING,
                                 [ORGS_LOG_INFO] = APLOG_INFO,
                                 [ORGS_LOG_DEBUG] = APLOG_DEBUG};

    ap_log_error(APLOG_MARK, levels[level], 0, (server_rec *)server, "%s", message);
}

/* A thread that still tries to connect outlives the server. Registered before the pools, so it comes after them. */
static apr_status_t be_silent(void *nothing)
{
    (void)nothing;
    orgs_log_set(NULL, NULL);
    return APR_SUCCESS;
}

/* Nothing of the client library, no thread and no connection is there before the fork. */
static void child_init(apr_pool_t *pchild, server_rec *s)
{
    apr_status_t rv;

    orgs_log_set(log_to_httpd, s);
    apr_pool_cleanup_register(pchild, NULL, be_silent, apr_pool_cleanup_null);
    json_object_seed(0);
    mod_orgs_problem_init(pchild);
    mod_orgs_api_describe_init(pchild);
    if (!mod_orgs_pools_wanted(s)) {
        return;
    }
    orgs_conn_library_init();
    rv = orgs_watchdog_start();
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s, ORGS_LOGNO(0032) "the watchdog cannot be started");
        return;
    }
    mod_orgs_pools_child_init(pchild, s);
}

static void register_hooks(apr_pool_t *p)
{
    static const char *const after_rewrite[] = {"mod_rewrite.c", NULL};
    static const char *const before_proxy[] = {"mod_proxy.c", NULL};
    static const char *const after_headers[] = {"mod_headers.c", NULL};

    mod_orgs_config_register(p);
    mod_orgs_auth_register(p);
    mod_orgs_authz_register(p);
    mod_orgs_problem_register();
    mod_orgs_private_register();
    ap_hook_check_config(mod_orgs_pools_check, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(mod_orgs_pools_post, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(mod_orgs_stats_post, NULL, NULL, APR_HOOK_LAST);
    ap_hook_post_config(mod_orgs_rate_post, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_status(mod_orgs_stats_child_status, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
    /* a rewrite rule may still lead elsewhere, a ProxyPass / must not swallow the mount */
    ap_hook_translate_name(translate_name, after_rewrite, before_proxy, APR_HOOK_FIRST);
    ap_hook_map_to_storage(map_to_storage, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_post_perdir_config(mod_orgs_gate_configured, NULL, NULL, APR_HOOK_MIDDLE);
    /* two of these run all others, so they are before whatever else is first */
    ap_hook_check_authn(mod_orgs_gate_authn, NULL, NULL, APR_HOOK_REALLY_FIRST - 1, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_authn(mod_orgs_auth_check, NULL, NULL, APR_HOOK_MIDDLE, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_force_authn(mod_orgs_gate_force, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_authz(mod_orgs_gate_authz, NULL, NULL, APR_HOOK_REALLY_FIRST - 1, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_note_auth_failure(mod_orgs_auth_note_failure, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_insert_filter(mod_orgs_private_insert_filter, after_headers, NULL, APR_HOOK_LAST);
    ap_hook_insert_error_filter(mod_orgs_problem_insert_filter, NULL, NULL, APR_HOOK_LAST);
    ap_hook_insert_error_filter(mod_orgs_private_insert_filter, after_headers, NULL, APR_HOOK_LAST);
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(mod_orgs_status_handler, NULL, NULL, APR_HOOK_MIDDLE);
    mod_orgs_status_register();
    /* before mod_log_config */
    ap_hook_log_transaction(mod_orgs_notes_log, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_log_transaction(mod_orgs_stats_count, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_log_transaction(log_transaction, NULL, NULL, APR_HOOK_LAST);
}

#pragma GCC visibility push(default)
module AP_MODULE_DECLARE_DATA orgs_module = {
    STANDARD20_MODULE_STUFF,
    mod_orgs_config_create_dir,
    mod_orgs_config_merge_dir,
    mod_orgs_config_create_server,
    mod_orgs_config_merge_server,
    mod_orgs_config_commands,
    register_hooks,
    /* each virtual host's configuration is its own, also where no directive of ours stands: its pool is noted there */
    AP_MODULE_FLAG_ALWAYS_MERGE
};
#pragma GCC visibility pop
