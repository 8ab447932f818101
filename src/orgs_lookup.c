/*
 * The hot question: who is this, and what are they in this organization?
 */
#include "orgs.h"

#include <string.h>

/* The columns of ORGS_LOOKUP_COLUMNS, in their order. */
enum {
    READ_ONLY, USER_ID, USER_EMAIL, USER_NAME, USER_SUPERUSER, TOKEN_ID,
    ORG_ID, ORG_NAME, ORG_DESCRIPTION, ORG_ACTIVE, ORG_VERSION, ORG_CREATED_AT, ORG_UPDATED_AT,
    ROLE, JOINED_AT, MEMBERS, LICENSE_VERSION,
    LICENSE_ID, LICENSE_PLAN, LICENSE_SEATS, LICENSE_STARTS_AT, LICENSE_EXPIRES_AT, LICENSE_ASSIGNED_AT, LICENSE_STATUS,
    PLAN, SEATS
};

static void take_organization(const orgs_rows_t *rows, orgs_lookup_t *found)
{
    orgs_organization_t *organization = &found->organization;
    const char *role = orgs_row_string(rows, 0, ROLE);

    organization->name = orgs_row_string(rows, 0, ORG_NAME);
    organization->description = orgs_row_string(rows, 0, ORG_DESCRIPTION);
    organization->active = orgs_row_int(rows, 0, ORG_ACTIVE, 0) != 0;
    organization->version = orgs_row_int(rows, 0, ORG_VERSION, 0);
    organization->created_at = orgs_row_time(rows, 0, ORG_CREATED_AT);
    organization->updated_at = orgs_row_time(rows, 0, ORG_UPDATED_AT);
    organization->role = role != NULL ? orgs_role_named(role, strlen(role)) : ORGS_ROLE_NONE;
    found->joined_at = orgs_row_time(rows, 0, JOINED_AT);
    found->members = orgs_row_int(rows, 0, MEMBERS, 0);
    found->license_version = orgs_row_int(rows, 0, LICENSE_VERSION, 0);
}

static void take_license(const orgs_rows_t *rows, orgs_lookup_t *found)
{
    orgs_license_t *license = &found->license;

    found->organization.has_license = 1;
    found->organization.license_id = license->id;
    license->plan = orgs_row_string(rows, 0, LICENSE_PLAN);
    license->seats = orgs_row_int(rows, 0, LICENSE_SEATS, -1);
    license->starts_at = orgs_row_time(rows, 0, LICENSE_STARTS_AT);
    license->expires_at = orgs_row_time(rows, 0, LICENSE_EXPIRES_AT);
    license->assigned_at = orgs_row_time(rows, 0, LICENSE_ASSIGNED_AT);
    license->status = orgs_row_string(rows, 0, LICENSE_STATUS);
}

/* By what the caller may be known: the statement, and what it means that it finds nobody. */
static const struct {
    orgs_sql_e sql;
    orgs_error_e nobody;
} keys[] = {[ORGS_KEY_TOKEN] = {ORGS_SQL_LOOKUP, ORGS_E_UNAUTHORIZED},
            [ORGS_KEY_EMAIL] = {ORGS_SQL_LOOKUP_EMAIL, ORGS_E_USER_UNKNOWN},
            [ORGS_KEY_EXTERNAL_ID] = {ORGS_SQL_LOOKUP_EXTERNAL_ID, ORGS_E_USER_UNKNOWN}};

const orgs_error_t *orgs_lookup(orgs_db_t *db, apr_pool_t *p, const orgs_key_t *key, const orgs_id_t *organization,
                                orgs_lookup_t *found)
{
    const orgs_value_t params[] = {orgs_value_bytes(key->bytes, key->len), orgs_value_id(organization)};
    const orgs_error_t *error;
    orgs_rows_t rows;

    memset(found, 0, sizeof(*found));
    error = orgs_db_read(db, p, ORGS_USE_HOT, keys[key->kind].sql, params, &rows);
    if (error != NULL) {
        return error;
    }
    if (rows.count == 0) {
        return orgs_error_cause(p, ORGS_E_UNAVAILABLE, "the schema has no version");
    }
    if (!orgs_row_id(&rows, 0, USER_ID, &found->user.id)) {
        return orgs_error_make(p, keys[key->kind].nobody);
    }
    orgs_row_id(&rows, 0, TOKEN_ID, &found->token_id);
    found->user.email = orgs_row_string(&rows, 0, USER_EMAIL);
    found->user.name = orgs_row_string(&rows, 0, USER_NAME);
    found->user.superuser = orgs_row_int(&rows, 0, USER_SUPERUSER, 0) != 0;
    found->user.active = 1;
    found->joined_at = -1;
    found->plan = orgs_row_string(&rows, 0, PLAN);
    found->seats = orgs_row_int(&rows, 0, SEATS, -1);
    found->found = orgs_row_id(&rows, 0, ORG_ID, &found->organization.id);
    if (found->found) {
        take_organization(&rows, found);
        found->has_license = orgs_row_id(&rows, 0, LICENSE_ID, &found->license.id);
        if (found->has_license) {
            take_license(&rows, found);
        }
    }
    return NULL;
}
