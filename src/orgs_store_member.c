/*
 * Members: their list and their writes. The rules are in sql/procedures_member.sql.
 */
#include "orgs.h"

#include <apr_tables.h>
#include <string.h>

#include "orgs_json.h"

static orgs_role_e role_of(const char *name)
{
    return name != NULL ? orgs_role_named(name, strlen(name)) : ORGS_ROLE_NONE;
}

/* A member of an organization from a row of ORGS_SQL_MEMBER_LIST or ORGS_SQL_MEMBER_GET. */
static void take_row(const orgs_rows_t *row, const void *organization, void *item)
{
    orgs_member_t *member = item;

    member->organization_id = *(const orgs_id_t *)organization;
    orgs_row_id(row, 0, 0, &member->user_id);
    member->email = orgs_row_string(row, 0, 1);
    member->name = orgs_row_string(row, 0, 2);
    member->role = role_of(orgs_row_string(row, 0, 3));
    member->joined_at = orgs_row_time(row, 0, 4);
}

const orgs_error_t *orgs_store_member_list(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *organization,
                                           const orgs_member_filter_t *filter, const orgs_position_t *after,
                                           int limit, apr_array_header_t **items)
{
    orgs_value_t role = orgs_value_string(orgs_role_name(filter->role));
    orgs_value_t email = orgs_value_string(filter->email);
    orgs_value_t joined_at = orgs_value_time((apr_time_t)after->number);
    const orgs_value_t params[] = {orgs_value_id(organization), joined_at, joined_at, orgs_value_id(&after->id),
                                   role, role, email, email, orgs_value_int(limit)};
    const orgs_value_t few[] = {params[0], params[8]};

    if (filter->role == ORGS_ROLE_NONE && filter->email == NULL && orgs_position_is_first(after)) {
        return orgs_db_list(db, p, ORGS_SQL_MEMBER_LIST_FIRST, few, sizeof(orgs_member_t), take_row, organization,
                            items);
    }
    return orgs_db_list(db, p, ORGS_SQL_MEMBER_LIST, params, sizeof(orgs_member_t), take_row, organization, items);
}

const orgs_error_t *orgs_store_member_get(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *organization,
                                          const orgs_id_t *user, orgs_member_t *member)
{
    const orgs_value_t params[] = {orgs_value_id(user), orgs_value_id(organization)};
    const orgs_error_t *error;
    orgs_rows_t rows;

    error = orgs_db_read(db, p, ORGS_USE_COLD, ORGS_SQL_MEMBER_GET, params, &rows);
    if (error != NULL) {
        return error;
    }
    if (rows.count == 0) {
        return orgs_error_make(p, ORGS_E_MEMBER_NOT_FOUND);
    }
    memset(member, 0, sizeof(*member));
    take_row(&rows, organization, member);
    return NULL;
}

/* A member from a procedure's answer. */
static const orgs_error_t *take_answer(apr_pool_t *p, const json_t *answer, orgs_member_t *member)
{
    memset(member, 0, sizeof(*member));
    if (!orgs_answer_id(answer, "organization_id", &member->organization_id)
        || !orgs_answer_id(answer, "user_id", &member->user_id)) {
        return orgs_error_cause(p, ORGS_E_INTERNAL_ERROR, "a procedure's answer is no member");
    }
    member->email = orgs_answer_string(p, answer, "email");
    member->name = orgs_answer_string(p, answer, "name");
    member->role = role_of(orgs_answer_string(p, answer, "role"));
    member->joined_at = orgs_answer_time(answer, "joined_at");
    return NULL;
}

/* A member who was added, or who was one before, from the words of the request and what the database adds to them. */
static const orgs_error_t *take_added(apr_pool_t *p, const orgs_outcome_t *outcome, const orgs_id_t *organization,
                                      const char *email, orgs_role_e role, orgs_member_t *member)
{
    const char *standing = orgs_answer_string(p, outcome->answer, "role");

    if (!outcome->has_id) {
        return orgs_error_cause(p, ORGS_E_INTERNAL_ERROR, "a procedure's answer is no member");
    }
    member->organization_id = *organization;
    member->user_id = outcome->id;
    member->email = email;
    /* what was kept is what was told; the user may have another name by now */
    member->name = outcome->answer != NULL ? orgs_answer_string(p, outcome->answer, "name") : outcome->name;
    member->role = standing != NULL ? role_of(standing) : role;
    member->joined_at = outcome->at;
    return NULL;
}

