/*
 * Where the database is: OrgsDBParams, and the option file beside it.
 */
#ifndef ORGS_PARAMS_H
#define ORGS_PARAMS_H

#include <apr_pools.h>
#include <apr_tables.h>

typedef enum { ORGS_SSL_DEFAULT, ORGS_SSL_DISABLED, ORGS_SSL_REQUIRED, ORGS_SSL_VERIFY_IDENTITY } orgs_ssl_e;

typedef struct orgs_params_t {
    const char *hosts;  /* comma-separated, or NULL */
    unsigned int port;  /* 0: the default */
    const char *socket; /* path, or NULL */
    const char *dbname;
    const char *user;
    const char *password; /* from an option file only */
    const char *ssl_ca;
    const char *ssl_cert;
    const char *ssl_key;
    orgs_ssl_e ssl_mode;
} orgs_params_t;

/**
 * Reads "key=value key=value". Values may be quoted with ' or ". What is given replaces what params holds.
 * @return NULL, or a sentence that says what is wrong, allocated in pool
 */
const char *orgs_params_parse(apr_pool_t *pool, orgs_params_t *params, const char *text);

/**
 * Reads the groups [client] and [mod_orgs] of a my.cnf (the later wins), known keys only: host, port, socket, user,
 * password, database, ssl-ca, ssl-cert, ssl-key, ssl-mode. Other keys and groups are passed over, !include is not
 * followed. The client library never reads the file itself: it would let it set much more.
 * @return NULL, or a sentence that says what is wrong, allocated in pool
 */
const char *orgs_params_file(apr_pool_t *pool, orgs_params_t *params, const char *path);

/** What over holds where it is set, else what base holds. Allocated in pool. */
orgs_params_t *orgs_params_merge(apr_pool_t *pool, const orgs_params_t *base, const orgs_params_t *over);

/** The same, all of it allocated in pool. */
orgs_params_t *orgs_params_copy(apr_pool_t *pool, const orgs_params_t *from);

/** A digest of all of them, never 0. */
unsigned int orgs_params_digest(const orgs_params_t *params);

/** The hosts as they are named; none: one NULL, for the socket. Allocated in pool. */
apr_array_header_t *orgs_params_hosts(apr_pool_t *pool, const orgs_params_t *params);

/** A host that is spoken to without TLS though it is neither a socket nor loopback; or NULL. */
const char *orgs_params_exposed(apr_pool_t *pool, const orgs_params_t *params);

/** The mode that counts for one host: the one given, else disabled for a socket or loopback, else verify-identity. */
orgs_ssl_e orgs_params_ssl(const orgs_params_t *params, const char *host);

#endif
