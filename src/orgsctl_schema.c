/*
 * orgsctl schema: makes the database what sql/ says, or tells where it is not.
 *
 * Steps make tables, each once. The definer, views, functions and procedures are compared with what was meant every
 * time and made anew where they differ: so a database that was restored without its routines, or by another account,
 * is whole again. What is as it should be is never touched, for a module may be calling it right now.
 */
#include "orgsctl.h"

#include <apr_strings.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orgs_limits.h"
#include "orgsctl_source.h"

/* seconds; below the connection's own 60 for a read */
#define LOCK_WAIT 50
#define CONNECT_SECONDS 10

typedef struct {
    orgsctl_t *ctl;
    apr_pool_t *pool;
    orgs_conn_t *conn;
    const char *dbname;
    apr_array_header_t *sources;
    int check; /* nothing is changed */
    int steps; /* applied already */
    int version;
    int oldest;
    int reports;
    orgsctl_list_t *list; /* of reports, with --json */
} schema_t;

static const orgsctl_column_t report_columns[] = {{"KIND", "kind"}, {"NAME", "name"}, {"STATE", "state"}, {NULL, NULL}};

/* Runs a text; zero, and a line said, if it failed. */
static int run_text(schema_t *s, orgs_rows_t *rows, const char *text, const char *what)
{
    orgs_dberr_t error;
    orgs_rows_t none;

    orgs_conn_text(s->conn, s->pool, text, rows != NULL ? rows : &none, &error);
    if (error.number != 0) {
        orgsctl_fail(s->ctl, "%s: %s (%u)", what, orgsctl_clean(s->pool, error.text), error.number);
        return 0;
    }
    return 1;
}

