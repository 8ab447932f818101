/*
 * The caller: by bearer token (RFC 6750), by a token as a password, or by r->user.
 */
#include "mod_orgs_auth.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_request.h>
#include <mod_auth.h>

#include "mod_orgs_config.h"
#include "mod_orgs_problem.h"
#include "mod_orgs_remote.h"
#include "orgs_limits.h"

/* One answer to the hot question. */
typedef struct {
    int names_organization;
    orgs_id_t organization;
    orgs_lookup_t lookup;
} answer_t;

/* Lives in the pool of the first request, since a subrequest's goes before. */
struct mod_orgs_answers_t {
    apr_pool_t *pool;
    orgs_key_t key;
    orgs_db_t db;
    apr_array_header_t *answers; /* of answer_t * */
};

mod_orgs_auth_t *mod_orgs_auth_of(request_rec *r)
{
    const mod_orgs_slot_t *slot = mod_orgs_slot(r, 0);

    return slot != NULL ? slot->auth : NULL;
}

mod_orgs_auth_t *mod_orgs_auth_make(request_rec *r)
{
    mod_orgs_slot_t *slot = mod_orgs_slot(r, 1);

    if (slot->auth == NULL) {
        slot->auth = apr_pcalloc(r->pool, sizeof(*slot->auth));
        slot->auth->r = r;
    }
    return slot->auth;
}

void mod_orgs_auth_gated(mod_orgs_auth_t *auth)
{
    request_rec *r;

    for (r = auth->r; r != NULL; r = r->main) {
        mod_orgs_auth_make(r)->gated = 1;
    }
}

/* The request that led to this one, by an internal redirect or as its main request. */
static request_rec *before(const request_rec *r)
{
    return r->prev != NULL ? r->prev : r->main;
}

/* What was found out already by the same credentials, or room for it. */
static mod_orgs_answers_t *answers_of(request_rec *r, const orgs_key_t *key)
{
    mod_orgs_answers_t *answers;
    request_rec *first = r;

    for (; before(first) != NULL; first = before(first)) {
        const mod_orgs_auth_t *auth = mod_orgs_auth_of(before(first));

        if (auth != NULL && auth->answers != NULL && auth->answers->key.kind == key->kind
            && auth->answers->key.len == key->len && memcmp(auth->answers->key.bytes, key->bytes, key->len) == 0) {
            return auth->answers;
        }
    }
    answers = apr_pcalloc(first->pool, sizeof(*answers));
    answers->pool = first->pool;
    answers->key.kind = key->kind;
    answers->key.bytes = apr_pstrmemdup(first->pool, key->bytes, key->len);
    answers->key.len = key->len;
    answers->answers = apr_array_make(first->pool, 2, sizeof(answer_t *));
    orgs_db_init(&answers->db, mod_orgs_config_server(r)->pool);
    return answers;
}

/* What was answered about an organization; NULL: about any, since each says who calls as well. */
static const orgs_lookup_t *find(const mod_orgs_answers_t *answers, const orgs_id_t *organization)
{
    int i;

    for (i = 0; i < answers->answers->nelts; i++) {
        const answer_t *answer = APR_ARRAY_IDX(answers->answers, i, answer_t *);

        if (organization == NULL
            || (answer->names_organization
                && memcmp(&answer->organization, organization, sizeof(*organization)) == 0)) {
            return &answer->lookup;
        }
    }
    return NULL;
}

/* Asks, unless it was. */
static const orgs_error_t *ask(mod_orgs_auth_t *auth, const orgs_id_t *organization, const orgs_lookup_t **lookup)
{
    mod_orgs_answers_t *answers = auth->answers;
    orgs_request_t *rq = mod_orgs_request_of(auth->r);
    const orgs_error_t *error;
    answer_t *answer;

    *lookup = find(answers, organization);
    if (*lookup != NULL) {
        return NULL;
    }
    answer = apr_pcalloc(answers->pool, sizeof(*answer));
    error = orgs_lookup(rq != NULL ? &rq->db : &answers->db, answers->pool, &answers->key, organization,
                        &answer->lookup);
    if (error == NULL) {
        answer->names_organization = organization != NULL;
        if (organization != NULL) {
            answer->organization = *organization;
        }
        APR_ARRAY_PUSH(answers->answers, answer_t *) = answer;
        *lookup = &answer->lookup;
    }
    return error;
}

