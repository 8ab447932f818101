/*
 * Questions that wait together travel together: a few lanes on which questions are asked, and one queue before them. Who
 * finds a lane free asks at once and alone. Who does not waits; the next free lane takes as many of those who wait as fit
 * into one statement, and one of them asks for all. None is answered from before it asked.
 * All functions may be called by any thread.
 */
#ifndef ORGS_GATHER_H
#define ORGS_GATHER_H

#include <apr_pools.h>
#include <apr_time.h>

#include "orgs_error.h"
#include "orgs_limits.h"
#include "orgs_value.h"

typedef struct orgs_gather_t orgs_gather_t;

/* Those who are answered by one statement. It outlives each of them. */
typedef struct orgs_crowd_t {
    apr_pool_t *pool; /* what the answers are to be allocated in */
    int count;
    const void *questions[ORGS_CROWD_MAX]; /* copies */
    const orgs_error_t *error;             /* the leader's to set, in pool, as is rows */
    orgs_rows_t rows;
} orgs_crowd_t;

typedef enum {
    ORGS_GATHER_ALONE,    /* ask your own question, then give the lane back */
    ORGS_GATHER_LEAD,     /* ask those of the crowd, yours among them, then give the lane back */
    ORGS_GATHER_ANSWERED, /* somebody has asked for you */
    ORGS_GATHER_LATE      /* your deadline has passed */
} orgs_gather_e;

/**
 * Makes one that goes with parent, when each answer must have been taken. NULL without memory.
 * @param most of lanes, where somebody has waited for ORGS_GATHER_PATIENCE; each serves those who wait then
 */
orgs_gather_t *orgs_gather_make(apr_pool_t *parent, int lanes, int most);

/**
 * Brings a question; waits while others are asked.
 * @param question size bytes without pointers; copied
 * @param deadline by orgs_clock, until when to wait at most
 * @param crowd    of LEAD and ANSWERED: orgs_gather_take is then due
 * @param place    the question's number in it
 */
orgs_gather_e orgs_gather_join(orgs_gather_t *gather, const void *question, apr_size_t size, apr_time_t deadline,
                               orgs_crowd_t **crowd, int *place);

/** Gives the lane back, or on to those who wait by now; tells the crowd (NULL: it was one alone) that it is answered. */
void orgs_gather_done(orgs_gather_t *gather, orgs_crowd_t *crowd);

/** The answer was copied. The last one's thanks let the crowd's memory be used again. */
void orgs_gather_take(orgs_gather_t *gather, orgs_crowd_t *crowd);

#endif
