/*
 * r->user, put there by another authentication of httpd's, as the caller (OrgsRemoteUser).
 */
#ifndef MOD_ORGS_REMOTE_H
#define MOD_ORGS_REMOTE_H

#include "mod_orgs.h"

/** Nonzero if the request's caller comes from r->user. */
int mod_orgs_remote_is_on(const request_rec *r);

/**
 * What r->user, which is there, says: an email in lower case, or an external id.
 * @param key allocated in r->pool
 * @return NULL, or ORGS_E_USER_UNKNOWN where it cannot be one
 */
const orgs_error_t *mod_orgs_remote_key(request_rec *r, orgs_key_t *key);

/** Nonzero if the one who is not known by this key is to be made a user. */
int mod_orgs_remote_provisions(const request_rec *r, const orgs_key_t *key);

/**
 * Nonzero if a browser sent this on behalf of another site: credentials that it adds by itself prove nothing then.
 * OrgsTrustedOrigin names those that may.
 */
int mod_orgs_remote_is_cross_site(request_rec *r);

#endif
