/*
 * Events: endpoint 15.
 */
#include "mod_orgs_api.h"

#include <apr_strings.h>

#include "mod_orgs_auth.h"
#include "mod_orgs_request.h"
#include "mod_orgs_response.h"
#include "orgs_json.h"

static const orgs_error_t *fetch_events(orgs_request_t *rq, apr_pool_t *p, const void *descending,
                                        const orgs_position_t *after, int limit, apr_array_header_t **items)
{
    return orgs_store_event_list(&rq->db, p, &rq->organization, *(const int *)descending, after->number, limit, items);
}

static void shape_event(orgs_writer_t *to, const void *item)
{
    orgs_json_event(to, item);
}

static void position_event(const void *item, orgs_position_t *at)
{
    at->number = ((const orgs_event_t *)item)->seq;
}

int mod_orgs_api_list_events(orgs_request_t *rq)
{
    static const char *const names[] = {"order", "limit", "cursor", NULL};
    static const orgs_position_t first;
    const char *values[3];
    int descending;
    mod_orgs_page_t page;
    mod_orgs_list_t list = {ORGS_CURSOR_EVENTS_ASC, &rq->organization, fetch_events, shape_event, position_event,
                            &descending, "/events", names, values};
    int status;

    mod_orgs_request_query(rq, names, values);
    descending = values[0] != NULL && strcmp(values[0], "desc") == 0;
    if (values[0] != NULL && !descending && strcmp(values[0], "asc") != 0) {
        mod_orgs_request_fault(rq, NULL, "order", "It is neither asc nor desc.");
    }
    if (descending) {
        list.cursor = ORGS_CURSOR_EVENTS_DESC;
    }
    mod_orgs_request_page(rq, list.cursor, list.scope, &first, values[1], values[2], &page);
    if ((status = mod_orgs_request_verdict(rq)) != OK || (status = mod_orgs_auth_admin(rq)) != OK) {
        return status;
    }
    list.path = apr_pstrcat(rq->r->pool, "/", orgs_id_text(rq->r->pool, &rq->organization), "/events", NULL);
    return mod_orgs_response_list(rq, &list, &page);
}
