/*
 * orgsctl schema: makes the database what sql/ says, or tells where it is not.
 *
 * Steps make tables, each once. The definer, views, functions and procedures are compared with what was meant every
 * time and made anew where they differ: so a database that was restored without its routines, or by another account,
 * is whole again. What is as it should be is never touched, for a module may be calling it right now.
 */
#include "orgsctl_schema.h"

#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orgs_limits.h"
#include "orgs_time.h"

/* seconds; below the connection's own 60 for a read */
#define LOCK_WAIT       50
#define CONNECT_SECONDS 10

static const orgsctl_column_t report_columns[] = {{"KIND", "kind"}, {"NAME", "name"}, {"STATE", "state"}, {NULL, NULL}};

/* The database itself. Gives 1 if it is there now, 0 if it is missing and may not be made, -1 on failure. */
static int see_database(orgsctl_schema_t *s)
{
    orgs_rows_t rows;

    if (!orgsctl_ask(s, &rows, "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '%s'", s->dbname)) {
        return -1;
    }
    if (rows.count == 0 && s->check) {
        orgsctl_report(s, "database", s->dbname, "is missing");
        return 0;
    }
    if (rows.count == 0) {
        const char *text = apr_psprintf(s->pool,
                                        "CREATE DATABASE IF NOT EXISTS `%s` CHARACTER SET utf8mb4 "
                                        "COLLATE " ORGSCTL_COLLATION,
                                        s->dbname);

        if (!orgsctl_run(s, NULL, text, "the database cannot be made")) {
            return -1;
        }
        orgsctl_report(s, "database", s->dbname, "was made");
    }
    return orgsctl_ask(s, NULL, "USE `%s`", s->dbname) ? 1 : -1;
}

/* The row that says which version this is, and the loader's memory of views. */
static int make_own_tables(orgsctl_schema_t *s)
{
    return orgsctl_ask(s, NULL,
                       "CREATE TABLE IF NOT EXISTS schema_views (name VARCHAR(64) NOT NULL PRIMARY KEY, "
                       "source CHAR(64) NOT NULL, `stored` CHAR(64) NOT NULL) "
                       "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin")
           && orgsctl_ask(s, NULL,
                          "CREATE TABLE IF NOT EXISTS schema_version (id TINYINT NOT NULL PRIMARY KEY, "
                          "version INT UNSIGNED NOT NULL, oldest_module INT UNSIGNED NOT NULL, "
                          "steps INT UNSIGNED NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin")
           && orgsctl_ask(s, NULL,
                          "INSERT IGNORE INTO schema_version (id, version, oldest_module, steps) "
                          "VALUES (1, 0, 0, 0)");
}

/* Which version this is. Results as of see_database. */
static int see_version(orgsctl_schema_t *s)
{
    int there = orgsctl_has_table(s, "schema_version");
    int memory = orgsctl_has_table(s, "schema_views");
    orgs_rows_t rows;

    if (there < 0 || memory < 0) {
        return -1;
    }
    if (!there && s->check) {
        orgsctl_report(s, "table", "schema_version", "is missing");
        return 0;
    }
    if (!s->check && !(there && memory) && !make_own_tables(s)) {
        return -1;
    }
    if (!orgsctl_ask(s, &rows, "SELECT version, steps, oldest_module FROM schema_version WHERE id = 1")) {
        return -1;
    }
    s->version = rows.count > 0 ? atoi(orgsctl_cell(&rows, 0, 0)) : 0;
    s->steps = rows.count > 0 ? atoi(orgsctl_cell(&rows, 0, 1)) : 0;
    s->oldest = rows.count > 0 ? atoi(orgsctl_cell(&rows, 0, 2)) : 0;
    if (s->version > ORGS_SCHEMA_VERSION) {
        orgsctl_fail(s->ctl, "the schema is of version %d, which is newer than this orgsctl (%d): nothing was done",
                     s->version, ORGS_SCHEMA_VERSION);
        return -1;
    }
    return 1;
}

