/*
 * orgsctl license.
 */
#include "orgsctl.h"

#include <apr_strings.h>
#include <string.h>

#include "orgs_limits.h"

static const orgsctl_column_t columns[] = {{"ID", "id"},
                                           {"PLAN", "plan"},
                                           {"STATUS", "status"},
                                           {"SEATS", "seats"},
                                           {"STARTS", "starts_at"},
                                           {"EXPIRES", "expires_at"},
                                           {"ORGANIZATION", "organization_id"},
                                           {"RESERVED-FOR", "reserved_for"},
                                           {NULL, NULL}};

static const orgsctl_column_t lines[] = {{"id", "id"},
                                         {"plan", "plan"},
                                         {"status", "status"},
                                         {"seats", "seats"},
                                         {"starts", "starts_at"},
                                         {"expires", "expires_at"},
                                         {"organization", "organization_id"},
                                         {"assigned", "assigned_at"},
                                         {"reserved for", "reserved_for"},
                                         {"reserved for user", "reserved_by"},
                                         {"created", "created_at"},
                                         {NULL, NULL}};

static json_t *license_json(apr_pool_t *pool, const orgs_license_record_t *record)
{
    const orgs_license_t *license = &record->license;

    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id", orgs_id_text(pool, &license->id),
                     "plan", license->plan, "status", license->status, "seats", orgsctl_json_seats(license->seats),
                     "starts_at", orgsctl_json_time(pool, license->starts_at), "expires_at",
                     orgsctl_json_time(pool, license->expires_at), "organization_id",
                     orgsctl_json_id(pool, record->has_organization, &record->organization_id), "assigned_at",
                     orgsctl_json_time(pool, license->assigned_at), "reserved_for",
                     orgsctl_json_id(pool, record->has_reserved_for, &record->reserved_for), "reserved_by",
                     orgsctl_json_id(pool, record->has_reserved_by, &record->reserved_by), "created_at",
                     orgsctl_json_time(pool, record->created_at));
}

static int list(orgsctl_t *ctl)
{
    orgsctl_list_t *out = orgsctl_list_begin(ctl, columns);
    orgs_id_t after = {{0}};
    apr_array_header_t *items;
    apr_pool_t *batch;
    int i;

    apr_pool_create(&batch, ctl->pool);
    do {
        apr_pool_clear(batch);
        orgs_db_renew(&ctl->db);
        if (!orgsctl_done(ctl, orgs_store_license_list(&ctl->db, batch, &after, ORGSCTL_BATCH, &items), NULL, "")) {
            return ORGSCTL_FAILED;
        }
        for (i = 0; i < items->nelts; i++) {
            const orgs_license_record_t *record = &APR_ARRAY_IDX(items, i, orgs_license_record_t);

            orgsctl_list_add(out, license_json(batch, record));
            after = record->license.id;
        }
        orgsctl_list_flush(out);
    } while (items->nelts == ORGSCTL_BATCH);
    return orgsctl_list_end(out);
}

static int show(orgsctl_t *ctl)
{
    orgs_license_record_t record;
    orgs_id_t id;

    if (!orgsctl_id(ctl, ctl->args[0], ORGS_E_LICENSE_NOT_FOUND, &id)
        || !orgsctl_done(ctl, orgs_store_license_show(&ctl->db, ctl->pool, &id, &record), NULL, "")) {
        return ORGSCTL_FAILED;
    }
    return orgsctl_show(ctl, lines, license_json(ctl->pool, &record));
}

/* The options of add and set. Gives an exit status. */
static int take_change(orgsctl_t *ctl, orgs_license_change_t *change)
{
    memset(change, 0, sizeof(*change));
    if (!orgsctl_text(ctl, "plan", ORGS_PLAN_MAX, 0, &change->plan)) {
        return ORGSCTL_FAILED;
    }
    if (!orgsctl_seats(ctl, &change->change_seats, &change->seats)
        || !orgsctl_time(ctl, "starts-at", &change->change_starts_at, &change->starts_at)
        || !orgsctl_time(ctl, "expires-at", &change->change_expires_at, &change->expires_at)) {
        return ORGSCTL_USAGE;
    }
    return ORGSCTL_DONE;
}

static int add(orgsctl_t *ctl)
{
    orgs_license_change_t change;
    orgs_outcome_t outcome;
    orgs_id_t id;
    int status = take_change(ctl, &change);

    if (status != ORGSCTL_DONE) {
        return status;
    }
    if (change.plan == NULL) {
        return orgsctl_usage(ctl, "--plan is missing");
    }
    if (orgs_id_make_v4(&id) != APR_SUCCESS) {
        return orgsctl_fail(ctl, "the system gives no random bytes");
    }
    if (!orgsctl_done(ctl, orgs_store_license_add(&ctl->db, ctl->pool, &id, &change, &outcome), &outcome, "")) {
        return ORGSCTL_FAILED;
    }
    return orgsctl_added(ctl, orgs_id_text(ctl->pool, &id), json_pack("{s:s}", "id", orgs_id_text(ctl->pool, &id)));
}

