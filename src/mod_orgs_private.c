/*
 * Cache-Control: private, and Vary, for what a gate let through or refused.
 */
#include "mod_orgs_private.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_request.h>
#include <util_filter.h>

#include "mod_orgs_auth.h"
#include "mod_orgs_config.h"
#include "mod_orgs_remote.h"

#define FILTER "ORGS_PRIVATE"
#define FILTER_SUB "ORGS_PRIVATE_SUB"

/* Whether what this request answers depends on its caller: because it was asked, or because it stands behind a gate
 * that another line happened to open. */
static int is_private(request_rec *r)
{
    for (; r != NULL; r = r->prev) {
        const mod_orgs_auth_t *auth = mod_orgs_auth_of(r);

        if ((auth != NULL && auth->gated) || mod_orgs_config_is_gated(r)) {
            return 1;
        }
    }
    return 0;
}

/* A header of the answer, from both of httpd's tables. */
static const char *value_of(request_rec *r, const char *name)
{
    const char *value = apr_table_getm(r->pool, r->headers_out, name);
    const char *always = apr_table_getm(r->pool, r->err_headers_out, name);

    return value == NULL ? always : always == NULL ? value : apr_pstrcat(r->pool, value, ", ", always, NULL);
}

static void add_vary(request_rec *r, const char *name)
{
    const char *vary = value_of(r, "Vary");

    if (vary == NULL || (!ap_find_list_item(r->pool, vary, name) && !ap_find_list_item(r->pool, vary, "*"))) {
        apr_table_mergen(r->headers_out, "Vary", name);
    }
}

/* Keeps what is said already, but "public". */
static void set_private(request_rec *r)
{
    const char *said = value_of(r, "Cache-Control");
    const char *value = "private";
    char *item;

    while (said != NULL && (item = ap_get_list_item(r->pool, &said)) != NULL) {
        if (strcmp(item, "public") != 0 && strcmp(item, "private") != 0) {
            value = apr_pstrcat(r->pool, value, ", ", item, NULL);
        }
    }
    apr_table_unset(r->err_headers_out, "Cache-Control");
    apr_table_setn(r->headers_out, "Cache-Control", value);
    add_vary(r, "authorization");
    if (mod_orgs_remote_is_on(r)) {
        add_vary(r, "cookie");
    }
}

/* Decided when the first bytes pass: a handler may have looked at what stands behind a gate, or included it. */
static apr_status_t filter_private(ap_filter_t *f, apr_bucket_brigade *bb)
{
    if (is_private(f->r)) {
        set_private(f->r);
    }
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

void mod_orgs_private_insert_filter(request_rec *r)
{
    if (mod_orgs_request_of(r) == NULL && mod_orgs_config_server(r)->pool != NULL) {
        ap_add_output_filter(r->main != NULL ? FILTER_SUB : FILTER, NULL, r, r->connection);
    }
}

/* mod_cache looks at the headers one step behind the first, or, of a subrequest, one step before. */
void mod_orgs_private_register(void)
{
    ap_register_output_filter(FILTER, filter_private, NULL, AP_FTYPE_CONTENT_SET);
    ap_register_output_filter(FILTER_SUB, filter_private, NULL, AP_FTYPE_CONTENT_SET - 2);
}
