/*
 * Around httpd's authentication and authorization.
 *
 * A provider can say "general error", which mod_auth_basic and mod_authz_core make a 500, and no hook comes after them.
 * So hooks of ours come first, run the others, and have the last word. Both hooks end with the first module that has an
 * answer, so nobody is asked twice.
 */
#include "mod_orgs_gate.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_request.h>

#include "mod_orgs_auth.h"
#include "mod_orgs_config.h"
#include "mod_orgs_problem.h"
#include "mod_orgs_remote.h"

/* Whether the lines that were met there would name the same organizations here. */
static int names_the_same(request_rec *r, const mod_orgs_auth_t *from)
{
    int i;

    for (i = 0; from->met != NULL && i < from->met->nelts; i++) {
        const mod_orgs_met_t *met = &APR_ARRAY_IDX(from->met, i, mod_orgs_met_t);
        const char *err = NULL;
        const char *text = ap_expr_str_exec(r, met->expr, &err);

        if (err != NULL || text == NULL || strcmp(text, met->text) != 0) {
            return 0;
        }
    }
    return 1;
}

/* Whether both lie in one directory. mod_rewrite keeps in filename where it redirects to. */
static int is_beside(const request_rec *r, const request_rec *other)
{
    const char *name = other->canonical_filename != NULL ? other->canonical_filename : other->filename;
    const char *slash = r->filename != NULL ? strrchr(r->filename, '/') : NULL;
    const char *other_slash = name != NULL ? strrchr(name, '/') : NULL;

    return slash != NULL && other_slash != NULL && slash - r->filename == other_slash - name
           && strncmp(r->filename, name, (apr_size_t)(slash - r->filename)) == 0;
}

/* What a regular expression's named groups found is in the environment. On a redirect within httpd to the same address,
 * or within a directory, httpd does not match again, and the new request has nothing of it. */
static void keep_matches(request_rec *r)
{
    const apr_array_header_t *before = apr_table_elts(r->prev->subprocess_env);
    int i;

    for (i = 0; i < before->nelts; i++) {
        const apr_table_entry_t *entry = &APR_ARRAY_IDX(before, i, apr_table_entry_t);

        if (strncmp(entry->key, "MATCH_", 6) == 0 && apr_table_get(r->subprocess_env, entry->key) == NULL) {
            apr_table_setn(r->subprocess_env, entry->key, entry->val);
        }
    }
}

/* httpd lets a subrequest or an internal redirect in without asking where its configuration is that of a request which
 * was let in. One <LocationMatch> may be the gate of many organizations, and a WebDAV COPY or an include leads from
 * one's to another's: so the answer counts only for the organizations that it was about. */
int mod_orgs_gate_configured(request_rec *r)
{
    request_rec *from = r->prev != NULL && r->prev->per_dir_config == r->per_dir_config ? r->prev : r->main;
    const mod_orgs_auth_t *auth;

    mod_orgs_auth_forget(r);
    if (r->prev != NULL && r->prev->per_dir_config == r->per_dir_config && mod_orgs_config_is_gated(r)
        && (strcmp(r->uri, r->prev->uri) == 0 || is_beside(r, r->prev))) {
        keep_matches(r);
    }
    if (from == NULL || from->per_dir_config != r->per_dir_config || (auth = mod_orgs_auth_of(from)) == NULL) {
        return DECLINED;
    }
    if (names_the_same(r, auth)) {
        mod_orgs_auth_inherit(r, auth);
    }
    else {
        /* another address is another configuration to httpd */
        r->per_dir_config = ap_merge_per_dir_configs(r->pool, r->per_dir_config, ap_create_per_dir_config(r->pool));
    }
    return DECLINED;
}

/* What comes of a gate is for the log; what comes from behind it is not ours. */
static int noted(request_rec *r, const mod_orgs_auth_t *auth, int status)
{
    mod_orgs_slot_t *slot = mod_orgs_slot(r, 1);

    if (auth->gated && status >= HTTP_BAD_REQUEST && slot->code == NULL) {
        slot->code = mod_orgs_problem_foreign(status);
    }
    return status;
}

int mod_orgs_gate_authn(request_rec *r)
{
    mod_orgs_auth_t *auth = mod_orgs_auth_make(r);
    const orgs_lookup_t *lookup;
    int status;

    if (auth->authenticating) {
        return DECLINED;
    }
    auth->authenticating = 1;
    status = ap_run_check_user_id(r);
    auth->authenticating = 0;
    if (auth->failure != NULL && (status == DECLINED || status == HTTP_INTERNAL_SERVER_ERROR)) {
        return mod_orgs_problem_refuse(r, auth->failure);
    }
    if (status == OK && r->user == NULL && mod_orgs_remote_is_on(r)) {
        return mod_orgs_problem_no_user(r);
    }
    if (status == OK && auth->known && auth->by == MOD_ORGS_BY_PASSWORD
        && mod_orgs_auth_ask(auth, NULL, &lookup) == NULL) {
        /* mod_auth_form keeps the name that was typed */
        r->user = apr_pstrdup(r->pool, lookup->user.email);
    }
    return noted(r, auth, status);
}

int mod_orgs_gate_force(request_rec *r)
{
    return r->user != NULL && ap_auth_type(r) == NULL && mod_orgs_remote_is_on(r) ? OK : DECLINED;
}

int mod_orgs_gate_authz(request_rec *r)
{
    mod_orgs_auth_t *auth = mod_orgs_auth_make(r);
    const orgs_error_t *error;
    int status;

    if (auth->deciding) {
        return DECLINED;
    }
    if (mod_orgs_remote_is_on(r) && (error = mod_orgs_auth_identify(auth, 1)) != NULL && !auth->newcomer) {
        return mod_orgs_problem_refuse(r, error);
    }
    auth->deciding = 1;
    status = ap_run_auth_checker(r);
    auth->deciding = 0;
    if (status == OK && auth->newcomer && (error = mod_orgs_auth_provision(auth)) != NULL) {
        return mod_orgs_problem_refuse(r, error);
    }
    if (auth->failure != NULL && status == HTTP_INTERNAL_SERVER_ERROR) {
        /* a token that was good a moment ago may not be any more: then there is a challenge */
        auth->known = 0;
        return mod_orgs_problem_refuse(r, auth->failure);
    }
    if (status == HTTP_UNAUTHORIZED && auth->known && (auth->judged || auth->by != MOD_ORGS_BY_REMOTE)) {
        /* other credentials are not what is missing */
        apr_table_unset(r->err_headers_out, mod_orgs_problem_authenticate(r));
        status = HTTP_FORBIDDEN;
    }
    return noted(r, auth, status);
}
