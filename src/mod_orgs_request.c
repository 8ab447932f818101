/*
 * Query and body.
 */
#include "mod_orgs_request.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <http_protocol.h>

#include "mod_orgs_config.h"
#include "mod_orgs_problem.h"
#include "orgs_limits.h"
#include "orgs_text.h"

static apr_status_t give_back(void *json)
{
    json_decref(json);
    return APR_SUCCESS;
}

void mod_orgs_request_fault(orgs_request_t *rq, const char *pointer, const char *parameter, const char *detail)
{
    json_t *fault = json_object();

    json_object_set_new(fault, pointer != NULL ? "pointer" : "parameter",
                        json_string(pointer != NULL ? pointer : parameter));
    json_object_set_new(fault, "detail", json_string(detail));
    if (rq->errors == NULL) {
        rq->errors = json_array();
        apr_pool_cleanup_register(rq->r->pool, rq->errors, give_back, apr_pool_cleanup_null);
    }
    json_array_append_new(rq->errors, fault);
}

int mod_orgs_request_verdict(orgs_request_t *rq)
{
    json_t *members;

    if (rq->errors == NULL) {
        return OK;
    }
    members = json_object();
    json_object_set(members, "errors", rq->errors);
    return mod_orgs_problem(rq, orgs_error_members(rq->r->pool, ORGS_E_INVALID_INPUT, members));
}

static int hex_digit(char c)
{
    return apr_isdigit(c) ? c - '0' : apr_isxdigit(c) ? apr_tolower(c) - 'a' + 10 : -1;
}

/* Decodes application/x-www-form-urlencoded; NULL if it is not that, or not UTF-8, or holds a NUL. */
static const char *decode(apr_pool_t *p, const char *from, apr_size_t len)
{
    char *value = apr_palloc(p, len + 1);
    const char *end = from + len;
    const char *text = value;
    char *to = value;

    while (from < end) {
        if (*from == '%') {
            if (end - from < 3 || hex_digit(from[1]) < 0 || hex_digit(from[2]) < 0) {
                return NULL;
            }
            *to++ = (char)(hex_digit(from[1]) * 16 + hex_digit(from[2]));
            from += 3;
        }
        else {
            *to++ = *from == '+' ? ' ' : *from;
            from++;
        }
    }
    *to = '\0';
    while (text < to) {
        if (orgs_text_next(&text, to) <= 0) {
            return NULL;
        }
    }
    return value;
}

void mod_orgs_request_query(orgs_request_t *rq, const char *const *names, const char **values)
{
    apr_pool_t *p = rq->r->pool;
    const char *pair = rq->r->args != NULL ? rq->r->args : "";
    apr_uint32_t seen = 0;
    int i;

    for (i = 0; names[i] != NULL; i++) {
        values[i] = NULL;
    }
    for (; *pair != '\0'; pair += *pair == '&') {
        apr_size_t len = strcspn(pair, "&");
        apr_size_t name_len = strcspn(pair, "=&");
        const char *name = decode(p, pair, name_len);
        const char *value = pair + name_len + (name_len < len);

        pair += len;
        for (i = 0; name != NULL && names[i] != NULL && strcmp(name, names[i]) != 0; i++) {
        }
        if (name == NULL || names[i] == NULL) {
            continue;
        }
        if (seen & 1u << i) {
            mod_orgs_request_fault(rq, NULL, names[i], "It is given more than once.");
        }
        else if (pair - value > ORGS_QUERY_VALUE_MAX
                 || (values[i] = decode(p, value, (apr_size_t)(pair - value))) == NULL) {
            mod_orgs_request_fault(rq, NULL, names[i], "It is too long, or not percent-encoded UTF-8 text.");
        }
        seen |= 1u << i;
    }
}

int mod_orgs_request_flag(orgs_request_t *rq, const char *name, const char *value)
{
    static const char *const words[] = {"", "false", "0", "no", "off", "true", "1", "yes", "on"};
    int i;

    for (i = 0; value != NULL && i < (int)(sizeof(words) / sizeof(words[0])); i++) {
        if (ap_cstr_casecmp(value, words[i]) == 0) {
            return i > 4;
        }
    }
    if (value != NULL) {
        mod_orgs_request_fault(rq, NULL, name, "It is none of true, false, 1, 0, yes, no, on, off.");
    }
    return 0;
}

