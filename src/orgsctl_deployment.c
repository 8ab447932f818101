/*
 * orgsctl deployment.
 */
#include "orgsctl.h"

#include <apr_strings.h>
#include <string.h>

#include "orgs_json.h"
#include "orgs_limits.h"

static const orgsctl_column_t columns[] = {{"ID", "id"},           {"NAME", "name"},     {"ENVIRONMENT", "environment"},
                                           {"VERSION", "version"}, {"STATUS", "status"}, {"UPDATED", "updated_at"},
                                           {"URL", "url"},         {NULL, NULL}};

static int list(orgsctl_t *ctl)
{
    orgsctl_list_t *out = orgsctl_list_begin(ctl, columns);
    orgs_id_t after = {{0}};
    orgs_license_record_t license;
    apr_array_header_t *items;
    orgs_writer_t text;
    apr_pool_t *batch;
    orgs_id_t id;
    int i;

    if (!orgsctl_id(ctl, ctl->args[0], ORGS_E_LICENSE_NOT_FOUND, &id)
        || !orgsctl_done(ctl, orgs_store_license_show(&ctl->db, ctl->pool, &id, &license), NULL, "")) {
        return ORGSCTL_FAILED;
    }
    apr_pool_create(&batch, ctl->pool);
    do {
        apr_pool_clear(batch);
        orgs_db_renew(&ctl->db);
        if (!orgsctl_done(ctl, orgs_store_deployments_of(&ctl->db, batch, &id, &after, ORGSCTL_BATCH, &items), NULL,
                          "")) {
            return ORGSCTL_FAILED;
        }
        for (i = 0; i < items->nelts; i++) {
            const orgs_deployment_t *item = &APR_ARRAY_IDX(items, i, orgs_deployment_t);

            orgs_writer_text(&text, batch);
            orgs_json_deployment(&text, item);
            orgsctl_list_add(out, orgs_json_value(&text));
            after = item->id;
        }
        orgsctl_list_flush(out);
    } while (items->nelts == ORGSCTL_BATCH);
    return orgsctl_list_end(out);
}

/* The options of add and set. */
static int take_fields(orgsctl_t *ctl, int empty, orgs_deployment_t *item)
{
    return orgsctl_text(ctl, "environment", ORGS_PLAN_MAX, empty, &item->environment)
           && orgsctl_text(ctl, "url", ORGS_URL_MAX, empty, &item->url)
           && orgsctl_text(ctl, "version", ORGS_PLAN_MAX, empty, &item->version)
           && orgsctl_text(ctl, "status", ORGS_PLAN_MAX, 0, &item->status);
}

static int add(orgsctl_t *ctl)
{
    orgs_deployment_t item;
    orgs_outcome_t outcome;
    const char *id;

    memset(&item, 0, sizeof(item));
    item.name = ctl->args[1];
    if (!orgsctl_id(ctl, ctl->args[0], ORGS_E_LICENSE_NOT_FOUND, &item.license_id)
        || !orgsctl_text_of(ctl, "NAME", ORGS_NAME_MAX, 0, &item.name) || !take_fields(ctl, 0, &item)) {
        return ORGSCTL_FAILED;
    }
    if (item.status == NULL) {
        item.status = "active";
    }
    if (orgs_id_make_v7(&item.id) != APR_SUCCESS) {
        return orgsctl_fail(ctl, "the system gives no random bytes");
    }
    if (!orgsctl_done(ctl, orgs_store_deployment_add(&ctl->db, ctl->pool, &item, &outcome), &outcome, "")) {
        return ORGSCTL_FAILED;
    }
    id = orgs_id_text(ctl->pool, &item.id);
    return orgsctl_added(ctl, id, json_pack("{s:s}", "id", id));
}

/* A write that prints nothing, with --json the deployment's id. */
static int answer(orgsctl_t *ctl, const orgs_error_t *error, const orgs_outcome_t *outcome)
{
    if (!orgsctl_done(ctl, error, outcome, "")) {
        return ORGSCTL_FAILED;
    }
    return ctl->json ? orgsctl_show(ctl, NULL, json_incref(outcome->answer)) : ORGSCTL_DONE;
}

/* A deployment's id, which is the first word. */
static int take_id(orgsctl_t *ctl, orgs_id_t *id)
{
    if (!orgs_id_parse(id, ctl->args[0], strlen(ctl->args[0]))) {
        orgsctl_fail(ctl, "There is no such deployment.");
        return 0;
    }
    return 1;
}

static int set(orgsctl_t *ctl)
{
    orgs_deployment_t item;
    orgs_outcome_t outcome;

    memset(&item, 0, sizeof(item));
    if (!take_id(ctl, &item.id) || !orgsctl_text(ctl, "name", ORGS_NAME_MAX, 0, &item.name)
        || !take_fields(ctl, 1, &item)) {
        return ORGSCTL_FAILED;
    }
    if (item.name == NULL && item.environment == NULL && item.url == NULL && item.version == NULL
        && item.status == NULL) {
        return orgsctl_usage(ctl, "nothing to set: give --name, --environment, --url, --version or --status");
    }
    return answer(ctl, orgs_store_deployment_set(&ctl->db, ctl->pool, &item, &outcome), &outcome);
}

static int drop(orgsctl_t *ctl)
{
    orgs_outcome_t outcome;
    orgs_id_t id;

    return take_id(ctl, &id)
               ? answer(ctl, orgs_store_deployment_remove(&ctl->db, ctl->pool, &id, &outcome), &outcome)
               : ORGSCTL_FAILED;
}

static const orgsctl_option_t add_options[] = {{"environment", "E", "such as production"},
                                               {"url", "U", "where it is"},
                                               {"version", "V", "what runs there"},
                                               {"status", "S", "\"active\" if not given"},
                                               {NULL, NULL, NULL}};

static const orgsctl_option_t set_options[] = {{"name", "N", "the new name"},
                                               {"environment", "E", "an empty one clears it"},
                                               {"url", "U", "an empty one clears it"},
                                               {"version", "V", "an empty one clears it"},
                                               {"status", "S", "the new status"},
                                               {NULL, NULL, NULL}};

const orgsctl_command_t orgsctl_deployment_commands[] = {
    {"deployment", "add", "LICENSE-ID NAME", 2, 2, add_options, 0, add, "Adds a deployment and prints its id."},
    {"deployment", "set", "DEPLOYMENT-ID", 1, 1, set_options, 0, set, "Changes a deployment."},
    {"deployment", "remove", "DEPLOYMENT-ID", 1, 1, NULL, 0, drop, "Removes a deployment."},
    {"deployment", "list", "LICENSE-ID", 1, 1, NULL, 0, list, "Lists the deployments of a license."},
    {NULL, NULL, NULL, 0, 0, NULL, 0, NULL, NULL}};
