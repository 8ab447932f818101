/*
 * The API's own description (OpenAPI 3.1).
 */
#include "mod_orgs_api.h"

#include <apr_strings.h>
#include <httpd.h>
#include <stdlib.h>

#include "mod_orgs_problem.h"
#include "mod_orgs_response.h"
#include "orgs_files.h"

/* The paths of conf/openapi.json begin with this, wherever the mount is. */
#define MOUNT "\"/organizations"

static const char *description;

void mod_orgs_api_describe_init(apr_pool_t *pool)
{
    json_t *document = json_loads(orgs_files_api[0].text, 0, NULL);
    char *text = json_dumps(document, JSON_COMPACT);

    description = text != NULL ? apr_pstrdup(pool, text) : NULL;
    free(text);
    json_decref(document);
}

/* The description with the paths that are true for this mount. */
static const char *describe(orgs_request_t *rq)
{
    apr_pool_t *p = rq->r->pool;
    apr_array_header_t *parts = apr_array_make(p, 64, sizeof(char *));
    const char *root = apr_pstrcat(p, "\"", mod_orgs_response_path(rq, ""), NULL);
    const char *mount = apr_pstrcat(p, "\"", ap_os_escape_path(p, rq->mount, 1), NULL);
    const char *from = description;
    const char *at;

    while ((at = strstr(from, MOUNT)) != NULL) {
        const char *next = at + sizeof(MOUNT) - 1;

        APR_ARRAY_PUSH(parts, const char *) = apr_pstrmemdup(p, from, (apr_size_t)(at - from));
        APR_ARRAY_PUSH(parts, const char *) = *next == '/' ? mount : root;
        from = next;
    }
    APR_ARRAY_PUSH(parts, const char *) = from;
    return apr_array_pstrcat(p, parts, '\0');
}

int mod_orgs_api_describe(orgs_request_t *rq)
{
    if (description == NULL) {
        return mod_orgs_problem(rq, orgs_error_cause(rq->r->pool, ORGS_E_INTERNAL_ERROR, "no description"));
    }
    return mod_orgs_response_text(rq, describe(rq));
}