orgs_role_e mod_orgs_request_role(orgs_request_t *rq, const char *name, const char *value)
{
    orgs_role_e role = value != NULL ? orgs_role_named(value, strlen(value)) : ORGS_ROLE_NONE;

    if (value != NULL && role == ORGS_ROLE_NONE) {
        mod_orgs_request_fault(rq, NULL, name, "It is neither admin nor member.");
    }
    return role;
}

void mod_orgs_request_page(orgs_request_t *rq, orgs_cursor_e list, const orgs_id_t *scope,
                           const orgs_position_t *first, const char *limit, const char *cursor, mod_orgs_page_t *page)
{
    page->limit = 0;
    page->after = *first;
    if (limit != NULL) {
        apr_size_t len = strspn(limit, "0123456789");

        page->limit = len > 0 && len <= 4 && limit[len] == '\0' && *limit != '0' ? atoi(limit) : 0;
        if (page->limit < 1 || page->limit > ORGS_PAGE_MAX) {
            mod_orgs_request_fault(rq, NULL, "limit",
                                   "It is no number from 1 to " APR_STRINGIFY(ORGS_PAGE_MAX)
                                   " in digits without a leading zero.");
        }
    }
    if (cursor != NULL && limit == NULL) {
        mod_orgs_request_fault(rq, NULL, "cursor", "It goes with limit only.");
    }
    else if (cursor != NULL
             && !orgs_cursor_parse(rq->r->pool, list, scope, cursor, strlen(cursor), &page->after)) {
        mod_orgs_request_fault(rq, NULL, "cursor", "It is no cursor of this list.");
    }
}

/* Takes one token or quoted string of a media type's parameter off *text; NULL if there is none. */
static const char *take_value(apr_pool_t *p, const char **text)
{
    const char *from = *text;
    char *value = apr_pstrdup(p, from);
    char *to = value;

    if (*from != '"') {
        apr_size_t len = strcspn(from, " \t;,\"");

        *text = from + len;
        return len > 0 ? apr_pstrmemdup(p, from, len) : NULL;
    }
    for (from++; *from != '"'; from++) {
        if (*from == '\\') {
            from++;
        }
        if (*from == '\0') {
            return NULL;
        }
        *to++ = *from;
    }
    *to = '\0';
    *text = from + 1;
    return value;
}

/* Whether the body is said to be JSON in UTF-8, without a coding. */
static int is_json(request_rec *r)
{
    const char *type = apr_table_get(r->headers_in, "Content-Type");
    static const char json[] = "application/json";

    if (type == NULL || apr_table_get(r->headers_in, "Content-Encoding") != NULL
        || ap_cstr_casecmpn(type, json, sizeof(json) - 1) != 0) {
        return 0;
    }
    type += sizeof(json) - 1;
    for (;;) {
        const char *name;
        const char *value;
        apr_size_t len;

        type += strspn(type, " \t");
        if (*type == '\0') {
            return 1;
        }
        if (*type++ != ';') {
            return 0;
        }
        type += strspn(type, " \t");
        if (*type == ';' || *type == '\0') {
            continue;
        }
        name = type;
        len = strcspn(type, "= \t;,\"");
        type += len;
        if (len == 0 || *type++ != '=' || (value = take_value(r->pool, &type)) == NULL
            || (len == 7 && ap_cstr_casecmpn(name, "charset", 7) == 0 && ap_cstr_casecmp(value, "utf-8") != 0)) {
            return 0;
        }
    }
}

/* The contract's words for what httpd says of a body that could not be read. */
static int unreadable(orgs_request_t *rq, apr_status_t rv)
{
    int status = ap_map_http_request_error(rv, HTTP_BAD_REQUEST);

    switch (status) {
    case AP_FILTER_ERROR:
        return status; /* a filter has answered already */
    case HTTP_REQUEST_TIME_OUT:
        return mod_orgs_problem_code(rq, ORGS_E_REQUEST_TIMEOUT);
    case HTTP_REQUEST_ENTITY_TOO_LARGE:
        return mod_orgs_problem_code(rq, ORGS_E_BODY_TOO_LARGE);
    default:
        return mod_orgs_problem(rq, orgs_error_detail(rq->r->pool, ORGS_E_BAD_REQUEST,
                                                      "The body could not be read."));
    }
}

