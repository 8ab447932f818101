/*
 * Origins.
 */
#include "orgs_origin.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_uri.h>
#include <string.h>

static int default_port(const char *scheme)
{
    return strcmp(scheme, "https") == 0 ? 443 : 80;
}

static const char *lower(apr_pool_t *pool, const char *text)
{
    char *copy = apr_pstrdup(pool, text);
    char *c;

    for (c = copy; *c != '\0'; c++) {
        *c = (char)apr_tolower(*c);
    }
    return copy;
}

int orgs_origin_parse(apr_pool_t *pool, const char *text, orgs_origin_t *origin)
{
    apr_uri_t uri;

    if (apr_uri_parse(pool, text, &uri) != APR_SUCCESS || uri.scheme == NULL || uri.hostname == NULL
        || *uri.hostname == '\0' || uri.user != NULL || uri.path != NULL || uri.query != NULL
        || uri.fragment != NULL) {
        return 0;
    }
    origin->scheme = lower(pool, uri.scheme);
    origin->host = lower(pool, uri.hostname);
    origin->port = uri.port_str != NULL && *uri.port_str != '\0' ? uri.port : default_port(origin->scheme);
    return strcmp(origin->scheme, "http") == 0 || strcmp(origin->scheme, "https") == 0;
}

int orgs_origin_equal(const orgs_origin_t *a, const orgs_origin_t *b)
{
    return strcmp(a->scheme, b->scheme) == 0 && strcmp(a->host, b->host) == 0 && a->port == b->port;
}

int orgs_origin_is_host(apr_pool_t *pool, const orgs_origin_t *origin, const char *host)
{
    orgs_origin_t named;

    /* the origin's scheme gives the port that is not named */
    return orgs_origin_parse(pool, apr_pstrcat(pool, origin->scheme, "://", host, NULL), &named)
           && orgs_origin_equal(origin, &named);
}
