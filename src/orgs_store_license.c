/*
 * Licenses and deployments, as the operator's tool reads and writes them.
 */
#include "orgs_operator.h"

#include <string.h>

/* The columns of ORGS_SQL_LICENSE_LIST and ORGS_SQL_LICENSE_SHOW, in their order. */
enum {
    ID,
    PLAN,
    STATUS,
    SEATS,
    STARTS_AT,
    EXPIRES_AT,
    ORGANIZATION_ID,
    ASSIGNED_AT,
    RESERVED_FOR,
    RESERVED_BY,
    CREATED_AT
};

static void take_license(const orgs_rows_t *rows, int row, orgs_license_record_t *record)
{
    memset(record, 0, sizeof(*record));
    orgs_row_id(rows, row, ID, &record->license.id);
    record->license.plan = orgs_row_string(rows, row, PLAN);
    record->license.status = orgs_row_string(rows, row, STATUS);
    record->license.seats = orgs_row_int(rows, row, SEATS, -1);
    record->license.starts_at = orgs_row_time(rows, row, STARTS_AT);
    record->license.expires_at = orgs_row_time(rows, row, EXPIRES_AT);
    record->license.assigned_at = orgs_row_time(rows, row, ASSIGNED_AT);
    record->has_organization = orgs_row_id(rows, row, ORGANIZATION_ID, &record->organization_id);
    record->has_reserved_for = orgs_row_id(rows, row, RESERVED_FOR, &record->reserved_for);
    record->has_reserved_by = orgs_row_id(rows, row, RESERVED_BY, &record->reserved_by);
    record->created_at = orgs_row_time(rows, row, CREATED_AT);
}

const orgs_error_t *orgs_store_license_list(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *after, int limit,
                                            apr_array_header_t **items)
{
    orgs_value_t params[] = {orgs_value_id(after), orgs_value_int(limit)};
    const orgs_error_t *error;
    orgs_rows_t rows;
    int i;

    error = orgs_db_read(db, p, ORGS_USE_COLD, ORGS_SQL_LICENSE_LIST, params, &rows);
    if (error != NULL) {
        return error;
    }
    *items = apr_array_make(p, rows.count, sizeof(orgs_license_record_t));
    for (i = 0; i < rows.count; i++) {
        take_license(&rows, i, apr_array_push(*items));
    }
    return NULL;
}

const orgs_error_t *orgs_store_license_show(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *id,
                                            orgs_license_record_t *record)
{
    orgs_value_t params[] = {orgs_value_id(id)};
    const orgs_error_t *error;
    orgs_rows_t rows;

    error = orgs_db_read(db, p, ORGS_USE_COLD, ORGS_SQL_LICENSE_SHOW, params, &rows);
    if (error != NULL) {
        return error;
    }
    if (rows.count == 0) {
        return orgs_error_make(p, ORGS_E_LICENSE_NOT_FOUND);
    }
    take_license(&rows, 0, record);
    return NULL;
}

const orgs_error_t *orgs_store_license_add(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *id,
                                           const orgs_license_change_t *change, orgs_outcome_t *outcome)
{
    orgs_value_t params[] = {orgs_value_null(),
                             orgs_value_id(id),
                             orgs_value_string(change->plan),
                             change->change_seats == ORGS_SET ? orgs_value_int(change->seats) : orgs_value_null(),
                             change->change_starts_at == ORGS_SET ? orgs_value_time(change->starts_at)
                                                                  : orgs_value_null(),
                             change->change_expires_at == ORGS_SET ? orgs_value_time(change->expires_at)
                                                                   : orgs_value_null()};

    return orgs_call(db, p, ORGS_SQL_LICENSE_ADD, params, NULL, outcome);
}

const orgs_error_t *orgs_store_license_set(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *id,
                                           const orgs_license_change_t *change, orgs_outcome_t *outcome)
{
    orgs_value_t params[] = {orgs_value_null(),
                             orgs_value_id(id),
                             orgs_value_string(change->plan),
                             orgs_value_int(change->change_seats != ORGS_KEEP),
                             change->change_seats == ORGS_SET ? orgs_value_int(change->seats) : orgs_value_null(),
                             orgs_value_int(change->change_starts_at != ORGS_KEEP),
                             change->change_starts_at == ORGS_SET ? orgs_value_time(change->starts_at)
                                                                  : orgs_value_null(),
                             orgs_value_int(change->change_expires_at != ORGS_KEEP),
                             change->change_expires_at == ORGS_SET ? orgs_value_time(change->expires_at)
                                                                   : orgs_value_null(),
                             orgs_value_null(),
                             orgs_value_null()};

    return orgs_call(db, p, ORGS_SQL_LICENSE_SET, params, NULL, outcome);
}

