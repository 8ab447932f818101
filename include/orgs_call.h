/*
 * Writes: one CALL, repeated when it lost a race, settled when its answer was lost. Those that wait together travel
 * together.
 */
#ifndef ORGS_CALL_H
#define ORGS_CALL_H

#include <apr_pools.h>
#include <jansson.h>

#include "orgs_db.h"
#include "orgs_writer.h"

/* What a write ended in. */
typedef struct orgs_outcome_t {
    orgs_error_e refusal; /* ORGS_E_COUNT: it was done */
    const char *code;     /* the refusal's name as the procedure gave it, or NULL */
    int replayed;         /* an Idempotency-Key's first answer was given again */
    json_t *answer;       /* an object, or NULL; lives as long as the pool */
    /* of ORGS_MADE_COLUMNS */
    int has_id;
    orgs_id_t id;     /* what was made */
    apr_time_t at;    /* when; -1: not known */
    const char *name; /* of the user it is about, or NULL */
} orgs_outcome_t;

/* How a write may travel together with others that wait, in one CALL of another procedure: one that makes those of them
 * to which nothing is to be said but yes. The others, and all if it fails, are then made alone. */
typedef struct orgs_share_t {
    orgs_sql_e sql;
    const orgs_id_t *organization; /* of this one alone: the procedure's first parameter; NULL: what is made is new */
    const orgs_id_t *id;           /* what is made then, its procedure's first parameter with those of the others */
    const orgs_id_t *actor;        /* likewise the second one */
    orgs_writer_t item;            /* a text: what the procedure is told of this write, members of a JSON object */
} orgs_share_t;

/**
 * Writes, by one CALL whose first parameter is the id of its event: params[0] is filled here.
 * @param share   how it may be made together with others, or NULL: alone
 * @param outcome what became of it, allocated in p
 * @return NULL if outcome tells; else nothing was written (ORGS_E_UNAVAILABLE, ORGS_E_INTERNAL_ERROR), or it could
 *         not be found out in time (ORGS_E_OUTCOME_UNKNOWN). Allocated in p.
 */
const orgs_error_t *orgs_call(orgs_db_t *db, apr_pool_t *p, orgs_sql_e sql, orgs_value_t *params,
                              const orgs_share_t *share, orgs_outcome_t *outcome);

/* Members of an answer. Absent strings are NULL, absent times -1, absent numbers the default given. Numbers and flags may
 * come as strings: MariaDB's JSON_OBJECT quotes them. */
const char *orgs_answer_string(apr_pool_t *p, const json_t *answer, const char *name);
apr_int64_t orgs_answer_int(const json_t *answer, const char *name, apr_int64_t absent);
apr_time_t orgs_answer_time(const json_t *answer, const char *name);
int orgs_answer_id(const json_t *answer, const char *name, orgs_id_t *id);

#endif
