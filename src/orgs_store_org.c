/*
 * Organizations: their list and their writes. The rules are in sql/procedures_organization.sql.
 */
#include "orgs.h"

#include <apr_strings.h>
#include <apr_tables.h>
#include <string.h>

static const char *const roles[] = {NULL, "member", "admin"};

const char *orgs_role_name(orgs_role_e role)
{
    return roles[role];
}

orgs_role_e orgs_role_named(const char *name, apr_size_t len)
{
    int i;

    for (i = ORGS_ROLE_MEMBER; i <= ORGS_ROLE_ADMIN; i++) {
        if (strlen(roles[i]) == len && memcmp(roles[i], name, len) == 0) {
            return (orgs_role_e)i;
        }
    }
    return ORGS_ROLE_NONE;
}

/* The columns of ORGS_SQL_ORG_LIST, in its order. */
enum { ID, NAME, DESCRIPTION, ACTIVE, CREATED_AT, UPDATED_AT, ROLE, LICENSE_ID, MEMBERS };

static void take_row(const orgs_rows_t *row, const void *all, void *to)
{
    const char *role = orgs_row_string(row, 0, ROLE);
    orgs_organization_t *item = to;

    orgs_row_id(row, 0, ID, &item->id);
    item->name = orgs_row_string(row, 0, NAME);
    item->description = orgs_row_string(row, 0, DESCRIPTION);
    item->active = orgs_row_int(row, 0, ACTIVE, 0) != 0;
    item->created_at = orgs_row_time(row, 0, CREATED_AT);
    item->updated_at = orgs_row_time(row, 0, UPDATED_AT);
    item->role = role != NULL ? orgs_role_named(role, strlen(role)) : ORGS_ROLE_NONE;
    item->has_license = orgs_row_id(row, 0, LICENSE_ID, &item->license_id);
    item->members = all != NULL ? orgs_row_int(row, 0, MEMBERS, 0) : 0;
}

const orgs_error_t *orgs_store_org_list(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *user,
                                        const orgs_organization_filter_t *filter, const orgs_position_t *after,
                                        int limit, apr_array_header_t **items)
{
    orgs_value_t role = orgs_value_string(orgs_role_name(filter->role));
    const orgs_value_t params[] = {orgs_value_id(user), orgs_value_id(&after->id), orgs_value_int(filter->active_only),
                                   role, role, orgs_value_int(limit)};
    const orgs_value_t few[] = {params[0], params[5]};
    int plain = !filter->all && !filter->active_only && filter->role == ORGS_ROLE_NONE;

    if (plain && orgs_position_is_first(after)) {
        return orgs_db_list(db, p, ORGS_SQL_ORG_LIST_FIRST, few, sizeof(orgs_organization_t), take_row, NULL, items);
    }
    return orgs_db_list(db, p, filter->all ? ORGS_SQL_ORG_LIST_ALL : ORGS_SQL_ORG_LIST, params,
                        sizeof(orgs_organization_t), take_row, filter->all ? filter : NULL, items);
}

/* An organization from a procedure's answer. */
static const orgs_error_t *take_organization(apr_pool_t *p, const json_t *answer, orgs_organization_t *organization)
{
    const char *role = orgs_answer_string(p, answer, "role");

    memset(organization, 0, sizeof(*organization));
    if (!orgs_answer_id(answer, "id", &organization->id)) {
        return orgs_error_cause(p, ORGS_E_INTERNAL_ERROR, "a procedure's answer is no organization");
    }
    organization->name = orgs_answer_string(p, answer, "name");
    organization->description = orgs_answer_string(p, answer, "description");
    organization->active = orgs_answer_int(answer, "active", 0) != 0;
    organization->role = role != NULL ? orgs_role_named(role, strlen(role)) : ORGS_ROLE_NONE;
    organization->has_license = orgs_answer_id(answer, "license_id", &organization->license_id);
    organization->created_at = orgs_answer_time(answer, "created_at");
    organization->updated_at = orgs_answer_time(answer, "updated_at");
    organization->version = orgs_answer_int(answer, "version", 0);
    return NULL;
}

const orgs_error_t *orgs_store_refusal(apr_pool_t *p, const orgs_outcome_t *outcome)
{
    static const char *const members[] = {"seats", "seats_used", "license_status"};
    json_t *more = NULL;
    apr_size_t i;

    if (outcome->refusal == ORGS_E_COUNT) {
        return NULL;
    }
    if (outcome->refusal == ORGS_E_INTERNAL_ERROR) {
        return orgs_error_cause(p, ORGS_E_INTERNAL_ERROR, "a procedure answered %s", outcome->code);
    }
    for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        const char *text = orgs_answer_string(p, outcome->answer, members[i]);
        json_t *value = json_object_get(outcome->answer, members[i]);

        if (value != NULL) {
            more = more != NULL ? more : json_object();
            /* numbers may come as strings */
            if (strncmp(members[i], "seats", 5) == 0 && text != NULL) {
                json_object_set_new(more, members[i], json_integer(apr_atoi64(text)));
            }
            else {
                json_object_set(more, members[i], value);
            }
        }
    }
    return orgs_error_members(p, outcome->refusal, more);
}

