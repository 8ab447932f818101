/*
 * Directives, and what they say.
 */
#ifndef MOD_ORGS_CONFIG_H
#define MOD_ORGS_CONFIG_H

#include "mod_orgs.h"
#include "orgs_params.h"
#include "orgs_pool.h"

#define MOD_ORGS_UNSET (-1)
#define MOD_ORGS_UNLIMITED (-2)

typedef enum { MOD_ORGS_CREATE_ANY, MOD_ORGS_CREATE_SUPERUSER } mod_orgs_create_e;

/* Per server. MOD_ORGS_UNSET and NULL: not said. */
struct mod_orgs_server_t {
    const orgs_params_t *params; /* of OrgsDBParams */
    const orgs_params_t *file;   /* of OrgsDBDefaultsFile */
    int min;
    int keep;
    int max;
    int exptime;
    int timeout;
    int may_create; /* mod_orgs_create_e */
    apr_int64_t max_organizations;

    int mounted;                 /* the API stands somewhere in this server */
    orgs_pool_conf_t *pool_conf; /* what the above amounts to, from post_config on */
    orgs_pool_t *pool;           /* from child_init on, shared by servers with equal configurations; or NULL */
};

/* Per directory. */
struct mod_orgs_dir_t {
    const char *mount; /* "": explicitly none */
    apr_off_t max_body;
};

extern const command_rec mod_orgs_config_commands[];

void *mod_orgs_config_create_server(apr_pool_t *p, server_rec *s);
void *mod_orgs_config_merge_server(apr_pool_t *p, void *base, void *add);
void *mod_orgs_config_create_dir(apr_pool_t *p, char *path);
void *mod_orgs_config_merge_dir(apr_pool_t *p, void *base, void *add);

const mod_orgs_server_t *mod_orgs_config_server(const request_rec *r);
const mod_orgs_dir_t *mod_orgs_config_dir(const request_rec *r);

/** OrgsMaxBody, or its default. */
apr_off_t mod_orgs_config_max_body(const mod_orgs_dir_t *dir);

/** check_config: what no single directive can see; so `httpd -t` tells it. */
int mod_orgs_config_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

/** post_config: resolves each server's pool. Touches no database. */
int mod_orgs_config_post(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

/** child_init: makes the pools, one for each distinct database. */
void mod_orgs_config_child_init(apr_pool_t *pchild, server_rec *s);

#endif
