/*
 * What goes to the database and comes from it.
 */
#ifndef ORGS_VALUE_H
#define ORGS_VALUE_H

#include <apr.h>
#include <apr_tables.h>

/* ORGS_BLOB: bytes that are no text, whatever the connection's character set; of parameters only. */
typedef enum { ORGS_NULL, ORGS_INT, ORGS_BYTES, ORGS_TIME, ORGS_BLOB } orgs_type_e;

/* A parameter, or a column of a row. Bytes end with a NUL beyond len. */
typedef struct orgs_value_t {
    orgs_type_e type;
    apr_int64_t number; /* ORGS_INT, and ORGS_TIME as apr_time_t (milliseconds count) */
    const char *bytes;
    apr_size_t len;
} orgs_value_t;

typedef struct orgs_rows_t {
    int count;
    int columns;
    const orgs_value_t *values; /* count times columns */
    const struct orgs_list_t *list;
} orgs_rows_t;

/* Where rows go that are not kept: each, when it comes, is the only one of its result, and is taken to an item of an
 * array, all zeros before. Its bytes stay. */
typedef struct orgs_list_t {
    apr_array_header_t *items;
    void (*take)(const orgs_rows_t *row, const void *of, void *item);
    const void *of;
} orgs_list_t;

/* What the server or the client library said; number 0: nothing is wrong. */
typedef struct orgs_dberr_t {
    unsigned int number;
    const char *text;
    int unasked; /* the statement was not even prepared, so nothing came of it */
} orgs_dberr_t;

#endif
