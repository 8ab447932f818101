/*
 * The figures, in four forms from one table (orgs_stats.h); and whether requests can be served.
 */
#include "mod_orgs_status.h"

#include <apr_lib.h>
#include <apr_optional_hooks.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_main.h>
#include <http_protocol.h>
#include <mod_status.h>
#include <stdlib.h>

#include "mod_orgs_config.h"
#include "mod_orgs_stats.h"
#include "orgs.h"
#include "orgs_limits.h"
#include "orgs_time.h"

/* What the answers are called that are counted by status. */
static const struct {
    const char *name;
    const char *help;
} answers[] = {[ORGS_STATS_REQUESTS] = {"requests", "Answers of the API, by status"},
               [ORGS_STATS_GATED] = {"gated_requests", "Answers of gated URLs, by status"}};

static const char *status_text(apr_pool_t *p, int index)
{
    return orgs_stats_statuses[index] != 0 ? apr_itoa(p, orgs_stats_statuses[index]) : "other";
}

/* A value: times are shown in seconds. */
static const char *value_text(apr_pool_t *p, orgs_stats_kind_e kind, apr_int64_t value)
{
    return kind == ORGS_STATS_TIME ? apr_psprintf(p, "%.6f", (double)value / APR_USEC_PER_SEC)
                                   : apr_psprintf(p, "%" APR_INT64_T_FMT, value);
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

static json_t *json_of_answers(apr_pool_t *p, const orgs_stats_t *stats, orgs_stats_answers_e whose)
{
    json_t *object = json_object();
    int i;

    for (i = 0; i < ORGS_STATS_STATUSES; i++) {
        json_object_set_new(object, status_text(p, i), json_integer(orgs_stats_sum_answers(stats, whose, i)));
    }
    return object;
}

static json_t *json_of(apr_pool_t *p, const mod_orgs_stats_shown_t *shown)
{
    json_t *object = json_object();
    int i;

    json_object_set_new(object, "database", json_string(shown->database));
    json_object_set_new(object, "since", json_string(orgs_time_text(p, orgs_stats_since(shown->stats))));
    for (i = 0; i < ORGS_STATS_COUNT; i++) {
        apr_int64_t sum = orgs_stats_sum(shown->stats, (orgs_stats_item_e)i);

        json_object_set_new(object, orgs_stats_items[i].name,
                            orgs_stats_items[i].kind == ORGS_STATS_TIME
                                ? json_real((double)sum / APR_USEC_PER_SEC)
                                : json_integer(sum));
    }
    for (i = 0; i < ORGS_STATS_ANSWERS; i++) {
        json_object_set_new(object, answers[i].name,
                            json_of_answers(p, shown->stats, (orgs_stats_answers_e)i));
    }
    return object;
}

static void send_json(request_rec *r)
{
    const apr_array_header_t *all = mod_orgs_stats_all(r->pool);
    json_t *databases = json_array();
    json_t *object = json_object();
    char *text;
    int i;

    for (i = 0; i < all->nelts; i++) {
        json_array_append_new(databases, json_of(r->pool, &APR_ARRAY_IDX(all, i, mod_orgs_stats_shown_t)));
    }
    json_object_set_new(object, "databases", databases);
    text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(12));
    json_decref(object);
    ap_set_content_type(r, "application/json");
    ap_rputs(text != NULL ? text : "{}", r);
    free(text);
}

/* --- Prometheus --------------------------------------------------------------------------------------------------- */

/* A label's value. */
static const char *escaped(apr_pool_t *p, const char *text)
{
    char *value = apr_palloc(p, 2 * strlen(text) + 1);
    char *to = value;

    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            *to++ = '\\';
        }
        *to++ = *text;
    }
    *to = '\0';
    return value;
}

static void head_of_metric(request_rec *r, const char *name, const char *suffix, const char *help, const char *type)
{
    ap_rprintf(r, "# HELP orgs_%s%s %s.\n# TYPE orgs_%s%s %s\n", name, suffix, help, name, suffix, type);
}

static void send_prometheus(request_rec *r)
{
    const apr_array_header_t *all = mod_orgs_stats_all(r->pool);
    const mod_orgs_stats_shown_t *shown = (const mod_orgs_stats_shown_t *)(const void *)all->elts;
    int i, n, status;

    ap_set_content_type(r, "text/plain; version=0.0.4; charset=utf-8");
    for (i = 0; i < ORGS_STATS_COUNT; i++) {
        const orgs_stats_item_t *item = &orgs_stats_items[i];
        const char *suffix = item->kind == ORGS_STATS_GAUGE ? "" : "_total";

        head_of_metric(r, item->name, suffix, item->help, item->kind == ORGS_STATS_GAUGE ? "gauge" : "counter");
        for (n = 0; n < all->nelts; n++) {
            ap_rprintf(r, "orgs_%s%s{database=\"%s\"} %s\n", item->name, suffix, escaped(r->pool, shown[n].database),
                       value_text(r->pool, item->kind, orgs_stats_sum(shown[n].stats, (orgs_stats_item_e)i)));
        }
    }
    for (i = 0; i < ORGS_STATS_ANSWERS; i++) {
        head_of_metric(r, answers[i].name, "_total", answers[i].help, "counter");
        for (n = 0; n < all->nelts; n++) {
            for (status = 0; status < ORGS_STATS_STATUSES; status++) {
                ap_rprintf(r, "orgs_%s_total{database=\"%s\",status=\"%s\"} %" APR_INT64_T_FMT "\n", answers[i].name,
                           escaped(r->pool, shown[n].database), status_text(r->pool, status),
                           orgs_stats_sum_answers(shown[n].stats, (orgs_stats_answers_e)i, status));
            }
        }
    }
}

