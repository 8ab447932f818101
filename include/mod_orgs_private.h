/*
 * Answers that depend on the caller, outside mounts: they are nobody else's.
 */
#ifndef MOD_ORGS_PRIVATE_H
#define MOD_ORGS_PRIVATE_H

#include "mod_orgs.h"

/** insert_filter and insert_error_filter, after mod_headers: puts the filter that says so in the answer's headers. */
void mod_orgs_private_insert_filter(request_rec *r);

/** Registers the filters. */
void mod_orgs_private_register(void);

#endif
