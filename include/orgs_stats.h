/*
 * What is counted, over all processes that share a database: one block of shared memory for each database, in it one
 * slot for each process. A thread adds to its process's slot, without a lock; a reader sums up.
 */
#ifndef ORGS_STATS_H
#define ORGS_STATS_H

#include <apr_time.h>

/* What a figure is: how things are now (of a process that has ended nothing is left), how often something happened, or
 * how many microseconds it took. */
typedef enum { ORGS_STATS_GAUGE, ORGS_STATS_COUNTER, ORGS_STATS_TIME } orgs_stats_kind_e;

/* X(symbol, kind, name, what it is), in the order in which all that shows them shows them */
#define ORGS_STATS_ITEMS(X) \
    X(POOLS, GAUGE, "pools", "Pools of connections: one for each process of httpd") \
    X(POOLS_DOWN, GAUGE, "pools_down", "Pools for which the database is down: they refuse at once, and try once a second") \
    X(CONNECTIONS_MAX, GAUGE, "connections_max", "Connections that they may have") \
    X(CONNECTIONS_IN_USE, GAUGE, "connections_in_use", "Connections in use, or being made") \
    X(CONNECTIONS_IDLE, GAUGE, "connections_idle", "Open connections that nobody uses") \
    X(WAITING, GAUGE, "waiting", "Requests that wait for a connection, or for an answer that others wait for as well") \
    X(CONNECTS, COUNTER, "connects", "Connections made") \
    X(CONNECT_FAILURES, COUNTER, "connect_failures", "Attempts to connect that failed") \
    X(REFUSED, COUNTER, "refused", "Requests refused at once, because the database was known to be down") \
    X(TIMEOUTS, COUNTER, "timeouts", "Requests for which no connection became free in time") \
    X(STATEMENTS, COUNTER, "statements", "Statements sent") \
    X(STATEMENT_FAILURES, COUNTER, "statement_failures", "Statements that failed") \
    X(TOGETHER, COUNTER, "questions_together", "Questions about callers that were asked together with others, in one statement") \
    X(WRITES_TOGETHER, COUNTER, "writes_together", "Writes that were made together with others, in one CALL") \
    X(RETRIES, COUNTER, "retries", "Questions and writes that were repeated") \
    X(SETTLED, COUNTER, "settled", "Writes whose answer was lost, and found out") \
    X(UNKNOWN, COUNTER, "unknown", "Writes whose answer was lost, and could not be found out") \
    X(DATABASE_TIME, TIME, "database_seconds", "Time that requests spent on the database, waiting included")

typedef enum {
#define ORGS_STATS_ENUM(symbol, kind, name, help) ORGS_STATS_##symbol,
    ORGS_STATS_ITEMS(ORGS_STATS_ENUM)
#undef ORGS_STATS_ENUM
    ORGS_STATS_COUNT
} orgs_stats_item_e;

typedef struct orgs_stats_item_t {
    orgs_stats_kind_e kind;
    const char *name;
    const char *help;
} orgs_stats_item_t;

/** The table above, in its order: ORGS_STATS_COUNT rows. */
extern const orgs_stats_item_t orgs_stats_items[];

/* Whose answers are counted by status: those of the API, and those of gated URLs. */
typedef enum { ORGS_STATS_REQUESTS, ORGS_STATS_GATED, ORGS_STATS_ANSWERS } orgs_stats_answers_e;

/* The statuses that are counted, each for itself; the first stands for all others. */
#define ORGS_STATS_STATUSES 25
extern const int orgs_stats_statuses[ORGS_STATS_STATUSES];

/* One process's figures. */
typedef struct orgs_stats_slot_t {
    apr_uint32_t pid; /* 0: nobody's */
    apr_int64_t answered; /* when the database last answered (orgs_clock) */
    apr_int64_t items[ORGS_STATS_COUNT];
    apr_int64_t answers[ORGS_STATS_ANSWERS][ORGS_STATS_STATUSES];
    char apart[64]; /* no cache line is two processes' */
} orgs_stats_slot_t;

typedef struct orgs_stats_t orgs_stats_t;

/** How many bytes a block for so many processes takes. */
apr_size_t orgs_stats_size(int processes);

/** Makes a block of zeroed memory of that size. since: the time of day. */
orgs_stats_t *orgs_stats_init(void *memory, int processes, apr_time_t since);

/** Since when it counts. */
apr_time_t orgs_stats_since(const orgs_stats_t *stats);

/** The slot of a process: its own, a free one, or, if there is none, one that such processes share. */
orgs_stats_slot_t *orgs_stats_enter(orgs_stats_t *stats, apr_uint32_t pid);

/** A process has ended, in order or not: its gauges are zero, its counts stay. Called by its parent. */
void orgs_stats_leave(orgs_stats_t *stats, apr_uint32_t pid);

/** The same for all processes that are not there any more. */
void orgs_stats_sweep(orgs_stats_t *stats);

/** Adds to a figure. */
static inline void orgs_stats_add(orgs_stats_slot_t *slot, orgs_stats_item_e item, apr_int64_t n)
{
    __atomic_fetch_add(&slot->items[item], n, __ATOMIC_RELAXED);
}

/** Notes that the database answered just now (orgs_clock). */
static inline void orgs_stats_answer(orgs_stats_slot_t *slot, apr_time_t now)
{
    __atomic_store_n(&slot->answered, now, __ATOMIC_RELAXED);
}

/**
 * Notes what keeps a process from the database.
 * @param account digest of the parameters it connects by: what fails for one may work for another
 * @param was     the trouble as this process knew it
 * @param trouble a digest; 0: none
 * @return nonzero if that is news to all processes
 */
int orgs_stats_news(orgs_stats_t *stats, apr_uint32_t account, apr_uint32_t was, apr_uint32_t trouble);

/** Counts an answer of this HTTP status. */
void orgs_stats_count(orgs_stats_slot_t *slot, orgs_stats_answers_e whose, int status);

/** A figure of all processes. */
apr_int64_t orgs_stats_sum(const orgs_stats_t *stats, orgs_stats_item_e item);

/** The answers of one status (an index of orgs_stats_statuses) of all processes. */
apr_int64_t orgs_stats_sum_answers(const orgs_stats_t *stats, orgs_stats_answers_e whose, int index);

/** When the database last answered any process (orgs_clock); 0: never. */
apr_time_t orgs_stats_answered(const orgs_stats_t *stats);

#endif
