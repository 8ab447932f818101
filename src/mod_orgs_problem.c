/*
 * Error value to problem+json.
 */
#include "mod_orgs_problem.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <stdlib.h>
#include <util_filter.h>

#include "orgs_json.h"
#include "orgs_limits.h"

#define FILTER "ORGS_PROBLEM"

/* What httpd or another module may answer below a mount before or instead of us, and what it then is. */
static struct {
    int status;
    orgs_error_e code;
    const char *body;
} foreign[] = {
    {HTTP_BAD_REQUEST, ORGS_E_BAD_REQUEST, NULL},
    {HTTP_UNAUTHORIZED, ORGS_E_UNAUTHORIZED, NULL},
    {HTTP_FORBIDDEN, ORGS_E_FORBIDDEN, NULL},
    {HTTP_NOT_FOUND, ORGS_E_NOT_FOUND, NULL},
    {HTTP_METHOD_NOT_ALLOWED, ORGS_E_METHOD_NOT_ALLOWED, NULL},
    {HTTP_REQUEST_TIME_OUT, ORGS_E_REQUEST_TIMEOUT, NULL},
    {HTTP_REQUEST_ENTITY_TOO_LARGE, ORGS_E_BODY_TOO_LARGE, NULL},
    {HTTP_INTERNAL_SERVER_ERROR, ORGS_E_INTERNAL_ERROR, NULL},
    {HTTP_SERVICE_UNAVAILABLE, ORGS_E_UNAVAILABLE, NULL},
};

#define FOREIGN (sizeof(foreign) / sizeof(foreign[0]))

/* The status phrase, as httpd has it. */
static const char *title_of(int status)
{
    const char *line = ap_get_status_line(status);

    return strlen(line) > 4 ? line + 4 : line;
}

/* The problem's text, in pool. */
static const char *render(apr_pool_t *pool, const orgs_error_t *error)
{
    json_t *problem = orgs_json_problem(error, title_of(orgs_error_status(error->code)));
    char *text = json_dumps(problem, JSON_COMPACT);
    const char *body = apr_pstrdup(pool, text != NULL ? text : "{}");

    free(text);
    json_decref(problem);
    return body;
}

void mod_orgs_problem_init(apr_pool_t *pool)
{
    apr_size_t i;

    for (i = 0; i < FOREIGN; i++) {
        foreign[i].body = render(pool, orgs_error_make(pool, foreign[i].code));
    }
}

void mod_orgs_problem_prepare(request_rec *r)
{
    apr_size_t i;

    for (i = 0; i < FOREIGN; i++) {
        ap_custom_response(r, foreign[i].status, foreign[i].body);
    }
}

/* Our faults and the database's are for the operator; why a client was refused is for who debugs it. */
static void log_error(request_rec *r, const orgs_error_t *error)
{
    const char *cause = error->cause != NULL ? error->cause : error->detail;
    const char *name = orgs_error_name(error->code);

    switch (error->code) {
    case ORGS_E_INTERNAL_ERROR:
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, ORGS_LOGNO(0011) "%s: %s", name, cause);
        break;
    case ORGS_E_OUTCOME_UNKNOWN:
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, ORGS_LOGNO(0012) "%s: %s", name, cause);
        break;
    default:
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, ORGS_LOGNO(0013) "%s: %s", name, cause);
        break;
    }
}

const char *mod_orgs_problem_credentials(const request_rec *r)
{
    return r->proxyreq == PROXYREQ_PROXY ? "Proxy-Authorization" : "Authorization";
}

const char *mod_orgs_problem_authenticate(const request_rec *r)
{
    return r->proxyreq == PROXYREQ_PROXY ? "Proxy-Authenticate" : "WWW-Authenticate";
}

