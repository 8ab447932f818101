/*
 * What orgsctl prints: aligned columns for people, JSON for programs.
 */
#include "orgsctl.h"

#include <apr_strings.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orgs_text.h"
#include "orgs_time.h"

#define COLUMNS_MAX 16

/* Lines that are surely aligned with each other; of a longer list the later ones may be wider. */
#define ALIGNED_TOGETHER 10000

struct orgsctl_list_t {
    orgsctl_t *ctl;
    const orgsctl_column_t *columns;
    json_t *batch;
    apr_size_t widths[COLUMNS_MAX]; /* they only grow, so that later batches stand under the first */
    int printed;
};

static char last_log[1000];

void orgsctl_log(void *baton, orgs_log_e level, const char *message)
{
    (void)baton;
    if (level <= ORGS_LOG_WARNING) {
        apr_cpystrn(last_log, message, sizeof(last_log));
    }
}

const char *orgsctl_clean(apr_pool_t *pool, const char *text)
{
    const char *end = text + strlen(text);
    /* the longest escape is ten for one byte */
    char *clean = apr_palloc(pool, (apr_size_t)(end - text) * 10 + 1);
    char *to = clean;

    while (text < end) {
        const char *start = text;
        long c = orgs_text_next(&text, end);

        if (c < 0) {
            to += apr_snprintf(to, 11, "\\x%02x", (unsigned int)(unsigned char)*text++);
        }
        else if (orgs_text_is_control(c)) {
            to += apr_snprintf(to, 11, "\\u%04lx", (unsigned long)c);
        }
        else {
            memcpy(to, start, (apr_size_t)(text - start));
            to += text - start;
        }
    }
    *to = '\0';
    return clean;
}

/* Code points of what was cleaned. */
static apr_size_t width_of(const char *clean)
{
    apr_size_t width = 0;

    for (; *clean != '\0'; clean++) {
        width += ((unsigned char)*clean & 0xc0) != 0x80;
    }
    return width;
}

static const char *cell(apr_pool_t *pool, json_t *item, const char *member)
{
    json_t *value = json_object_get(item, member);

    switch (json_typeof(value)) {
    case JSON_STRING:
        return orgsctl_clean(pool, json_string_value(value));
    case JSON_INTEGER:
        return apr_psprintf(pool, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(value));
    case JSON_TRUE:
        return "yes";
    case JSON_FALSE:
        return "no";
    case JSON_OBJECT: {
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII);
        const char *copy = apr_pstrdup(pool, text != NULL ? text : "");

        free(text);
        return copy;
    }
    default:
        return strcmp(member, "seats") == 0 ? "unlimited" : "-";
    }
}

static void print_json(json_t *item)
{
    /* ASCII, so that no name can forge what a terminal shows */
    json_dumpf(item, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
}

static apr_status_t forget(void *batch)
{
    json_decref(batch);
    return APR_SUCCESS;
}

orgsctl_list_t *orgsctl_list_begin(orgsctl_t *ctl, const orgsctl_column_t *columns)
{
    orgsctl_list_t *list = apr_pcalloc(ctl->pool, sizeof(*list));
    int i;

    list->ctl = ctl;
    list->columns = columns;
    list->batch = json_array();
    apr_pool_cleanup_register(ctl->pool, list->batch, forget, apr_pool_cleanup_null);
    for (i = 0; columns[i].title != NULL; i++) {
        list->widths[i] = width_of(columns[i].title);
    }
    return list;
}

void orgsctl_list_add(orgsctl_list_t *list, json_t *item)
{
    json_array_append_new(list->batch, item);
}

static void print_line(const orgsctl_list_t *list, const char *const *cells)
{
    int i;

    for (i = 0; list->columns[i].title != NULL; i++) {
        int last = list->columns[i + 1].title == NULL;
        apr_size_t pad = last ? 0 : list->widths[i] - width_of(cells[i]) + 2;

        fputs(cells[i], stdout);
        while (pad-- > 0) {
            putchar(' ');
        }
    }
    putchar('\n');
}

static void flush_columns(orgsctl_list_t *list)
{
    apr_size_t count = json_array_size(list->batch);
    apr_pool_t *pool;
    const char **cells;
    apr_size_t row;
    int columns, i;

    apr_pool_create(&pool, list->ctl->pool);
    for (columns = 0; list->columns[columns].title != NULL; columns++) {
    }
    cells = apr_palloc(pool, sizeof(*cells) * ((apr_size_t)columns * (count + 1)));
    for (i = 0; i < columns; i++) {
        cells[i] = list->columns[i].title;
    }
    for (row = 1; row <= count; row++) {
        for (i = 0; i < columns; i++) {
            const char *text = cell(pool, json_array_get(list->batch, row - 1), list->columns[i].member);
            apr_size_t width = width_of(text);

            cells[row * (apr_size_t)columns + (apr_size_t)i] = text;
            list->widths[i] = width > list->widths[i] ? width : list->widths[i];
        }
    }
    for (row = list->printed ? 1 : 0; row <= count; row++) {
        print_line(list, cells + row * (apr_size_t)columns);
    }
    list->printed = 1;
    apr_pool_destroy(pool);
}

static void print_batch(orgsctl_list_t *list)
{
    json_t *item;
    apr_size_t i;

    if (!list->ctl->json) {
        flush_columns(list);
    }
    else {
        json_array_foreach(list->batch, i, item) {
            fputs(list->printed ? ",\n" : "[", stdout);
            list->printed = 1;
            print_json(item);
        }
    }
    json_array_clear(list->batch);
}

void orgsctl_list_flush(orgsctl_list_t *list)
{
    if (list->ctl->json || json_array_size(list->batch) >= ALIGNED_TOGETHER) {
        print_batch(list);
    }
}

int orgsctl_list_end(orgsctl_list_t *list)
{
    if (json_array_size(list->batch) > 0 || (!list->printed && !list->ctl->json)) {
        print_batch(list);
    }
    if (list->ctl->json) {
        fputs(list->printed ? "]\n" : "[]\n", stdout);
    }
    return orgsctl_flushed(list->ctl);
}

int orgsctl_show(orgsctl_t *ctl, const orgsctl_column_t *columns, json_t *item)
{
    apr_size_t width = 0;
    int i;

    if (ctl->json) {
        print_json(item);
        putchar('\n');
    }
    else {
        for (i = 0; columns[i].title != NULL; i++) {
            width = strlen(columns[i].title) > width ? strlen(columns[i].title) : width;
        }
        for (i = 0; columns[i].title != NULL; i++) {
            printf("%-*s  %s\n", (int)width, columns[i].title, cell(ctl->pool, item, columns[i].member));
        }
    }
    json_decref(item);
    return orgsctl_flushed(ctl);
}

int orgsctl_added(orgsctl_t *ctl, const char *alone, json_t *item)
{
    if (ctl->json) {
        print_json(item);
        putchar('\n');
    }
    else {
        puts(alone);
    }
    json_decref(item);
    return orgsctl_flushed(ctl);
}

int orgsctl_flushed(orgsctl_t *ctl)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return orgsctl_fail(ctl, "standard output cannot be written");
    }
    return ORGSCTL_DONE;
}