/* A body as it grows. */
typedef struct {
    char *bytes;
    apr_size_t len;
    apr_size_t size;
    apr_size_t max;
} body_t;

/* OK, or 413. */
static int append(orgs_request_t *rq, body_t *body, const char *data, apr_size_t len)
{
    if (len == 0) {
        return OK;
    }
    if (len > body->max - body->len) {
        return mod_orgs_problem_code(rq, ORGS_E_BODY_TOO_LARGE);
    }
    if (body->len + len > body->size) {
        apr_size_t wanted = (body->len + len) * 2;
        char *bytes = apr_palloc(rq->r->pool, wanted);

        if (body->len > 0) {
            memcpy(bytes, body->bytes, body->len);
        }
        body->bytes = bytes;
        body->size = wanted;
    }
    memcpy(body->bytes + body->len, data, len);
    body->len += len;
    return OK;
}

/* Appends a brigade's data. Sets *eos at the body's end. */
static int take_brigade(orgs_request_t *rq, apr_bucket_brigade *bb, body_t *body, int *eos)
{
    apr_bucket *bucket;
    int status = OK;

    for (bucket = APR_BRIGADE_FIRST(bb); status == OK && !*eos && bucket != APR_BRIGADE_SENTINEL(bb);
         bucket = APR_BUCKET_NEXT(bucket)) {
        const char *data;
        apr_size_t size;
        apr_status_t rv;

        if (APR_BUCKET_IS_EOS(bucket)) {
            *eos = 1;
        }
        else if (!APR_BUCKET_IS_METADATA(bucket)) {
            rv = apr_bucket_read(bucket, &data, &size, APR_BLOCK_READ);
            status = rv != APR_SUCCESS ? unreadable(rq, rv) : append(rq, body, data, size);
        }
    }
    return status;
}

static int read_body(orgs_request_t *rq, const char **bytes, apr_size_t *len)
{
    request_rec *r = rq->r;
    body_t body = {NULL, 0, 0, (apr_size_t)mod_orgs_config_max_body(rq->dir)};
    const char *announced = apr_table_get(r->headers_in, "Content-Length");
    apr_bucket_brigade *bb;
    apr_off_t length = 0;
    int status = OK;
    int eos = 0;

    /* told before the first read, so that who waits for a 100 never sends it */
    if (announced != NULL && ap_parse_strict_length(&length, announced) && length > (apr_off_t)body.max) {
        return mod_orgs_problem_code(rq, ORGS_E_BODY_TOO_LARGE);
    }
    bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    while (status == OK && !eos) {
        apr_status_t rv = ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ, HUGE_STRING_LEN);

        status = rv != APR_SUCCESS ? unreadable(rq, rv) : take_brigade(rq, bb, &body, &eos);
        apr_brigade_cleanup(bb);
    }
    apr_brigade_destroy(bb);
    *bytes = body.bytes != NULL ? body.bytes : "";
    *len = body.len;
    return status;
}

/* How deep arrays and objects nest; jansson's own limit is far beyond ours, and it recurses. */
static int depth_of(const char *text, apr_size_t len)
{
    int depth = 0;
    int deepest = 0;
    int quoted = 0;
    apr_size_t i;

    for (i = 0; i < len; i++) {
        if (quoted) {
            if (text[i] == '\\') {
                i++;
            }
            else if (text[i] == '"') {
                quoted = 0;
            }
        }
        else if (text[i] == '"') {
            quoted = 1;
        }
        else if (text[i] == '{' || text[i] == '[') {
            depth++;
            deepest = depth > deepest ? depth : deepest;
        }
        else if (text[i] == '}' || text[i] == ']') {
            depth--;
        }
    }
    return deepest;
}

