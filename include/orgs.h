/*
 * The domain: what organizations, users, tokens and events are, and the store that reads and writes them.
 *
 * Store functions take the request's database access and a pool, give their result last, and return NULL or an error.
 * All they give is allocated in the pool. Strings are UTF-8; emails are lower case (ASCII).
 */
#ifndef ORGS_H
#define ORGS_H

#include "orgs_call.h"
#include "orgs_error.h"
#include "orgs_id.h"

typedef enum { ORGS_ROLE_NONE, ORGS_ROLE_MEMBER, ORGS_ROLE_ADMIN } orgs_role_e;

/** "member", "admin", or NULL for none. */
const char *orgs_role_name(orgs_role_e role);

/** The role of a name (len bytes); ORGS_ROLE_NONE for anything else. */
orgs_role_e orgs_role_named(const char *name, apr_size_t len);

typedef struct orgs_organization_t {
    orgs_id_t id;
    const char *name;
    const char *description; /* or NULL */
    int active;
    orgs_role_e role; /* the caller's */
    int has_license;
    orgs_id_t license_id;
    apr_time_t created_at;
    apr_time_t updated_at;
    apr_int64_t version;
    apr_int64_t members; /* where the operator asks; else 0 */
} orgs_organization_t;

typedef struct orgs_license_t {
    orgs_id_t id;
    const char *plan;
    apr_int64_t seats; /* -1: unlimited */
    apr_time_t starts_at, expires_at, assigned_at; /* -1: none */
    const char *status;
} orgs_license_t;

typedef struct orgs_member_t {
    orgs_id_t organization_id;
    orgs_id_t user_id;
    const char *email;
    const char *name; /* or NULL */
    orgs_role_e role;
    apr_time_t joined_at;
} orgs_member_t;

/* What an organization may do, by which license. */
typedef struct orgs_license_view_t {
    orgs_id_t organization_id;
    const char *plan; /* what counts now */
    int has_license;
    orgs_license_t license;
    apr_int64_t seats; /* what counts now; -1: unlimited */
    apr_int64_t seats_used;
    apr_int64_t version; /* of the assignment */
} orgs_license_view_t;

typedef struct orgs_deployment_t {
    orgs_id_t id;
    orgs_id_t license_id;
    const char *name;
    const char *environment; /* or NULL, as url and version */
    const char *url;
    const char *version;
    const char *status;
    apr_time_t created_at;
    apr_time_t updated_at;
} orgs_deployment_t;

typedef struct orgs_user_t {
    orgs_id_t id;
    const char *email;
    const char *name;        /* or NULL */
    const char *external_id; /* or NULL */
    int superuser;
    int active;
    apr_time_t created_at;
} orgs_user_t;

typedef struct orgs_token_t {
    orgs_id_t id;
    const char *label;     /* or NULL */
    apr_time_t created_at; /* -1 where absent, as below */
    apr_time_t expires_at;
    apr_time_t revoked_at;
} orgs_token_t;

typedef struct orgs_event_t {
    orgs_id_t id;
    orgs_id_t organization_id;
    apr_int64_t seq;
    apr_time_t at;
    int has_actor;
    orgs_id_t actor_id;
    const char *action;
    int has_target;
    orgs_id_t target_id;
    const char *request_id; /* or NULL */
    const char *changes;    /* JSON text, or NULL */
} orgs_event_t;

/* The answer to the hot question: who is this, and what are they in this organization? */
typedef struct orgs_lookup_t {
    orgs_user_t user;
    orgs_id_t token_id;
    int found; /* whether the organization asked for stands */
    orgs_organization_t organization;
    apr_time_t joined_at; /* the caller's, -1: no member */
    apr_int64_t members;
    apr_int64_t license_version;
    int has_license;
    orgs_license_t license;
    const char *plan;       /* what counts now: the license's while it is active, else the free plan's; NULL: not asked */
    apr_int64_t seats;      /* -1: unlimited */
} orgs_lookup_t;

/* What a caller is known by: a token's digest, an email in lower case, an external id. */
typedef enum { ORGS_KEY_TOKEN, ORGS_KEY_EMAIL, ORGS_KEY_EXTERNAL_ID } orgs_key_e;

