/*
 * The caller, by bearer token (RFC 6750).
 */
#include "mod_orgs_auth.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include "mod_orgs_config.h"
#include "mod_orgs_problem.h"

/* The token of the Authorization header, which may be several header lines joined; NULL where there is none. */
static const char *bearer_token(const request_rec *r)
{
    const char *header = apr_table_get(r->headers_in, "Authorization");

    if (header == NULL || ap_cstr_casecmpn(header, "Bearer", 6) != 0 || header[6] != ' ') {
        return NULL;
    }
    header += 6;
    while (*header == ' ') {
        header++;
    }
    return header;
}

static void set_environment(orgs_request_t *rq)
{
    const orgs_lookup_t *lookup = rq->lookup;
    request_rec *r = rq->r;
    apr_table_t *env = r->subprocess_env;

    r->user = apr_pstrdup(r->pool, lookup->user.email);
    r->ap_auth_type = (char *)"Bearer";
    apr_table_setn(env, "ORGS_USER_ID", orgs_id_text(r->pool, &lookup->user.id));
    apr_table_setn(env, "ORGS_USER_EMAIL", lookup->user.email);
    if (lookup->found && (lookup->organization.role != ORGS_ROLE_NONE || lookup->user.superuser)) {
        const char *role = orgs_role_name(lookup->organization.role);

        apr_table_setn(env, "ORGS_ORG_ID", orgs_id_text(r->pool, &lookup->organization.id));
        apr_table_setn(env, "ORGS_ROLE", role != NULL ? role : "superuser");
        apr_table_setn(env, "ORGS_PLAN", lookup->plan);
    }
}

int mod_orgs_auth_caller(orgs_request_t *rq)
{
    unsigned char digest[ORGS_SHA256_LEN];
    const char *token = bearer_token(rq->r);
    const orgs_error_t *error;
    orgs_lookup_t *lookup;

    if (rq->lookup != NULL) {
        return OK;
    }
    if (token == NULL || !orgs_token_digest(digest, token, strlen(token))) {
        return mod_orgs_problem_code(rq, ORGS_E_UNAUTHORIZED);
    }
    lookup = apr_palloc(rq->r->pool, sizeof(*lookup));
    error = orgs_lookup(&rq->db, rq->r->pool, digest, rq->has_organization ? &rq->organization : NULL, lookup);
    if (error != NULL) {
        return mod_orgs_problem(rq, error);
    }
    rq->lookup = lookup;
    if (rq->user_is_me) {
        rq->user = lookup->user.id;
        rq->has_user = 1;
    }
    set_environment(rq);
    return OK;
}

int mod_orgs_auth_member(orgs_request_t *rq)
{
    const orgs_lookup_t *lookup = rq->lookup;

    if (!lookup->found || (lookup->organization.role == ORGS_ROLE_NONE && !lookup->user.superuser)) {
        return mod_orgs_problem_code(rq, ORGS_E_ORGANIZATION_NOT_FOUND);
    }
    return OK;
}

int mod_orgs_auth_admin(orgs_request_t *rq)
{
    int status = mod_orgs_auth_member(rq);

    if (status == OK && rq->lookup->organization.role != ORGS_ROLE_ADMIN && !rq->lookup->user.superuser) {
        status = mod_orgs_problem_code(rq, ORGS_E_ADMIN_REQUIRED);
    }
    return status;
}
