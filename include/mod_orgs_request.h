/*
 * What a request brings: query and body. Faults are collected, and answered all at once.
 */
#ifndef MOD_ORGS_REQUEST_H
#define MOD_ORGS_REQUEST_H

#include "mod_orgs.h"

/** Notes a fault of the body (pointer, RFC 6901) or of the query (parameter); the other one is NULL. */
void mod_orgs_request_fault(orgs_request_t *rq, const char *pointer, const char *parameter, const char *detail);

/** OK if no fault was noted, else 422 with all of them. */
int mod_orgs_request_verdict(orgs_request_t *rq);

/**
 * Reads the known parameters of the query; others are passed over. A fault of their form is noted.
 * @param names  ends with NULL
 * @param values as many: decoded, or NULL where absent
 */
void mod_orgs_request_query(orgs_request_t *rq, const char *const *names, const char **values);

/** Reads a flag: true, false, 1, 0, yes, no, on, off in any case; absent or empty is false. */
int mod_orgs_request_flag(orgs_request_t *rq, const char *name, const char *value);

/** Reads a role, member or admin; absent is ORGS_ROLE_NONE. */
orgs_role_e mod_orgs_request_role(orgs_request_t *rq, const char *name, const char *value);

/* The page of a list that is asked for. */
typedef struct mod_orgs_page_t {
    int limit;             /* 0: everything, in batches */
    orgs_position_t after; /* the list goes on after this */
} mod_orgs_page_t;

/**
 * Reads limit and cursor.
 * @param list, scope which list it is and whose
 * @param first       where the list begins
 */
void mod_orgs_request_page(orgs_request_t *rq, orgs_cursor_e list, const orgs_id_t *scope,
                           const orgs_position_t *first, const char *limit, const char *cursor, mod_orgs_page_t *page);

/**
 * Reads the body: media type, size, then JSON. The object lives as long as r->pool.
 * @param bytes the body as it came, for its digest; or NULL
 * @return OK, or a status with a problem prepared
 */
int mod_orgs_request_body(orgs_request_t *rq, json_t **object, const char **bytes, apr_size_t *len);

/**
 * Reads a text member, trimmed. Noted as a fault: another type, control characters, too long.
 * @param given whether it is there and not null
 * @return the text, "" included; NULL if it is absent, null or a fault
 */
const char *mod_orgs_request_text(orgs_request_t *rq, json_t *object, const char *name, apr_size_t max, int multiline,
                                  int *given);

/** Reads a boolean member; -1 if it is absent or null. */
int mod_orgs_request_boolean(orgs_request_t *rq, json_t *object, const char *name);

/**
 * Reads the Idempotency-Key.
 * @param bytes, len the body
 * @param once       its digests, in r->pool; NULL where there is no key
 * @return OK, or 400 with a problem prepared
 */
int mod_orgs_request_idempotency(orgs_request_t *rq, const char *bytes, apr_size_t len,
                                 const orgs_idempotency_t **once);

#endif
