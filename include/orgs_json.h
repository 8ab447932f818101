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
json_t *orgs_json_event(const orgs_event_t *event);

/** A problem (RFC 9457) of an error, with its members. title: the status phrase. */
json_t *orgs_json_problem(const orgs_error_t *error, const char *title);

#endif
