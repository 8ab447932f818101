/*
 * Figures in shared memory.
 *
 * The memory has no name: it is there for httpd's processes because they are forked, nobody else finds it, and nothing
 * is left of it when they have ended. It lives as long as the parent, so that what was counted outlasts restarts, and
 * processes that a graceful restart leaves to finish their requests go on counting.
 */
#include "mod_orgs_stats.h"

#include <apr_shm.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_main.h>

#include "mod_orgs_config.h"
#include "mod_orgs_notes.h"

/* One for each database that was ever configured. In the process's pool, as the memory. */
typedef struct block_t block_t;
struct block_t {
    block_t *next;
    const char *database;
    orgs_stats_t *stats;
};

/* From post_config on, in the parent. */
static block_t **blocks;

/* Those of this very form: a restart may bring another version of the module, and what it counts lies elsewhere. */
static void find_blocks(apr_pool_t *p)
{
    const char *key = apr_psprintf(p, "mod_orgs_stats-%" APR_SIZE_T_FMT "-%" APR_SIZE_T_FMT, sizeof(block_t),
                                   orgs_stats_size(0));

    blocks = ap_retained_data_get(key);
    if (blocks == NULL) {
        blocks = ap_retained_data_create(key, sizeof(*blocks));
    }
}

static block_t *block_of(const char *database)
{
    block_t *block;

    for (block = *blocks; block != NULL && strcmp(block->database, database) != 0; block = block->next) {
    }
    return block;
}

/* In the process's pool. */
static apr_status_t make_block(apr_pool_t *process, const char *database, block_t **made)
{
    int processes = 1;
    apr_shm_t *shm;
    apr_status_t rv;
    block_t *block;
    void *memory;

    ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &processes);
    /* a restart leaves old processes beside as many new ones */
    processes = processes > 0 ? 2 * processes : 2;
    rv = apr_shm_create(&shm, orgs_stats_size(processes), NULL, process);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    memory = apr_shm_baseaddr_get(shm);
    memset(memory, 0, orgs_stats_size(processes));
    block = apr_palloc(process, sizeof(*block));
    block->database = apr_pstrdup(process, database);
    block->stats = orgs_stats_init(memory, processes, apr_time_now());
    block->next = *blocks;
    *blocks = block;
    *made = block;
    return APR_SUCCESS;
}

/* A database's name for people, without user and password: orgs@db1,db2:3306 or orgs@/run/mysqld/mysqld.sock. */
static const char *name_of(apr_pool_t *p, const orgs_params_t *params)
{
    const char *name = params->dbname != NULL ? params->dbname : "";

    if (params->hosts != NULL && params->port != 0) {
        return apr_psprintf(p, "%s@%s:%u", name, params->hosts, params->port);
    }
    return apr_pstrcat(p, name, "@", params->hosts != NULL ? params->hosts : params->socket, NULL);
}

int mod_orgs_stats_post(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *first)
{
    apr_pool_t *process = first->process->pool;
    server_rec *s;

    (void)plog;
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK;
    }
    find_blocks(ptemp);
    for (s = first; s != NULL; s = s->next) {
        mod_orgs_server_t *conf = ap_get_module_config(s->module_config, &orgs_module);
        apr_status_t rv = APR_SUCCESS;
        block_t *block;

        if (conf->pool_conf == NULL || (conf->pool_conf->params->hosts == NULL && conf->pool_conf->params->socket == NULL)) {
            continue;
        }
        conf->database = name_of(pconf, conf->pool_conf->params);
        block = block_of(conf->database);
        if (block == NULL && (rv = make_block(process, conf->database, &block)) != APR_SUCCESS) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s, ORGS_LOGNO(0051) "no shared memory for the figures of the "
                         "database %s: there will be none", conf->database);
            continue;
        }
        /* while the module was not configured nobody told it who ended */
        orgs_stats_sweep(block->stats);
        conf->stats = block->stats;
        conf->pool_conf->stats = block->stats;
    }
    return OK;
}

void mod_orgs_stats_child_status(server_rec *s, pid_t pid, ap_generation_t generation, int slot,
                                 mpm_child_status state)
{
    block_t *block;

    (void)s;
    (void)generation;
    (void)slot;
    for (block = state == MPM_CHILD_EXITED && blocks != NULL ? *blocks : NULL; block != NULL; block = block->next) {
        orgs_stats_leave(block->stats, (apr_uint32_t)pid);
    }
}

const apr_array_header_t *mod_orgs_stats_all(apr_pool_t *p)
{
    apr_array_header_t *all = apr_array_make(p, 2, sizeof(mod_orgs_stats_shown_t));
    server_rec *s;
    int i;

    for (s = ap_server_conf; s != NULL; s = s->next) {
        const mod_orgs_server_t *conf = ap_get_module_config(s->module_config, &orgs_module);

        for (i = 0; i < all->nelts && APR_ARRAY_IDX(all, i, mod_orgs_stats_shown_t).stats != conf->stats; i++) {
        }
        if (conf->stats != NULL && i == all->nelts) {
            mod_orgs_stats_shown_t *shown = apr_array_push(all);

            shown->database = conf->database;
            shown->stats = conf->stats;
        }
    }
    return all;
}

int mod_orgs_stats_count(request_rec *r)
{
    request_rec *ours = mod_orgs_notes_ours(r);
    orgs_pool_t *pool = ours != NULL ? mod_orgs_config_server(ours)->pool : NULL;

    if (pool != NULL) {
        orgs_stats_count(orgs_pool_stats(pool),
                         mod_orgs_request_of(ours) != NULL ? ORGS_STATS_REQUESTS : ORGS_STATS_GATED, ours->status);
    }
    return DECLINED;
}
