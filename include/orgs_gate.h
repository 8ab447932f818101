/*
 * The gate before a pool: who may hold a connection, and who is next. Those who wait have their turn in order; each is
 * woken alone, when there is a place for him. All functions want the lock that the gate was made with to be held.
 */
#ifndef ORGS_GATE_H
#define ORGS_GATE_H

#include <apr_pools.h>
#include <apr_thread_mutex.h>
#include <apr_time.h>

/* What a connection is wanted for: the hot question; anything else that somebody waits for; to settle a write, which
 * tries to connect also where the database is known to be down; the further batches of long lists, and tidying up. If
 * there are that many, the last place is kept for the hot question, and the one before it is not for bulk. */
typedef enum { ORGS_USE_HOT, ORGS_USE_COLD, ORGS_USE_SETTLE, ORGS_USE_BULK, ORGS_USES } orgs_use_e;

typedef struct orgs_gate_t orgs_gate_t;

/** Makes one with max places; lock guards it. */
orgs_gate_t *orgs_gate_make(apr_pool_t *pool, apr_thread_mutex_t *lock, int max);

/** Takes a place if there is one. Nonzero if so. */
int orgs_gate_take(orgs_gate_t *gate, orgs_use_e use);

/**
 * Waits for a place. Returns without one when the deadline has passed, and when orgs_gate_stir was called.
 * @param pool  for a little memory
 * @param turn  who has the earlier one goes first, if there is a place for his use
 * @return nonzero if a place was taken
 */
int orgs_gate_wait(orgs_gate_t *gate, apr_pool_t *pool, orgs_use_e use, apr_time_t turn, apr_time_t deadline);

/** Gives a place up that was taken for this use. */
void orgs_gate_leave(orgs_gate_t *gate, orgs_use_e use);

/** Wakes all who wait, to look whether they still should. */
void orgs_gate_stir(orgs_gate_t *gate);

#endif
