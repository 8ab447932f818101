/*
 * OrgsRateLimit: how fast one caller may write.
 */
#ifndef MOD_ORGS_RATE_H
#define MOD_ORGS_RATE_H

#include "mod_orgs.h"

/** post_config: the memory that processes share, where a limit is configured. */
int mod_orgs_rate_post(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

/** Counts a write of the caller, who must be known: OK, or 429 with a problem prepared. */
int mod_orgs_rate_check(orgs_request_t *rq);

#endif
