/*
 * r->user as the caller.
 */
#include "mod_orgs_remote.h"

#include "mod_orgs_config.h"
#include "orgs_limits.h"
#include "orgs_origin.h"
#include "orgs_text.h"

int mod_orgs_remote_is_on(const request_rec *r)
{
    const mod_orgs_dir_t *dir = mod_orgs_config_dir(r);

    return dir != NULL && mod_orgs_config_is_remote(dir);
}

const orgs_error_t *mod_orgs_remote_key(request_rec *r, orgs_key_t *key)
{
    const char *problem = "it is no external id";

    if (mod_orgs_config_dir(r)->remote_user == MOD_ORGS_REMOTE_EMAIL) {
        key->kind = ORGS_KEY_EMAIL;
        key->bytes = orgs_email_check(r->pool, r->user, strlen(r->user), &problem);
    }
    else {
        key->kind = ORGS_KEY_EXTERNAL_ID;
        key->bytes = *r->user != '\0' && strlen(r->user) <= ORGS_EXTERNAL_ID_MAX ? r->user : NULL;
    }
    if (key->bytes == NULL) {
        return orgs_error_cause(r->pool, ORGS_E_USER_UNKNOWN, "the user %s is not accepted: %s", r->user, problem);
    }
    key->len = strlen(key->bytes);
    return NULL;
}

int mod_orgs_remote_provisions(const request_rec *r, const orgs_key_t *key)
{
    /* a user has an email, which an external id does not tell */
    return key->kind == ORGS_KEY_EMAIL && mod_orgs_config_dir(r)->remote_provision == 1;
}

static int is_trusted(const request_rec *r, const orgs_origin_t *origin)
{
    const apr_array_header_t *trusted = mod_orgs_config_dir(r)->trusted_origins;
    int i;

    for (i = 0; trusted != NULL && i < trusted->nelts; i++) {
        if (orgs_origin_equal(origin, &APR_ARRAY_IDX(trusted, i, const orgs_origin_t))) {
            return 1;
        }
    }
    return 0;
}

int mod_orgs_remote_is_cross_site(request_rec *r)
{
    const char *site = apr_table_get(r->headers_in, "Sec-Fetch-Site");
    const char *text = apr_table_get(r->headers_in, "Origin");
    const char *host = apr_table_get(r->headers_in, "Host");
    orgs_origin_t origin;
    int known = text != NULL && orgs_origin_parse(r->pool, text, &origin);

    if (known && is_trusted(r, &origin)) {
        return 0;
    }
    if (site != NULL) {
        return strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
    }
    /* an older browser; or no browser at all, which sends neither */
    return text != NULL && (!known || host == NULL || !orgs_origin_is_host(r->pool, &origin, host));
}
