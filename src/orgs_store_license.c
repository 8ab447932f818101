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

static void take_license(const orgs_rows_t *row, const void *none, void *item)
{
    orgs_license_record_t *record = item;

    (void)none;
    orgs_row_id(row, 0, ID, &record->license.id);
    record->license.plan = orgs_row_string(row, 0, PLAN);
    record->license.status = orgs_row_string(row, 0, STATUS);
    record->license.seats = orgs_row_int(row, 0, SEATS, -1);
    record->license.starts_at = orgs_row_time(row, 0, STARTS_AT);
    record->license.expires_at = orgs_row_time(row, 0, EXPIRES_AT);
    record->license.assigned_at = orgs_row_time(row, 0, ASSIGNED_AT);
    record->has_organization = orgs_row_id(row, 0, ORGANIZATION_ID, &record->organization_id);
    record->has_reserved_for = orgs_row_id(row, 0, RESERVED_FOR, &record->reserved_for);
    record->has_reserved_by = orgs_row_id(row, 0, RESERVED_BY, &record->reserved_by);
    record->created_at = orgs_row_time(row, 0, CREATED_AT);
}

const orgs_error_t *orgs_store_license_list(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *after, int limit,
                                            apr_array_header_t **items)
{
    orgs_value_t params[] = {orgs_value_id(after), orgs_value_int(limit)};

    return orgs_db_list(db, p, ORGS_SQL_LICENSE_LIST, params, sizeof(orgs_license_record_t), take_license, NULL,
                        items);
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
    memset(record, 0, sizeof(*record));
    take_license(&rows, NULL, record);
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

    return orgs_db_list(db, p, ORGS_SQL_DEPLOYMENTS_OF, params, sizeof(orgs_deployment_t), orgs_store_take_deployment,
                        NULL, items);
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
