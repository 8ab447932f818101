/*
 * Threads that ask for distinct things through orgs_gather at once: each must get the answer to its own question, from
 * after it asked, and in time; some are impatient, some statements fail. Ends with 0, or says what was wrong.
 * Usage: gather THREADS QUESTIONS LANES LEAST
 */
#include <apr_atomic.h>
#include <apr_general.h>
#include <apr_thread_proc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orgs_gather.h"
#include "orgs_time.h"

typedef struct {
    int thread;
    int number;
    int key;
    unsigned int asked; /* the state of the world then */
} question_t;

#define KEYS 3

static orgs_gather_t *gather;
static int threads, questions, lanes;
static volatile apr_uint32_t world; /* moves with each statement */
static volatile apr_uint32_t running[KEYS];
static volatile apr_uint32_t wrong, alone, led, answered, late, failed, most;

static void complain(const char *what, int thread, int number)
{
    if (apr_atomic_inc32(&wrong) < 20) {
        printf("thread %d, question %d: %s\n", thread, number, what);
    }
}

/* The database: takes a moment, answers what it was asked and how the world was in the meantime. */
static apr_int64_t answer(const question_t *question)
{
    return ((apr_int64_t)question->thread << 32) | (apr_int64_t)question->number;
}

static unsigned int ask_database(int key, unsigned int chance)
{
    if (apr_atomic_inc32(&running[key]) >= (apr_uint32_t)(2 * lanes)) {
        complain("more statements at once than lanes", 0, 0);
    }
    /* one in a thousand hangs */
    apr_sleep(chance % 1000 == 0 ? 60000 : chance % 400);
    apr_atomic_dec32(&running[key]);
    return apr_atomic_inc32(&world);
}

static void lead(orgs_crowd_t *crowd, int key, unsigned int chance)
{
    orgs_value_t *values = apr_pcalloc(crowd->pool, sizeof(*values) * 2 * (apr_size_t)crowd->count);
    int i;

    if (chance % 17 == 0) {
        ask_database(key, chance);
        crowd->error = orgs_error_make(crowd->pool, ORGS_E_UNAVAILABLE);
        return;
    }
    for (i = 0; i < crowd->count; i++) {
        const question_t *question = crowd->questions[i];

        if (question->key != key) {
            complain("travels with those of another key", question->thread, question->number);
        }
        values[2 * i].number = answer(question);
    }
    crowd->rows.count = crowd->count;
    crowd->rows.columns = 2;
    crowd->rows.values = values;
    values[1].number = ask_database(key, chance);
    for (i = 1; i < crowd->count; i++) {
        values[2 * i + 1].number = values[1].number;
    }
}

static void take(const orgs_crowd_t *crowd, int place, const question_t *question)
{
    const orgs_value_t *values = crowd->rows.values;

    if (crowd->error != NULL) {
        apr_atomic_inc32(&failed);
        return;
    }
    values += 2 * place;
    if (values[0].number != answer(question)) {
        complain("got another's answer", question->thread, question->number);
    }
    if ((unsigned int)values[1].number < question->asked) {
        complain("was answered from before it asked", question->thread, question->number);
    }
    if ((apr_uint32_t)crowd->count > apr_atomic_read32(&most)) {
        apr_atomic_set32(&most, (apr_uint32_t)crowd->count);
    }
}

static void one(const question_t *question, unsigned int chance)
{
    apr_interval_time_t patience = chance % 5 == 0 ? (apr_interval_time_t)(chance % 900) : apr_time_from_sec(20);
    apr_time_t deadline = orgs_clock() + patience;
    orgs_id_t key;
    orgs_turn_t turn;

    memset(&key, 0, sizeof(key));
    key.bytes[0] = (unsigned char)question->key;
    /* those of one list, and of different ones */
    key.bytes[15] = (unsigned char)(question->key / 2);
    orgs_gather_join(gather, &key, question, sizeof(*question), deadline, &turn);
    switch (turn.role) {
    case ORGS_GATHER_ALONE:
        apr_atomic_inc32(&alone);
        ask_database(question->key, chance);
        orgs_gather_done(gather, &turn);
        break;
    case ORGS_GATHER_LEAD:
        apr_atomic_inc32(&led);
        lead(turn.crowd, question->key, chance);
        orgs_gather_done(gather, &turn);
        take(turn.crowd, turn.place, question);
        orgs_gather_take(gather, &turn);
        break;
    case ORGS_GATHER_ANSWERED:
        apr_atomic_inc32(&answered);
        take(turn.crowd, turn.place, question);
        orgs_gather_take(gather, &turn);
        break;
    case ORGS_GATHER_LATE:
    case ORGS_GATHER_LEFT:
        apr_atomic_inc32(&late);
        if (orgs_clock() < deadline) {
            complain("was sent away early", question->thread, question->number);
        }
        break;
    }
}

static void *APR_THREAD_FUNC run(apr_thread_t *thread, void *data)
{
    unsigned int seed = (unsigned int)(apr_uintptr_t)data * 2654435761u + 1;
    question_t question = {(int)(apr_uintptr_t)data, 0, 0, 0};

    (void)thread;
    for (question.number = 1; question.number <= questions; question.number++) {
        question.key = (question.thread + question.number / 8) % KEYS;
        question.asked = apr_atomic_read32(&world);
        one(&question, (unsigned int)rand_r(&seed));
    }
    return NULL;
}

int main(int argc, char **argv)
{
    apr_thread_t **all;
    apr_status_t rv;
    apr_pool_t *pool;
    apr_uint32_t sum;
    int least;
    int i;

    threads = argc > 1 ? atoi(argv[1]) : 64;
    questions = argc > 2 ? atoi(argv[2]) : 200;
    lanes = argc > 3 ? atoi(argv[3]) : 2;
    least = argc > 4 ? atoi(argv[4]) : 2;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    gather = orgs_gather_make(pool, lanes, 2 * lanes, least);
    all = apr_pcalloc(pool, sizeof(*all) * (apr_size_t)threads);
    for (i = 0; i < threads; i++) {
        apr_thread_create(&all[i], NULL, run, (void *)(apr_uintptr_t)i, pool);
    }
    for (i = 0; i < threads; i++) {
        apr_thread_join(&rv, all[i]);
    }
    sum = alone + led + answered + late;
    printf("%u questions: %u alone, %u led, %u answered by others, %u late, %u told of a failure; at most %u together\n", sum,
           alone, led, answered, late, failed, most);
    if (sum != (apr_uint32_t)(threads * questions)) {
        complain("questions are missing", 0, (int)sum);
    }
    apr_pool_destroy(pool);
    apr_terminate();
    return wrong == 0 ? 0 : 1;
}
