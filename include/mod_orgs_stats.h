/*
 * The figures of all processes: blocks of shared memory, one for each database.
 */
#ifndef MOD_ORGS_STATS_H
#define MOD_ORGS_STATS_H

#include <ap_mpm.h>
#include <apr_tables.h>

#include "mod_orgs.h"
#include "orgs_stats.h"

/** post_config, after the pools': finds or makes each database's block. A restart finds what was counted before it. */
int mod_orgs_stats_post(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

/** child_status: what a process that has ended leaves behind. */
void mod_orgs_stats_child_status(server_rec *s, pid_t pid, ap_generation_t generation, int slot,
                                 mpm_child_status state);

/* A database and its figures. */
typedef struct mod_orgs_stats_shown_t {
    const char *database;
    const orgs_stats_t *stats;
} mod_orgs_stats_shown_t;

/** The databases of the configuration, in its order, each once: mod_orgs_stats_shown_t. Allocated in p. */
const apr_array_header_t *mod_orgs_stats_all(apr_pool_t *p);

/** log_transaction: counts the answer, where it is one of the API or of a gated URL. */
int mod_orgs_stats_count(request_rec *r);

#endif
