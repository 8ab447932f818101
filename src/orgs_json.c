/*
 * The representations.
 */
#include "orgs_json.h"

#include <string.h>

void orgs_json_organization(orgs_writer_t *to, const orgs_organization_t *organization)
{
    orgs_writer_open(to);
    orgs_writer_id(to, "id", &organization->id);
    orgs_writer_string(to, "name", organization->name);
    orgs_writer_string(to, "description", organization->description);
    orgs_writer_flag(to, "active", organization->active);
    orgs_writer_string(to, "role", orgs_role_name(organization->role));
    orgs_writer_id(to, "license_id", organization->has_license ? &organization->license_id : NULL);
    orgs_writer_time(to, "created_at", organization->created_at);
    orgs_writer_time(to, "updated_at", organization->updated_at);
    orgs_writer_close(to);
}

void orgs_json_organization_deleted(orgs_writer_t *to, const orgs_id_t *id)
{
    orgs_writer_open(to);
    orgs_writer_id(to, "id", id);
    orgs_writer_flag(to, "deleted", 1);
    orgs_writer_close(to);
}

void orgs_json_member(orgs_writer_t *to, const orgs_member_t *member)
{
    orgs_writer_open(to);
    orgs_writer_id(to, "organization_id", &member->organization_id);
    orgs_writer_id(to, "user_id", &member->user_id);
    orgs_writer_string(to, "email", member->email);
    orgs_writer_string(to, "name", member->name);
    orgs_writer_string(to, "role", orgs_role_name(member->role));
    orgs_writer_time(to, "joined_at", member->joined_at);
    orgs_writer_close(to);
}

void orgs_json_member_deleted(orgs_writer_t *to, const orgs_id_t *organization, const orgs_id_t *user)
{
    orgs_writer_open(to);
    orgs_writer_id(to, "organization_id", organization);
    orgs_writer_id(to, "user_id", user);
    orgs_writer_flag(to, "deleted", 1);
    orgs_writer_close(to);
}

static void write_seats(orgs_writer_t *to, apr_int64_t count)
{
    if (count >= 0) {
        orgs_writer_number(to, "seats", count);
    }
    else {
        orgs_writer_name(to, "seats");
        orgs_writer_null(to);
    }
}

static void write_license(orgs_writer_t *to, const orgs_license_t *license)
{
    orgs_writer_open(to);
    orgs_writer_id(to, "id", &license->id);
    orgs_writer_string(to, "plan", license->plan);
    orgs_writer_string(to, "status", license->status);
    write_seats(to, license->seats);
    orgs_writer_time(to, "starts_at", license->starts_at);
    orgs_writer_time(to, "expires_at", license->expires_at);
    orgs_writer_time(to, "assigned_at", license->assigned_at);
    orgs_writer_close(to);
}

void orgs_json_license_view(orgs_writer_t *to, const orgs_license_view_t *view)
{
    orgs_writer_open(to);
    orgs_writer_id(to, "organization_id", &view->organization_id);
    orgs_writer_string(to, "plan", view->plan);
    orgs_writer_name(to, "license");
    if (view->has_license) {
        write_license(to, &view->license);
    }
    else {
        orgs_writer_null(to);
    }
    write_seats(to, view->seats);
    orgs_writer_number(to, "seats_used", view->seats_used);
    orgs_writer_flag(to, "over_limit", view->seats >= 0 && view->seats_used > view->seats);
    orgs_writer_close(to);
}

void orgs_json_deployment(orgs_writer_t *to, const orgs_deployment_t *deployment)
{
    orgs_writer_open(to);
    orgs_writer_id(to, "id", &deployment->id);
    orgs_writer_id(to, "license_id", &deployment->license_id);
    orgs_writer_string(to, "name", deployment->name);
    orgs_writer_string(to, "environment", deployment->environment);
    orgs_writer_string(to, "url", deployment->url);
    orgs_writer_string(to, "version", deployment->version);
    orgs_writer_string(to, "status", deployment->status);
    orgs_writer_time(to, "created_at", deployment->created_at);
    orgs_writer_time(to, "updated_at", deployment->updated_at);
    orgs_writer_close(to);
}

void orgs_json_event(orgs_writer_t *to, const orgs_event_t *event)
{
    orgs_writer_open(to);
    orgs_writer_id(to, "id", &event->id);
    orgs_writer_id(to, "organization_id", &event->organization_id);
    orgs_writer_number(to, "seq", event->seq);
    orgs_writer_time(to, "at", event->at);
    orgs_writer_id(to, "actor_id", event->has_actor ? &event->actor_id : NULL);
    orgs_writer_string(to, "action", event->action);
    orgs_writer_id(to, "target_id", event->has_target ? &event->target_id : NULL);
    orgs_writer_string(to, "request_id", event->request_id);
    orgs_writer_json(to, "changes", event->changes);
    orgs_writer_close(to);
}

json_t *orgs_json_value(const orgs_writer_t *text)
{
    return json_loadb(text->base, orgs_writer_len(text), 0, NULL);
}

static void add(json_t *object, const char *name, json_t *value)
{
    json_object_set_new(object, name, value);
}

json_t *orgs_json_problem(const orgs_error_t *error, const char *title)
{
    json_t *object = json_object();

    add(object, "type", json_string("about:blank"));
    add(object, "title", json_string(title));
    add(object, "status", json_integer(orgs_error_status(error->code)));
    add(object, "detail", json_string(error->detail));
    add(object, "code", json_string(orgs_error_name(error->code)));
    if (error->members != NULL) {
        json_object_update(object, error->members);
    }
    return object;
}
