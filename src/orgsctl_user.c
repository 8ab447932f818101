/*
 * orgsctl user.
 */
#include "orgsctl.h"

#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orgs_limits.h"
#include "orgs_text.h"
#include "orgs_time.h"

static const orgsctl_column_t columns[] = {
    {"ID", "id"},         {"EMAIL", "email"},     {"NAME", "name"},           {"EXTERNAL-ID", "external_id"},
    {"ACTIVE", "active"}, {"SUPERUSER", "superuser"}, {"CREATED", "created_at"}, {NULL, NULL}};

static json_t *user_json(apr_pool_t *pool, const orgs_user_t *user)
{
    return json_pack("{s:s, s:s, s:s?, s:s?, s:b, s:b, s:s}", "id", orgs_id_text(pool, &user->id), "email",
                     user->email, "name", user->name, "external_id", user->external_id, "active", user->active,
                     "superuser", user->superuser, "created_at", orgs_time_text(pool, user->created_at));
}

static int list(orgsctl_t *ctl)
{
    orgsctl_list_t *out = orgsctl_list_begin(ctl, columns);
    orgs_id_t after = {{0}};
    apr_array_header_t *users;
    apr_pool_t *batch;
    int i;

    apr_pool_create(&batch, ctl->pool);
    do {
        apr_pool_clear(batch);
        orgs_db_renew(&ctl->db);
        if (!orgsctl_done(ctl, orgs_store_user_list(&ctl->db, batch, &after, ORGSCTL_BATCH, &users), NULL, "")) {
            return ORGSCTL_FAILED;
        }
        for (i = 0; i < users->nelts; i++) {
            const orgs_user_t *user = &APR_ARRAY_IDX(users, i, orgs_user_t);

            orgsctl_list_add(out, user_json(batch, user));
            after = user->id;
        }
        orgsctl_list_flush(out);
    } while (users->nelts == ORGSCTL_BATCH);
    return orgsctl_list_end(out);
}

/* Adds one user. Zero, and a line said, if it was refused. */
static int add_user(orgsctl_t *ctl, apr_pool_t *pool, orgs_user_t *user, const char *prefix)
{
    orgs_outcome_t outcome;

    orgs_db_renew(&ctl->db);
    if (orgs_id_make_v7(&user->id) != APR_SUCCESS) {
        orgsctl_fail(ctl, "the system gives no random bytes");
        return 0;
    }
    return orgsctl_done(ctl, orgs_store_user_add(&ctl->db, pool, user, &outcome), &outcome, prefix);
}

static json_t *added_json(apr_pool_t *pool, const orgs_user_t *user)
{
    return json_pack("{s:s, s:s}", "id", orgs_id_text(pool, &user->id), "email", user->email);
}

/* One email a line. What was added before a line that fails stays. */
static int add_lines(orgsctl_t *ctl)
{
    static const orgsctl_column_t ids[] = {{"ID", "id"}, {NULL, NULL}};
    orgsctl_list_t *out = orgsctl_list_begin(ctl, ids);
    char *line = NULL;
    size_t size = 0;
    apr_pool_t *pool;
    unsigned long number;
    ssize_t len;
    int good = 1;

    apr_pool_create(&pool, ctl->pool);
    for (number = 1; good && (len = getline(&line, &size, stdin)) >= 0; number++) {
        const char *prefix, *problem;
        orgs_user_t user;

        apr_pool_clear(pool);
        memset(&user, 0, sizeof(user));
        prefix = apr_psprintf(pool, "line %lu: ", number);
        user.email = orgs_email_check(pool, line, (apr_size_t)len, &problem);
        if (user.email == NULL) {
            orgsctl_fail(ctl, "%s%s", prefix, problem);
            good = 0;
        }
        else if (!add_user(ctl, pool, &user, prefix)) {
            good = 0;
        }
        else if (ctl->json) {
            orgsctl_list_add(out, added_json(pool, &user));
            orgsctl_list_flush(out);
        }
        else {
            puts(orgs_id_text(pool, &user.id));
        }
    }
    free(line);
    if (ctl->json) {
        orgsctl_list_end(out);
    }
    if (good && ferror(stdin)) {
        return orgsctl_fail(ctl, "standard input cannot be read");
    }
    return good && orgsctl_flushed(ctl) == ORGSCTL_DONE ? ORGSCTL_DONE : ORGSCTL_FAILED;
}

/* --external-id: bytes without controls; "" where empty is allowed. */
static int external_id(orgsctl_t *ctl, int empty, const char **value)
{
    if (!orgsctl_text(ctl, "external-id", ORGS_EXTERNAL_ID_MAX, empty, value)) {
        return 0;
    }
    if (*value != NULL && strlen(*value) > ORGS_EXTERNAL_ID_MAX) {
        orgsctl_fail(ctl, "--external-id: It is too long.");
        return 0;
    }
    return 1;
}