static int ask(schema_t *s, orgs_rows_t *rows, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same for a question about the schema (printf-like). */
static int ask(schema_t *s, orgs_rows_t *rows, const char *format, ...)
{
    const char *text;
    va_list args;

    va_start(args, format);
    text = apr_pvsprintf(s->pool, format, args);
    va_end(args);
    return run_text(s, rows, text, "the schema cannot be read");
}

static const char *text_at(const orgs_rows_t *rows, int row, int column)
{
    const char *text = orgs_row_string(rows, row, column);

    return text != NULL ? text : "";
}

static void report(schema_t *s, const char *kind, const char *name, const char *state)
{
    s->reports++;
    if (s->ctl->json) {
        orgsctl_list_add(s->list, json_pack("{s:s, s:s, s:s}", "kind", kind, "name", name, "state", state));
    }
    else {
        printf("%s %s %s\n", kind, name, state);
        fflush(stdout);
    }
}

/* The database itself. Gives 1 if it is there now, 0 if it is missing and may not be made, -1 on failure. */
static int see_database(schema_t *s)
{
    orgs_rows_t rows;

    if (!ask(s, &rows, "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '%s'", s->dbname)) {
        return -1;
    }
    if (rows.count == 0) {
        if (s->check) {
            report(s, "database", s->dbname, "is missing");
            return 0;
        }
        if (!run_text(s, NULL, apr_psprintf(s->pool, "CREATE DATABASE IF NOT EXISTS `%s` CHARACTER SET utf8mb4 COLLATE "
                                                     ORGSCTL_COLLATION, s->dbname), "the database cannot be made")) {
            return -1;
        }
        report(s, "database", s->dbname, "was made");
    }
    return ask(s, NULL, "USE `%s`", s->dbname) ? 1 : -1;
}

static int has_table(schema_t *s, const char *name)
{
    orgs_rows_t rows;

    if (!ask(s, &rows, "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = '%s' AND TABLE_NAME = '%s'",
             s->dbname, name)) {
        return -1;
    }
    return rows.count;
}

/* The row that says which version this is, and the loader's memory of views. */
static int make_own_tables(schema_t *s)
{
    return ask(s, NULL, "CREATE TABLE IF NOT EXISTS schema_views (name VARCHAR(64) NOT NULL PRIMARY KEY, "
                        "source CHAR(64) NOT NULL, stored CHAR(64) NOT NULL) "
                        "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin")
           && ask(s, NULL, "CREATE TABLE IF NOT EXISTS schema_version (id TINYINT NOT NULL PRIMARY KEY, "
                           "version INT UNSIGNED NOT NULL, oldest_module INT UNSIGNED NOT NULL, "
                           "steps INT UNSIGNED NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin")
           && ask(s, NULL, "INSERT IGNORE INTO schema_version (id, version, oldest_module, steps) "
                           "VALUES (1, 0, 0, 0)");
}

/* Which version this is. Results as of see_database. */
static int see_version(schema_t *s)
{
    int there = has_table(s, "schema_version");
    orgs_rows_t rows;

    if (there < 0) {
        return -1;
    }
    if (!there && s->check) {
        report(s, "table", "schema_version", "is missing");
        return 0;
    }
    if (!there && !make_own_tables(s)) {
        return -1;
    }
    if (!ask(s, &rows, "SELECT version, steps, oldest_module FROM schema_version WHERE id = 1")) {
        return -1;
    }
    s->version = rows.count > 0 ? atoi(text_at(&rows, 0, 0)) : 0;
    s->steps = rows.count > 0 ? atoi(text_at(&rows, 0, 1)) : 0;
    s->oldest = rows.count > 0 ? atoi(text_at(&rows, 0, 2)) : 0;
    if (s->version > ORGS_SCHEMA_VERSION) {
        orgsctl_fail(s->ctl, "the schema is of version %d, which is newer than this orgsctl (%d): nothing was done",
                     s->version, ORGS_SCHEMA_VERSION);
        return -1;
    }
    return 1;
}

/* Steps that were never applied, in their order; each is noted once all its statements ran. */
static int see_steps(schema_t *s)
{
    int i;

    for (i = 0; i < s->sources->nelts; i++) {
        const orgsctl_source_t *source = &APR_ARRAY_IDX(s->sources, i, orgsctl_source_t);
        int last = i + 1 == s->sources->nelts || APR_ARRAY_IDX(s->sources, i + 1, orgsctl_source_t).step != source->step;

        if (source->kind != ORGSCTL_STEP || source->step <= s->steps) {
            continue;
        }
        if (!s->check && !run_text(s, NULL, source->text, source->file)) {
            return 0;
        }
        if (last) {
            if (!s->check && !ask(s, NULL, "UPDATE schema_version SET steps = %d WHERE id = 1", source->step)) {
                return 0;
            }
            report(s, "step", source->file, s->check ? "is missing" : "was applied");
            s->steps = source->step;
        }
    }
    return 1;
}

/* A table that a step made and that is gone is beyond repair from here. */
static int see_tables(schema_t *s)
{
    int whole = 1;
    int i;

    for (i = 0; i < s->sources->nelts; i++) {
        const orgsctl_source_t *source = &APR_ARRAY_IDX(s->sources, i, orgsctl_source_t);
        int there = source->kind == ORGSCTL_STEP && source->name != NULL ? has_table(s, source->name) : 1;

        if (there < 0) {
            return 0;
        }
        if (!there && s->check) {
            report(s, "table", source->name, "is missing");
        }
        else if (!there) {
            orgsctl_fail(s->ctl, "table %s is missing although step %s was applied: restore it", source->name,
                         source->file);
            whole = 0;
        }
    }
    return whole;
}

/* What is wrong with the account that owns the procedures: NULL for nothing; *failed if that cannot be told. */
static const char *definer_state(schema_t *s, int *failed)
{
    orgs_dberr_t error;
    orgs_rows_t rows;

    *failed = 0;
    if (!ask(s, &rows, "SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = '''orgs_definer''@"
                       "''localhost'''")) {
        *failed = 1;
        return NULL;
    }
    if (strcmp(text_at(&rows, 0, 0), "0") == 0) {
        return "is missing";
    }
    orgs_conn_text(s->conn, s->pool, "SHOW CREATE USER " ORGSCTL_DEFINER_QUOTED, &rows, &error);
    if (error.number == 0 && rows.count > 0 && strstr(text_at(&rows, 0, 0), "ACCOUNT LOCK") == NULL) {
        return "is not locked";
    }
    if (!ask(s, &rows, "SELECT COUNT(DISTINCT PRIVILEGE_TYPE) FROM information_schema.SCHEMA_PRIVILEGES "
                       "WHERE GRANTEE = '''orgs_definer''@''localhost''' AND TABLE_SCHEMA = '%s' AND "
                       "PRIVILEGE_TYPE IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'EXECUTE')", s->dbname)) {
        *failed = 1;
        return NULL;
    }
    return strcmp(text_at(&rows, 0, 0), "5") != 0 ? "lacks rights" : NULL;
}

/* The text with this database's name in the place of `orgs`. */
static const char *named(schema_t *s, const char *text)
{
    static const char orgs[] = "`orgs`.";
    const char *at = strstr(text, orgs);

    return at == NULL ? text
                      : apr_pstrcat(s->pool, apr_pstrmemdup(s->pool, text, (apr_size_t)(at - text)), "`", s->dbname,
                                    "`.", at + sizeof(orgs) - 1, NULL);
}

static int see_definer(schema_t *s)
{
    int failed;
    const char *state = definer_state(s, &failed);
    int i;

    if (failed || state == NULL) {
        return !failed;
    }
    for (i = 0; !s->check && i < s->sources->nelts; i++) {
        const orgsctl_source_t *source = &APR_ARRAY_IDX(s->sources, i, orgsctl_source_t);

        if (source->kind == ORGSCTL_ACCOUNT && !run_text(s, NULL, named(s, source->text), source->file)) {
            return 0;
        }
    }
    report(s, "account", ORGSCTL_DEFINER,
           s->check ? state : apr_pstrcat(s->pool, state, "; was mended", NULL));
    if (!s->check && definer_state(s, &failed) != NULL) {
        orgsctl_fail(s->ctl, "account %s is still not as sql/definer.sql wants it", ORGSCTL_DEFINER);
        return 0;
    }
    return !failed;
}

/* Makes a view or routine that is not as it should be. state: what is wrong. */
static int mend(schema_t *s, const orgsctl_source_t *source, const char *state)
{
    const char *kind = orgsctl_kind_name(source->kind);
    int replace = source->kind == ORGSCTL_VIEW || orgs_conn_is_mariadb(s->conn);

    if (s->check) {
        report(s, kind, source->name, state);
        return 1;
    }
    if (!replace
        && !run_text(s, NULL, apr_psprintf(s->pool, "DROP %s IF EXISTS %s", kind, source->name), source->name)) {
        return 0;
    }
    if (!run_text(s, NULL, orgsctl_source_create(s->pool, source, replace), source->name)) {
        return 0;
    }
    report(s, kind, source->name, apr_pstrcat(s->pool, state, "; was made", NULL));
    return 1;
}

static const char *owned_by(schema_t *s, const char *owner)
{
    return apr_psprintf(s->pool, "is owned by %s", orgsctl_clean(s->pool, owner));
}

static int see_view(schema_t *s, const orgsctl_source_t *source)
{
    const char *state = NULL;
    const char *stored;
    orgs_rows_t rows, noted;
    int memory = has_table(s, "schema_views");

    if (memory < 0
        || !ask(s, &rows, "SELECT DEFINER, SECURITY_TYPE, CHARACTER_SET_CLIENT, VIEW_DEFINITION "
                          "FROM information_schema.VIEWS WHERE TABLE_SCHEMA = '%s' AND TABLE_NAME = '%s'",
                s->dbname, source->name)
        || !ask(s, &noted, memory ? "SELECT source, stored FROM schema_views WHERE name = '%s'" : "SELECT 1 WHERE '%s' = ''",
                source->name)) {
        return 0;
    }
    if (rows.count == 0) {
        state = "is missing";
    }
    else if (*text_at(&rows, 0, 3) == '\0') {
        orgsctl_fail(s->ctl, "this account may not read the text of view %s", source->name);
        return 0;
    }
    else if (strcmp(text_at(&rows, 0, 0), ORGSCTL_DEFINER) != 0) {
        state = owned_by(s, text_at(&rows, 0, 0));
    }
    else if (noted.count == 0 || strcmp(text_at(&noted, 0, 0), source->digest) != 0
             || strcmp(text_at(&noted, 0, 1), orgsctl_digest(s->pool, text_at(&rows, 0, 3))) != 0
             || strcmp(text_at(&rows, 0, 1), "INVOKER") != 0 || strcmp(text_at(&rows, 0, 2), "utf8mb4") != 0) {
        state = "is changed";
    }
    if (state == NULL || s->check) {
        return state == NULL || mend(s, source, state);
    }
    if (!mend(s, source, state)
        || !ask(s, &rows, "SELECT VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA = '%s' "
                          "AND TABLE_NAME = '%s'", s->dbname, source->name)) {
        return 0;
    }
    stored = rows.count > 0 ? text_at(&rows, 0, 0) : "";
    return ask(s, NULL, "REPLACE INTO schema_views (name, source, stored) VALUES ('%s', '%s', '%s')", source->name,
               source->digest, orgsctl_digest(s->pool, stored));
}

/* White space at the end is the server's. */
static int same_body(const char *a, const char *b)
{
    apr_size_t length_a = strlen(a);
    apr_size_t length_b = strlen(b);

    while (length_a > 0 && strchr(" \t\r\n;", a[length_a - 1]) != NULL) {
        length_a--;
    }
    while (length_b > 0 && strchr(" \t\r\n;", b[length_b - 1]) != NULL) {
        length_b--;
    }
    return length_a == length_b && memcmp(a, b, length_a) == 0;
}

static int see_routine(schema_t *s, const orgsctl_source_t *source)
{
    const char *state = NULL;
    orgs_rows_t rows;

    if (!ask(s, &rows, "SELECT DEFINER, SECURITY_TYPE, SQL_MODE, CHARACTER_SET_CLIENT, COLLATION_CONNECTION, "
                       "ROUTINE_COMMENT, ROUTINE_DEFINITION FROM information_schema.ROUTINES "
                       "WHERE ROUTINE_SCHEMA = '%s' AND ROUTINE_TYPE = '%s' AND ROUTINE_NAME = '%s'",
             s->dbname, source->kind == ORGSCTL_FUNCTION ? "FUNCTION" : "PROCEDURE", source->name)) {
        return 0;
    }
    if (rows.count == 0) {
        state = "is missing";
    }
    else if (orgs_row_is_null(&rows, 0, 6)) {
        orgsctl_fail(s->ctl, "this account may not read the text of %s %s", orgsctl_kind_name(source->kind),
                     source->name);
        return 0;
    }
    else if (strcmp(text_at(&rows, 0, 0), ORGSCTL_DEFINER) != 0) {
        state = owned_by(s, text_at(&rows, 0, 0));
    }
    else if (strcmp(text_at(&rows, 0, 1), source->security) != 0
             || strcmp(text_at(&rows, 0, 2), ORGSCTL_SQL_MODE) != 0 || strcmp(text_at(&rows, 0, 3), "utf8mb4") != 0
             || strcmp(text_at(&rows, 0, 4), ORGSCTL_COLLATION) != 0
             || strstr(text_at(&rows, 0, 5), source->digest) == NULL
             || !same_body(text_at(&rows, 0, 6), source->body)) {
        state = "is changed";
    }
    return state == NULL || mend(s, source, state);
}

/* Views, functions, procedures, and then the version: a module may now rely on them. */
static int see_code(schema_t *s)
{
    int i;

    for (i = 0; i < s->sources->nelts; i++) {
        const orgsctl_source_t *source = &APR_ARRAY_IDX(s->sources, i, orgsctl_source_t);

        if ((source->kind == ORGSCTL_VIEW && !see_view(s, source))
            || (source->kind > ORGSCTL_VIEW && !see_routine(s, source))) {
            return 0;
        }
    }
    if (s->version == ORGS_SCHEMA_VERSION && s->oldest == ORGS_MODULE_OLDEST) {
        return 1;
    }
    if (s->version < ORGS_SCHEMA_VERSION) {
        report(s, "version", apr_itoa(s->pool, ORGS_SCHEMA_VERSION), s->check ? "is not reached" : "is reached");
    }
    return s->check || ask(s, NULL, "REPLACE INTO schema_version (id, version, oldest_module, steps) "
                           "VALUES (1, %d, %d, %d)",
                           ORGS_SCHEMA_VERSION, ORGS_MODULE_OLDEST, s->steps);
}

/* Every routine is taken apart in one way; a file of sql/ that breaks it is a mistake of ours. */
static int check_sources(schema_t *s)
{
    int i;

    for (i = 0; i < s->sources->nelts; i++) {
        const orgsctl_source_t *source = &APR_ARRAY_IDX(s->sources, i, orgsctl_source_t);

        if (source->kind >= ORGSCTL_VIEW
            && (source->name == NULL || strstr(source->text, "SQL SECURITY ") == NULL
                || (source->kind > ORGSCTL_VIEW && source->security == NULL))) {
            orgsctl_fail(s->ctl, "%s: a statement without a name or SQL SECURITY", source->file);
            return 0;
        }
    }
    return 1;
}

/* One run at a time for one database. */
static int take_lock(schema_t *s)
{
    orgs_rows_t rows;

    if (!ask(s, &rows, "SELECT GET_LOCK('orgsctl.%.32s', %d)", orgsctl_digest(s->pool, s->dbname), LOCK_WAIT)) {
        return 0;
    }
    if (strcmp(text_at(&rows, 0, 0), "1") != 0) {
        orgsctl_fail(s->ctl, "another `orgsctl schema` is at work on this database");
        return 0;
    }
    return 1;
}

static int see_all(schema_t *s)
{
    int there;

    if (!ask(s, NULL, "SET NAMES utf8mb4 COLLATE " ORGSCTL_COLLATION)
        || !ask(s, NULL, "SET SESSION sql_mode = '" ORGSCTL_SQL_MODE "', time_zone = '+00:00', autocommit = 1")
        || (!s->check && !take_lock(s))) {
        return 0;
    }
    there = see_database(s);
    if (there == 1) {
        there = see_version(s);
    }
    if (there != 1) {
        return there == 0;
    }
    return see_steps(s) && see_tables(s) && see_definer(s) && see_code(s);
}

static int run(orgsctl_t *ctl)
{
    orgs_dberr_t error = {0, NULL};
    schema_t s;
    int status;

    memset(&s, 0, sizeof(s));
    s.ctl = ctl;
    s.pool = ctl->pool;
    s.dbname = ctl->params->dbname;
    s.check = orgsctl_option(ctl, "check") != NULL;
    s.sources = orgsctl_sources(ctl->pool);
    if (strspn(s.dbname, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_$-") != strlen(s.dbname)
        || strlen(s.dbname) < 1 || strlen(s.dbname) > 64) {
        return orgsctl_fail(ctl, "\"%s\" is no name of a database that this can work with",
                            orgsctl_clean(ctl->pool, s.dbname));
    }
    if (!check_sources(&s)) {
        return ORGSCTL_FAILED;
    }
    if (orgs_conn_make(&s.conn, ctl->pool) != APR_SUCCESS) {
        return orgsctl_fail(ctl, "memory is short");
    }
    if (!orgs_conn_open_bare(s.conn, ctl->pool, ctl->params, orgs_clock() + apr_time_from_sec(CONNECT_SECONDS),
                             &error)) {
        return orgsctl_fail(ctl, "the database cannot be reached: %s (%u)", orgsctl_clean(ctl->pool, error.text),
                            error.number);
    }
    s.list = orgsctl_list_begin(ctl, report_columns);
    status = see_all(&s) ? ORGSCTL_DONE : ORGSCTL_FAILED;
    orgs_conn_close(s.conn);
    if (ctl->json) {
        orgsctl_list_end(s.list);
    }
    else if (status == ORGSCTL_DONE && s.reports == 0) {
        puts("The schema is up to date.");
    }
    if (status == ORGSCTL_DONE && orgsctl_flushed(ctl) != ORGSCTL_DONE) {
        status = ORGSCTL_FAILED;
    }
    return s.check && s.reports > 0 ? ORGSCTL_FAILED : status;
}

static const orgsctl_option_t options[] = {
    {"check", NULL, "changes nothing; names what is missing, changed or wrongly owned, and then fails"},
    {NULL, NULL, NULL}};

const orgsctl_command_t orgsctl_schema_commands[] = {
    {"schema", "", "", 0, 0, options, 1, run,
     "Makes or upgrades the database, and restores what is missing or changed."},
    {NULL, NULL, NULL, 0, 0, NULL, 0, NULL, NULL}};
