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

json_t *orgs_json_member(const orgs_member_t *member)
{
    json_t *object = json_object();

    add(object, "organization_id", id_text(&member->organization_id));
    add(object, "user_id", id_text(&member->user_id));
    add(object, "email", text(member->email));
    add(object, "name", text(member->name));
    add(object, "role", text(orgs_role_name(member->role)));
    add(object, "joined_at", time_text(member->joined_at));
    return object;
}

json_t *orgs_json_member_deleted(const orgs_id_t *organization, const orgs_id_t *user)
{
    json_t *object = json_object();

    add(object, "organization_id", id_text(organization));
    add(object, "user_id", id_text(user));
    add(object, "deleted", json_true());
    return object;
}

static json_t *seats(apr_int64_t count)
{
    return count >= 0 ? json_integer(count) : NULL;
}

static json_t *license_of(const orgs_license_t *license)
{
    json_t *object = json_object();

    add(object, "id", id_text(&license->id));
    add(object, "plan", text(license->plan));
    add(object, "status", text(license->status));
    add(object, "seats", seats(license->seats));
    add(object, "starts_at", time_text(license->starts_at));
    add(object, "expires_at", time_text(license->expires_at));
    add(object, "assigned_at", time_text(license->assigned_at));
    return object;
}

json_t *orgs_json_license_view(const orgs_license_view_t *view)
{
    json_t *object = json_object();

    add(object, "organization_id", id_text(&view->organization_id));
    add(object, "plan", text(view->plan));
    add(object, "license", view->has_license ? license_of(&view->license) : NULL);
    add(object, "seats", seats(view->seats));
    add(object, "seats_used", json_integer(view->seats_used));
    add(object, "over_limit", json_boolean(view->seats >= 0 && view->seats_used > view->seats));
    return object;
}

json_t *orgs_json_deployment(const orgs_deployment_t *deployment)
{
    json_t *object = json_object();

    add(object, "id", id_text(&deployment->id));
    add(object, "license_id", id_text(&deployment->license_id));
    add(object, "name", text(deployment->name));
    add(object, "environment", text(deployment->environment));
    add(object, "url", text(deployment->url));
    add(object, "version", text(deployment->version));
    add(object, "status", text(deployment->status));
    add(object, "created_at", time_text(deployment->created_at));
    add(object, "updated_at", time_text(deployment->updated_at));
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
