/*
 * What httpd costs by itself: a handler that answers /constant/SIZE with a JSON string of that many bytes and does nothing
 * else; to a POST with 201, after reading its body. Like the module's own requests these never look at the disk.
 */
#include <apr_strings.h>
#include <httpd.h>
#include <http_config.h>
#include <http_protocol.h>
#include <http_request.h>
#include <stdlib.h>
#include <string.h>

#define PLACE "/constant/"
#define SIZE_MAX_BYTES (16 << 20)

/* small, for its memory is counted as httpd's */
static char text[65536];

static int is_ours(const request_rec *r)
{
    return r->uri != NULL && strncmp(r->uri, PLACE, strlen(PLACE)) == 0;
}

static int map_to_storage(request_rec *r)
{
    return is_ours(r) ? OK : DECLINED;
}

static int handler(request_rec *r)
{
    apr_int64_t size;
    int rv;

    if (!is_ours(r)) {
        return DECLINED;
    }
    size = apr_atoi64(r->uri + strlen(PLACE));
    if (size < 2 || size > SIZE_MAX_BYTES) {
        return HTTP_NOT_FOUND;
    }
    if ((rv = ap_discard_request_body(r)) != OK) {
        return rv;
    }
    r->status = r->method_number == M_POST ? HTTP_CREATED : HTTP_OK;
    ap_set_content_type(r, "application/json");
    ap_set_content_length(r, size);
    ap_rputs("\"", r);
    for (size -= 2; size > 0; size -= (apr_int64_t)sizeof(text)) {
        ap_rwrite(text, (int)(size < (apr_int64_t)sizeof(text) ? size : (apr_int64_t)sizeof(text)), r);
    }
    ap_rputs("\"", r);
    return OK;
}

static void hooks(apr_pool_t *p)
{
    memset(text, 'x', sizeof(text));
    ap_hook_map_to_storage(map_to_storage, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_MIDDLE);
    (void)p;
}

extern module AP_MODULE_DECLARE_DATA bench_constant_module __attribute__((visibility("default")));
AP_DECLARE_MODULE(bench_constant) = {STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, hooks, 0};
