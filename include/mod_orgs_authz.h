/*
 * Require org-member, org-admin, org-plan, org-license.
 */
#ifndef MOD_ORGS_AUTHZ_H
#define MOD_ORGS_AUTHZ_H

#include "mod_orgs.h"

/** Registers them with mod_authz_core. */
void mod_orgs_authz_register(apr_pool_t *p);

#endif
