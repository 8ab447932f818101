/*
 * The representations of the contract's section 2, each once. Every function makes a new reference, or NULL when
 * memory is short.
 */
#ifndef ORGS_JSON_H
#define ORGS_JSON_H

#include <jansson.h>

#include "orgs.h"

json_t *orgs_json_organization(const orgs_organization_t *organization);
json_t *orgs_json_organization_deleted(const orgs_id_t *id);
json_t *orgs_json_member(const orgs_member_t *member);
json_t *orgs_json_member_deleted(const orgs_id_t *organization, const orgs_id_t *user);
json_t *orgs_json_license_view(const orgs_license_view_t *view);
json_t *orgs_json_deployment(const orgs_deployment_t *deployment);
json_t *orgs_json_event(const orgs_event_t *event);

/** A problem (RFC 9457) of an error, with its members. title: the status phrase. */
json_t *orgs_json_problem(const orgs_error_t *error, const char *title);

#endif
