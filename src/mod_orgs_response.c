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

/* So many full buckets of a list are passed on together, when it has more. */
#define PIECE_BUCKETS 8

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

/* What one list being sent needs to remember. */
typedef struct {
    apr_bucket_brigade *bb; /* what is written, and not yet passed on */
    int buckets;            /* how many of them were begun since */
    apr_size_t size;        /* how long the items of the last batch were */
    orgs_position_t at;
    int batch; /* how many the next one may have */
    int first;
    int more;
} progress_t;

/* The bucket that is written to has as long as it is only what was there when it was begun: its length is set here. */
static void close_bucket(orgs_writer_t *to)
{
    progress_t *progress = to->baton;

    if (to->base != NULL) {
        APR_BRIGADE_LAST(progress->bb)->length = orgs_writer_len(to);
        progress->size += orgs_writer_len(to);
        to->base = NULL;
    }
    to->at = to->end = NULL;
}

/* Whoever fills a brigade by apr_brigade_write gets, once the first 8000 bytes are full, a bucket for each piece, and
 * each takes 8 kB. */
static void grow_brigade(orgs_writer_t *to)
{
    progress_t *progress = to->baton;
    apr_bucket_brigade *bb = progress->bb;
    char *room = apr_bucket_alloc(APR_BUCKET_BUFF_SIZE, bb->bucket_alloc);

    close_bucket(to);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_heap_create(room, APR_BUCKET_BUFF_SIZE, apr_bucket_free, bb->bucket_alloc));
    progress->buckets++;
    to->base = to->at = room;
    to->end = room + APR_BUCKET_BUFF_SIZE;
}

/* Sends what is written so far. */
static apr_status_t pass_on(request_rec *r, progress_t *progress)
{
    apr_status_t rv = ap_pass_brigade(r->output_filters, progress->bb);

    apr_brigade_cleanup(progress->bb);
    progress->buckets = 0;
    return rv == APR_SUCCESS && r->connection->aborted ? APR_ECONNABORTED : rv;
}

/* Writes the first count items, with a comma before each that is not the list's first. What is not the only batch is
 * passed on in pieces: rows take less room than their JSON. */
static apr_status_t put_items(request_rec *r, const mod_orgs_list_t *list, const apr_array_header_t *items, int count,
                              progress_t *progress)
{
    orgs_writer_t to = {NULL, NULL, 0, grow_brigade, NULL, NULL, progress};
    int in_pieces = progress->more || !progress->first;
    apr_status_t rv = APR_SUCCESS;
    int i;

    progress->size = 0;
    for (i = 0; i < count && rv == APR_SUCCESS; i++) {
        orgs_writer_raw(&to, progress->first ? "[" : ",", 1);
        progress->first = 0;
        list->shape(&to, item_of(items, i));
        if (in_pieces && progress->buckets > PIECE_BUCKETS) {
            close_bucket(&to);
            rv = pass_on(r, progress);
        }
    }
    close_bucket(&to);
    return rv == APR_SUCCESS && progress->more ? pass_on(r, progress) : rv;
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

/* Reads the next batch: its first count items. */
static const orgs_error_t *next_batch(orgs_request_t *rq, const mod_orgs_list_t *list, const mod_orgs_page_t *page,
                                      apr_pool_t *p, progress_t *progress, apr_array_header_t **items, int *count)
{
    int limit = page->limit > 0 ? page->limit : progress->batch;
    const orgs_error_t *error;

    orgs_db_renew(&rq->db);
    /* one more than a page holds tells whether there is a next one */
    error = list->fetch(rq, p, list->baton, &progress->at, page->limit > 0 ? limit + 1 : limit, items);
    if (error != NULL) {
        return error;
    }
    *count = (*items)->nelts < limit ? (*items)->nelts : limit;
    if (*count > 0) {
        list->position(item_of(*items, *count - 1), &progress->at);
    }
    if (page->limit > 0) {
        if ((*items)->nelts > limit) {
            set_next(rq, list, &progress->at);
        }
        progress->more = 0;
    }
    else {
        progress->more = *count == limit;
    }
    return NULL;
}

/* How many items the next batch may have: the first is soon there, and many cost few statements; but what seldom is
 * long may be. */
static int next_size(const progress_t *progress, int count)
{
    apr_size_t fit = ORGS_BATCH_BYTES / (progress->size / (apr_size_t)count + 1) + 1;
    int most = progress->batch < ORGS_BATCH_MAX / ORGS_BATCH_GROWTH ? progress->batch * ORGS_BATCH_GROWTH
                                                                    : ORGS_BATCH_MAX;

    return fit < (apr_size_t)most ? (int)fit : most;
}

int mod_orgs_response_list(orgs_request_t *rq, const mod_orgs_list_t *list, const mod_orgs_page_t *page)
{
    request_rec *r = rq->r;
    progress_t progress = {NULL, 0, 0, page->after, ORGS_BATCH, 1, 1};
    apr_array_header_t *items;
    const orgs_error_t *error;
    apr_pool_t *batch;
    apr_status_t rv;
    int count;

    progress.bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    apr_pool_create(&batch, r->pool);
    apr_pool_tag(batch, "orgs_batch");
    /* nothing leaves before the first batch is in hand: until then a failure is a plain answer */
    error = next_batch(rq, list, page, batch, &progress, &items, &count);
    if (error != NULL) {
        return mod_orgs_problem(rq, error);
    }
    set_headers(r);
    if (r->header_only) {
        return OK;
    }
    /* who has got something already goes after those who have got nothing */
    orgs_db_yield(&rq->db);
    while ((rv = put_items(r, list, items, count, &progress)) == APR_SUCCESS && progress.more) {
        progress.batch = next_size(&progress, count);
        apr_pool_clear(batch);
        error = next_batch(rq, list, page, batch, &progress, &items, &count);
        if (error != NULL) {
            ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, ORGS_LOGNO(0021) "a list was cut off: %s",
                          error->cause != NULL ? error->cause : error->detail);
            apr_pool_destroy(batch);
            cut(r, progress.bb);
            return OK;
        }
    }
    apr_pool_destroy(batch);
    if (rv != APR_SUCCESS) {
        return passed(r, rv);
    }
    apr_brigade_puts(progress.bb, NULL, NULL, progress.first ? "[]" : "]");
    APR_BRIGADE_INSERT_TAIL(progress.bb, apr_bucket_eos_create(progress.bb->bucket_alloc));
    return passed(r, ap_pass_brigade(r->output_filters, progress.bb));
}
