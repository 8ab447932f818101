/*
 * Routing.
 */
#include "mod_orgs_route.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mod_core.h>

#include "mod_orgs_api.h"
#include "mod_orgs_problem.h"

static const mod_orgs_route_t routes[] = {
    {"/openapi.json", M_GET, mod_orgs_api_describe, 1}, /* before what it would be an id of */
    {"", M_GET, mod_orgs_api_list_organizations, 0},
    {"", M_POST, mod_orgs_api_create_organization, 0},
    {"/{org}", M_GET, mod_orgs_api_get_organization, 0},
    {"/{org}", M_PUT, mod_orgs_api_update_organization, 0},
    {"/{org}", M_DELETE, mod_orgs_api_delete_organization, 0},
    {"/{org}/members", M_GET, mod_orgs_api_list_members, 0},
    {"/{org}/members", M_POST, mod_orgs_api_add_member, 0},
    {"/{org}/members/{user}", M_DELETE, mod_orgs_api_remove_member, 0},
    {"/{org}/license", M_GET, mod_orgs_api_get_license, 0},
    {"/{org}/license", M_PUT, mod_orgs_api_assign_license, 0},
    {"/{org}/license", M_DELETE, mod_orgs_api_unassign_license, 0},
    {"/{org}/deployments", M_GET, mod_orgs_api_list_deployments, 0},
    {"/{org}/members/{user}", M_GET, mod_orgs_api_get_member, 0},
    {"/{org}/members/{user}", M_PUT, mod_orgs_api_update_member, 0},
    {"/{org}/events", M_GET, mod_orgs_api_list_events, 0},
    {NULL, 0, NULL, 0}};

typedef struct {
    const char *text;
    apr_size_t len;
} span_t;

/* The next segment of a path that begins with a slash. */
static span_t segment_of(const char *path)
{
    span_t segment = {path + 1, strcspn(path + 1, "/")};

    return segment;
}

/* Matches path and pattern segment by segment; notes what the variables are. */
static int matches(const char *pattern, const char *path, span_t *org, span_t *user)
{
    while (*pattern == '/' && *path == '/') {
        span_t wanted = segment_of(pattern);
        span_t given = segment_of(path);

        if (*wanted.text == '{') {
            if (given.len == 0) {
                return 0;
            }
            *(wanted.text[1] == 'o' ? org : user) = given;
        }
        else if (wanted.len != given.len || memcmp(wanted.text, given.text, given.len) != 0) {
            return 0;
        }
        pattern += 1 + wanted.len;
        path += 1 + given.len;
    }
    return *pattern == '\0' && *path == '\0';
}

/* The path below the mount, without the one trailing slash that is tolerated. */
static const char *path_below(const orgs_request_t *rq)
{
    const char *path = rq->r->uri + strlen(rq->mount);
    apr_size_t len = strlen(path);

    return len > 0 && path[len - 1] == '/' ? apr_pstrmemdup(rq->r->pool, path, len - 1) : path;
}

static void note_names(orgs_request_t *rq, const span_t *org, const span_t *user)
{
    rq->names_organization = org->text != NULL;
    if (org->text != NULL) {
        rq->has_organization = orgs_id_parse(&rq->organization, org->text, org->len);
    }
    rq->names_user = user->text != NULL;
    if (user->text != NULL) {
        rq->has_user = orgs_id_parse(&rq->user, user->text, user->len);
        rq->user_is_me = user->len == 2 && memcmp(user->text, "me", 2) == 0;
    }
}

void mod_orgs_route_names(orgs_request_t *rq)
{
    const char *path = path_below(rq);
    const mod_orgs_route_t *row;

    for (row = routes; row->pattern != NULL; row++) {
        span_t org = {NULL, 0};
        span_t user = {NULL, 0};

        if (matches(row->pattern, path, &org, &user)) {
            note_names(rq, &org, &user);
            break;
        }
    }
}

int mod_orgs_route(orgs_request_t *rq)
{
    request_rec *r = rq->r;
    const char *path = path_below(rq);
    const mod_orgs_route_t *row;
    int found = 0;

    ap_allow_standard_methods(r, REPLACE_ALLOW, M_OPTIONS, -1);
    for (row = routes; row->pattern != NULL; row++) {
        span_t org = {NULL, 0};
        span_t user = {NULL, 0};

        if (!matches(row->pattern, path, &org, &user)) {
            continue;
        }
        found = 1;
        ap_allow_standard_methods(r, MERGE_ALLOW, row->method, -1);
        if (r->method_number == row->method && rq->route == NULL) {
            rq->route = row;
        }
        if (row->open) {
            break;
        }
    }
    if (!found) {
        return mod_orgs_problem_code(rq, ORGS_E_NOT_FOUND);
    }
    if (rq->route != NULL) {
        return OK;
    }
    if (r->method_number == M_OPTIONS) {
        r->status = HTTP_NO_CONTENT;
        ap_send_http_options(r);
        return DONE;
    }
    return mod_orgs_problem_code(rq, ORGS_E_METHOD_NOT_ALLOWED);
}