typedef struct orgs_key_t {
    orgs_key_e kind;
    const char *bytes;
    apr_size_t len;
} orgs_key_t;

/**
 * Asks the hot question (orgs_lookup.c).
 * @param organization whose, or NULL
 * @return NULL; ORGS_E_UNAUTHORIZED when no valid token of an active user has that digest; ORGS_E_USER_UNKNOWN when no
 *         active user has that email or external id; or as orgs_db_read
 */
const orgs_error_t *orgs_lookup(orgs_db_t *db, apr_pool_t *p, const orgs_key_t *key, const orgs_id_t *organization,
                                orgs_lookup_t *found);

/* Who writes: for rights and for the event. */
typedef struct orgs_by_t {
    const orgs_id_t *actor;  /* NULL: the operator */
    const char *request_id;  /* or NULL */
    int superuser;           /* whether a superuser's flag counts */
} orgs_by_t;

/* What makes a repeated write answer the first success again; digests of key, and of path and body. */
typedef struct orgs_idempotency_t {
    unsigned char key[ORGS_SHA256_LEN];
    unsigned char body[ORGS_SHA256_LEN];
} orgs_idempotency_t;

typedef struct orgs_organization_change_t {
    const char *name;        /* NULL: left alone */
    int describe;            /* whether description counts */
    const char *description; /* NULL: none */
    int active;              /* -1: left alone */
} orgs_organization_change_t;

typedef struct orgs_organization_filter_t {
    int all;          /* every organization, not only the caller's */
    int active_only;
    orgs_role_e role; /* ORGS_ROLE_NONE: any */
} orgs_organization_filter_t;

/** What a procedure refused, as an error with its members (seats, seats_used, license_status); NULL if done. */
const orgs_error_t *orgs_store_refusal(apr_pool_t *p, const orgs_outcome_t *outcome);

/**
 * Begins what a procedure for several writes is told of this one, in p: whose it is. The rest of it is the caller's to add.
 * @param organization as of orgs_share_t
 */
void orgs_store_share(orgs_share_t *share, apr_pool_t *p, orgs_sql_e sql, const orgs_id_t *organization,
                      const orgs_by_t *by);

/* orgs_store_user.c; what else it has is the operator's */

/**
 * Makes a user of this email, lower case, where there is none; one that stands stays as it is, also when it is
 * deactivated.
 * @param request_id or NULL
 */
const orgs_error_t *orgs_store_user_provision(orgs_db_t *db, apr_pool_t *p, const char *email, const char *request_id);

/* orgs_store_org.c */

/** Up to limit organizations after *after (by id), in its order. items: orgs_organization_t each. */
const orgs_error_t *orgs_store_org_list(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *user,
                                        const orgs_organization_filter_t *filter, const orgs_position_t *after,
                                        int limit, apr_array_header_t **items);

/**
 * Creates an organization; the caller becomes its admin.
 * @param max      how many that the caller created may stand, -1: unlimited
 * @param once     or NULL
 * @param replayed whether it is the answer of an earlier request with the same key
 * Refusals: unauthorized, idempotency_key_reused, organization_limit_reached.
 */
const orgs_error_t *orgs_store_org_create(orgs_db_t *db, apr_pool_t *p, const orgs_by_t *by, const char *name,
                                          const char *description, apr_int64_t max, const orgs_idempotency_t *once,
                                          orgs_organization_t *created, int *replayed);

/**
 * Changes an organization.
 * @param versions what If-Match names, comma-separated ("" matches none), or NULL for no condition
 * Refusals: unauthorized, organization_not_found, admin_required, precondition_failed.
 */
const orgs_error_t *orgs_store_org_update(orgs_db_t *db, apr_pool_t *p, const orgs_by_t *by, const orgs_id_t *id,
                                          const char *versions, const orgs_organization_change_t *change,
                                          orgs_organization_t *updated);

/** Deletes an organization. Refusals as of orgs_store_org_update. */
const orgs_error_t *orgs_store_org_delete(orgs_db_t *db, apr_pool_t *p, const orgs_by_t *by, const orgs_id_t *id,
                                          const char *versions);