/* Steps that were never applied, in their order; each is noted once all its statements ran. */
static int see_steps(orgsctl_schema_t *s)
{
    int i;

    for (i = 0; i < s->sources->nelts; i++) {
        const orgsctl_source_t *source = &APR_ARRAY_IDX(s->sources, i, orgsctl_source_t);
        int last =
            i + 1 == s->sources->nelts || APR_ARRAY_IDX(s->sources, i + 1, orgsctl_source_t).step != source->step;

        if (source->kind != ORGSCTL_STEP || source->step <= s->steps) {
            continue;
        }
        if (!s->check && !orgsctl_run(s, NULL, source->text, source->file)) {
            return 0;
        }
        if (last) {
            if (!s->check && !orgsctl_ask(s, NULL, "UPDATE schema_version SET steps = %d WHERE id = 1", source->step)) {
                return 0;
            }
            orgsctl_report(s, "step", source->file, s->check ? "is missing" : "was applied");
            s->steps = source->step;
        }
    }
    return 1;
}

/* A table that a step made and that is gone is beyond repair from here. */
static int see_tables(orgsctl_schema_t *s)
{
    int whole = 1;
    int i;

    for (i = 0; i < s->sources->nelts; i++) {
        const orgsctl_source_t *source = &APR_ARRAY_IDX(s->sources, i, orgsctl_source_t);
        int there = source->kind == ORGSCTL_STEP && source->name != NULL ? orgsctl_has_table(s, source->name) : 1;

        if (there < 0) {
            return 0;
        }
        if (!there && s->check) {
            orgsctl_report(s, "table", source->name, "is missing");
        }
        else if (!there) {
            orgsctl_fail(s->ctl, "table %s is missing although step %s was applied: restore it", source->name,
                         source->file);
            whole = 0;
        }
    }
    return whole;
}

/* Views, functions, procedures, and then the version: a module may now rely on them. */
static int see_code(orgsctl_schema_t *s)
{
    int i;

    for (i = 0; i < s->sources->nelts; i++) {
        const orgsctl_source_t *source = &APR_ARRAY_IDX(s->sources, i, orgsctl_source_t);

        if ((source->kind == ORGSCTL_VIEW && !orgsctl_repair_view(s, source))
            || (source->kind > ORGSCTL_VIEW && !orgsctl_repair_routine(s, source))) {
            return 0;
        }
    }
    if (s->version == ORGS_SCHEMA_VERSION && s->oldest == ORGS_MODULE_OLDEST) {
        return 1;
    }
    if (s->version < ORGS_SCHEMA_VERSION) {
        orgsctl_report(s, "version", apr_itoa(s->pool, ORGS_SCHEMA_VERSION),
                       s->check ? "is not reached" : "is reached");
    }
    return s->check
           || orgsctl_ask(s, NULL,
                          "REPLACE INTO schema_version (id, version, oldest_module, steps) "
                          "VALUES (1, %d, %d, %d)",
                          ORGS_SCHEMA_VERSION, ORGS_MODULE_OLDEST, s->steps);
}

/* Every routine is taken apart in one way; a file of sql/ that breaks it is a mistake of ours. */
static int check_sources(orgsctl_schema_t *s)
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
static int take_lock(orgsctl_schema_t *s)
{
    orgs_rows_t rows;

    if (!orgsctl_ask(s, &rows, "SELECT GET_LOCK('orgsctl.%.32s', %d)", orgsctl_digest(s->pool, s->dbname), LOCK_WAIT)) {
        return 0;
    }
    if (strcmp(orgsctl_cell(&rows, 0, 0), "1") != 0) {
        orgsctl_fail(s->ctl, "another `orgsctl schema` is at work on this database");
        return 0;
    }
    return 1;
}

static int see_all(orgsctl_schema_t *s)
{
    int there;

    if (!orgsctl_ask(s, NULL, "SET NAMES utf8mb4 COLLATE " ORGSCTL_COLLATION)
        || !orgsctl_ask(s, NULL, "SET SESSION sql_mode = '" ORGSCTL_SQL_MODE "', time_zone = '+00:00', autocommit = 1")
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
    return see_steps(s) && see_tables(s) && orgsctl_repair_definer(s) && see_code(s);
}

static int run(orgsctl_t *ctl)
{
    orgs_dberr_t error = {0, NULL, 0};
    orgsctl_schema_t s;
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
