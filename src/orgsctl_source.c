/*
 * The statements of sql/, taken apart.
 */
#include "orgsctl_source.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "orgs_id.h"
#include "orgs_files.h"

static const struct {
    const char *prefix; /* of the file's name; NULL: it begins with a digit */
    orgsctl_kind_e kind;
} kinds[] = {{NULL, ORGSCTL_STEP},
             {"definer", ORGSCTL_ACCOUNT},
             {"views", ORGSCTL_VIEW},
             {"functions", ORGSCTL_FUNCTION},
             {"procedures_", ORGSCTL_PROCEDURE}};

const char *orgsctl_kind_name(orgsctl_kind_e kind)
{
    static const char *const names[] = {"table", "account", "view", "function", "procedure"};

    return names[kind];
}

const char *orgsctl_digest(apr_pool_t *pool, const char *text)
{
    unsigned char digest[ORGS_SHA256_LEN];
    char *hex = apr_palloc(pool, 2 * ORGS_SHA256_LEN + 1);
    int i;

    orgs_sha256(digest, text, strlen(text));
    for (i = 0; i < ORGS_SHA256_LEN; i++) {
        apr_snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
    return hex;
}

/* Past white space and comments. */
static const char *skip(const char *at)
{
    for (;;) {
        if (apr_isspace(*at)) {
            at++;
        }
        else if (strncmp(at, "--", 2) == 0) {
            at += strcspn(at, "\n");
        }
        else if (strncmp(at, "/*", 2) == 0) {
            const char *end = strstr(at, "*/");

            at = end != NULL ? end + 2 : at + strlen(at);
        }
        else {
            return at;
        }
    }
}

/* Where the statement at ends: at its delimiter outside quotes and comments, or at the end of the file. */
static const char *statement_end(const char *at, const char *delimiter)
{
    apr_size_t len = strlen(delimiter);

    while (*at != '\0' && strncmp(at, delimiter, len) != 0) {
        if (*at == '\'' || *at == '"' || *at == '`') {
            const char *close = strchr(at + 1, *at);

            at = close != NULL ? close + 1 : at + strlen(at);
        }
        else if (strncmp(at, "--", 2) == 0 || strncmp(at, "/*", 2) == 0) {
            at = skip(at);
        }
        else {
            at++;
        }
    }
    return at;
}

/* The next word of a statement, lower case or as it stands; moves on. */
static const char *word(apr_pool_t *pool, const char **at)
{
    const char *start = skip(*at);

    *at = start + strcspn(start, " \t\n(;");
    return apr_pstrmemdup(pool, start, (apr_size_t)(*at - start));
}

/* What a CREATE makes: the word after TABLE [IF NOT EXISTS], VIEW, FUNCTION or PROCEDURE; else NULL. */
static const char *name_of(apr_pool_t *pool, const char *text)
{
    const char *at = text;
    const char *last = word(pool, &at);
    int i;

    if (strcasecmp(last, "CREATE") != 0) {
        return NULL;
    }
    for (i = 0; i < 6; i++) {
        last = word(pool, &at);
        if (strcasecmp(last, "TABLE") == 0 || strcasecmp(last, "VIEW") == 0 || strcasecmp(last, "FUNCTION") == 0
            || strcasecmp(last, "PROCEDURE") == 0) {
            do {
                last = word(pool, &at);
            } while (strcasecmp(last, "IF") == 0 || strcasecmp(last, "NOT") == 0 || strcasecmp(last, "EXISTS") == 0);
            return last;
        }
    }
    return NULL;
}

/* The last characteristic of every routine; its body follows. */
#define SECURITY "SQL SECURITY "

static void take_statement(apr_pool_t *pool, orgsctl_source_t *source)
{
    const char *security = strstr(source->text, SECURITY);

    source->name = name_of(pool, source->text);
    if (source->kind < ORGSCTL_VIEW) {
        return;
    }
    source->digest = orgsctl_digest(pool, apr_pstrcat(pool, ORGSCTL_DEFINER " " ORGSCTL_SQL_MODE " " ORGSCTL_COLLATION
                                                            " ", source->text, NULL));
    if (source->kind > ORGSCTL_VIEW && security != NULL) {
        security += strlen(SECURITY);
        source->security = word(pool, &security);
        source->body = security + strspn(security, " \t\n");
    }
}

static void take_file(apr_pool_t *pool, apr_array_header_t *sources, const orgs_file_t *file, orgsctl_kind_e kind)
{
    const char *delimiter = ";";
    const char *at = skip(file->text);

    while (*at != '\0') {
        orgsctl_source_t *source;
        const char *end;

        if (strncasecmp(at, "DELIMITER ", 10) == 0) {
            at += 10;
            delimiter = apr_pstrmemdup(pool, at, strcspn(at, " \t\r\n"));
            at = skip(at + strlen(delimiter));
            continue;
        }
        end = statement_end(at, delimiter);
        source = apr_array_push(sources);
        memset(source, 0, sizeof(*source));
        source->kind = kind;
        source->step = kind == ORGSCTL_STEP ? atoi(file->name) : 0;
        source->file = file->name;
        source->text = apr_pstrmemdup(pool, at, (apr_size_t)(end - at));
        take_statement(pool, source);
        at = skip(*end != '\0' ? end + strlen(delimiter) : end);
    }
}

apr_array_header_t *orgsctl_sources(apr_pool_t *pool)
{
    apr_array_header_t *sources = apr_array_make(pool, 64, sizeof(orgsctl_source_t));
    const orgs_file_t *file;
    apr_size_t i;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        for (file = orgs_files_sql; file->name != NULL; file++) {
            const char *prefix = kinds[i].prefix;

            if (prefix != NULL ? strncmp(file->name, prefix, strlen(prefix)) == 0 : apr_isdigit(file->name[0])) {
                take_file(pool, sources, file, kinds[i].kind);
            }
        }
    }
    return sources;
}

const char *orgsctl_source_create(apr_pool_t *pool, const orgsctl_source_t *source, int replace)
{
    const char *create = replace ? "CREATE OR REPLACE DEFINER=" ORGSCTL_DEFINER_QUOTED " "
                                 : "CREATE DEFINER=" ORGSCTL_DEFINER_QUOTED " ";
    const char *rest = source->text;
    const char *security = strstr(source->text, SECURITY);

    if (source->kind == ORGSCTL_VIEW) {
        /* CREATE OR REPLACE SQL SECURITY INVOKER VIEW … */
        return apr_pstrcat(pool, create, security, NULL);
    }
    word(pool, &rest);
    rest = skip(rest);
    return apr_pstrcat(pool, create, apr_pstrmemdup(pool, rest, (apr_size_t)(security - rest)), "COMMENT 'mod_orgs ",
                       source->digest, "' ", security, NULL);
}
