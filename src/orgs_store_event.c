/*
 * The trail: its list and its pruning.
 */
#include "orgs_operator.h"

#include <string.h>

/* Where one lists from the newest, everything is below this. */
#define SEQ_BEYOND APR_INT64_MAX

static void take_event(const orgs_rows_t *row, const void *organization, void *item)
{
    orgs_event_t *event = item;

    orgs_row_id(row, 0, 0, &event->id);
    event->organization_id = *(const orgs_id_t *)organization;
    event->seq = orgs_row_int(row, 0, 1, 0);
    event->at = orgs_row_time(row, 0, 2);
    event->has_actor = orgs_row_id(row, 0, 3, &event->actor_id);
    event->action = orgs_row_string(row, 0, 4);
    event->has_target = orgs_row_id(row, 0, 5, &event->target_id);
    event->request_id = orgs_row_string(row, 0, 6);
    event->changes = orgs_row_string(row, 0, 7);
}

const orgs_error_t *orgs_store_event_list(orgs_db_t *db, apr_pool_t *p, const orgs_id_t *organization, int descending,
                                          apr_int64_t after, int limit, apr_array_header_t **items)
{
    orgs_value_t params[] = {orgs_value_id(organization),
                             orgs_value_int(descending && after == 0 ? SEQ_BEYOND : after), orgs_value_int(limit)};

    return orgs_db_list(db, p, descending ? ORGS_SQL_EVENT_LIST_DESC : ORGS_SQL_EVENT_LIST, params,
                        sizeof(orgs_event_t), take_event, organization, items);
}

/* The last id that a clock within a day of the database's may have made before a time. */
static void last_id(apr_time_t before, orgs_id_t *id)
{
    apr_uint64_t ms = (apr_uint64_t)apr_time_as_msec(before) + 86400000u;
    int i;

    memset(id->bytes, 0xff, sizeof(id->bytes));
    for (i = 5; i >= 0; i--) {
        id->bytes[i] = (unsigned char)(ms & 0xffu);
        ms >>= 8;
    }
}

const orgs_error_t *orgs_store_event_prune(orgs_db_t *db, apr_pool_t *p, apr_time_t before, int rows,
                                           orgs_id_t *after, apr_int64_t *deleted, int *more)
{
    orgs_id_t from = *after;
    orgs_id_t until = {{0}};
    orgs_value_t params[] = {orgs_value_null(), orgs_value_id(&from), orgs_value_id(&until), orgs_value_time(before),
                             orgs_value_int(rows)};
    const orgs_error_t *error;
    orgs_outcome_t outcome;

    last_id(before, &until);
    error = orgs_call(db, p, ORGS_SQL_EVENT_PRUNE, params, NULL, &outcome);
    if (error != NULL) {
        return error;
    }
    *deleted = orgs_answer_int(outcome.answer, "deleted", 0);
    *more = orgs_answer_int(outcome.answer, "seen", 0) == rows && orgs_answer_id(outcome.answer, "last", after);
    return NULL;
}

const orgs_error_t *orgs_store_event_expire(orgs_db_t *db, apr_pool_t *p, int rows)
{
    orgs_value_t params[] = {orgs_value_null(), orgs_value_int(rows)};
    orgs_outcome_t outcome;

    return orgs_call(db, p, ORGS_SQL_EVENT_EXPIRE, params, NULL, &outcome);
}
