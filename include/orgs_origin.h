/*
 * Origins (RFC 6454): where a browser's request comes from.
 */
#ifndef ORGS_ORIGIN_H
#define ORGS_ORIGIN_H

#include <apr_pools.h>

typedef struct orgs_origin_t {
    const char *scheme; /* "http" or "https" */
    const char *host;   /* lower case */
    int port;           /* the scheme's where none is named */
} orgs_origin_t;

/**
 * Reads an origin, "https://app.example.com:8443". Nonzero if it is one: http or https, a host, no user, path, query
 * or fragment. Allocated in pool.
 */
int orgs_origin_parse(apr_pool_t *pool, const char *text, orgs_origin_t *origin);

/** Nonzero if they are the same. */
int orgs_origin_equal(const orgs_origin_t *a, const orgs_origin_t *b);

/**
 * Nonzero if the origin's host and port are those of a Host header, "app.example.com:8443". Without a port there the
 * origin's scheme decides: before httpd there may be something that ends TLS.
 */
int orgs_origin_is_host(apr_pool_t *pool, const orgs_origin_t *origin, const char *host);

#endif
