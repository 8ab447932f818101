/*
 * The pools of connections that the servers' directives amount to.
 */
#ifndef MOD_ORGS_POOLS_H
#define MOD_ORGS_POOLS_H

#include "mod_orgs.h"

/** check_config: what no single directive can see; so `httpd -t` tells it. */
int mod_orgs_pools_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

/** post_config: resolves each server's pool. Touches no database. */
int mod_orgs_pools_post(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

/** Whether any server has a database. */
int mod_orgs_pools_wanted(const server_rec *s);

/** child_init: makes the pools, one for each distinct database. */
void mod_orgs_pools_child_init(apr_pool_t *pchild, server_rec *s);

#endif
