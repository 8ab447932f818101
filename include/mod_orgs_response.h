/*
 * Answers that are no problems: one object, or a list in batches.
 */
#ifndef MOD_ORGS_RESPONSE_H
#define MOD_ORGS_RESPONSE_H

#include "mod_orgs.h"
#include "mod_orgs_etag.h"
#include "mod_orgs_request.h"
#include "orgs_writer.h"

/** Answers 200 with a JSON text as it is, which lives as long as the request. Returns OK. */
int mod_orgs_response_text(orgs_request_t *rq, const char *text);

/**
 * Answers with one object.
 * @param object a text in one piece, in the request's pool
 * @param tag    of the resource, or NULL
 * @return OK, or HTTP_NOT_MODIFIED
 */
int mod_orgs_response_json(orgs_request_t *rq, int status, const orgs_writer_t *object, const mod_orgs_tag_t *tag);

/** The path of something below the mount, percent-encoded, in r->pool: what Location and Link say. */
const char *mod_orgs_response_path(orgs_request_t *rq, const char *below);

/* How a list is read and written. Items are structs in the array that fetch gives. */
typedef struct mod_orgs_list_t {
    orgs_cursor_e cursor;
    const orgs_id_t *scope; /* whose list it is */
    /* the next items: at most limit, after the position */
    const orgs_error_t *(*fetch)(orgs_request_t *rq, apr_pool_t *p, const void *baton, const orgs_position_t *after,
                                 int limit, apr_array_header_t **items);
    void (*shape)(orgs_writer_t *to, const void *item);
    void (*position)(const void *item, orgs_position_t *at);
    const void *baton; /* for fetch */
    const char *path;  /* of the list, below the mount */
    const char *const *names;  /* of the query's parameters, for Link; limit and cursor among them */
    const char *const *values;
} mod_orgs_list_t;

/**
 * Answers with a list: everything, in batches, or the page that is asked for. No connection is held while bytes go
 * out; if the database fails half-way the answer is cut so that nobody takes it for whole.
 * @return OK, or a status with a problem prepared
 */
int mod_orgs_response_list(orgs_request_t *rq, const mod_orgs_list_t *list, const mod_orgs_page_t *page);

#endif
