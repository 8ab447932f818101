/*
 * orgsctl org, orgsctl plan.
 */
#include "orgsctl.h"

#include <apr_strings.h>
#include <string.h>

#include "orgs_json.h"
#include "orgs_limits.h"

static const orgsctl_column_t columns[] = {{"ID", "id"},
                                           {"NAME", "name"},
                                           {"ACTIVE", "active"},
                                           {"MEMBERS", "members"},
                                           {"LICENSE", "license_id"},
                                           {"CREATED", "created_at"},
                                           {NULL, NULL}};

static const orgsctl_column_t lines[] = {{"id", "id"},
                                         {"name", "name"},
                                         {"description", "description"},
                                         {"active", "active"},
                                         {"members", "members"},
                                         {"active admins", "admins"},
                                         {"license", "license_id"},
                                         {"plan", "plan"},
                                         {"seats", "seats"},
                                         {"created", "created_at"},
                                         {"updated", "updated_at"},
                                         {NULL, NULL}};

static const orgsctl_column_t plan_lines[] = {{"plan", "plan"}, {"seats", "seats"}, {NULL, NULL}};

static json_t *organization_json(apr_pool_t *pool, const orgs_organization_t *item)
{
    return json_pack("{s:s, s:s, s:s?, s:b, s:I, s:o, s:o, s:o}", "id", orgs_id_text(pool, &item->id), "name",
                     item->name, "description", item->description, "active", item->active, "members",
                     (json_int_t)item->members, "license_id",
                     orgsctl_json_id(pool, item->has_license, &item->license_id), "created_at",
                     orgsctl_json_time(pool, item->created_at), "updated_at",
                     orgsctl_json_time(pool, item->updated_at));
}

static int list(orgsctl_t *ctl)
{
    static const orgs_organization_filter_t all = {1, 0, ORGS_ROLE_NONE};
    orgsctl_list_t *out = orgsctl_list_begin(ctl, columns);
    orgs_position_t after = {0, {{0}}};
    apr_array_header_t *items;
    apr_pool_t *batch;
    int i;

    apr_pool_create(&batch, ctl->pool);
    do {
        apr_pool_clear(batch);
        orgs_db_renew(&ctl->db);
        if (!orgsctl_done(ctl, orgs_store_org_list(&ctl->db, batch, NULL, &all, &after, ORGSCTL_BATCH, &items), NULL,
                          "")) {
            return ORGSCTL_FAILED;
        }
        for (i = 0; i < items->nelts; i++) {
            const orgs_organization_t *item = &APR_ARRAY_IDX(items, i, orgs_organization_t);

            orgsctl_list_add(out, organization_json(batch, item));
            after.id = item->id;
        }
        orgsctl_list_flush(out);
    } while (items->nelts == ORGSCTL_BATCH);
    return orgsctl_list_end(out);
}

static int show(orgsctl_t *ctl)
{
    orgs_overview_t overview;
    json_t *item;
    orgs_id_t id;

    if (!orgsctl_id(ctl, ctl->args[0], ORGS_E_ORGANIZATION_NOT_FOUND, &id)
        || !orgsctl_done(ctl, orgs_store_org_show(&ctl->db, ctl->pool, &id, &overview), NULL, "")) {
        return ORGSCTL_FAILED;
    }
    item = organization_json(ctl->pool, &overview.organization);
    json_object_set_new(item, "admins", json_integer(overview.admins));
    json_object_set_new(item, "plan", json_string(overview.plan != NULL ? overview.plan : ""));
    json_object_set_new(item, "seats", orgsctl_json_seats(overview.seats));
    return orgsctl_show(ctl, lines, item);
}

/* A membership has no id of its own: with --json it is printed as the API shows it. */
static json_t *member_json(apr_pool_t *pool, const json_t *answer)
{
    orgs_member_t member;
    orgs_writer_t text;

    memset(&member, 0, sizeof(member));
    orgs_answer_id(answer, "organization_id", &member.organization_id);
    orgs_answer_id(answer, "user_id", &member.user_id);
    member.email = orgs_answer_string(pool, answer, "email");
    member.name = orgs_answer_string(pool, answer, "name");
    member.role = ORGS_ROLE_ADMIN;
    member.joined_at = orgs_answer_time(answer, "joined_at");
    orgs_writer_text(&text, pool);
    orgs_json_member(&text, &member);
    return orgs_json_value(&text);
}

static int add_admin(orgsctl_t *ctl)
{
    orgs_outcome_t outcome;
    const char *email;
    orgs_id_t id;

    if (!orgsctl_id(ctl, ctl->args[0], ORGS_E_ORGANIZATION_NOT_FOUND, &id)
        || (email = orgsctl_email(ctl, ctl->args[1])) == NULL
        || !orgsctl_done(ctl, orgs_store_org_add_admin(&ctl->db, ctl->pool, &id, email, &outcome), &outcome, "")) {
        return ORGSCTL_FAILED;
    }
    return orgsctl_added(ctl, orgs_answer_string(ctl->pool, outcome.answer, "user_id"),
                         member_json(ctl->pool, outcome.answer));
}

static int plan_free(orgsctl_t *ctl)
{
    const char *name;
    orgs_change_e change;
    orgs_outcome_t outcome;
    apr_int64_t seats;

    if (!orgsctl_text(ctl, "name", ORGS_PLAN_MAX, 0, &name)) {
        return ORGSCTL_FAILED;
    }
    if (!orgsctl_seats(ctl, &change, &seats)) {
        return ORGSCTL_USAGE;
    }
    if ((name != NULL || change != ORGS_KEEP)
        && !orgsctl_done(ctl,
                         orgs_store_plan_set_free(&ctl->db, ctl->pool, name, change != ORGS_KEEP, seats, &outcome),
                         &outcome, "")) {
        return ORGSCTL_FAILED;
    }
    if (!orgsctl_done(ctl, orgs_store_plan_free(&ctl->db, ctl->pool, &name, &seats), NULL, "")) {
        return ORGSCTL_FAILED;
    }
    return orgsctl_show(ctl, plan_lines, json_pack("{s:s?, s:o}", "plan", name, "seats", orgsctl_json_seats(seats)));
}

static const orgsctl_option_t plan_options[] = {{"name", "P", "sets the plan's name"},
                                                {"seats", "N|unlimited", "sets how many members an organization has"},
                                                {NULL, NULL, NULL}};

const orgsctl_command_t orgsctl_organization_commands[] = {
    {"org", "list", "", 0, 0, NULL, 0, list, "Lists all organizations."},
    {"org", "show", "ORG-ID", 1, 1, NULL, 0, show, "Shows one organization."},
    {"org", "add-admin", "ORG-ID EMAIL", 2, 2, NULL, 0, add_admin,
     "Makes a user an admin of an organization, and prints the user's id."},
    {"plan", "free", "", 0, 0, plan_options, 0, plan_free,
     "Shows, or sets, what an organization has without an active license."},
    {NULL, NULL, NULL, 0, 0, NULL, 0, NULL, NULL}};
