/*
 * The representations of the contract's section 2, each once.
 */
#ifndef ORGS_JSON_H
#define ORGS_JSON_H

#include <jansson.h>

#include "orgs.h"
#include "orgs_writer.h"

void orgs_json_organization(orgs_writer_t *to, const orgs_organization_t *organization);
void orgs_json_organization_deleted(orgs_writer_t *to, const orgs_id_t *id);
void orgs_json_member(orgs_writer_t *to, const orgs_member_t *member);
void orgs_json_member_deleted(orgs_writer_t *to, const orgs_id_t *organization, const orgs_id_t *user);
void orgs_json_license_view(orgs_writer_t *to, const orgs_license_view_t *view);
void orgs_json_deployment(orgs_writer_t *to, const orgs_deployment_t *deployment);
void orgs_json_event(orgs_writer_t *to, const orgs_event_t *event);

/** What was written into a text (orgs_writer_text), as a value of jansson's: a new reference, or NULL without memory. */
json_t *orgs_json_value(const orgs_writer_t *text);

/** A problem (RFC 9457) of an error, with its members: a new reference, or NULL. title: the status phrase. */
json_t *orgs_json_problem(const orgs_error_t *error, const char *title);

#endif