/* orgs_store_member.c */

typedef struct orgs_member_filter_t {
    orgs_role_e role;  /* ORGS_ROLE_NONE: any */
    const char *email; /* NULL: any */
} orgs_member_filter_t;

/** Up to limit members after *after (by joined_at, user id), in that order. items: orgs_member_t each. */
const orgs_error_t *orgs_store_member_list(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *organization,
                                           const orgs_member_filter_t *filter, const orgs_position_t *after,
                                           int limit, apr_array_header_t **items);

/** One member, or ORGS_E_MEMBER_NOT_FOUND. */
const orgs_error_t *orgs_store_member_get(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *organization,
                                          const orgs_id_t *user, orgs_member_t *member);

/**
 * Adds the user of an email. once, replayed as of orgs_store_org_create.
 * Refusals: unauthorized, organization_not_found, admin_required, idempotency_key_reused, organization_inactive,
 * user_not_found, already_member (with the member), seat_limit_reached (with the seats).
 */
const orgs_error_t *orgs_store_member_add(orgs_db_t *db, apr_pool_t *p, const orgs_by_t *by,
                                          const orgs_id_t *organization, const char *email, orgs_role_e role,
                                          const orgs_idempotency_t *once, orgs_member_t *member, int *replayed);

/**
 * Gives a member another role. user NULL: an id that is none.
 * Refusals: unauthorized, organization_not_found, admin_required, organization_inactive, member_not_found, last_admin.
 */
const orgs_error_t *orgs_store_member_update(orgs_db_t *db, apr_pool_t *p, const orgs_by_t *by,
                                             const orgs_id_t *organization, const orgs_id_t *user, orgs_role_e role,
                                             orgs_member_t *member);

/** Removes a member. user NULL: an id that is none. Refusals as of orgs_store_member_update. */
const orgs_error_t *orgs_store_member_remove(orgs_db_t *db, apr_pool_t *p, const orgs_by_t *by,
                                             const orgs_id_t *organization, const orgs_id_t *user);

/* orgs_store_assignment.c */

/** The license view of the organization that was looked up. */
void orgs_store_license_view(const orgs_lookup_t *lookup, orgs_license_view_t *view);

/**
 * Assigns a license. license NULL: an id that is none. versions as of orgs_store_org_update, of the assignment.
 * Refusals: unauthorized, organization_not_found, admin_required, precondition_failed, organization_inactive,
 * license_not_found, license_in_use, license_reserved, license_not_active (with license_status), seats_exceeded.
 */
const orgs_error_t *orgs_store_license_assign(orgs_db_t *db, apr_pool_t *p, const orgs_by_t *by,
                                              const orgs_id_t *organization, const char *versions,
                                              const orgs_id_t *license, orgs_license_view_t *view);

/** Gives the license up. Refusals: unauthorized, organization_not_found, admin_required, precondition_failed. */
const orgs_error_t *orgs_store_license_unassign(orgs_db_t *db, apr_pool_t *p, const orgs_by_t *by,
                                                const orgs_id_t *organization, const char *versions,
                                                orgs_license_view_t *view);

/** A deployment of a row that lists them, as orgs_db_list takes it; none is not used. */
void orgs_store_take_deployment(const orgs_rows_t *row, const void *none, void *item);

/** Up to limit deployments of the license an organization now has, by id. items: orgs_deployment_t each. */
const orgs_error_t *orgs_store_assignment_deployments(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *organization,
                                                      const orgs_position_t *after, int limit,
                                                      apr_array_header_t **items);

/* orgs_store_event.c */

/**
 * An organization's events by seq: after position->number, or below it where descending (0: from the newest).
 * items: orgs_event_t each.
 */
const orgs_error_t *orgs_store_event_list(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *organization, int descending,
                                          apr_int64_t after, int limit, apr_array_header_t **items);

/** Clears what is kept for a day only (keys, answers, abandoned marks), up to rows of it. Errors as orgs_call. */
const orgs_error_t *orgs_store_event_expire(orgs_db_t *db, apr_pool_t *p, int rows);

#endif
