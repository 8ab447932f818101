/*
 * Every error code of the contract, once, and the value that travels from where a thing failed to the edge
 * (an HTTP answer, or one line of orgsctl).
 */
#ifndef ORGS_ERROR_H
#define ORGS_ERROR_H

#include <apr_pools.h>
#include <jansson.h>

/* X(symbol, code, HTTP status, what a person reads) */
#define ORGS_ERRORS(X) \
    X(MALFORMED_JSON, "malformed_json", 400, "The body is not a JSON text.") \
    X(BAD_REQUEST, "bad_request", 400, "The request could not be understood.") \
    X(UNAUTHORIZED, "unauthorized", 401, "A valid token is needed.") \
    X(ADMIN_REQUIRED, "admin_required", 403, "Only an admin of the organization may do this.") \
    X(SUPERUSER_REQUIRED, "superuser_required", 403, "Only a superuser may do this.") \
    X(USER_UNKNOWN, "user_unknown", 403, "The authenticated user is not known here.") \
    X(CROSS_SITE, "cross_site", 403, "Writes from other sites are not accepted.") \
    X(CREATION_FORBIDDEN, "creation_forbidden", 403, "You may not create organizations.") \
    X(FORBIDDEN, "forbidden", 403, "The server refuses this request.") \
    X(NOT_FOUND, "not_found", 404, "There is nothing at this path.") \
    X(ORGANIZATION_NOT_FOUND, "organization_not_found", 404, "There is no such organization.") \
    X(MEMBER_NOT_FOUND, "member_not_found", 404, "There is no such member in this organization.") \
    X(USER_NOT_FOUND, "user_not_found", 404, "There is no such user.") \
    X(LICENSE_NOT_FOUND, "license_not_found", 404, "There is no such license.") \
    X(METHOD_NOT_ALLOWED, "method_not_allowed", 405, "The method is not allowed here; see Allow.") \
    X(REQUEST_TIMEOUT, "request_timeout", 408, "The body did not come in time.") \
    X(ALREADY_MEMBER, "already_member", 409, "The user is already a member.") \
    X(LAST_ADMIN, "last_admin", 409, "The organization would be left without an active admin.") \
    X(LICENSE_IN_USE, "license_in_use", 409, "The license is in use.") \
    X(LICENSE_RESERVED, "license_reserved", 409, "The license is reserved.") \
    X(LICENSE_NOT_ACTIVE, "license_not_active", 409, "The license is not active.") \
    X(SEATS_EXCEEDED, "seats_exceeded", 409, "The license has fewer seats than the organization has members.") \
    X(SEAT_LIMIT_REACHED, "seat_limit_reached", 409, "The organization has no seat left.") \
    X(ORGANIZATION_INACTIVE, "organization_inactive", 409, "The organization is not active.") \
    X(ORGANIZATION_LIMIT_REACHED, "organization_limit_reached", 409, "You have created as many organizations as you may.") \
    X(PRECONDITION_FAILED, "precondition_failed", 412, "It was changed meanwhile.") \
    X(BODY_TOO_LARGE, "body_too_large", 413, "The body is too large.") \
    X(UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", 415, "The body must be application/json in UTF-8, without a Content-Encoding.") \
    X(INVALID_INPUT, "invalid_input", 422, "The input is not valid; see errors.") \
    X(IDEMPOTENCY_KEY_REUSED, "idempotency_key_reused", 422, "The Idempotency-Key was used with another request.") \
    X(TOO_MANY_REQUESTS, "too_many_requests", 429, "Too many writes; wait as long as Retry-After says.") \
    X(INTERNAL_ERROR, "internal_error", 500, "The server made a mistake.") \
    X(UNAVAILABLE, "unavailable", 503, "The database cannot do this now; nothing was changed.") \
    X(OUTCOME_UNKNOWN, "outcome_unknown", 504, "The database was lost in mid-write; whether it was written is not known.")

typedef enum {
#define ORGS_ERROR_ENUM(symbol, code, status, detail) ORGS_E_##symbol,
    ORGS_ERRORS(ORGS_ERROR_ENUM)
#undef ORGS_ERROR_ENUM
    ORGS_E_COUNT
} orgs_error_e;

/* What failed. Immutable once made. */
typedef struct orgs_error_t {
    orgs_error_e code;
    const char *detail; /* for the client; never input of another, never SQL */
    json_t *members;    /* an object with more members of the problem, or NULL; lives as long as the pool */
    const char *cause;  /* for the log only, or NULL */
} orgs_error_t;

/** The code's name, as clients read it. */
const char *orgs_error_name(orgs_error_e code);

/** The code's HTTP status. */
int orgs_error_status(orgs_error_e code);

/** What the code says to a person, where nothing more exact is known. */
const char *orgs_error_text(orgs_error_e code);

/** The code of a name (len bytes); ORGS_E_COUNT when there is none. */
orgs_error_e orgs_error_named(const char *name, apr_size_t len);

/** An error with the code's own text. Allocated in pool. */
const orgs_error_t *orgs_error_make(apr_pool_t *pool, orgs_error_e code);

/** An error with a detail of its own (printf-like). Allocated in pool. */
const orgs_error_t *orgs_error_detail(apr_pool_t *pool, orgs_error_e code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** An error whose cause goes to the log (printf-like), not to the client. Allocated in pool. */
const orgs_error_t *orgs_error_cause(apr_pool_t *pool, orgs_error_e code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** An error with further members. Takes the reference to the object; gives it back with the pool. */
const orgs_error_t *orgs_error_members(apr_pool_t *pool, orgs_error_e code, json_t *members);

#endif