int mod_orgs_request_body(orgs_request_t *rq, json_t **object, const char **bytes, apr_size_t *len)
{
    apr_pool_t *p = rq->r->pool;
    json_error_t error;
    int status;

    if (!is_json(rq->r)) {
        return mod_orgs_problem_code(rq, ORGS_E_UNSUPPORTED_MEDIA_TYPE);
    }
    status = read_body(rq, bytes, len);
    if (status != OK) {
        return status;
    }
    if (depth_of(*bytes, *len) > ORGS_JSON_DEPTH_MAX) {
        return mod_orgs_problem(rq, orgs_error_detail(p, ORGS_E_MALFORMED_JSON, "The body nests deeper than %d.",
                                                      ORGS_JSON_DEPTH_MAX));
    }
    *object = json_loadb(*bytes, *len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (*object == NULL) {
        /* line and column only: jansson's text quotes the input */
        return mod_orgs_problem(rq, *len == 0 ? orgs_error_detail(p, ORGS_E_MALFORMED_JSON, "The body is empty.")
                                              : orgs_error_detail(p, ORGS_E_MALFORMED_JSON,
                                                                  "The body is not a JSON text: line %d, column %d.",
                                                                  error.line, error.column));
    }
    apr_pool_cleanup_register(p, *object, give_back, apr_pool_cleanup_null);
    if (!json_is_object(*object)) {
        mod_orgs_request_fault(rq, "", NULL, "The body is not an object.");
    }
    return mod_orgs_request_verdict(rq);
}

/* The member, or NULL where it is absent or null. */
static json_t *member_of(json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);

    return json_is_null(value) ? NULL : value;
}

const char *mod_orgs_request_text(orgs_request_t *rq, json_t *object, const char *name, apr_size_t max, int multiline,
                                  int *given)
{
    json_t *value = member_of(object, name);
    const char *pointer = apr_pstrcat(rq->r->pool, "/", name, NULL);
    const char *problem = "It is not a string.";
    const char *text;
    apr_size_t len;

    *given = value != NULL;
    if (value == NULL) {
        return NULL;
    }
    text = json_string_value(value);
    len = json_string_length(value);
    if (text == NULL || !orgs_text_check(&text, &len, max, multiline, &problem)) {
        mod_orgs_request_fault(rq, pointer, NULL, problem);
        return NULL;
    }
    return apr_pstrmemdup(rq->r->pool, text, len);
}

int mod_orgs_request_boolean(orgs_request_t *rq, json_t *object, const char *name)
{
    json_t *value = member_of(object, name);

    if (value != NULL && !json_is_boolean(value)) {
        mod_orgs_request_fault(rq, apr_pstrcat(rq->r->pool, "/", name, NULL), NULL, "It is neither true nor false.");
    }
    return json_is_boolean(value) ? json_is_true(value) : -1;
}

int mod_orgs_request_idempotency(orgs_request_t *rq, const char *bytes, apr_size_t len,
                                 const orgs_idempotency_t **once)
{
    apr_pool_t *p = rq->r->pool;
    const char *key = apr_table_get(rq->r->headers_in, "Idempotency-Key");
    apr_size_t key_len = key != NULL ? strlen(key) : 0;
    orgs_idempotency_t *digests;
    const char *path;
    apr_size_t i;
    char *both;

    *once = NULL;
    if (key == NULL) {
        return OK;
    }
    for (i = 0; i < key_len && key[i] > ' ' && key[i] < 0x7f; i++) {
    }
    if (key_len == 0 || key_len > ORGS_IDEMPOTENCY_KEY_MAX || i < key_len) {
        return mod_orgs_problem(rq, orgs_error_detail(p, ORGS_E_BAD_REQUEST, "Idempotency-Key must be 1 to %d visible "
                                                      "ASCII characters.", ORGS_IDEMPOTENCY_KEY_MAX));
    }
    /* the path below the mount, its ids in lower case */
    path = rq->has_organization ? apr_pstrcat(p, orgs_id_text(p, &rq->organization), "/members", NULL) : "";
    both = apr_palloc(p, strlen(path) + 1 + len);
    memcpy(both, path, strlen(path) + 1);
    memcpy(both + strlen(path) + 1, bytes, len);
    digests = apr_palloc(p, sizeof(*digests));
    orgs_sha256(digests->key, key, key_len);
    orgs_sha256(digests->body, both, strlen(path) + 1 + len);
    *once = digests;
    return OK;
}
