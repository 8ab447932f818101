/*
 * The caller.
 */
#ifndef MOD_ORGS_AUTH_H
#define MOD_ORGS_AUTH_H

#include "mod_orgs.h"

/**
 * Finds out who calls and what they are in the path's organization, by one question, asked once per request; notes
 * it in rq->lookup, r->user, ap_auth_type and the environment (ORGS_USER_ID and so on).
 * @return OK, or a status with a problem prepared
 */
int mod_orgs_auth_caller(orgs_request_t *rq);

/** OK if the path's organization stands and the caller may see it; else a status with a problem prepared. */
int mod_orgs_auth_member(orgs_request_t *rq);

/** OK if beyond that the caller is its admin, or a superuser. */
int mod_orgs_auth_admin(orgs_request_t *rq);

#endif
