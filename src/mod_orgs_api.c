/*
 * Organizations: endpoints 1 to 5. Read the input, call the store, answer.
 */
#include "mod_orgs_api.h"

#include <apr_strings.h>

#include "mod_orgs_auth.h"
#include "mod_orgs_config.h"
#include "mod_orgs_problem.h"
#include "mod_orgs_request.h"
#include "mod_orgs_response.h"
#include "orgs_json.h"
#include "orgs_limits.h"

orgs_by_t mod_orgs_api_by(const orgs_request_t *rq)
{
    orgs_by_t by = {&rq->lookup->user.id, rq->request_id, rq->superuser};

    return by;
}

int mod_orgs_api_no_organization(orgs_request_t *rq)
{
    return mod_orgs_problem_code(rq, ORGS_E_ORGANIZATION_NOT_FOUND);
}

void mod_orgs_api_created(orgs_request_t *rq, const char *below, int replayed)
{
    apr_table_setn(rq->r->headers_out, "Location", mod_orgs_response_path(rq, below));
    if (replayed) {
        apr_table_setn(rq->r->headers_out, "Idempotent-Replayed", "true");
    }
}

static int answer_organization(orgs_request_t *rq, int status, const orgs_organization_t *organization)
{
    const mod_orgs_tag_t tag = {MOD_ORGS_TAG_ORGANIZATION, &organization->id, organization->version};
    orgs_writer_t text;

    orgs_writer_text(&text, rq->r->pool);
    orgs_json_organization(&text, organization);
    return mod_orgs_response_json(rq, status, &text, &tag);
}

static const orgs_error_t *fetch_organizations(orgs_request_t *rq, apr_pool_t *p, const void *filter,
                                               const orgs_position_t *after, int limit, apr_array_header_t **items)
{
    return orgs_store_org_list(&rq->db, p, &rq->lookup->user.id, filter, after, limit, items);
}

static void shape_organization(orgs_writer_t *to, const void *item)
{
    orgs_json_organization(to, item);
}

static void position_organization(const void *item, orgs_position_t *at)
{
    at->number = 0;
    at->id = ((const orgs_organization_t *)item)->id;
}

int mod_orgs_api_list_organizations(orgs_request_t *rq)
{
    static const char *const names[] = {"active_only", "role", "scope", "limit", "cursor", NULL};
    static const orgs_position_t first;
    const char *values[5];
    orgs_organization_filter_t filter = {0, 0, ORGS_ROLE_NONE};
    mod_orgs_page_t page;
    mod_orgs_list_t list = {ORGS_CURSOR_ORGANIZATIONS, &rq->lookup->user.id, fetch_organizations, shape_organization,
                            position_organization, &filter, "", names, values};
    int status;

    mod_orgs_request_query(rq, names, values);
    filter.active_only = mod_orgs_request_flag(rq, "active_only", values[0]);
    filter.role = mod_orgs_request_role(rq, "role", values[1]);
    filter.all = values[2] != NULL && strcmp(values[2], "all") == 0;
    if (values[2] != NULL && !filter.all) {
        mod_orgs_request_fault(rq, NULL, "scope", "It is not all.");
    }
    if (filter.all) {
        list.cursor = ORGS_CURSOR_ALL_ORGANIZATIONS;
    }
    mod_orgs_request_page(rq, list.cursor, list.scope, &first, values[3], values[4], &page);
    if ((status = mod_orgs_request_verdict(rq)) != OK) {
        return status;
    }
    if (filter.all && !rq->lookup->user.superuser) {
        return mod_orgs_problem_code(rq, ORGS_E_SUPERUSER_REQUIRED);
    }
    return mod_orgs_response_list(rq, &list, &page);
}

