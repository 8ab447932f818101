/*
 * Directives, and what they say.
 */
#ifndef MOD_ORGS_CONFIG_H
#define MOD_ORGS_CONFIG_H

#include "mod_orgs.h"
#include "orgs_params.h"
#include "orgs_pool.h"
#include "orgs_rate.h"

#define MOD_ORGS_UNSET (-1)
#define MOD_ORGS_UNLIMITED (-2)

typedef enum { MOD_ORGS_CREATE_ANY, MOD_ORGS_CREATE_SUPERUSER } mod_orgs_create_e;
typedef enum { MOD_ORGS_REMOTE_OFF, MOD_ORGS_REMOTE_EMAIL, MOD_ORGS_REMOTE_EXTERNAL_ID } mod_orgs_remote_e;

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

    int limits;                  /* an OrgsRateLimit stands somewhere in it */
    const char *needs;           /* what of this server needs a database, or NULL */
    orgs_pool_conf_t *pool_conf; /* what the above amounts to, from post_config on */
    const char *database;        /* the database's name, for people; and what is counted of it; or NULL, as above */
    orgs_stats_t *stats;
    orgs_pool_t *pool;           /* from child_init on, shared by servers with equal configurations; or NULL */
};

/* Per directory. */
struct mod_orgs_dir_t {
    const char *mount; /* "": explicitly none */
    apr_off_t max_body;
    int remote_user;      /* mod_orgs_remote_e */
    int remote_superuser; /* as a flag */
    int remote_provision;
    const apr_array_header_t *trusted_origins; /* of orgs_origin_t */
    const orgs_rate_limit_t *rate_limit;
    /* what httpd's Require and AuthMerging say, as far as it concerns us: */
    int merging;          /* AuthMerging: as a flag */
    apr_int64_t requires; /* methods, as bits, that a Require is about */
    apr_int64_t gated;    /* and those that a Require org-* is about */
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

/** When hooks are registered: makes room for the names below. */
void mod_orgs_config_register(apr_pool_t *p);

/** Until the configuration is read: a Require of this name is ours, or an alias of ours. Must live as long as p. */
void mod_orgs_config_add_require(const char *name);

/** Nonzero if the caller comes from r->user. */
int mod_orgs_config_is_remote(const mod_orgs_dir_t *dir);

/** Nonzero if a Require org-* stands for the request, or under AuthType Orgs or OrgsRemoteUser any other. */
int mod_orgs_config_is_gated(request_rec *r);

#endif
