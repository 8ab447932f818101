/*
 * The endpoints, a file for each noun. Each answers the request, or returns a status with a problem prepared; the
 * caller is known when they are called, but for an open one.
 */
#ifndef MOD_ORGS_API_H
#define MOD_ORGS_API_H

#include "mod_orgs.h"

/* mod_orgs_api.c */

/** Who writes: the caller. Lives as long as the request. */
orgs_by_t mod_orgs_api_by(const orgs_request_t *rq);

/** Where a write names an organization by an id that is none: 404. */
int mod_orgs_api_no_organization(orgs_request_t *rq);

/** Says where a created thing is, and whether it was created by an earlier request. */
void mod_orgs_api_created(orgs_request_t *rq, const char *below, int replayed);

int mod_orgs_api_list_organizations(orgs_request_t *rq);
int mod_orgs_api_create_organization(orgs_request_t *rq);
int mod_orgs_api_get_organization(orgs_request_t *rq);
int mod_orgs_api_update_organization(orgs_request_t *rq);
int mod_orgs_api_delete_organization(orgs_request_t *rq);

/* mod_orgs_api_member.c */
int mod_orgs_api_list_members(orgs_request_t *rq);
int mod_orgs_api_add_member(orgs_request_t *rq);
int mod_orgs_api_get_member(orgs_request_t *rq);
int mod_orgs_api_update_member(orgs_request_t *rq);
int mod_orgs_api_remove_member(orgs_request_t *rq);

/* mod_orgs_api_license.c */
int mod_orgs_api_get_license(orgs_request_t *rq);
int mod_orgs_api_assign_license(orgs_request_t *rq);
int mod_orgs_api_unassign_license(orgs_request_t *rq);
int mod_orgs_api_list_deployments(orgs_request_t *rq);

/* mod_orgs_api_event.c */
int mod_orgs_api_list_events(orgs_request_t *rq);

/* mod_orgs_api_describe.c */

/** Prepares the description; once in each process, in its pool. */
void mod_orgs_api_describe_init(apr_pool_t *pool);

int mod_orgs_api_describe(orgs_request_t *rq);

#endif
