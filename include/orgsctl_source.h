/*
 * The statements of sql/, taken apart: what `orgsctl schema` sees to.
 */
#ifndef ORGSCTL_SOURCE_H
#define ORGSCTL_SOURCE_H

#include <apr_pools.h>
#include <apr_tables.h>

/* The account whose rights the API's procedures have; sql/definer.sql makes it. */
#define ORGSCTL_DEFINER "orgs_definer@localhost"
#define ORGSCTL_DEFINER_QUOTED "`orgs_definer`@`localhost`"
/* What every procedure and view is made and runs under. */
#define ORGSCTL_SQL_MODE "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION"
#define ORGSCTL_COLLATION "utf8mb4_bin"

/* In the order in which they are made. */
typedef enum {
    ORGSCTL_STEP,
    ORGSCTL_ACCOUNT,
    ORGSCTL_VIEW,
    ORGSCTL_FUNCTION,
    ORGSCTL_PROCEDURE
} orgsctl_kind_e;

typedef struct orgsctl_source_t {
    orgsctl_kind_e kind;
    int step;             /* its number, else 0 */
    const char *file;
    const char *name;     /* of the table, view, function or procedure it makes; NULL for other statements */
    const char *text;     /* without delimiter and leading comments */
    const char *digest;   /* of text and of what it is made under; views, functions, procedures */
    const char *security; /* "DEFINER" or "INVOKER"; functions, procedures */
    const char *body;     /* functions, procedures */
} orgsctl_source_t;

/** All statements of all files, orgsctl_source_t each, in the order in which they are made. Allocated in pool. */
apr_array_header_t *orgsctl_sources(apr_pool_t *pool);

/** The statement that makes a view or routine, with its owner and digest. replace: CREATE OR REPLACE. */
const char *orgsctl_source_create(apr_pool_t *pool, const orgsctl_source_t *source, int replace);

/** "table", "view", "function", "procedure". */
const char *orgsctl_kind_name(orgsctl_kind_e kind);

/** Hexadecimal digits of a text's SHA-256, allocated in pool. */
const char *orgsctl_digest(apr_pool_t *pool, const char *text);

#endif
