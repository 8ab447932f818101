/*
 * Private to the httpd side: what one request of ours knows.
 */
#ifndef MOD_ORGS_H
#define MOD_ORGS_H

#include <httpd.h>
#include <http_config.h>
#include <http_log.h>

#if !AP_MODULE_MAGIC_AT_LEAST(20120211, 93)
#error "mod_orgs needs httpd 2.4.46 or later"
#endif

#include "orgs.h"
#include "orgs_log.h"

extern module AP_MODULE_DECLARE_DATA orgs_module;
APLOG_USE_MODULE(orgs);

typedef struct mod_orgs_server_t mod_orgs_server_t;
typedef struct mod_orgs_dir_t mod_orgs_dir_t;
typedef struct mod_orgs_route_t mod_orgs_route_t;
typedef struct mod_orgs_auth_t mod_orgs_auth_t;

/* One request below a mount. Lives in r->pool. */
typedef struct orgs_request_t {
    request_rec *r;
    const mod_orgs_server_t *server;
    const mod_orgs_dir_t *dir;
    const char *root;       /* the mount as the <Location> has it */
    const char *mount;      /* without slashes at the end, so "" for "/" */
    const char *request_id; /* X-Request-Id */
    orgs_db_t db;

    const mod_orgs_route_t *route;
    int names_organization; /* the path has {org_id} */
    int has_organization;   /* and it has the form of an id */
    orgs_id_t organization;
    int names_user; /* the path has {user_id} */
    int has_user;   /* and it has the form of an id */
    int user_is_me;
    orgs_id_t user;

    const orgs_lookup_t *lookup; /* NULL until the caller is known */
    int superuser;               /* whether a superuser's flag counts */
    json_t *errors;              /* of 422, or NULL */
    int wrote;                   /* a write was answered with success */
    int problem;                 /* the status that a problem was prepared for, or 0 */
} orgs_request_t;

/* What any request is to us. Lives in r->pool. */
typedef struct mod_orgs_slot_t {
    orgs_request_t *request; /* NULL: not below a mount */
    mod_orgs_auth_t *auth;   /* NULL: nobody asked for the caller */
    const char *code;        /* of the error that was answered, or NULL */
} mod_orgs_slot_t;

/* mod_orgs_mount.c */

/** What is kept of the request; NULL where nothing is, unless it is to be made. */
mod_orgs_slot_t *mod_orgs_slot(request_rec *r, int make);

/** The request's id: mod_unique_id's, else the log's. In r->pool; NULL if there is none. */
const char *mod_orgs_request_id(request_rec *r);

/** What the request is to us, or NULL where it is not below a mount. */
orgs_request_t *mod_orgs_request_of(request_rec *r);

/** The same, made where the mount is known from the directory's configuration; NULL where there is none. */
orgs_request_t *mod_orgs_request_start(request_rec *r);

/** Sets what every answer has, errors included: X-Request-Id, Vary, X-Content-Type-Options. May be repeated. */
void mod_orgs_request_headers(orgs_request_t *rq);

#endif
