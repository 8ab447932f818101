/*
 * Ids, tokens, cursors, digests: their making and their text.
 */
#ifndef ORGS_ID_H
#define ORGS_ID_H

#include <apr_pools.h>

typedef struct {
    unsigned char bytes[16];
} orgs_id_t;

#define ORGS_ID_TEXT_LEN 36
#define ORGS_SHA256_LEN 32

/** A new UUID version 7 (RFC 9562, 5.7): 48 bits of milliseconds, the rest from the system's random source.
 * Fails as apr_generate_random_bytes. */
apr_status_t orgs_id_make_v7(orgs_id_t *id);

/** A new UUID version 4 (RFC 9562, 5.4). Fails as apr_generate_random_bytes. */
apr_status_t orgs_id_make_v4(orgs_id_t *id);

/** Reads the 36 characters of a UUID, in any letter case. Returns nonzero if that is what text is. */
int orgs_id_parse(orgs_id_t *id, const char *text, apr_size_t len);

/** Writes the id in lower case, with a NUL; answers buffer. */
const char *orgs_id_print(char buffer[ORGS_ID_TEXT_LEN + 1], const orgs_id_t *id);

/** The id in lower case, allocated in pool. */
const char *orgs_id_text(apr_pool_t *pool, const orgs_id_t *id);

/** Reads size bytes from as many pairs of hexadecimal digits, of either case. Returns nonzero if that is what text (or NULL)
 * is. */
int orgs_hex_decode(unsigned char *bytes, apr_size_t size, const char *text);

/** SHA-256 of len bytes, by OpenSSL. */
void orgs_sha256(unsigned char digest[ORGS_SHA256_LEN], const void *data, apr_size_t len);

/** base64url without padding (RFC 4648, 5), allocated in pool. */
const char *orgs_base64url(apr_pool_t *pool, const void *data, apr_size_t len);

/** Decodes canonical base64url without padding into pool. Returns nonzero, or zero for anything else. */
int orgs_base64url_decode(apr_pool_t *pool, const char *text, apr_size_t len, unsigned char **data, apr_size_t *size);

/** A new token: prefix, 32 random bytes, checksum. Allocated in pool. Fails as apr_generate_random_bytes. */
apr_status_t orgs_token_make(apr_pool_t *pool, const char **token);

/** Checks shape and checksum of a token; nonzero if good, and then its digest as the database holds it. */
int orgs_token_digest(unsigned char digest[ORGS_SHA256_LEN], const char *token, apr_size_t len);

/** The lists that have cursors. */
typedef enum {
    ORGS_CURSOR_ORGANIZATIONS = 1,
    ORGS_CURSOR_ALL_ORGANIZATIONS,
    ORGS_CURSOR_MEMBERS,
    ORGS_CURSOR_DEPLOYMENTS,
    ORGS_CURSOR_EVENTS_ASC,
    ORGS_CURSOR_EVENTS_DESC
} orgs_cursor_e;

/* Where a list goes on: after this number (a time, a seq) and id. */
typedef struct {
    apr_int64_t number;
    orgs_id_t id;
} orgs_position_t;

/** Nonzero for the position before the first item: all zeros. */
int orgs_position_is_first(const orgs_position_t *at);

/** The cursor's text, allocated in pool. scope: whose list it is (a user's or an organization's id). */
const char *orgs_cursor_text(apr_pool_t *pool, orgs_cursor_e list, const orgs_id_t *scope, const orgs_position_t *at);

/** Reads a cursor of this list and scope. Returns nonzero, or zero for anything else. */
int orgs_cursor_parse(apr_pool_t *pool, orgs_cursor_e list, const orgs_id_t *scope, const char *text, apr_size_t len,
                      orgs_position_t *at);

#endif
