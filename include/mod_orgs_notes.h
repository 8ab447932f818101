/*
 * Notes for log formats: %{orgs-code}n and others.
 */
#ifndef MOD_ORGS_NOTES_H
#define MOD_ORGS_NOTES_H

#include "mod_orgs.h"

/** log_transaction, before access logs are written: sets the notes of a request of ours. */
int mod_orgs_notes_log(request_rec *r);

/** Of a request and what it was redirected to, the last that is below a mount or gated; NULL if none is. */
request_rec *mod_orgs_notes_ours(request_rec *r);

#endif
