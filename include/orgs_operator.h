/*
 * The store's functions that only the operator's tool uses. The module's account may not run their writes.
 *
 * Writes give an outcome: what the procedure refused is outcome->code, a contract's code or one of the tool's own.
 * Lists give up to limit items after a position (zeros: from the start), in order. All is allocated in the pool.
 */
#ifndef ORGS_OPERATOR_H
#define ORGS_OPERATOR_H

#include <apr_tables.h>

#include "orgs.h"

/* orgs_store_user.c: users and their tokens */

/** Users by id. items: orgs_user_t each. */
const orgs_error_t *orgs_store_user_list(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *after, int limit,
                                         apr_array_header_t **items);

/** The user of an email; ORGS_E_USER_NOT_FOUND. */
const orgs_error_t *orgs_store_user_find(orgs_db_t *db, apr_pool_t *p, const char *email, orgs_user_t *user);

/** Adds a user with id, email, name, external_id and superuser. Refusals: email_taken, external_id_taken. */
const orgs_error_t *orgs_store_user_add(orgs_db_t *db, apr_pool_t *p, const orgs_user_t *user,
                                        orgs_outcome_t *outcome);

/**
 * Changes a user; NULL leaves a field alone, "" clears name or external id.
 * Refusals: user_not_found, email_taken, external_id_taken.
 */
const orgs_error_t *orgs_store_user_set(orgs_db_t *db, apr_pool_t *p, const char *email, const char *new_email,
                                        const char *name, const char *external_id, orgs_outcome_t *outcome);

/** Refusals: user_not_found; last_admin with the organization's id, unless force. */
const orgs_error_t *orgs_store_user_deactivate(orgs_db_t *db, apr_pool_t *p, const char *email, int force,
                                               orgs_outcome_t *outcome);

/** Refusals: user_not_found. */
const orgs_error_t *orgs_store_user_activate(orgs_db_t *db, apr_pool_t *p, const char *email,
                                             orgs_outcome_t *outcome);

/** Refusals: user_not_found. */
const orgs_error_t *orgs_store_user_superuser(orgs_db_t *db, apr_pool_t *p, const char *email, int on,
                                              orgs_outcome_t *outcome);

/** A user's tokens by id. items: orgs_token_t each. */
const orgs_error_t *orgs_store_token_list(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *user,
                                          const orgs_id_t *after, int limit, apr_array_header_t **items);

/**
 * Stores a token's digest. seconds: how long it is good, 0: until revoked.
 * Refusals: user_not_found, user_deactivated. The answer has expires_at.
 */
const orgs_error_t *orgs_store_token_issue(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *id, const char *email,
                                           const unsigned char hash[ORGS_SHA256_LEN], const char *label,
                                           apr_int64_t seconds, orgs_outcome_t *outcome);

/** Revokes by id, or by digest where id is NULL. Refusals: token_not_found. */
const orgs_error_t *orgs_store_token_revoke(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *id,
                                            const unsigned char hash[ORGS_SHA256_LEN], orgs_outcome_t *outcome);

/** Revokes all tokens of a user; the answer's "revoked" counts them. Refusals: user_not_found. */
const orgs_error_t *orgs_store_token_revoke_all(orgs_db_t *db, apr_pool_t *p, const char *email,
                                                orgs_outcome_t *outcome);

/* orgs_store_operator.c: organizations and the free plan */

typedef struct orgs_overview_t {
    orgs_organization_t organization; /* with members; role none */
    apr_int64_t admins;               /* whose users are active */
    const char *plan;                 /* what counts now, as in the license view */
    apr_int64_t seats;                /* -1: unlimited */
} orgs_overview_t;

/** All of one organization, or ORGS_E_ORGANIZATION_NOT_FOUND. */
const orgs_error_t *orgs_store_org_show(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *id, orgs_overview_t *overview);

/**
 * Makes a user an admin of an organization: adds or raises. The answer is the member, and "changed".
 * Refusals: organization_not_found, organization_inactive, user_not_found, seat_limit_reached.
 */
const orgs_error_t *orgs_store_org_add_admin(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *organization,
                                             const char *email, orgs_outcome_t *outcome);