/* --- mod_status --------------------------------------------------------------------------------------------------- */

/* requests_by_status as mod_status writes keys: OrgsRequestsByStatus. */
static const char *key_of(apr_pool_t *p, const char *name)
{
    char *key = apr_pstrcat(p, "Orgs", name, NULL);
    char *to = key + 4;
    const char *from;
    int capital = 1;

    for (from = to; *from != '\0'; from++) {
        if (*from == '_') {
            capital = 1;
            continue;
        }
        *to++ = (char)(capital ? apr_toupper(*from) : *from);
        capital = 0;
    }
    *to = '\0';
    return key;
}

/* For tools that want one number for each key: of all databases. */
static void send_auto(request_rec *r, const apr_array_header_t *all)
{
    const mod_orgs_stats_shown_t *shown = (const mod_orgs_stats_shown_t *)(const void *)all->elts;
    int i, n, status;

    for (i = 0; i < ORGS_STATS_COUNT; i++) {
        apr_int64_t sum = 0;

        for (n = 0; n < all->nelts; n++) {
            sum += orgs_stats_sum(shown[n].stats, (orgs_stats_item_e)i);
        }
        ap_rprintf(r, "%s: %s\n", key_of(r->pool, orgs_stats_items[i].name),
                   value_text(r->pool, orgs_stats_items[i].kind, sum));
    }
    for (i = 0; i < ORGS_STATS_ANSWERS; i++) {
        for (status = 0; status < ORGS_STATS_STATUSES; status++) {
            apr_int64_t sum = 0;

            for (n = 0; n < all->nelts; n++) {
                sum += orgs_stats_sum_answers(shown[n].stats, (orgs_stats_answers_e)i, status);
            }
            ap_rprintf(r, "%s: %" APR_INT64_T_FMT "\n",
                       key_of(r->pool, apr_pstrcat(r->pool, answers[i].name, "_", status_text(r->pool, status), NULL)),
                       sum);
        }
    }
}

static void send_html(request_rec *r, const mod_orgs_stats_shown_t *shown)
{
    int i, status;

    ap_rprintf(r, "<h3>%s</h3>\n<dl>\n", ap_escape_html(r->pool, shown->database));
    for (i = 0; i < ORGS_STATS_COUNT; i++) {
        ap_rprintf(r, "<dt>%s: %s</dt>\n", orgs_stats_items[i].help,
                   value_text(r->pool, orgs_stats_items[i].kind, orgs_stats_sum(shown->stats, (orgs_stats_item_e)i)));
    }
    for (i = 0; i < ORGS_STATS_ANSWERS; i++) {
        ap_rprintf(r, "<dt>%s:", answers[i].help);
        for (status = 0; status < ORGS_STATS_STATUSES; status++) {
            apr_int64_t sum = orgs_stats_sum_answers(shown->stats, (orgs_stats_answers_e)i, status);

            if (sum != 0) {
                ap_rprintf(r, " %s: %" APR_INT64_T_FMT, status_text(r->pool, status), sum);
            }
        }
        ap_rputs("</dt>\n", r);
    }
    ap_rputs("</dl>\n", r);
}

static int status_hook(request_rec *r, int flags)
{
    const apr_array_header_t *all = mod_orgs_stats_all(r->pool);
    int i;

    if (all->nelts == 0) {
        return DECLINED;
    }
    if (flags & AP_STATUS_SHORT) {
        send_auto(r, all);
        return OK;
    }
    ap_rputs("<hr>\n<h2>Organizations (mod_orgs)</h2>\n", r);
    for (i = 0; i < all->nelts; i++) {
        send_html(r, &APR_ARRAY_IDX(all, i, mod_orgs_stats_shown_t));
    }
    return OK;
}

void mod_orgs_status_register(void)
{
    APR_OPTIONAL_HOOK(ap, status_hook, status_hook, NULL, NULL, APR_HOOK_MIDDLE);
}

/* --- health ------------------------------------------------------------------------------------------------------- */

/* Whether the database answered some process a moment ago, and is down for none. */
static int known_well(const orgs_stats_t *stats)
{
    apr_time_t answered = stats != NULL ? orgs_stats_answered(stats) : 0;

    return answered != 0 && orgs_clock() - answered < apr_time_from_sec(ORGS_HEALTH_SECONDS)
           && orgs_stats_sum(stats, ORGS_STATS_POOLS_DOWN) == 0;
}

