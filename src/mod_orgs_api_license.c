/*
 * License and deployments: endpoints 9 to 12.
 */
#include "mod_orgs_api.h"

#include <apr_strings.h>

#include "mod_orgs_auth.h"
#include "mod_orgs_problem.h"
#include "mod_orgs_request.h"
#include "mod_orgs_response.h"
#include "orgs_json.h"

static int answer_view(orgs_request_t *rq, const orgs_license_view_t *view)
{
    const mod_orgs_tag_t tag = {MOD_ORGS_TAG_LICENSE, &view->organization_id, view->version};
    orgs_writer_t text;

    orgs_writer_text(&text, rq->r->pool);
    orgs_json_license_view(&text, view);
    return mod_orgs_response_json(rq, HTTP_OK, &text, &tag);
}

int mod_orgs_api_get_license(orgs_request_t *rq)
{
    int status = mod_orgs_auth_member(rq);
    orgs_license_view_t view;

    if (status != OK) {
        return status;
    }
    orgs_store_license_view(rq->lookup, &view);
    return answer_view(rq, &view);
}

int mod_orgs_api_assign_license(orgs_request_t *rq)
{
    const orgs_by_t by = mod_orgs_api_by(rq);
    const orgs_error_t *error;
    orgs_license_view_t view;
    const char *bytes;
    orgs_id_t license;
    apr_size_t len;
    json_t *value;
    json_t *body;
    int status;
    int known;

    if ((status = mod_orgs_request_body(rq, &body, &bytes, &len)) != OK) {
        return status;
    }
    value = json_object_get(body, "license_id");
    if (!json_is_string(value)) {
        mod_orgs_request_fault(rq, "/license_id", NULL,
                               value == NULL || json_is_null(value) ? "It is missing." : "It is not a string.");
    }
    if ((status = mod_orgs_request_verdict(rq)) != OK) {
        return status;
    }
    if (!rq->has_organization) {
        return mod_orgs_api_no_organization(rq);
    }
    known = orgs_id_parse(&license, json_string_value(value), json_string_length(value));
    error = orgs_store_license_assign(&rq->db, rq->r->pool, &by, &rq->organization,
                                      mod_orgs_etag_versions(rq->r, MOD_ORGS_TAG_LICENSE, &rq->organization),
                                      known ? &license : NULL, &view);
    return error != NULL ? mod_orgs_problem(rq, error) : answer_view(rq, &view);
}

int mod_orgs_api_unassign_license(orgs_request_t *rq)
{
    const orgs_by_t by = mod_orgs_api_by(rq);
    const orgs_error_t *error;
    orgs_license_view_t view;

    if (!rq->has_organization) {
        return mod_orgs_api_no_organization(rq);
    }
    error = orgs_store_license_unassign(&rq->db, rq->r->pool, &by, &rq->organization,
                                        mod_orgs_etag_versions(rq->r, MOD_ORGS_TAG_LICENSE, &rq->organization), &view);
    return error != NULL ? mod_orgs_problem(rq, error) : answer_view(rq, &view);
}

static const orgs_error_t *fetch_deployments(orgs_request_t *rq, apr_pool_t *p, const void *nothing,
                                             const orgs_position_t *after, int limit, apr_array_header_t **items)
{
    (void)nothing;
    return orgs_store_assignment_deployments(&rq->db, p, &rq->organization, after, limit, items);
}

static void shape_deployment(orgs_writer_t *to, const void *item)
{
    orgs_json_deployment(to, item);
}

static void position_deployment(const void *item, orgs_position_t *at)
{
    at->number = 0;
    at->id = ((const orgs_deployment_t *)item)->id;
}

int mod_orgs_api_list_deployments(orgs_request_t *rq)
{
    static const char *const names[] = {"limit", "cursor", NULL};
    static const orgs_position_t first;
    const char *values[2];
    mod_orgs_page_t page;
    mod_orgs_list_t list = {ORGS_CURSOR_DEPLOYMENTS, &rq->organization, fetch_deployments, shape_deployment,
                            position_deployment, NULL, "/deployments", names, values};
    int status;

    mod_orgs_request_query(rq, names, values);
    mod_orgs_request_page(rq, list.cursor, list.scope, &first, values[0], values[1], &page);
    if ((status = mod_orgs_request_verdict(rq)) != OK || (status = mod_orgs_auth_member(rq)) != OK) {
        return status;
    }
    list.path = apr_pstrcat(rq->r->pool, "/", orgs_id_text(rq->r->pool, &rq->organization), "/deployments", NULL);
    return mod_orgs_response_list(rq, &list, &page);
}