void orgs_store_share(orgs_share_t *share, apr_pool_t *p, orgs_sql_e sql, const orgs_id_t *organization,
                      const orgs_by_t *by)
{
    share->sql = sql;
    share->organization = organization;
    share->id = NULL;
    share->actor = by->actor;
    orgs_writer_text(&share->item, p);
    if (by->request_id != NULL) {
        orgs_writer_hex(&share->item, "request", by->request_id, strlen(by->request_id));
    }
}

const orgs_error_t *orgs_store_org_create(orgs_db_t *db, apr_pool_t *p, const orgs_by_t *by, const char *name,
                                          const char *description, apr_int64_t max, const orgs_idempotency_t *once,
                                          orgs_organization_t *created, int *replayed)
{
    orgs_id_t id = {{0}};
    orgs_value_t params[] = {orgs_value_null(),
                             orgs_value_id(by->actor),
                             orgs_value_string(by->request_id),
                             orgs_value_id(&id),
                             orgs_value_string(name),
                             orgs_value_string(description),
                             max < 0 ? orgs_value_null() : orgs_value_int(max),
                             orgs_value_bytes(once != NULL ? once->key : NULL, ORGS_SHA256_LEN),
                             orgs_value_bytes(once != NULL ? once->body : NULL, ORGS_SHA256_LEN)};
    /* a key, and how many there are, are looked at one by one */
    int together = once == NULL && max < 0;
    const orgs_error_t *error;
    orgs_outcome_t outcome;
    orgs_share_t share;

    if (orgs_id_make_v7(&id) != APR_SUCCESS) {
        return orgs_error_cause(p, ORGS_E_INTERNAL_ERROR, "the system gives no random bytes");
    }
    if (together) {
        orgs_store_share(&share, p, ORGS_SQL_ORG_CREATE_TOGETHER, NULL, by);
        share.id = &id;
        orgs_writer_string(&share.item, "name", name);
        if (description != NULL) {
            orgs_writer_string(&share.item, "description", description);
        }
    }
    if ((error = orgs_call(db, p, ORGS_SQL_ORG_CREATE, params, together ? &share : NULL, &outcome)) != NULL
        || (error = orgs_store_refusal(p, &outcome)) != NULL) {
        return error;
    }
    if (!outcome.has_id) {
        return orgs_error_cause(p, ORGS_E_INTERNAL_ERROR, "a procedure's answer is no organization");
    }
    *replayed = outcome.replayed;
    memset(created, 0, sizeof(*created));
    created->id = outcome.id;
    created->name = name;
    created->description = description;
    created->active = 1;
    created->role = ORGS_ROLE_ADMIN;
    created->created_at = created->updated_at = outcome.at;
    created->version = 1;
    return NULL;
}

const orgs_error_t *orgs_store_org_update(orgs_db_t *db, apr_pool_t *p, const orgs_by_t *by, const orgs_id_t *id,
                                          const char *versions, const orgs_organization_change_t *change,
                                          orgs_organization_t *updated)
{
    orgs_value_t params[] = {orgs_value_null(),
                             orgs_value_id(by->actor),
                             orgs_value_string(by->request_id),
                             orgs_value_int(by->superuser),
                             orgs_value_id(id),
                             orgs_value_string(versions),
                             orgs_value_string(change->name),
                             orgs_value_int(change->describe),
                             orgs_value_string(change->description),
                             change->active < 0 ? orgs_value_null() : orgs_value_int(change->active)};
    const orgs_error_t *error;
    orgs_outcome_t outcome;

    if ((error = orgs_call(db, p, ORGS_SQL_ORG_UPDATE, params, NULL, &outcome)) != NULL
        || (error = orgs_store_refusal(p, &outcome)) != NULL) {
        return error;
    }
    return take_organization(p, outcome.answer, updated);
}

const orgs_error_t *orgs_store_org_delete(orgs_db_t *db, apr_pool_t *p, const orgs_by_t *by, const orgs_id_t *id,
                                          const char *versions)
{
    orgs_value_t params[] = {orgs_value_null(), orgs_value_id(by->actor), orgs_value_string(by->request_id),
                             orgs_value_int(by->superuser), orgs_value_id(id), orgs_value_string(versions)};
    const orgs_error_t *error;
    orgs_outcome_t outcome;

    if ((error = orgs_call(db, p, ORGS_SQL_ORG_DELETE, params, NULL, &outcome)) != NULL) {
        return error;
    }
    return orgs_store_refusal(p, &outcome);
}
