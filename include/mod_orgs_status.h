/*
 * What operators and their tools look at: the handler orgs-status, and mod_status's page.
 */
#ifndef MOD_ORGS_STATUS_H
#define MOD_ORGS_STATUS_H

#include "mod_orgs.h"

/** The handler orgs-status: the figures as JSON or for Prometheus, or whether requests can be served. */
int mod_orgs_status_handler(request_rec *r);

/** Registers the part in mod_status's page, if there is one. */
void mod_orgs_status_register(void);

#endif
