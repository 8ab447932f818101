/*
 * Answers.
 */
#include "mod_orgs_response.h"

#include <apr_strings.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>

#include "mod_orgs_problem.h"
#include "orgs_limits.h"

static void set_headers(request_rec *r)
{
    r->content_encoding = NULL;
    ap_set_content_type(r, "application/json");
    apr_table_setn(r->headers_out, "Cache-Control", "private, no-cache");
}

/* What came of passing on the last of an answer. A filter that failed may have sent nothing: then this status lets httpd
 * answer 500, and else it is what leaves the answer without its end, for which the connection must close. */
static int passed(request_rec *r, apr_status_t rv)
{
    if (rv == APR_SUCCESS || r->connection->aborted) {
        return OK;
    }
    r->connection->keepalive = AP_CONN_CLOSE;
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, rv, r, ORGS_LOGNO(0022) "an output filter failed");
    return AP_FILTER_ERROR;
}

/* Sends a body that lives as long as the request. */
static int send_body(request_rec *r, const char *body, apr_size_t len)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);

    ap_set_content_length(r, (apr_off_t)len);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_pool_create(body, len, r->pool, bb->bucket_alloc));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    return passed(r, ap_pass_brigade(r->output_filters, bb));
}

int mod_orgs_response_text(orgs_request_t *rq, const char *text)
{
    set_headers(rq->r);
    return send_body(rq->r, text, strlen(text));
}

int mod_orgs_response_json(orgs_request_t *rq, int status, const orgs_writer_t *object, const mod_orgs_tag_t *tag)
{
    apr_size_t len = orgs_writer_len(object);
    request_rec *r = rq->r;

    set_headers(r);
    if (tag != NULL) {
        const char *etag = mod_orgs_etag_make(r->pool, tag, object->base, len);

        apr_table_setn(r->headers_out, "ETag", etag);
        if (r->method_number == M_GET && ap_is_HTTP_SUCCESS(r->status) && mod_orgs_etag_none_match(r, etag)) {
            return HTTP_NOT_MODIFIED;
        }
    }
    /* as an ErrorDocument this is the body of another status, which stays */
    if (status != HTTP_OK) {
        r->status = status;
    }
    return send_body(r, object->base, len);
}

const char *mod_orgs_response_path(orgs_request_t *rq, const char *below)
{
    /* the root keeps the slash that its <Location> wants */
    const char *path = *below != '\0' ? apr_pstrcat(rq->r->pool, rq->mount, below, NULL) : rq->root;

    return ap_os_escape_path(rq->r->pool, path, 1);
}

/* Link: rel="next" with the parameters that were given, and the cursor. */
static void set_next(orgs_request_t *rq, const mod_orgs_list_t *list, const orgs_position_t *last)
{
    apr_pool_t *p = rq->r->pool;
    const char *query = apr_pstrcat(p, "?cursor=", orgs_cursor_text(p, list->cursor, list->scope, last), NULL);
    int i;

    for (i = 0; list->names[i] != NULL; i++) {
        if (list->values[i] != NULL && strcmp(list->names[i], "cursor") != 0) {
            query = apr_pstrcat(p, query, "&", list->names[i], "=", ap_escape_urlencoded(p, list->values[i]), NULL);
        }
    }
    apr_table_setn(rq->r->headers_out, "Link",
                   apr_pstrcat(p, "<", mod_orgs_response_path(rq, list->path), query, ">; rel=\"next\"", NULL));
}

static void *item_of(const apr_array_header_t *items, int i)
{
    return items->elts + i * items->elt_size;
}

/* The bucket that is written to has as long as it is only what was there when it was begun: its length is set here. */
static void close_bucket(orgs_writer_t *to)
{
    apr_bucket_brigade *bb = to->baton;

    if (to->base != NULL) {
        APR_BRIGADE_LAST(bb)->length = orgs_writer_len(to);
        to->base = NULL;
    }
    to->at = to->end = NULL;
}

/* Whoever fills a brigade by apr_brigade_write gets, once the first 8000 bytes are full, a bucket for each piece, and
 * each takes 8 kB. */
static void grow_brigade(orgs_writer_t *to)
{
    apr_bucket_brigade *bb = to->baton;
    char *room = apr_bucket_alloc(APR_BUCKET_BUFF_SIZE, bb->bucket_alloc);

    close_bucket(to);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_heap_create(room, APR_BUCKET_BUFF_SIZE, apr_bucket_free, bb->bucket_alloc));
    to->base = to->at = room;
    to->end = room + APR_BUCKET_BUFF_SIZE;
}

