/*
 * What surrounds httpd's own authentication and authorization, so that a gate that cannot ask is a 503 and one request
 * asks once.
 */
#ifndef MOD_ORGS_GATE_H
#define MOD_ORGS_GATE_H

#include "mod_orgs.h"

/** post_perdir_config: what a request knows that led to this one; or that it must be let in anew. */
int mod_orgs_gate_configured(request_rec *r);

/** check_authn, before all others: runs them, and answers where they could not ask the database. */
int mod_orgs_gate_authn(request_rec *r);

/** force_authn: who is known by the connection alone (SSLUserName) is looked at, though nothing asked for a user. */
int mod_orgs_gate_force(request_rec *r);

/** check_authz, before all others: finds out who r->user is, runs them, and answers where they could not ask. */
int mod_orgs_gate_authz(request_rec *r);

#endif