const orgs_error_t *mod_orgs_auth_ask(mod_orgs_auth_t *auth, const orgs_id_t *organization,
                                      const orgs_lookup_t **lookup)
{
    const orgs_error_t *error = ask(auth, organization, lookup);

    if (error == NULL && (*lookup)->user.superuser && !auth->superuser) {
        orgs_lookup_t *plain = apr_pmemdup(auth->r->pool, *lookup, sizeof(**lookup));

        plain->user.superuser = 0;
        *lookup = plain;
    }
    return error;
}

const orgs_db_t *mod_orgs_auth_db(const mod_orgs_auth_t *auth)
{
    return auth->answers != NULL ? &auth->answers->db : NULL;
}

const orgs_lookup_t *mod_orgs_auth_known(const mod_orgs_auth_t *auth, const orgs_id_t *organization)
{
    return auth->known && auth->answers != NULL ? find(auth->answers, organization) : NULL;
}

int mod_orgs_auth_belongs(const orgs_lookup_t *lookup)
{
    return lookup->found && (lookup->organization.role != ORGS_ROLE_NONE || lookup->user.superuser);
}

/* What we tell whatever follows. */
#define ENV_USER_ID "ORGS_USER_ID"
#define ENV_USER_EMAIL "ORGS_USER_EMAIL"
#define ENV_ORG_ID "ORGS_ORG_ID"
#define ENV_ROLE "ORGS_ROLE"
#define ENV_PLAN "ORGS_PLAN"

void mod_orgs_auth_forget(request_rec *r)
{
    static const char *const names[] = {ENV_USER_ID, ENV_USER_EMAIL, ENV_ORG_ID, ENV_ROLE, ENV_PLAN};
    apr_size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        apr_table_unset(r->subprocess_env, names[i]);
    }
}

void mod_orgs_auth_tell(mod_orgs_auth_t *auth, const orgs_lookup_t *lookup)
{
    apr_table_t *env = auth->r->subprocess_env;
    const char *role = orgs_role_name(lookup->organization.role);

    if (auth->granted == NULL) {
        auth->granted = lookup;
        apr_table_setn(env, ENV_ORG_ID, orgs_id_text(auth->r->pool, &lookup->organization.id));
        apr_table_setn(env, ENV_ROLE, role != NULL ? role : "superuser");
        apr_table_setn(env, ENV_PLAN, lookup->plan);
    }
}

static void tell_caller(mod_orgs_auth_t *auth, const orgs_lookup_t *lookup)
{
    request_rec *r = auth->r;

    if (auth->by != MOD_ORGS_BY_REMOTE) {
        r->user = apr_pstrdup(r->pool, lookup->user.email);
    }
    if (auth->by == MOD_ORGS_BY_BEARER) {
        r->ap_auth_type = (char *)"Bearer";
    }
    apr_table_setn(r->subprocess_env, ENV_USER_ID, orgs_id_text(r->pool, &lookup->user.id));
    apr_table_setn(r->subprocess_env, ENV_USER_EMAIL, lookup->user.email);
}

void mod_orgs_auth_inherit(request_rec *r, const mod_orgs_auth_t *from)
{
    mod_orgs_auth_t *auth = mod_orgs_auth_make(r);
    const orgs_lookup_t *lookup;

    *auth = *from;
    auth->r = r;
    auth->granted = NULL;
    auth->failure = NULL;
    /* one's own: what is noted there lives as long as r */
    auth->met = from->met != NULL ? apr_array_copy(r->pool, from->met) : NULL;
    auth->authenticating = auth->deciding = 0;
    if (auth->known && ask(auth, NULL, &lookup) == NULL) {
        tell_caller(auth, lookup);
        if (from->granted != NULL) {
            mod_orgs_auth_tell(auth, from->granted);
        }
    }
}

