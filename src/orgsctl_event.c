/*
 * orgsctl event.
 */
#include "orgsctl.h"

#include <apr_strings.h>
#include <string.h>

#include "orgs_json.h"

/* Events that one transaction of prune looks at: it holds few locks, and not for long. */
#define PRUNE_ROWS 1000

static const orgsctl_column_t columns[] = {{"SEQ", "seq"},          {"AT", "at"},         {"ACTION", "action"},
                                           {"ACTOR", "actor_id"},   {"TARGET", "target_id"},
                                           {"CHANGES", "changes"},  {NULL, NULL}};

static const orgsctl_column_t prune_lines[] = {{"deleted", "deleted"}, {NULL, NULL}};

static int list(orgsctl_t *ctl)
{
    orgsctl_list_t *out = orgsctl_list_begin(ctl, columns);
    apr_array_header_t *items;
    orgs_overview_t overview;
    apr_int64_t after = 0;
    orgs_writer_t text;
    apr_pool_t *batch;
    orgs_id_t id;
    int i;

    if (!orgsctl_id(ctl, ctl->args[0], ORGS_E_ORGANIZATION_NOT_FOUND, &id)) {
        return ORGSCTL_FAILED;
    }
    apr_pool_create(&batch, ctl->pool);
    do {
        apr_pool_clear(batch);
        orgs_db_renew(&ctl->db);
        if (!orgsctl_done(ctl, orgs_store_event_list(&ctl->db, batch, &id, 0, after, ORGSCTL_BATCH, &items), NULL,
                          "")) {
            return ORGSCTL_FAILED;
        }
        /* a deleted organization still has its events; one without any may never have been */
        if (items->nelts == 0 && after == 0
            && !orgsctl_done(ctl, orgs_store_org_show(&ctl->db, batch, &id, &overview), NULL, "")) {
            return ORGSCTL_FAILED;
        }
        for (i = 0; i < items->nelts; i++) {
            const orgs_event_t *event = &APR_ARRAY_IDX(items, i, orgs_event_t);

            orgs_writer_text(&text, batch);
            orgs_json_event(&text, event);
            orgsctl_list_add(out, orgs_json_value(&text));
            after = event->seq;
        }
        orgsctl_list_flush(out);
    } while (items->nelts == ORGSCTL_BATCH);
    return orgsctl_list_end(out);
}

static int prune(orgsctl_t *ctl)
{
    orgs_id_t after = {{0}};
    apr_int64_t deleted, total = 0;
    orgs_change_e change;
    apr_time_t before;
    apr_pool_t *batch;
    int more = 1;

    if (!orgsctl_time(ctl, "before", &change, &before)) {
        return ORGSCTL_USAGE;
    }
    if (change != ORGS_SET) {
        return orgsctl_usage(ctl, "--before=T is missing");
    }
    apr_pool_create(&batch, ctl->pool);
    while (more) {
        apr_pool_clear(batch);
        orgs_db_renew(&ctl->db);
        if (!orgsctl_done(ctl,
                          orgs_store_event_prune(&ctl->db, batch, before, PRUNE_ROWS, &after, &deleted, &more), NULL,
                          "")) {
            return ORGSCTL_FAILED;
        }
        total += deleted;
    }
    return orgsctl_show(ctl, prune_lines, json_pack("{s:I}", "deleted", (json_int_t)total));
}

static const orgsctl_option_t prune_options[] = {
    {"before", "T", "a time in UTC like 2030-01-01T00:00:00Z; what is not a day old stays anyway"},
    {NULL, NULL, NULL}};

const orgsctl_command_t orgsctl_event_commands[] = {
    {"event", "list", "ORG-ID", 1, 1, NULL, 0, list, "Lists what was done in an organization, also a deleted one."},
    {"event", "prune", "--before=T", 0, 0, prune_options, 0, prune, "Deletes the events from before a time."},
    {NULL, NULL, NULL, 0, 0, NULL, 0, NULL, NULL}};