int mod_orgs_api_create_organization(orgs_request_t *rq)
{
    const mod_orgs_server_t *server = rq->server;
    const orgs_by_t by = mod_orgs_api_by(rq);
    const orgs_idempotency_t *once;
    orgs_organization_t created;
    const orgs_error_t *error;
    const char *description;
    const char *name;
    const char *bytes;
    apr_size_t len;
    json_t *body;
    int replayed;
    int status;
    int given;

    if ((status = mod_orgs_request_body(rq, &body, &bytes, &len)) != OK) {
        return status;
    }
    name = mod_orgs_request_text(rq, body, "name", ORGS_NAME_MAX, 0, &given);
    if (!given || (name != NULL && *name == '\0')) {
        mod_orgs_request_fault(rq, "/name", NULL, given ? "It is empty." : "It is missing.");
    }
    description = mod_orgs_request_text(rq, body, "description", ORGS_DESCRIPTION_MAX, 1, &given);
    if ((status = mod_orgs_request_verdict(rq)) != OK
        || (status = mod_orgs_request_idempotency(rq, bytes, len, &once)) != OK) {
        return status;
    }
    if (server->may_create == MOD_ORGS_CREATE_SUPERUSER && !rq->lookup->user.superuser) {
        return mod_orgs_problem_code(rq, ORGS_E_CREATION_FORBIDDEN);
    }
    error = orgs_store_org_create(&rq->db, rq->r->pool, &by, name,
                                  description != NULL && *description != '\0' ? description : NULL,
                                  server->max_organizations < 0 ? -1 : server->max_organizations, once, &created,
                                  &replayed);
    if (error != NULL) {
        return mod_orgs_problem(rq, error);
    }
    /* for the log */
    rq->organization = created.id;
    rq->has_organization = 1;
    mod_orgs_api_created(rq, apr_pstrcat(rq->r->pool, "/", orgs_id_text(rq->r->pool, &created.id), NULL), replayed);
    return answer_organization(rq, HTTP_CREATED, &created);
}

int mod_orgs_api_get_organization(orgs_request_t *rq)
{
    int status = mod_orgs_auth_member(rq);

    return status != OK ? status : answer_organization(rq, HTTP_OK, &rq->lookup->organization);
}

int mod_orgs_api_update_organization(orgs_request_t *rq)
{
    const orgs_by_t by = mod_orgs_api_by(rq);
    orgs_organization_change_t change;
    orgs_organization_t updated;
    const orgs_error_t *error;
    const char *bytes;
    apr_size_t len;
    json_t *body;
    int status;
    int given;

    if ((status = mod_orgs_request_body(rq, &body, &bytes, &len)) != OK) {
        return status;
    }
    change.name = mod_orgs_request_text(rq, body, "name", ORGS_NAME_MAX, 0, &given);
    if (change.name != NULL && *change.name == '\0') {
        mod_orgs_request_fault(rq, "/name", NULL, "It is empty.");
    }
    change.description = mod_orgs_request_text(rq, body, "description", ORGS_DESCRIPTION_MAX, 1, &change.describe);
    if (change.description != NULL && *change.description == '\0') {
        change.description = NULL;
    }
    change.active = mod_orgs_request_boolean(rq, body, "active");
    if ((status = mod_orgs_request_verdict(rq)) != OK) {
        return status;
    }
    if (!rq->has_organization) {
        return mod_orgs_api_no_organization(rq);
    }
    error = orgs_store_org_update(&rq->db, rq->r->pool, &by, &rq->organization,
                                  mod_orgs_etag_versions(rq->r, MOD_ORGS_TAG_ORGANIZATION, &rq->organization), &change,
                                  &updated);
    return error != NULL ? mod_orgs_problem(rq, error) : answer_organization(rq, HTTP_OK, &updated);
}

int mod_orgs_api_delete_organization(orgs_request_t *rq)
{
    const orgs_by_t by = mod_orgs_api_by(rq);
    const orgs_error_t *error;
    orgs_writer_t text;

    if (!rq->has_organization) {
        return mod_orgs_api_no_organization(rq);
    }
    error = orgs_store_org_delete(&rq->db, rq->r->pool, &by, &rq->organization,
                                  mod_orgs_etag_versions(rq->r, MOD_ORGS_TAG_ORGANIZATION, &rq->organization));
    if (error != NULL) {
        return mod_orgs_problem(rq, error);
    }
    orgs_writer_text(&text, rq->r->pool);
    orgs_json_organization_deleted(&text, &rq->organization);
    return mod_orgs_response_json(rq, HTTP_OK, &text, NULL);
}
