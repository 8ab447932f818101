/*
 * The representations.
 */
#include "orgs_json.h"

#include <string.h>

/* Adds a member; the value may be NULL, which stands for null. */
static void add(json_t *object, const char *name, json_t *value)
{
    json_object_set_new_nocheck(object, name, value != NULL ? value : json_null());
}

static json_t *text(const char *value)
{
    return value != NULL ? json_string(value) : NULL;
}

static json_t *id_text(const orgs_id_t *id)
{
    char buffer[ORGS_ID_TEXT_LEN + 1];

    return json_string_nocheck(orgs_id_print(buffer, id));
}

static json_t *time_text(apr_time_t at)
{
    char buffer[ORGS_TIME_TEXT_LEN + 1];

    return at != -1 ? json_string_nocheck(orgs_time_print(buffer, at)) : NULL;
}

json_t *orgs_json_organization(const orgs_organization_t *organization)
{
    json_t *object = json_object();

    add(object, "id", id_text(&organization->id));
    add(object, "name", text(organization->name));
    add(object, "description", text(organization->description));
    add(object, "active", json_boolean(organization->active));
    add(object, "role", text(orgs_role_name(organization->role)));
    add(object, "license_id", organization->has_license ? id_text(&organization->license_id) : NULL);
    add(object, "created_at", time_text(organization->created_at));
    add(object, "updated_at", time_text(organization->updated_at));
    return object;
}

json_t *orgs_json_organization_deleted(const orgs_id_t *id)
{
    json_t *object = json_object();

    add(object, "id", id_text(id));
    add(object, "deleted", json_true());
    return object;
}

json_t *orgs_json_event(const orgs_event_t *event)
{
    json_t *object = json_object();

    add(object, "id", id_text(&event->id));
    add(object, "organization_id", id_text(&event->organization_id));
    add(object, "seq", json_integer(event->seq));
    add(object, "at", time_text(event->at));
    add(object, "actor_id", event->has_actor ? id_text(&event->actor_id) : NULL);
    add(object, "action", text(event->action));
    add(object, "target_id", event->has_target ? id_text(&event->target_id) : NULL);
    add(object, "request_id", text(event->request_id));
    add(object, "changes", event->changes != NULL ? json_loads(event->changes, 0, NULL) : NULL);
    return object;
}

json_t *orgs_json_problem(const orgs_error_t *error, const char *title)
{
    json_t *object = json_object();

    add(object, "type", text("about:blank"));
    add(object, "title", text(title));
    add(object, "status", json_integer(orgs_error_status(error->code)));
    add(object, "detail", text(error->detail));
    add(object, "code", text(orgs_error_name(error->code)));
    if (error->members != NULL) {
        json_object_update(object, error->members);
    }
    return object;
}
