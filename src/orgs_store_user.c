/*
 * Users and tokens, as the operator's tool reads and writes them; and users that another authentication brings.
 */
#include "orgs_operator.h"

#include <string.h>

static void take_user(const orgs_rows_t *row, const void *none, void *item)
{
    orgs_user_t *user = item;

    (void)none;
    orgs_row_id(row, 0, 0, &user->id);
    user->email = orgs_row_string(row, 0, 1);
    user->name = orgs_row_string(row, 0, 2);
    user->external_id = orgs_row_string(row, 0, 3);
    user->superuser = orgs_row_int(row, 0, 4, 0) != 0;
    user->active = orgs_row_int(row, 0, 5, 0) != 0;
    user->created_at = orgs_row_time(row, 0, 6);
}

const orgs_error_t *orgs_store_user_list(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *after, int limit,
                                         apr_array_header_t **items)
{
    orgs_value_t params[] = {orgs_value_id(after), orgs_value_int(limit)};

    return orgs_db_list(db, p, ORGS_SQL_USER_LIST, params, sizeof(orgs_user_t), take_user, NULL, items);
}

const orgs_error_t *orgs_store_user_find(orgs_db_t *db, apr_pool_t *p, const char *email, orgs_user_t *user)
{
    orgs_value_t params[] = {orgs_value_string(email)};
    const orgs_error_t *error;
    orgs_rows_t rows;

    error = orgs_db_read(db, p, ORGS_USE_COLD, ORGS_SQL_USER_FIND, params, &rows);
    if (error != NULL) {
        return error;
    }
    if (rows.count == 0) {
        return orgs_error_make(p, ORGS_E_USER_NOT_FOUND);
    }
    memset(user, 0, sizeof(*user));
    take_user(&rows, NULL, user);
    return NULL;
}

const orgs_error_t *orgs_store_user_add(orgs_db_t *db, apr_pool_t *p, const orgs_user_t *user,
                                        orgs_outcome_t *outcome)
{
    orgs_value_t params[] = {orgs_value_null(),
                             orgs_value_id(&user->id),
                             orgs_value_string(user->email),
                             orgs_value_string(user->name),
                             orgs_value_string(user->external_id),
                             orgs_value_int(user->superuser)};

    return orgs_call(db, p, ORGS_SQL_USER_ADD, params, NULL, outcome);
}

const orgs_error_t *orgs_store_user_provision(orgs_db_t *db, apr_pool_t *p, const char *email, const char *request_id)
{
    orgs_value_t params[4];
    orgs_outcome_t outcome;
    const orgs_error_t *error;
    orgs_id_t id;

    if (orgs_id_make_v7(&id) != APR_SUCCESS) {
        return orgs_error_cause(p, ORGS_E_INTERNAL_ERROR, "the system gives no random bytes");
    }
    params[0] = orgs_value_null();
    params[1] = orgs_value_string(request_id);
    params[2] = orgs_value_id(&id);
    params[3] = orgs_value_string(email);
    error = orgs_call(db, p, ORGS_SQL_USER_PROVISION, params, NULL, &outcome);
    return error != NULL ? error : orgs_store_refusal(p, &outcome);
}

/* "" stands for nothing. */
static orgs_value_t emptied(const char *text)
{
    return orgs_value_string(text != NULL && *text != '\0' ? text : NULL);
}

const orgs_error_t *orgs_store_user_set(orgs_db_t *db, apr_pool_t *p, const char *email, const char *new_email,
                                        const char *name, const char *external_id, orgs_outcome_t *outcome)
{
    orgs_value_t params[] = {orgs_value_null(),
                             orgs_value_string(email),
                             orgs_value_string(new_email),
                             orgs_value_int(name != NULL),
                             emptied(name),
                             orgs_value_int(external_id != NULL),
                             emptied(external_id)};

    return orgs_call(db, p, ORGS_SQL_USER_SET, params, NULL, outcome);
}

const orgs_error_t *orgs_store_user_deactivate(orgs_db_t *db, apr_pool_t *p, const char *email, int force,
                                               orgs_outcome_t *outcome)
{
    orgs_value_t params[] = {orgs_value_null(), orgs_value_string(email), orgs_value_int(force)};

    return orgs_call(db, p, ORGS_SQL_USER_DEACTIVATE, params, NULL, outcome);
}

const orgs_error_t *orgs_store_user_activate(orgs_db_t *db, apr_pool_t *p, const char *email,
                                             orgs_outcome_t *outcome)
{
    orgs_value_t params[] = {orgs_value_null(), orgs_value_string(email)};

    return orgs_call(db, p, ORGS_SQL_USER_ACTIVATE, params, NULL, outcome);
}

const orgs_error_t *orgs_store_user_superuser(orgs_db_t *db, apr_pool_t *p, const char *email, int on,
                                              orgs_outcome_t *outcome)
{
    orgs_value_t params[] = {orgs_value_null(), orgs_value_string(email), orgs_value_int(on)};

    return orgs_call(db, p, ORGS_SQL_USER_SUPERUSER, params, NULL, outcome);
}

static void take_token(const orgs_rows_t *row, const void *none, void *item)
{
    orgs_token_t *token = item;

    (void)none;
    orgs_row_id(row, 0, 0, &token->id);
    token->label = orgs_row_string(row, 0, 1);
    token->created_at = orgs_row_time(row, 0, 2);
    token->expires_at = orgs_row_time(row, 0, 3);
    token->revoked_at = orgs_row_time(row, 0, 4);
}

const orgs_error_t *orgs_store_token_list(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *user,
                                          const orgs_id_t *after, int limit, apr_array_header_t **items)
{
    orgs_value_t params[] = {orgs_value_id(user), orgs_value_id(after), orgs_value_int(limit)};

    return orgs_db_list(db, p, ORGS_SQL_TOKEN_LIST, params, sizeof(orgs_token_t), take_token, NULL, items);
}

const orgs_error_t *orgs_store_token_issue(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *id, const char *email,
                                           const unsigned char hash[ORGS_SHA256_LEN], const char *label,
                                           apr_int64_t seconds, orgs_outcome_t *outcome)
{
    orgs_value_t params[] = {orgs_value_null(),
                             orgs_value_id(id),
                             orgs_value_string(email),
                             orgs_value_bytes(hash, ORGS_SHA256_LEN),
                             orgs_value_string(label),
                             seconds > 0 ? orgs_value_int(seconds) : orgs_value_null()};

    return orgs_call(db, p, ORGS_SQL_TOKEN_ISSUE, params, NULL, outcome);
}

const orgs_error_t *orgs_store_token_revoke(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *id,
                                            const unsigned char hash[ORGS_SHA256_LEN], orgs_outcome_t *outcome)
{
    orgs_value_t params[] = {orgs_value_null(), orgs_value_id(id),
                             id == NULL ? orgs_value_bytes(hash, ORGS_SHA256_LEN) : orgs_value_null()};

    return orgs_call(db, p, ORGS_SQL_TOKEN_REVOKE, params, NULL, outcome);
}

const orgs_error_t *orgs_store_token_revoke_all(orgs_db_t *db, apr_pool_t *p, const char *email,
                                                orgs_outcome_t *outcome)
{
    orgs_value_t params[] = {orgs_value_null(), orgs_value_string(email)};

    return orgs_call(db, p, ORGS_SQL_TOKEN_REVOKE_ALL, params, NULL, outcome);
}