json_t *orgsctl_json_time(apr_pool_t *pool, apr_time_t at)
{
    return at >= 0 ? json_string(orgs_time_text(pool, at)) : json_null();
}

json_t *orgsctl_json_id(apr_pool_t *pool, int has, const orgs_id_t *id)
{
    return has ? json_string(orgs_id_text(pool, id)) : json_null();
}

json_t *orgsctl_json_seats(apr_int64_t seats)
{
    return seats >= 0 ? json_integer(seats) : json_null();
}

static void say(orgsctl_t *ctl, const char *format, va_list args)
{
    fflush(stdout);
    fprintf(stderr, "orgsctl: %s\n", apr_pvsprintf(ctl->pool, format, args));
}

int orgsctl_fail(orgsctl_t *ctl, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(ctl, format, args);
    va_end(args);
    return ORGSCTL_FAILED;
}

int orgsctl_usage(orgsctl_t *ctl, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(ctl, format, args);
    va_end(args);
    return ORGSCTL_USAGE;
}

/* What only the operator can be refused, and what reads better to one. */
static const struct {
    const char *code;
    const char *text;
    const char *member; /* of the answer, said after the text */
} refusals[] = {
    {"email_taken", "There is another user with this email.", NULL},
    {"external_id_taken", "There is another user with this external id.", NULL},
    {"user_deactivated", "The user is deactivated.", NULL},
    {"token_not_found", "There is no such token.", NULL},
    {"last_admin", "The user is the only active admin of an organization (--force does it nevertheless):",
     "organization_id"},
    {"license_period", "The license would expire before it starts.", NULL},
    {"license_revoked", "The license is revoked, and stays so.", NULL},
    {"license_assigned", "The license is assigned to an organization:", "organization_id"},
    {"deployments_exist", "Deployments hang on the license (--with-deployments hands them over); how many:",
     "deployments"},
    {"deployment_not_found", "There is no such deployment.", NULL},
    {NULL, NULL, NULL}};

static const char *refusal_text(apr_pool_t *pool, const orgs_outcome_t *outcome)
{
    const char *value;
    int i;

    for (i = 0; refusals[i].code != NULL && strcmp(refusals[i].code, outcome->code) != 0; i++) {
    }
    if (refusals[i].code == NULL) {
        return outcome->refusal == ORGS_E_INTERNAL_ERROR ? apr_pstrcat(pool, "refused: ", outcome->code, NULL)
                                                         : orgs_error_text(outcome->refusal);
    }
    value = refusals[i].member != NULL ? cell(pool, outcome->answer, refusals[i].member) : NULL;
    return apr_pstrcat(pool, refusals[i].text, value != NULL ? " " : NULL, value, NULL);
}

int orgsctl_done(orgsctl_t *ctl, const orgs_error_t *error, const orgs_outcome_t *outcome, const char *prefix)
{
    if (error != NULL) {
        const char *why = orgsctl_clean(ctl->pool, error->cause != NULL ? error->cause : last_log);

        if (*why == '\0' || error->code == ORGS_E_OUTCOME_UNKNOWN) {
            orgsctl_fail(ctl, "%s%s%s%s", prefix, error->detail, *why != '\0' ? " " : "", why);
        }
        else {
            orgsctl_fail(ctl, "%snothing was done: %s", prefix, why);
        }
        return 0;
    }
    if (outcome != NULL && outcome->refusal != ORGS_E_COUNT) {
        orgsctl_fail(ctl, "%s%s", prefix, refusal_text(ctl->pool, outcome));
        return 0;
    }
    return 1;
}