/* Writes the first count items, with a comma before each that is not the list's first. */
static void put_items(apr_bucket_brigade *bb, const mod_orgs_list_t *list, const apr_array_header_t *items, int count,
                      int first)
{
    orgs_writer_t to = {NULL, NULL, 0, grow_brigade, NULL, NULL, bb};
    int i;

    if (first) {
        orgs_writer_raw(&to, "[", 1);
    }
    for (i = 0; i < count; i++) {
        if (!first || i > 0) {
            orgs_writer_raw(&to, ",", 1);
        }
        list->shape(&to, item_of(items, i));
    }
    close_bucket(&to);
}

/* Ends an answer whose beginning is on its way, so that no client takes it for whole: httpd then leaves out the last
 * chunk, or resets the HTTP/2 stream. Only this status has that meaning. */
static void cut(request_rec *r, apr_bucket_brigade *bb)
{
    apr_brigade_cleanup(bb);
    r->no_cache = 1;
    r->connection->keepalive = AP_CONN_CLOSE;
    APR_BRIGADE_INSERT_TAIL(bb, ap_bucket_error_create(HTTP_BAD_GATEWAY, NULL, r->pool, bb->bucket_alloc));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    ap_pass_brigade(r->output_filters, bb);
}

/* What one list being sent needs to remember. */
typedef struct {
    orgs_position_t at;
    int batch; /* how many the next one may have */
    int first;
    int more;
} progress_t;

/* Reads the next batch and puts it into the brigade. */
static const orgs_error_t *next_batch(orgs_request_t *rq, const mod_orgs_list_t *list, const mod_orgs_page_t *page,
                                      apr_pool_t *p, progress_t *progress, apr_bucket_brigade *bb)
{
    int limit = page->limit > 0 ? page->limit : progress->batch;
    apr_array_header_t *items;
    const orgs_error_t *error;
    int count;

    orgs_db_renew(&rq->db);
    /* one more than a page holds tells whether there is a next one */
    error = list->fetch(rq, p, list->baton, &progress->at, page->limit > 0 ? limit + 1 : limit, &items);
    if (error != NULL) {
        return error;
    }
    count = items->nelts < limit ? items->nelts : limit;
    if (count > 0) {
        list->position(item_of(items, count - 1), &progress->at);
    }
    if (page->limit > 0) {
        if (items->nelts > limit) {
            set_next(rq, list, &progress->at);
        }
        progress->more = 0;
    }
    else {
        progress->more = count == limit;
        /* the first is soon there, and many cost few statements */
        progress->batch = limit < ORGS_BATCH_MAX / 2 ? 2 * limit : ORGS_BATCH_MAX;
    }
    put_items(bb, list, items, count, progress->first);
    progress->first = 0;
    return NULL;
}

int mod_orgs_response_list(orgs_request_t *rq, const mod_orgs_list_t *list, const mod_orgs_page_t *page)
{
    request_rec *r = rq->r;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    progress_t progress = {page->after, ORGS_BATCH, 1, 1};
    const orgs_error_t *error;
    apr_pool_t *batch;
    apr_status_t rv;
    int failed;

    apr_pool_create(&batch, r->pool);
    apr_pool_tag(batch, "orgs_batch");
    /* nothing leaves before the first batch is in hand: until then a failure is a plain answer */
    error = next_batch(rq, list, page, batch, &progress, bb);
    if (error != NULL) {
        return mod_orgs_problem(rq, error);
    }
    set_headers(r);
    /* who has got something already goes after those who have got nothing */
    orgs_db_yield(&rq->db);
    while (!r->header_only && progress.more && error == NULL) {
        /* the brigade has its own copy, and passing it on may take long */
        apr_pool_clear(batch);
        rv = ap_pass_brigade(r->output_filters, bb);
        if (rv != APR_SUCCESS || r->connection->aborted) {
            apr_pool_destroy(batch);
            return passed(r, rv);
        }
        apr_brigade_cleanup(bb);
        error = next_batch(rq, list, page, batch, &progress, bb);
    }
    failed = error != NULL;
    if (failed) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, ORGS_LOGNO(0021) "a list was cut off: %s",
                      error->cause != NULL ? error->cause : error->detail);
    }
    apr_pool_destroy(batch);
    if (failed) {
        cut(r, bb);
    }
    else if (!r->header_only) {
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_immortal_create("]", 1, bb->bucket_alloc));
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
        return passed(r, ap_pass_brigade(r->output_filters, bb));
    }
    return OK;
}
