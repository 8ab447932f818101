/*
 * Questions, and writes, that wait together travel together: a few lanes on which those of a key are asked, and one queue
 * before them. Who finds a lane free asks at once and alone. Who does not waits; the next free lane takes as many of those
 * who wait as fit into one statement, one of them asks for all, and until that is answered the next ones gather. None is
 * answered from before it asked.
 * All functions may be called by any thread.
 */
#ifndef ORGS_GATHER_H
#define ORGS_GATHER_H

#include <apr_pools.h>
#include <apr_time.h>

#include "orgs_error.h"
#include "orgs_id.h"
#include "orgs_limits.h"
#include "orgs_value.h"

typedef struct orgs_gather_t orgs_gather_t;
typedef struct orgs_queue_t orgs_queue_t;

/* Those who are answered by one statement. It outlives each of them. */
typedef struct orgs_crowd_t {
    apr_pool_t *pool; /* what the answers are to be allocated in */
    int count;
    const void *questions[ORGS_CROWD_MAX]; /* copies */
    const orgs_error_t *error;             /* the leader's to set, in pool, as is what follows */
    orgs_rows_t rows;
    const void *more;
} orgs_crowd_t;

typedef enum {
    ORGS_GATHER_ALONE,    /* ask your own question, then give the lane back */
    ORGS_GATHER_LEAD,     /* ask those of the crowd, yours among them, then give the lane back */
    ORGS_GATHER_ANSWERED, /* somebody has asked for you */
    ORGS_GATHER_LATE,     /* your deadline has passed, and you were not asked for */
    ORGS_GATHER_LEFT      /* likewise, while somebody was asking for you: what came of it is not known */
} orgs_gather_e;

/* Whose turn it is, and what came of waiting for it. */
typedef struct orgs_turn_t {
    orgs_gather_e role;
    orgs_queue_t *queue; /* of ALONE and LEAD: orgs_gather_done is then due */
    orgs_crowd_t *crowd; /* of LEAD and ANSWERED: orgs_gather_take is then due */
    int place;           /* the question's number in it */
} orgs_turn_t;

/**
 * Makes one that goes with parent, when each answer must have been taken. NULL without memory.
 * @param lanes of each key
 * @param most  of them, where somebody has waited for ORGS_GATHER_PATIENCE; each serves those who wait then
 * @param least so many who wait travel together; fewer go alone
 */
orgs_gather_t *orgs_gather_make(apr_pool_t *parent, int lanes, int most, int least);

/**
 * Brings a question; waits while others of its key are asked. Without memory it is LATE at once.
 * @param key      what has the same one, and nothing else, travels together and waits for each other; copied
 * @param question size bytes without pointers; copied
 * @param deadline by orgs_clock, until when to wait at most
 */
void orgs_gather_join(orgs_gather_t *gather, const orgs_id_t *key, const void *question, apr_size_t size,
                      apr_time_t deadline, orgs_turn_t *turn);

/** Gives the lane back, or on to those who wait by now; tells the crowd, if there is one, that it is answered. */
void orgs_gather_done(orgs_gather_t *gather, const orgs_turn_t *turn);

/** The answer was copied. The last one's thanks let the crowd's memory be used again. */
void orgs_gather_take(orgs_gather_t *gather, const orgs_turn_t *turn);

#endif
