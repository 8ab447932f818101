/*
 * Callers of orgs_rate, in time that is made up: each gets what the limit says and no more, also where many processes
 * ask for one caller at once, and where there are more callers than there is room for. Ends with 0, or says what was
 * wrong. Usage: rate ROUNDS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orgs_rate.h"

#define PROCESSES 8

static orgs_rate_t *rate;
static int wrong;

static void expect(const char *what, long long got, long long wanted)
{
    if (got != wanted) {
        printf("%s: %lld instead of %lld\n", what, got, wanted);
        wrong = 1;
    }
}

static orgs_rate_e take(int caller, orgs_rate_limit_t limit, apr_time_t now, apr_interval_time_t *wait)
{
    *wait = -1;
    return orgs_rate_take(rate, &caller, sizeof(caller), &limit, now, wait);
}

/* Five in ten seconds: five at once, then one each two seconds, and after a pause five again. */
static void shape(void)
{
    const orgs_rate_limit_t limit = {5, 10};
    const apr_time_t start = apr_time_from_sec(1000);
    apr_interval_time_t wait;
    int i, j;

    for (i = 0; i < 5; i++) {
        expect("one of five", take(-1, limit, start, &wait), ORGS_RATE_TAKEN);
    }
    for (i = 0; i < 1000; i++) {
        expect("a sixth", take(-1, limit, start, &wait), ORGS_RATE_REFUSED);
        expect("... waits", wait, apr_time_from_sec(2));
    }
    for (i = 1; i < 20; i++) {
        expect("too early", take(-1, limit, start + apr_time_from_sec(2 * i) - 1, &wait), ORGS_RATE_REFUSED);
        expect("... by a microsecond", wait, 1);
        expect("in time", take(-1, limit, start + apr_time_from_sec(2 * i), &wait), ORGS_RATE_TAKEN);
    }
    expect("another limit", take(-1, (orgs_rate_limit_t){5, 11}, start, &wait), ORGS_RATE_TAKEN);
    expect("another caller", take(-2, limit, start, &wait), ORGS_RATE_TAKEN);
    for (j = 0; j < 3; j++) {
        apr_time_t later = start + apr_time_from_sec(1000 + 100 * j);

        for (i = 0; i < 5; i++) {
            expect("after a pause", take(-1, limit, later, &wait), ORGS_RATE_TAKEN);
        }
        expect("... and no sixth", take(-1, limit, later, &wait), ORGS_RATE_REFUSED);
    }
}

/* All at once, and again and again, for one caller whom the table knows: not one too many, not one too few. */
static void hammer(int times)
{
    const orgs_rate_limit_t limit = {PROCESSES * 50000, 3600};
    int *taken = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    apr_interval_time_t ignored;
    int process, i;

    *taken = take(-3, limit, apr_time_from_sec(4000), &ignored) == ORGS_RATE_TAKEN;
    for (process = 0; process < PROCESSES; process++) {
        if (fork() == 0) {
            int own = 0;

            for (i = 0; i < times; i++) {
                own += take(-3, limit, apr_time_from_sec(4000), &ignored) == ORGS_RATE_TAKEN;
            }
            __atomic_fetch_add(taken, own, __ATOMIC_SEQ_CST);
            _exit(0);
        }
    }
    while (wait(NULL) > 0) {
    }
    expect("of one caller", *taken, limit.writes);
}

/* All at once for one caller after the other, each new to the table or not. */
static void race(int rounds)
{
    const orgs_rate_limit_t limit = {7, 3600};
    int *taken = mmap(NULL, sizeof(int) * (size_t)rounds, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int *ready = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int extra = 0;
    int process, round;

    for (process = 0; process < PROCESSES; process++) {
        if (fork() == 0) {
            __atomic_fetch_add(ready, 1, __ATOMIC_SEQ_CST);
            while (__atomic_load_n(ready, __ATOMIC_SEQ_CST) < PROCESSES) {
            }
            for (round = 0; round < rounds; round++) {
                apr_interval_time_t wait;
                int i;

                for (i = 0; i < 3; i++) {
                    if (take(round, limit, apr_time_from_sec(5000), &wait) == ORGS_RATE_TAKEN) {
                        __atomic_fetch_add(&taken[round], 1, __ATOMIC_SEQ_CST);
                    }
                }
            }
            _exit(0);
        }
    }
    while (wait(NULL) > 0) {
    }
    for (round = 0; round < rounds; round++) {
        /* who takes a free entry in the same moment as another may spoil one count of his */
        extra += abs(taken[round] - limit.writes);
        if (abs(taken[round] - limit.writes) > 1) {
            expect("of many at once", taken[round], limit.writes);
        }
    }
    if (extra > rounds / 100) {
        expect("deviations", extra, 0);
    }
}

/* More callers than there is room for: who found room is limited all the same, until it is over for all. */
static void crowd(apr_time_t now, int from, int count, int full_at_most)
{
    const orgs_rate_limit_t limit = {1, 86400};
    char *first = malloc((size_t)count);
    apr_interval_time_t wait;
    int full = 0;
    int i;

    for (i = 0; i < count; i++) {
        first[i] = (char)take(from + i, limit, now, &wait);
        full += first[i] == ORGS_RATE_FULL;
        if (first[i] == ORGS_RATE_REFUSED) {
            expect("somebody new", first[i], ORGS_RATE_TAKEN);
        }
    }
    for (i = 0; i < count; i++) {
        if (first[i] == ORGS_RATE_TAKEN) {
            expect("who had his one", take(from + i, limit, now + apr_time_from_sec(86399), &wait), ORGS_RATE_REFUSED);
        }
    }
    if (full > full_at_most) {
        expect("without room", full, full_at_most);
    }
    free(first);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 1000;

    rate = mmap(NULL, orgs_rate_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shape();
    hammer(100000);
    race(rounds);
    crowd(apr_time_from_sec(100000), 1000000, 40000, 30);
    crowd(apr_time_from_sec(300000), 2000000, 40000, 30);
    crowd(apr_time_from_sec(500000), 3000000, 200000, 150000);
    crowd(apr_time_from_sec(700000), 4000000, 40000, 30);
    return wrong;
}