const orgs_error_t *orgs_store_license_state(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *id, int suspended,
                                             orgs_outcome_t *outcome)
{
    orgs_value_t no = orgs_value_int(0);
    orgs_value_t none = orgs_value_null();
    orgs_value_t params[] = {none,
                             orgs_value_id(id),
                             none,
                             no,
                             none,
                             no,
                             none,
                             no,
                             none,
                             suspended >= 0 ? orgs_value_int(suspended) : none,
                             suspended < 0 ? orgs_value_int(1) : none};

    return orgs_call(db, p, ORGS_SQL_LICENSE_SET, params, NULL, outcome);
}

const orgs_error_t *orgs_store_license_release(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *id,
                                               const orgs_id_t *organization, int with_deployments,
                                               orgs_outcome_t *outcome)
{
    orgs_value_t params[] = {orgs_value_null(), orgs_value_id(id), orgs_value_id(organization),
                             orgs_value_int(with_deployments || organization == NULL)};

    return orgs_call(db, p, ORGS_SQL_LICENSE_RELEASE, params, NULL, outcome);
}

const orgs_error_t *orgs_store_deployments_of(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *license,
                                              const orgs_id_t *after, int limit, apr_array_header_t **items)
{
    orgs_value_t params[] = {orgs_value_id(license), orgs_value_id(after), orgs_value_int(limit)};
    const orgs_error_t *error;
    orgs_rows_t rows;
    int i;

    error = orgs_db_read(db, p, ORGS_USE_COLD, ORGS_SQL_DEPLOYMENTS_OF, params, &rows);
    if (error != NULL) {
        return error;
    }
    *items = apr_array_make(p, rows.count, sizeof(orgs_deployment_t));
    for (i = 0; i < rows.count; i++) {
        orgs_deployment_t *item = memset(apr_array_push(*items), 0, sizeof(*item));

        orgs_row_id(&rows, i, 0, &item->id);
        item->license_id = *license;
        item->name = orgs_row_string(&rows, i, 1);
        item->environment = orgs_row_string(&rows, i, 2);
        item->url = orgs_row_string(&rows, i, 3);
        item->version = orgs_row_string(&rows, i, 4);
        item->status = orgs_row_string(&rows, i, 5);
        item->created_at = orgs_row_time(&rows, i, 6);
        item->updated_at = orgs_row_time(&rows, i, 7);
    }
    return NULL;
}

const orgs_error_t *orgs_store_deployment_add(orgs_db_t *db, apr_pool_t *p, const orgs_deployment_t *deployment,
                                              orgs_outcome_t *outcome)
{
    orgs_value_t params[] = {orgs_value_null(),
                             orgs_value_id(&deployment->id),
                             orgs_value_id(&deployment->license_id),
                             orgs_value_string(deployment->name),
                             orgs_value_string(deployment->environment),
                             orgs_value_string(deployment->url),
                             orgs_value_string(deployment->version),
                             orgs_value_string(deployment->status)};

    return orgs_call(db, p, ORGS_SQL_DEPLOYMENT_ADD, params, NULL, outcome);
}

const orgs_error_t *orgs_store_deployment_set(orgs_db_t *db, apr_pool_t *p, const orgs_deployment_t *deployment,
                                              orgs_outcome_t *outcome)
{
    orgs_value_t params[] = {orgs_value_null(),
                             orgs_value_id(&deployment->id),
                             orgs_value_string(deployment->name),
                             orgs_value_string(deployment->environment),
                             orgs_value_string(deployment->url),
                             orgs_value_string(deployment->version),
                             orgs_value_string(deployment->status)};

    return orgs_call(db, p, ORGS_SQL_DEPLOYMENT_SET, params, NULL, outcome);
}

const orgs_error_t *orgs_store_deployment_remove(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *id,
                                                 orgs_outcome_t *outcome)
{
    orgs_value_t params[] = {orgs_value_null(), orgs_value_id(id)};

    return orgs_call(db, p, ORGS_SQL_DEPLOYMENT_REMOVE, params, NULL, outcome);
}
