/*
 * Members: endpoints 6 to 8, 13 and 14.
 */
#include "mod_orgs_api.h"

#include <apr_strings.h>

#include "mod_orgs_auth.h"
#include "mod_orgs_problem.h"
#include "mod_orgs_request.h"
#include "mod_orgs_response.h"
#include "orgs_json.h"
#include "orgs_text.h"

/* The path's user where its id is one; others name no member. */
static const orgs_id_t *user_of(const orgs_request_t *rq)
{
    return rq->has_user ? &rq->user : NULL;
}

static const orgs_error_t *fetch_members(orgs_request_t *rq, apr_pool_t *p, const void *filter,
                                         const orgs_position_t *after, int limit, apr_array_header_t **items)
{
    return orgs_store_member_list(&rq->db, p, &rq->organization, filter, after, limit, items);
}

static int answer_member(orgs_request_t *rq, int status, const orgs_member_t *member)
{
    orgs_writer_t text;

    orgs_writer_text(&text, rq->r->pool);
    orgs_json_member(&text, member);
    return mod_orgs_response_json(rq, status, &text, NULL);
}

static void shape_member(orgs_writer_t *to, const void *item)
{
    orgs_json_member(to, item);
}

static void position_member(const void *item, orgs_position_t *at)
{
    at->number = ((const orgs_member_t *)item)->joined_at;
    at->id = ((const orgs_member_t *)item)->user_id;
}

int mod_orgs_api_list_members(orgs_request_t *rq)
{
    static const char *const names[] = {"role", "email", "limit", "cursor", NULL};
    static const orgs_position_t first;
    const char *values[4];
    const char *problem;
    orgs_member_filter_t filter = {ORGS_ROLE_NONE, NULL};
    mod_orgs_page_t page;
    mod_orgs_list_t list = {ORGS_CURSOR_MEMBERS, &rq->organization, fetch_members, shape_member, position_member,
                            &filter, "/members", names, values};
    int status;

    mod_orgs_request_query(rq, names, values);
    filter.role = mod_orgs_request_role(rq, "role", values[0]);
    if (values[1] != NULL
        && (filter.email = orgs_email_check(rq->r->pool, values[1], strlen(values[1]), &problem)) == NULL) {
        mod_orgs_request_fault(rq, NULL, "email", problem);
    }
    mod_orgs_request_page(rq, list.cursor, list.scope, &first, values[2], values[3], &page);
    if ((status = mod_orgs_request_verdict(rq)) != OK || (status = mod_orgs_auth_member(rq)) != OK) {
        return status;
    }
    list.path = apr_pstrcat(rq->r->pool, "/", orgs_id_text(rq->r->pool, &rq->organization), "/members", NULL);
    return mod_orgs_response_list(rq, &list, &page);
}

/* The role a body names: absent is null, and given tells it. */
static orgs_role_e role_of(orgs_request_t *rq, json_t *body, int *given)
{
    json_t *value = json_object_get(body, "role");
    orgs_role_e role = ORGS_ROLE_NONE;

    *given = value != NULL && !json_is_null(value);
    if (json_is_string(value)) {
        role = orgs_role_named(json_string_value(value), json_string_length(value));
    }
    if (*given && role == ORGS_ROLE_NONE) {
        mod_orgs_request_fault(rq, "/role", NULL, "It is neither admin nor member.");
    }
    return role;
}

static const char *email_of(orgs_request_t *rq, json_t *body)
{
    json_t *value = json_object_get(body, "email");
    const char *problem = value == NULL || json_is_null(value) ? "It is missing." : "It is not a string.";
    const char *email = NULL;

    if (json_is_string(value)) {
        email = orgs_email_check(rq->r->pool, json_string_value(value), json_string_length(value), &problem);
    }
    if (email == NULL) {
        mod_orgs_request_fault(rq, "/email", NULL, problem);
    }
    return email;
}

int mod_orgs_api_add_member(orgs_request_t *rq)
{
    const orgs_by_t by = mod_orgs_api_by(rq);
    apr_pool_t *p = rq->r->pool;
    const orgs_idempotency_t *once;
    const orgs_error_t *error;
    orgs_member_t member;
    const char *email;
    const char *bytes;
    orgs_role_e role;
    apr_size_t len;
    json_t *body;
    int replayed;
    int status;
    int given;

    if ((status = mod_orgs_request_body(rq, &body, &bytes, &len)) != OK) {
        return status;
    }
    email = email_of(rq, body);
    role = role_of(rq, body, &given);
    if ((status = mod_orgs_request_verdict(rq)) != OK
        || (status = mod_orgs_request_idempotency(rq, bytes, len, &once)) != OK) {
        return status;
    }
    if (!rq->has_organization) {
        return mod_orgs_api_no_organization(rq);
    }
    error = orgs_store_member_add(&rq->db, p, &by, &rq->organization, email, given ? role : ORGS_ROLE_MEMBER, once,
                                  &member, &replayed);
    if (error != NULL) {
        return mod_orgs_problem(rq, error);
    }
    mod_orgs_api_created(rq, apr_pstrcat(p, "/", orgs_id_text(p, &member.organization_id), "/members/",
                                         orgs_id_text(p, &member.user_id), NULL), replayed);
    return answer_member(rq, HTTP_CREATED, &member);
}

int mod_orgs_api_get_member(orgs_request_t *rq)
{
    int status = mod_orgs_auth_member(rq);
    const orgs_error_t *error;
    orgs_member_t member;

    if (status != OK) {
        return status;
    }
    if (!rq->has_user) {
        return mod_orgs_problem_code(rq, ORGS_E_MEMBER_NOT_FOUND);
    }
    error = orgs_store_member_get(&rq->db, rq->r->pool, &rq->organization, &rq->user, &member);
    return error != NULL ? mod_orgs_problem(rq, error) : answer_member(rq, HTTP_OK, &member);
}

int mod_orgs_api_update_member(orgs_request_t *rq)
{
    const orgs_by_t by = mod_orgs_api_by(rq);
    const orgs_error_t *error;
    orgs_member_t member;
    const char *bytes;
    orgs_role_e role;
    apr_size_t len;
    json_t *body;
    int status;
    int given;

    if ((status = mod_orgs_request_body(rq, &body, &bytes, &len)) != OK) {
        return status;
    }
    role = role_of(rq, body, &given);
    if (!given) {
        mod_orgs_request_fault(rq, "/role", NULL, "It is missing.");
    }
    if ((status = mod_orgs_request_verdict(rq)) != OK) {
        return status;
    }
    if (!rq->has_organization) {
        return mod_orgs_api_no_organization(rq);
    }
    error = orgs_store_member_update(&rq->db, rq->r->pool, &by, &rq->organization, user_of(rq), role, &member);
    return error != NULL ? mod_orgs_problem(rq, error) : answer_member(rq, HTTP_OK, &member);
}

int mod_orgs_api_remove_member(orgs_request_t *rq)
{
    const orgs_by_t by = mod_orgs_api_by(rq);
    const orgs_error_t *error;
    orgs_writer_t text;

    if (!rq->has_organization) {
        return mod_orgs_api_no_organization(rq);
    }
    error = orgs_store_member_remove(&rq->db, rq->r->pool, &by, &rq->organization, user_of(rq));
    if (error != NULL) {
        return mod_orgs_problem(rq, error);
    }
    orgs_writer_text(&text, rq->r->pool);
    orgs_json_member_deleted(&text, &rq->organization, &rq->user);
    return mod_orgs_response_json(rq, HTTP_OK, &text, NULL);
}