void mod_orgs_problem_challenge(request_rec *r)
{
    const char *realm = ap_auth_name(r);
    const char *sent = apr_table_get(r->headers_in, mod_orgs_problem_credentials(r));
    int token = sent != NULL && ap_cstr_casecmpn(sent, "Bearer", 6) == 0 && (sent[6] == ' ' || sent[6] == '\0');

    apr_table_addn(r->err_headers_out, mod_orgs_problem_authenticate(r),
                   apr_pstrcat(r->pool, "Bearer realm=\"", ap_escape_quotes(r->pool, realm != NULL ? realm : "orgs"),
                               token ? "\", error=\"invalid_token\"" : "\"", NULL));
}

/* What a status wants besides its body. */
static int set_headers(request_rec *r, const orgs_error_t *error)
{
    log_error(r, error);
    mod_orgs_slot(r, 1)->code = orgs_error_name(error->code);
    if (error->code == ORGS_E_UNAVAILABLE) {
        apr_table_setn(r->err_headers_out, "Retry-After", ORGS_RETRY_AFTER);
    }
    return orgs_error_status(error->code);
}

int mod_orgs_problem(orgs_request_t *rq, const orgs_error_t *error)
{
    request_rec *r = rq->r;
    int status = set_headers(r, error);

    if (error->code == ORGS_E_UNAUTHORIZED) {
        mod_orgs_problem_challenge(r);
    }
    ap_custom_response(r, status, render(r->pool, error));
    rq->problem = status;
    return status;
}

int mod_orgs_problem_refuse(request_rec *r, const orgs_error_t *error)
{
    orgs_request_t *rq = mod_orgs_request_of(r);
    int status;

    if (rq != NULL) {
        return mod_orgs_problem(rq, error);
    }
    status = set_headers(r, error);
    if (error->code == ORGS_E_UNAUTHORIZED) {
        /* whose AuthType it is knows the challenge */
        ap_note_auth_failure(r);
    }
    return status;
}

int mod_orgs_problem_no_user(request_rec *r)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, ORGS_LOGNO(0041) "OrgsRemoteUser is set for %s, but no authentication "
                  "of httpd's has put a user into r->user: an AuthType with its provider and a Require valid-user are "
                  "missing there", r->uri);
    return HTTP_INTERNAL_SERVER_ERROR;
}

int mod_orgs_problem_code(orgs_request_t *rq, orgs_error_e code)
{
    return mod_orgs_problem(rq, orgs_error_make(rq->r->pool, code));
}

/* What a status of httpd's or another module's is to us; FOREIGN: nothing. */
static apr_size_t foreign_of(int status)
{
    apr_size_t i;

    for (i = 0; i < FOREIGN && foreign[i].status != status; i++) {
    }
    return i;
}

const char *mod_orgs_problem_foreign(int status)
{
    apr_size_t i = foreign_of(status);

    return i < FOREIGN ? orgs_error_name(foreign[i].code) : NULL;
}

static int is_problem(const orgs_request_t *rq)
{
    return foreign_of(rq->r->status) < FOREIGN || rq->problem == rq->r->status;
}

/* Sets what httpd's error answers would have as text/html. The first brigade comes before the headers are sent. */
static apr_status_t filter_problem(ap_filter_t *f, apr_bucket_brigade *bb)
{
    request_rec *r = f->r;
    orgs_request_t *rq = mod_orgs_request_of(r);

    /* whoever may write SetOutputFilter may name this one anywhere */
    if (rq != NULL && r->status >= HTTP_BAD_REQUEST) {
        if (is_problem(rq)) {
            r->content_encoding = NULL;
            ap_set_content_type(r, "application/problem+json");
        }
        /* where httpd refuses a body's form it has dropped all headers by now */
        mod_orgs_request_headers(rq);
        apr_table_setn(r->err_headers_out, "Cache-Control", "no-store");
    }
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

void mod_orgs_problem_insert_filter(request_rec *r)
{
    if (r->status >= HTTP_BAD_REQUEST && mod_orgs_request_of(r) != NULL) {
        ap_add_output_filter(FILTER, NULL, r, r->connection);
    }
}

void mod_orgs_problem_register(void)
{
    ap_register_output_filter(FILTER, filter_problem, NULL, AP_FTYPE_CONTENT_SET);
}
