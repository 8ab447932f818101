/*
 * Organizations and the free plan, as the operator's tool reads and writes them.
 */
#include "orgs_operator.h"

#include <string.h>

/* The columns of ORGS_SQL_ORG_SHOW, in its order. */
enum {
    ID,
    NAME,
    DESCRIPTION,
    ACTIVE,
    VERSION,
    CREATED_AT,
    UPDATED_AT,
    MEMBERS,
    ADMINS,
    LICENSE_ID,
    PLAN,
    SEATS
};

const orgs_error_t *orgs_store_org_show(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *id, orgs_overview_t *overview)
{
    orgs_value_t params[] = {orgs_value_id(id)};
    orgs_organization_t *organization = &overview->organization;
    const orgs_error_t *error;
    orgs_rows_t rows;

    memset(overview, 0, sizeof(*overview));
    error = orgs_db_read(db, p, ORGS_USE_COLD, ORGS_SQL_ORG_SHOW, params, &rows);
    if (error != NULL) {
        return error;
    }
    if (rows.count == 0) {
        return orgs_error_make(p, ORGS_E_ORGANIZATION_NOT_FOUND);
    }
    orgs_row_id(&rows, 0, ID, &organization->id);
    organization->name = orgs_row_string(&rows, 0, NAME);
    organization->description = orgs_row_string(&rows, 0, DESCRIPTION);
    organization->active = orgs_row_int(&rows, 0, ACTIVE, 0) != 0;
    organization->version = orgs_row_int(&rows, 0, VERSION, 0);
    organization->created_at = orgs_row_time(&rows, 0, CREATED_AT);
    organization->updated_at = orgs_row_time(&rows, 0, UPDATED_AT);
    organization->members = orgs_row_int(&rows, 0, MEMBERS, 0);
    organization->has_license = orgs_row_id(&rows, 0, LICENSE_ID, &organization->license_id);
    overview->admins = orgs_row_int(&rows, 0, ADMINS, 0);
    overview->plan = orgs_row_string(&rows, 0, PLAN);
    overview->seats = orgs_row_int(&rows, 0, SEATS, -1);
    return NULL;
}

const orgs_error_t *orgs_store_org_add_admin(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *organization,
                                             const char *email, orgs_outcome_t *outcome)
{
    orgs_value_t params[] = {orgs_value_null(), orgs_value_id(organization), orgs_value_string(email)};

    return orgs_call(db, p, ORGS_SQL_ORG_ADD_ADMIN, params, NULL, outcome);
}

const orgs_error_t *orgs_store_plan_free(orgs_db_t *db, apr_pool_t *p, const char **name, apr_int64_t *seats)
{
    const orgs_error_t *error;
    orgs_rows_t rows;

    error = orgs_db_read(db, p, ORGS_USE_COLD, ORGS_SQL_PLAN_SHOW, NULL, &rows);
    if (error != NULL) {
        return error;
    }
    *name = rows.count > 0 ? orgs_row_string(&rows, 0, 0) : NULL;
    *seats = rows.count > 0 ? orgs_row_int(&rows, 0, 1, -1) : -1;
    return NULL;
}

const orgs_error_t *orgs_store_plan_set_free(orgs_db_t *db, apr_pool_t *p, const char *name, int set_seats,
                                             apr_int64_t seats, orgs_outcome_t *outcome)
{
    orgs_value_t params[] = {orgs_value_null(), orgs_value_string(name), orgs_value_int(set_seats),
                             seats >= 0 ? orgs_value_int(seats) : orgs_value_null()};

    return orgs_call(db, p, ORGS_SQL_PLAN_FREE, params, NULL, outcome);
}