static int add(orgsctl_t *ctl)
{
    orgs_user_t user;

    memset(&user, 0, sizeof(user));
    if (orgsctl_option(ctl, "stdin") != NULL) {
        return ctl->count == 0 && orgsctl_option(ctl, "name") == NULL && orgsctl_option(ctl, "external-id") == NULL
                       && orgsctl_option(ctl, "superuser") == NULL
                   ? add_lines(ctl)
                   : orgsctl_usage(ctl, "--stdin goes with no email and no other option");
    }
    if (ctl->count == 0) {
        return orgsctl_usage(ctl, "an email is missing, or --stdin");
    }
    user.superuser = orgsctl_option(ctl, "superuser") != NULL;
    user.email = orgsctl_email(ctl, ctl->args[0]);
    if (user.email == NULL || !orgsctl_text(ctl, "name", ORGS_NAME_MAX, 0, &user.name)
        || !external_id(ctl, 0, &user.external_id) || !add_user(ctl, ctl->pool, &user, "")) {
        return ORGSCTL_FAILED;
    }
    return orgsctl_added(ctl, orgs_id_text(ctl->pool, &user.id), added_json(ctl->pool, &user));
}

/* A write that prints nothing, with --json the user's id. */
static int answer(orgsctl_t *ctl, const orgs_error_t *error, const orgs_outcome_t *outcome)
{
    if (!orgsctl_done(ctl, error, outcome, "")) {
        return ORGSCTL_FAILED;
    }
    return ctl->json ? orgsctl_show(ctl, NULL, json_incref(outcome->answer)) : ORGSCTL_DONE;
}

static int set(orgsctl_t *ctl)
{
    const char *email = orgsctl_email(ctl, ctl->args[0]);
    const char *new_email = orgsctl_option(ctl, "email");
    const char *name, *external;
    orgs_outcome_t outcome;

    if (email == NULL || (new_email != NULL && (new_email = orgsctl_email(ctl, new_email)) == NULL)
        || !orgsctl_text(ctl, "name", ORGS_NAME_MAX, 1, &name) || !external_id(ctl, 1, &external)) {
        return ORGSCTL_FAILED;
    }
    if (new_email == NULL && name == NULL && external == NULL) {
        return orgsctl_usage(ctl, "nothing to set: give --email, --name or --external-id");
    }
    return answer(ctl, orgs_store_user_set(&ctl->db, ctl->pool, email, new_email, name, external, &outcome), &outcome);
}

static int deactivate(orgsctl_t *ctl)
{
    const char *email = orgsctl_email(ctl, ctl->args[0]);
    int force = orgsctl_option(ctl, "force") != NULL;
    orgs_outcome_t outcome;

    return email == NULL
               ? ORGSCTL_FAILED
               : answer(ctl, orgs_store_user_deactivate(&ctl->db, ctl->pool, email, force, &outcome), &outcome);
}

static int activate(orgsctl_t *ctl)
{
    const char *email = orgsctl_email(ctl, ctl->args[0]);
    orgs_outcome_t outcome;

    return email == NULL ? ORGSCTL_FAILED
                         : answer(ctl, orgs_store_user_activate(&ctl->db, ctl->pool, email, &outcome), &outcome);
}

static int superuser(orgsctl_t *ctl)
{
    int on = strcmp(ctl->args[1], "on") == 0;
    const char *email;
    orgs_outcome_t outcome;

    if (!on && strcmp(ctl->args[1], "off") != 0) {
        return orgsctl_usage(ctl, "say on or off");
    }
    email = orgsctl_email(ctl, ctl->args[0]);
    return email == NULL ? ORGSCTL_FAILED
                         : answer(ctl, orgs_store_user_superuser(&ctl->db, ctl->pool, email, on, &outcome), &outcome);
}

static const orgsctl_option_t add_options[] = {
    {"name", "N", "what people call the user"},
    {"external-id", "X", "the id of another system that knows this user"},
    {"superuser", NULL, "counts as admin of every organization"},
    {"stdin", NULL, "adds one user for each line of standard input, an email"},
    {NULL, NULL, NULL}};

static const orgsctl_option_t set_options[] = {{"email", "E", "the new email"},
                                               {"name", "N", "the new name; an empty one clears it"},
                                               {"external-id", "X", "the new external id; an empty one clears it"},
                                               {NULL, NULL, NULL}};

static const orgsctl_option_t deactivate_options[] = {
    {"force", NULL, "even where an organization is left without an active admin"}, {NULL, NULL, NULL}};

const orgsctl_command_t orgsctl_user_commands[] = {
    {"user", "add", "EMAIL | --stdin", 0, 1, add_options, 0, add, "Adds a user and prints the id."},
    {"user", "set", "EMAIL", 1, 1, set_options, 0, set, "Changes a user."},
    {"user", "list", "", 0, 0, NULL, 0, list, "Lists all users."},
    {"user", "deactivate", "EMAIL", 1, 1, deactivate_options, 0, deactivate,
     "Shuts a user out; refused for the only active admin of an organization."},
    {"user", "activate", "EMAIL", 1, 1, NULL, 0, activate, "Lets a user in again."},
    {"user", "superuser", "EMAIL on|off", 2, 2, NULL, 0, superuser,
     "Makes a user an admin of every organization, or no longer."},
    {NULL, NULL, NULL, 0, 0, NULL, 0, NULL, NULL}};