/* Whether requests to this server can be served now: as far as that is known, else the hot question is asked, about
 * nobody. It goes the way of every request: rights, schema and read-only servers show. NULL, or why not. */
static const char *illness_of(request_rec *r, const mod_orgs_server_t *server)
{
    static const char nobody[ORGS_SHA256_LEN];
    static const orgs_key_t key = {ORGS_KEY_TOKEN, nobody, sizeof(nobody)};
    const orgs_error_t *error;
    orgs_lookup_t found;
    orgs_db_t db;

    if (server->pool == NULL) {
        return "the pool could not be made";
    }
    if (orgs_pool_is_down(server->pool)) {
        return "the database is down";
    }
    if (known_well(server->stats)) {
        return NULL;
    }
    orgs_db_init(&db, server->pool);
    if (db.left > apr_time_from_sec(ORGS_PROBE_SECONDS)) {
        db.left = apr_time_from_sec(ORGS_PROBE_SECONDS);
    }
    error = orgs_lookup(&db, r->pool, &key, NULL, &found);
    return error == NULL || error->code == ORGS_E_UNAUTHORIZED ? NULL
           : error->cause != NULL                              ? error->cause
                                                               : error->detail;
}

/* Of the server's own database; where it has none, of all. */
static const char *illness(request_rec *r)
{
    const mod_orgs_server_t *own = mod_orgs_config_server(r);
    const char *ill = NULL;
    server_rec *s;
    int asked = 0;

    if (own->database != NULL) {
        return illness_of(r, own);
    }
    for (s = ap_server_conf; s != NULL && ill == NULL; s = s->next) {
        const mod_orgs_server_t *conf = ap_get_module_config(s->module_config, &orgs_module);

        if (conf->database != NULL) {
            asked = 1;
            ill = illness_of(r, conf);
        }
    }
    return asked ? ill : "no database is configured";
}

static int send_health(request_rec *r)
{
    const char *ill = illness(r);

    if (ill != NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, ORGS_LOGNO(0052) "health: %s", ill);
        r->status = HTTP_SERVICE_UNAVAILABLE;
        apr_table_setn(r->err_headers_out, "Retry-After", ORGS_RETRY_AFTER);
    }
    ap_set_content_type(r, "application/json");
    ap_rputs(ill == NULL ? "{\"status\":\"ok\"}" : "{\"status\":\"unavailable\"}", r);
    return OK;
}

/* --- the handler -------------------------------------------------------------------------------------------------- */

typedef enum { JSON, PROMETHEUS, HEALTH, NONE } form_e;

static const char *const form_names[] = {[JSON] = "json", [PROMETHEUS] = "prometheus", [HEALTH] = "health"};

/* Prometheus asks for text/plain or OpenMetrics, whose form text/plain may have as well; JSON is for all others. */
static form_e accepted_form(request_rec *r)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");

    apr_table_mergen(r->headers_out, "Vary", "Accept");
    return accept != NULL && ap_strcasestr(accept, "application/json") == NULL
                   && (ap_strcasestr(accept, "text/plain") != NULL
                       || ap_strcasestr(accept, "application/openmetrics-text") != NULL)
               ? PROMETHEUS
               : JSON;
}

/* The query's format, or NULL. */
static const char *format_wanted(const request_rec *r)
{
    const char *pair = r->args != NULL ? r->args : "";

    while (*pair != '\0' && strncmp(pair, "format=", 7) != 0) {
        pair += strcspn(pair, "&");
        pair += *pair == '&';
    }
    return *pair != '\0' ? apr_pstrmemdup(r->pool, pair + 7, strcspn(pair + 7, "&")) : NULL;
}

static form_e form_of(request_rec *r)
{
    static const char health[] = "/health";
    const char *name = format_wanted(r);
    apr_size_t len = strlen(r->uri);
    int i;

    if (name == NULL) {
        return len >= sizeof(health) - 1 && strcmp(r->uri + len - (sizeof(health) - 1), health) == 0
                   ? HEALTH
                   : accepted_form(r);
    }
    for (i = 0; i < NONE && strcmp(name, form_names[i]) != 0; i++) {
    }
    return (form_e)i;
}

int mod_orgs_status_handler(request_rec *r)
{
    if (r->handler == NULL || strcmp(r->handler, "orgs-status") != 0) {
        return DECLINED;
    }
    r->allowed = AP_METHOD_BIT << M_GET;
    if (r->method_number != M_GET) {
        return r->method_number == M_OPTIONS ? DECLINED : HTTP_METHOD_NOT_ALLOWED;
    }
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    switch (form_of(r)) {
    case JSON:
        send_json(r);
        return OK;
    case PROMETHEUS:
        send_prometheus(r);
        return OK;
    case HEALTH:
        return send_health(r);
    case NONE:
    default:
        return HTTP_BAD_REQUEST;
    }
}