/* The caller has shown something: who is it? The first question carries an organization, where one is known. */
static const orgs_error_t *present(mod_orgs_auth_t *auth, mod_orgs_by_e by, const orgs_key_t *key)
{
    const mod_orgs_dir_t *dir = mod_orgs_config_dir(auth->r);
    const orgs_request_t *rq = mod_orgs_request_of(auth->r);
    const orgs_error_t *error;
    const orgs_lookup_t *lookup;

    if (mod_orgs_config_server(auth->r)->pool == NULL) {
        return orgs_error_cause(auth->r->pool, ORGS_E_INTERNAL_ERROR, "this server has no database");
    }
    auth->answers = answers_of(auth->r, key);
    auth->by = by;
    auth->superuser = by != MOD_ORGS_BY_REMOTE || dir->remote_superuser == 1;
    error = ask(auth, auth->wants ? &auth->wanted : rq != NULL && rq->has_organization ? &rq->organization : NULL,
                &lookup);
    if (error == NULL) {
        auth->known = 1;
        tell_caller(auth, lookup);
    }
    return error;
}

/* The token of the Authorization header, which may be several header lines joined; NULL where there is none. In a forward
 * proxy that header is for the other server, and ours is another one. */
static const char *bearer_token(const request_rec *r)
{
    const char *header = apr_table_get(r->headers_in, mod_orgs_problem_credentials(r));

    if (header == NULL || ap_cstr_casecmpn(header, "Bearer", 6) != 0 || header[6] != ' ') {
        return NULL;
    }
    header += 6;
    while (*header == ' ') {
        header++;
    }
    return header;
}

static const orgs_error_t *present_token(mod_orgs_auth_t *auth, mod_orgs_by_e by, const char *token)
{
    unsigned char digest[ORGS_SHA256_LEN];
    const orgs_key_t key = {ORGS_KEY_TOKEN, (const char *)digest, sizeof(digest)};

    if (token == NULL || !orgs_token_digest(digest, token, strlen(token))) {
        return orgs_error_make(auth->r->pool, ORGS_E_UNAUTHORIZED);
    }
    return present(auth, by, &key);
}

static const orgs_error_t *present_user(mod_orgs_auth_t *auth)
{
    const orgs_error_t *error;
    orgs_key_t key;

    if ((error = mod_orgs_remote_key(auth->r, &key)) != NULL) {
        return error;
    }
    error = present(auth, MOD_ORGS_BY_REMOTE, &key);
    auth->newcomer = error != NULL && error->code == ORGS_E_USER_UNKNOWN && mod_orgs_remote_provisions(auth->r, &key);
    return error;
}

const orgs_error_t *mod_orgs_auth_provision(mod_orgs_auth_t *auth)
{
    request_rec *r = auth->r;
    orgs_request_t *rq = mod_orgs_request_of(r);
    const orgs_error_t *error;
    orgs_key_t key;

    auth->newcomer = 0;
    if ((error = mod_orgs_remote_key(r, &key)) == NULL
        && (error = orgs_store_user_provision(rq != NULL ? &rq->db : &auth->answers->db, r->pool, key.bytes,
                                              mod_orgs_request_id(r))) == NULL) {
        error = present(auth, MOD_ORGS_BY_REMOTE, &key);
    }
    return error;
}

const orgs_error_t *mod_orgs_auth_identify(mod_orgs_auth_t *auth, int remote)
{
    mod_orgs_auth_gated(auth);
    if (auth->known) {
        return NULL;
    }
    return remote ? present_user(auth) : present_token(auth, MOD_ORGS_BY_BEARER, bearer_token(auth->r));
}

int mod_orgs_auth_check(request_rec *r)
{
    const char *type = ap_auth_type(r);
    const orgs_error_t *error;

    if (type != NULL ? ap_cstr_casecmp(type, "Orgs") != 0
                     : mod_orgs_request_of(r) == NULL || mod_orgs_remote_is_on(r)) {
        return DECLINED;
    }
    error = mod_orgs_auth_identify(mod_orgs_auth_make(r), 0);
    return error != NULL ? mod_orgs_problem_refuse(r, error) : OK;
}

