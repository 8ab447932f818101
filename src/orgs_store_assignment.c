/*
 * Which license an organization has, and what hangs on it. The rules are in sql/procedures_license.sql.
 */
#include "orgs.h"

#include <apr_tables.h>
#include <string.h>

void orgs_store_license_view(const orgs_lookup_t *lookup, orgs_license_view_t *view)
{
    view->organization_id = lookup->organization.id;
    view->plan = lookup->plan;
    view->has_license = lookup->has_license;
    view->license = lookup->license;
    view->seats = lookup->seats;
    view->seats_used = lookup->members;
    view->version = lookup->license_version;
}

/* A license view from a procedure's answer. */
static const orgs_error_t *take_view(apr_pool_t *p, const json_t *answer, orgs_license_view_t *view)
{
    memset(view, 0, sizeof(*view));
    if (!orgs_answer_id(answer, "organization_id", &view->organization_id)) {
        return orgs_error_cause(p, ORGS_E_INTERNAL_ERROR, "a procedure's answer is no license view");
    }
    view->plan = orgs_answer_string(p, answer, "plan");
    view->seats = orgs_answer_int(answer, "seats", -1);
    view->seats_used = orgs_answer_int(answer, "seats_used", 0);
    view->version = orgs_answer_int(answer, "version", 0);
    view->has_license = orgs_answer_id(answer, "license_id", &view->license.id);
    view->license.plan = orgs_answer_string(p, answer, "license_plan");
    view->license.seats = orgs_answer_int(answer, "license_seats", -1);
    view->license.status = orgs_answer_string(p, answer, "license_status");
    view->license.starts_at = orgs_answer_time(answer, "starts_at");
    view->license.expires_at = orgs_answer_time(answer, "expires_at");
    view->license.assigned_at = orgs_answer_time(answer, "assigned_at");
    return NULL;
}

static const orgs_error_t *call(orgs_db_t *db, apr_pool_t *p, orgs_sql_e sql, orgs_value_t *params,
                                orgs_license_view_t *view)
{
    const orgs_error_t *error;
    orgs_outcome_t outcome;

    if ((error = orgs_call(db, p, sql, params, NULL, &outcome)) != NULL
        || (error = orgs_store_refusal(p, &outcome)) != NULL) {
        return error;
    }
    return take_view(p, outcome.answer, view);
}

const orgs_error_t *orgs_store_license_assign(orgs_db_t *db, apr_pool_t *p, const orgs_by_t *by,
                                              const orgs_id_t *organization, const char *versions,
                                              const orgs_id_t *license, orgs_license_view_t *view)
{
    orgs_value_t params[] = {orgs_value_null(), orgs_value_id(by->actor), orgs_value_string(by->request_id),
                             orgs_value_int(by->superuser), orgs_value_id(organization), orgs_value_string(versions),
                             orgs_value_id(license)};

    return call(db, p, ORGS_SQL_LICENSE_ASSIGN, params, view);
}

const orgs_error_t *orgs_store_license_unassign(orgs_db_t *db, apr_pool_t *p, const orgs_by_t *by,
                                                const orgs_id_t *organization, const char *versions,
                                                orgs_license_view_t *view)
{
    orgs_value_t params[] = {orgs_value_null(), orgs_value_id(by->actor), orgs_value_string(by->request_id),
                             orgs_value_int(by->superuser), orgs_value_id(organization), orgs_value_string(versions)};

    return call(db, p, ORGS_SQL_LICENSE_UNASSIGN, params, view);
}

void orgs_store_take_deployment(const orgs_rows_t *row, const void *none, void *item)
{
    orgs_deployment_t *deployment = item;

    (void)none;
    orgs_row_id(row, 0, 0, &deployment->id);
    orgs_row_id(row, 0, 1, &deployment->license_id);
    deployment->name = orgs_row_string(row, 0, 2);
    deployment->environment = orgs_row_string(row, 0, 3);
    deployment->url = orgs_row_string(row, 0, 4);
    deployment->version = orgs_row_string(row, 0, 5);
    deployment->status = orgs_row_string(row, 0, 6);
    deployment->created_at = orgs_row_time(row, 0, 7);
    deployment->updated_at = orgs_row_time(row, 0, 8);
}

const orgs_error_t *orgs_store_assignment_deployments(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *organization,
                                                      const orgs_position_t *after, int limit,
                                                      apr_array_header_t **items)
{
    const orgs_value_t params[] = {orgs_value_id(organization), orgs_value_id(&after->id), orgs_value_int(limit)};

    return orgs_db_list(db, p, ORGS_SQL_ASSIGNMENT_DEPLOYMENTS, params, sizeof(orgs_deployment_t),
                        orgs_store_take_deployment, NULL, items);
}