/* After a write: nothing, with --json the license as it now is. */
static int answer(orgsctl_t *ctl, const orgs_id_t *id, const orgs_error_t *error, const orgs_outcome_t *outcome)
{
    orgs_license_record_t record;

    if (!orgsctl_done(ctl, error, outcome, "")) {
        return ORGSCTL_FAILED;
    }
    if (!ctl->json) {
        return ORGSCTL_DONE;
    }
    if (!orgsctl_done(ctl, orgs_store_license_show(&ctl->db, ctl->pool, id, &record), NULL, "")) {
        return ORGSCTL_FAILED;
    }
    return orgsctl_show(ctl, NULL, license_json(ctl->pool, &record));
}

static int set(orgsctl_t *ctl)
{
    orgs_license_change_t change;
    orgs_outcome_t outcome;
    orgs_id_t id;
    int status = take_change(ctl, &change);

    if (status != ORGSCTL_DONE) {
        return status;
    }
    if (change.plan == NULL && change.change_seats == ORGS_KEEP && change.change_starts_at == ORGS_KEEP
        && change.change_expires_at == ORGS_KEEP) {
        return orgsctl_usage(ctl, "nothing to set: give --plan, --seats, --starts-at or --expires-at");
    }
    if (!orgsctl_id(ctl, ctl->args[0], ORGS_E_LICENSE_NOT_FOUND, &id)) {
        return ORGSCTL_FAILED;
    }
    return answer(ctl, &id, orgs_store_license_set(&ctl->db, ctl->pool, &id, &change, &outcome), &outcome);
}

static int change_state(orgsctl_t *ctl, int suspended)
{
    orgs_outcome_t outcome;
    orgs_id_t id;

    return orgsctl_id(ctl, ctl->args[0], ORGS_E_LICENSE_NOT_FOUND, &id)
               ? answer(ctl, &id, orgs_store_license_state(&ctl->db, ctl->pool, &id, suspended, &outcome), &outcome)
               : ORGSCTL_FAILED;
}

static int suspend(orgsctl_t *ctl)
{
    return change_state(ctl, 1);
}

static int resume(orgsctl_t *ctl)
{
    return change_state(ctl, 0);
}

static int withdraw(orgsctl_t *ctl)
{
    return change_state(ctl, -1);
}

static int release(orgsctl_t *ctl)
{
    const char *to = orgsctl_option(ctl, "to");
    int with_deployments = orgsctl_option(ctl, "with-deployments") != NULL;
    orgs_outcome_t outcome;
    orgs_id_t id, organization;

    if ((to != NULL) == (orgsctl_option(ctl, "force") != NULL)) {
        return orgsctl_usage(ctl, "give either --to=ORG-ID or --force");
    }
    if (!orgsctl_id(ctl, ctl->args[0], ORGS_E_LICENSE_NOT_FOUND, &id)
        || (to != NULL && !orgsctl_id(ctl, to, ORGS_E_ORGANIZATION_NOT_FOUND, &organization))) {
        return ORGSCTL_FAILED;
    }
    return answer(ctl, &id,
                  orgs_store_license_release(&ctl->db, ctl->pool, &id, to != NULL ? &organization : NULL,
                                             with_deployments, &outcome),
                  &outcome);
}

static const orgsctl_option_t add_options[] = {
    {"plan", "P", "the plan's name; it must be given"},
    {"seats", "N|unlimited", "how many members; unlimited if not given"},
    {"starts-at", "T", "when it begins to count, like 2030-01-01T00:00:00Z; at once if not given"},
    {"expires-at", "T", "when it no longer counts; never if not given"},
    {NULL, NULL, NULL}};

static const orgsctl_option_t set_options[] = {{"plan", "P", "the plan's name"},
                                               {"seats", "N|unlimited", "how many members"},
                                               {"starts-at", "T|none", "when it begins to count"},
                                               {"expires-at", "T|none", "when it no longer counts"},
                                               {NULL, NULL, NULL}};

static const orgsctl_option_t release_options[] = {
    {"to", "ORG-ID", "reserves it for that organization"},
    {"with-deployments", NULL, "hands over the deployments that hang on it"},
    {"force", NULL, "for whoever knows the id, with the deployments that hang on it"},
    {NULL, NULL, NULL}};

const orgsctl_command_t orgsctl_license_commands[] = {
    {"license", "add", "--plan=P", 0, 0, add_options, 0, add, "Adds a license and prints the id that redeems it."},
    {"license", "set", "LICENSE-ID", 1, 1, set_options, 0, set, "Changes a license, assigned or not."},
    {"license", "list", "", 0, 0, NULL, 0, list, "Lists all licenses."},
    {"license", "show", "LICENSE-ID", 1, 1, NULL, 0, show, "Shows one license."},
    {"license", "suspend", "LICENSE-ID", 1, 1, NULL, 0, suspend, "Makes a license not count until it is resumed."},
    {"license", "resume", "LICENSE-ID", 1, 1, NULL, 0, resume, "Makes a suspended license count again."},
    {"license", "revoke", "LICENSE-ID", 1, 1, NULL, 0, withdraw, "Ends a license for good."},
    {"license", "release", "LICENSE-ID --to=ORG-ID | --force", 1, 1, release_options, 0, release,
     "Says who may have a license that left its organization."},
    {NULL, NULL, NULL, 0, 0, NULL, 0, NULL, NULL}};