int mod_orgs_auth_note_failure(request_rec *r, const char *type)
{
    const mod_orgs_auth_t *auth = mod_orgs_auth_of(r);

    if (ap_cstr_casecmp(type, "Orgs") != 0) {
        return DECLINED;
    }
    if (auth == NULL || !auth->known) {
        mod_orgs_problem_challenge(r);
    }
    return OK;
}

/* Who sends the token as the name is nobody, but httpd would log the name: of the token its beginning stays. */
static void mask(request_rec *r, const char *name)
{
    unsigned char digest[ORGS_SHA256_LEN];

    /* of mod_auth_basic both are one text; another's is not ours to write to */
    if (r->user == name && orgs_token_digest(digest, name, strlen(name))) {
        memset(r->user + ORGS_TOKEN_PREFIX_LEN, '*', strlen(name) - ORGS_TOKEN_PREFIX_LEN);
    }
}

/* Whose token it is counts, not the name that came with it. What is no token at all is left to the next provider. */
static authn_status check_password(request_rec *r, const char *name, const char *password)
{
    mod_orgs_auth_t *auth = mod_orgs_auth_make(r);
    unsigned char digest[ORGS_SHA256_LEN];
    const orgs_error_t *error;

    mask(r, name);
    mod_orgs_auth_gated(auth);
    auth->known = 0;
    if (!orgs_token_digest(digest, password, strlen(password))) {
        return AUTH_USER_NOT_FOUND;
    }
    error = present_token(auth, MOD_ORGS_BY_PASSWORD, password);
    if (error == NULL) {
        return AUTH_GRANTED;
    }
    if (error->code == ORGS_E_UNAUTHORIZED) {
        return AUTH_DENIED;
    }
    auth->failure = error;
    return AUTH_GENERAL_ERROR;
}

void mod_orgs_auth_register(apr_pool_t *p)
{
    static const authn_provider provider = {check_password, NULL};

    ap_register_auth_provider(p, AUTHN_PROVIDER_GROUP, "orgs", AUTHN_PROVIDER_VERSION, &provider,
                              AP_AUTH_INTERNAL_PER_CONF);
}

int mod_orgs_auth_caller(orgs_request_t *rq)
{
    mod_orgs_auth_t *auth = mod_orgs_auth_make(rq->r);
    int remote = mod_orgs_remote_is_on(rq->r);
    const orgs_error_t *error;

    if (rq->lookup != NULL) {
        return OK;
    }
    if (remote && !auth->known && rq->r->user == NULL) {
        return mod_orgs_problem_no_user(rq->r);
    }
    error = mod_orgs_auth_identify(auth, remote);
    if (error != NULL && auth->newcomer) {
        error = mod_orgs_auth_provision(auth);
    }
    if (error != NULL
        || (error = mod_orgs_auth_ask(auth, rq->has_organization ? &rq->organization : NULL, &rq->lookup)) != NULL) {
        return mod_orgs_problem(rq, error);
    }
    rq->superuser = auth->superuser;
    if (rq->user_is_me) {
        rq->user = rq->lookup->user.id;
        rq->has_user = 1;
    }
    if (rq->has_organization && mod_orgs_auth_belongs(rq->lookup)) {
        mod_orgs_auth_tell(auth, rq->lookup);
    }
    return OK;
}

int mod_orgs_auth_same_site(orgs_request_t *rq)
{
    if (mod_orgs_auth_of(rq->r)->by != MOD_ORGS_BY_BEARER && rq->r->method_number != M_GET
        && mod_orgs_remote_is_cross_site(rq->r)) {
        return mod_orgs_problem_code(rq, ORGS_E_CROSS_SITE);
    }
    return OK;
}

int mod_orgs_auth_member(orgs_request_t *rq)
{
    return rq->has_organization && mod_orgs_auth_belongs(rq->lookup)
               ? OK
               : mod_orgs_problem_code(rq, ORGS_E_ORGANIZATION_NOT_FOUND);
}

int mod_orgs_auth_admin(orgs_request_t *rq)
{
    int status = mod_orgs_auth_member(rq);

    if (status == OK && rq->lookup->organization.role != ORGS_ROLE_ADMIN && !rq->lookup->user.superuser) {
        status = mod_orgs_problem_code(rq, ORGS_E_ADMIN_REQUIRED);
    }
    return status;
}