const orgs_error_t *orgs_store_member_add(orgs_db_t *db, apr_pool_t *p, const orgs_by_t *by,
                                          const orgs_id_t *organization, const char *email, orgs_role_e role,
                                          const orgs_idempotency_t *once, orgs_member_t *member, int *replayed)
{
    orgs_value_t params[] = {orgs_value_null(),
                             orgs_value_id(by->actor),
                             orgs_value_string(by->request_id),
                             orgs_value_int(by->superuser),
                             orgs_value_id(organization),
                             orgs_value_string(email),
                             orgs_value_string(orgs_role_name(role)),
                             orgs_value_bytes(once != NULL ? once->key : NULL, ORGS_SHA256_LEN),
                             orgs_value_bytes(once != NULL ? once->body : NULL, ORGS_SHA256_LEN)};
    /* a key is looked at one by one, and a new admin's user is written */
    int together = once == NULL && role == ORGS_ROLE_MEMBER;
    const orgs_error_t *error;
    orgs_outcome_t outcome;
    orgs_writer_t text;
    orgs_share_t share;

    if (together) {
        orgs_store_share(&share, p, ORGS_SQL_MEMBER_ADD_TOGETHER, organization, by);
        orgs_writer_hex(&share.item, "actor", by->actor->bytes, sizeof(by->actor->bytes));
        orgs_writer_number(&share.item, "superuser", by->superuser);
        orgs_writer_hex(&share.item, "email", email, strlen(email));
    }
    if ((error = orgs_call(db, p, ORGS_SQL_MEMBER_ADD, params, together ? &share : NULL, &outcome)) != NULL) {
        return error;
    }
    if (outcome.refusal == ORGS_E_ALREADY_MEMBER) {
        error = take_added(p, &outcome, organization, email, role, member);
        if (error != NULL) {
            return error;
        }
        orgs_writer_text(&text, p);
        orgs_json_member(&text, member);
        return orgs_error_members(p, ORGS_E_ALREADY_MEMBER, json_pack("{s:o}", "member", orgs_json_value(&text)));
    }
    if ((error = orgs_store_refusal(p, &outcome)) != NULL) {
        return error;
    }
    *replayed = outcome.replayed;
    return take_added(p, &outcome, organization, email, role, member);
}

const orgs_error_t *orgs_store_member_update(orgs_db_t *db, apr_pool_t *p, const orgs_by_t *by,
                                             const orgs_id_t *organization, const orgs_id_t *user, orgs_role_e role,
                                             orgs_member_t *member)
{
    orgs_value_t params[] = {orgs_value_null(),
                             orgs_value_id(by->actor),
                             orgs_value_string(by->request_id),
                             orgs_value_int(by->superuser),
                             orgs_value_id(organization),
                             orgs_value_id(user),
                             orgs_value_string(orgs_role_name(role))};
    const orgs_error_t *error;
    orgs_outcome_t outcome;

    if ((error = orgs_call(db, p, ORGS_SQL_MEMBER_UPDATE, params, NULL, &outcome)) != NULL
        || (error = orgs_store_refusal(p, &outcome)) != NULL) {
        return error;
    }
    return take_answer(p, outcome.answer, member);
}

const orgs_error_t *orgs_store_member_remove(orgs_db_t *db, apr_pool_t *p, const orgs_by_t *by,
                                             const orgs_id_t *organization, const orgs_id_t *user)
{
    orgs_value_t params[] = {orgs_value_null(), orgs_value_id(by->actor), orgs_value_string(by->request_id),
                             orgs_value_int(by->superuser), orgs_value_id(organization), orgs_value_id(user)};
    const orgs_error_t *error;
    orgs_outcome_t outcome;

    if ((error = orgs_call(db, p, ORGS_SQL_MEMBER_REMOVE, params, NULL, &outcome)) != NULL) {
        return error;
    }
    return orgs_store_refusal(p, &outcome);
}
