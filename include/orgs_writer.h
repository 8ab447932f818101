/*
 * JSON as it is written: compact, members in the order in which they are given, the bytes that jansson's JSON_COMPACT
 * would make. What there is no room for goes where the writer's owner says.
 */
#ifndef ORGS_WRITER_H
#define ORGS_WRITER_H

#include <apr_pools.h>
#include <apr_time.h>

#include "orgs_id.h"

typedef struct orgs_writer_t orgs_writer_t;
struct orgs_writer_t {
    char *at; /* what is written next goes here */
    char *end;
    int bare; /* whether an object was just opened */
    void (*grow)(orgs_writer_t *to); /* makes room, at least a byte */
    char *base;                      /* where the text begins, of a writer of a text */
    apr_pool_t *pool;                /* likewise */
    void *baton;                     /* its owner's */
};

/** Begins a text in one piece, allocated in pool. */
void orgs_writer_text(orgs_writer_t *to, apr_pool_t *pool);

/** The length of such a text up to now. It begins at base, and has no NUL at its end. */
apr_size_t orgs_writer_len(const orgs_writer_t *to);

/** Writes bytes as they are. */
void orgs_writer_raw(orgs_writer_t *to, const char *bytes, apr_size_t len);

/* The braces, also of an object that is a member's value. */
void orgs_writer_open(orgs_writer_t *to);
void orgs_writer_close(orgs_writer_t *to);

/** The name of a member, with the comma before it; ASCII. Its value is written next. */
void orgs_writer_name(orgs_writer_t *to, const char *name);
void orgs_writer_null(orgs_writer_t *to);

/* Whole members. NULL, and the time -1, stand for null; so does a string that is not UTF-8. */
void orgs_writer_string(orgs_writer_t *to, const char *name, const char *value);
void orgs_writer_id(orgs_writer_t *to, const char *name, const orgs_id_t *value);
/** Bytes, in hexadecimal. */
void orgs_writer_hex(orgs_writer_t *to, const char *name, const void *bytes, apr_size_t len);
void orgs_writer_time(orgs_writer_t *to, const char *name, apr_time_t value);
void orgs_writer_flag(orgs_writer_t *to, const char *name, int value);
void orgs_writer_number(orgs_writer_t *to, const char *name, apr_int64_t value);
/** A member whose value is JSON already; it is read and written anew, null if it is none after all. */
void orgs_writer_json(orgs_writer_t *to, const char *name, const char *text);

#endif
