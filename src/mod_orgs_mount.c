/*
 * A request below a mount: its beginning.
 */
#include "mod_orgs.h"

#include <apr_strings.h>
#include <http_protocol.h>

#include "mod_orgs_config.h"
#include "mod_orgs_remote.h"
#include "orgs_limits.h"

mod_orgs_slot_t *mod_orgs_slot(request_rec *r, int make)
{
    mod_orgs_slot_t *slot = ap_get_module_config(r->request_config, &orgs_module);

    if (slot == NULL && make) {
        slot = apr_pcalloc(r->pool, sizeof(*slot));
        ap_set_module_config(r->request_config, &orgs_module, slot);
    }
    return slot;
}

orgs_request_t *mod_orgs_request_of(request_rec *r)
{
    const mod_orgs_slot_t *slot = mod_orgs_slot(r, 0);

    return slot != NULL ? slot->request : NULL;
}

/* The log's is asked for, since httpd makes it only when something is logged. */
const char *mod_orgs_request_id(request_rec *r)
{
    const char *id = apr_table_get(r->subprocess_env, "UNIQUE_ID");

    if (id == NULL) {
        if (r->log_id == NULL) {
            ap_run_generate_log_id(r->connection, r, &r->log_id);
        }
        id = r->log_id;
    }
    return id != NULL ? apr_pstrndup(r->pool, id, ORGS_REQUEST_ID_MAX) : NULL;
}

/* Sets a header of the answer where it is not there yet: httpd may have moved it between its tables, or dropped it. */
static void set_header(request_rec *r, const char *name, const char *value)
{
    if (apr_table_get(r->err_headers_out, name) == NULL && apr_table_get(r->headers_out, name) == NULL) {
        apr_table_setn(r->err_headers_out, name, value);
    }
}

void mod_orgs_request_headers(orgs_request_t *rq)
{
    if (rq->request_id != NULL) {
        set_header(rq->r, "X-Request-Id", rq->request_id);
    }
    set_header(rq->r, "X-Content-Type-Options", "nosniff");
    set_header(rq->r, "Vary", mod_orgs_remote_is_on(rq->r) ? "Authorization, Cookie" : "Authorization");
}

orgs_request_t *mod_orgs_request_start(request_rec *r)
{
    const mod_orgs_dir_t *dir = mod_orgs_config_dir(r);
    orgs_request_t *rq = mod_orgs_request_of(r);
    apr_size_t len;

    if (rq != NULL || dir == NULL || dir->mount == NULL || *dir->mount == '\0') {
        return rq;
    }
    for (len = strlen(dir->mount); len > 0 && dir->mount[len - 1] == '/'; len--) {
    }
    if (strncmp(r->uri, dir->mount, len) != 0 || (r->uri[len] != '/' && r->uri[len] != '\0')) {
        return NULL;
    }
    rq = apr_pcalloc(r->pool, sizeof(*rq));
    rq->r = r;
    rq->dir = dir;
    rq->server = mod_orgs_config_server(r);
    rq->root = dir->mount;
    rq->mount = apr_pstrmemdup(r->pool, dir->mount, len);
    rq->request_id = mod_orgs_request_id(r);
    if (rq->server->pool != NULL) {
        orgs_db_init(&rq->db, rq->server->pool);
    }
    mod_orgs_slot(r, 1)->request = rq;

    mod_orgs_request_headers(rq);
    return rq;
}