/** What organizations without an active license have. seats -1: unlimited. */
const orgs_error_t *orgs_store_plan_free(orgs_db_t *db, apr_pool_t *p, const char **name, apr_int64_t *seats);

/** Sets it. name NULL: left alone; set_seats: whether seats (-1: unlimited) count. */
const orgs_error_t *orgs_store_plan_set_free(orgs_db_t *db, apr_pool_t *p, const char *name, int set_seats,
                                             apr_int64_t seats, orgs_outcome_t *outcome);

/* orgs_store_event.c */

/**
 * Looks at up to rows events after *after (by id) and deletes those from before a time; those that are not a day old
 * stay, as they may still be asked what became of a write.
 * @param after   moved to the last one looked at
 * @param deleted how many went
 * @param more    whether there may be more to look at
 */
const orgs_error_t *orgs_store_event_prune(orgs_db_t *db, apr_pool_t *p, apr_time_t before, int rows,
                                           orgs_id_t *after, apr_int64_t *deleted, int *more);

/* orgs_store_license.c: licenses and deployments, as the operator sees them */

typedef struct orgs_license_record_t {
    orgs_license_t license;
    int has_organization;
    orgs_id_t organization_id;
    int has_reserved_for;
    orgs_id_t reserved_for;
    int has_reserved_by;
    orgs_id_t reserved_by;
    apr_time_t created_at;
} orgs_license_record_t;

/* A field that is left alone, set to nothing, or set. */
typedef enum { ORGS_KEEP, ORGS_CLEAR, ORGS_SET } orgs_change_e;

typedef struct orgs_license_change_t {
    const char *plan; /* NULL: left alone */
    orgs_change_e change_seats, change_starts_at, change_expires_at;
    apr_int64_t seats;
    apr_time_t starts_at, expires_at;
} orgs_license_change_t;

/** Licenses by id. items: orgs_license_record_t each. */
const orgs_error_t *orgs_store_license_list(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *after, int limit,
                                            apr_array_header_t **items);

/** One license, or ORGS_E_LICENSE_NOT_FOUND. */
const orgs_error_t *orgs_store_license_show(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *id,
                                            orgs_license_record_t *record);

/** Adds a license; what change does not set is none. Refusals: license_period. */
const orgs_error_t *orgs_store_license_add(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *id,
                                           const orgs_license_change_t *change, orgs_outcome_t *outcome);

/** Refusals: license_not_found, license_period. */
const orgs_error_t *orgs_store_license_set(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *id,
                                           const orgs_license_change_t *change, orgs_outcome_t *outcome);

/** Suspends (1), resumes (0) or revokes (-1). Refusals: license_not_found, license_revoked. */
const orgs_error_t *orgs_store_license_state(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *id, int suspended,
                                             orgs_outcome_t *outcome);

/**
 * Reserves an unassigned license for an organization; organization NULL: for nobody.
 * Refusals: license_not_found, organization_not_found, license_assigned, and deployments_exist unless
 * with_deployments or for nobody.
 */
const orgs_error_t *orgs_store_license_release(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *id,
                                               const orgs_id_t *organization, int with_deployments,
                                               orgs_outcome_t *outcome);

/** A license's deployments by id. items: orgs_deployment_t each. */
const orgs_error_t *orgs_store_deployments_of(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *license,
                                              const orgs_id_t *after, int limit, apr_array_header_t **items);

/** Adds a deployment. Refusals: license_not_found. */
const orgs_error_t *orgs_store_deployment_add(orgs_db_t *db, apr_pool_t *p, const orgs_deployment_t *deployment,
                                              orgs_outcome_t *outcome);

/** Changes one; NULL leaves a field alone, "" clears environment, url or version. Refusals: deployment_not_found. */
const orgs_error_t *orgs_store_deployment_set(orgs_db_t *db, apr_pool_t *p, const orgs_deployment_t *deployment,
                                              orgs_outcome_t *outcome);

/** Refusals: deployment_not_found. */
const orgs_error_t *orgs_store_deployment_remove(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *id,
                                                 orgs_outcome_t *outcome);

#endif
