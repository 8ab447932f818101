/*
 * statements SOCKET USER OP CONNECTIONS SECONDS FILE: what the database gives a client that does nothing else: the module's own
 * statements (include/orgs_sql.h), prepared, in a loop on each of so many connections, a thread for each. The password
 * is in BENCH_PASSWORD. Prints one line of JSON.
 *
 * OP: read (the hot question alone), read16 (sixteen together), list, members, create, add; each but read16 with the hot
 * question before it, as a request has. A line of FILE: token's hash, organization, user (hexadecimal), email, with blanks
 * between; `add` takes each line once.
 */
#include <mysql.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/random.h>
#include <time.h>

#include "orgs_limits.h"
#include "orgs_sql.h"

#define COLUMNS_MAX 32
#define COLUMN_ROOM 4096
#define PARAMS_MAX (2 * ORGS_CROWD_MAX)

typedef struct {
    unsigned char hash[32];
    unsigned char organization[16];
    unsigned char user[16];
    char email[255];
} line_t;

typedef struct {
    MYSQL *mysql;
    MYSQL_STMT *statements[ORGS_SQL_COUNT];
    MYSQL_BIND params[PARAMS_MAX];
    long long numbers[PARAMS_MAX];
    unsigned long lengths[PARAMS_MAX];
    MYSQL_BIND columns[COLUMNS_MAX];
    char room[COLUMNS_MAX][COLUMN_ROOM];
    unsigned long sizes[COLUMNS_MAX];
    unsigned int seed;
    long long done;
    long long statements_run;
} worker_t;

static const char *socket_path, *account, *op;
static line_t *lines;
static size_t line_count;
static atomic_size_t next_line;
static double ends;

static double now(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "statements: %s: %s\n", what, why);
    exit(2);
}

static void unhex(unsigned char *to, size_t size, const char *text)
{
    size_t i;
    unsigned int byte;

    for (i = 0; i < size; i++) {
        if (sscanf(text + 2 * i, "%2x", &byte) != 1) {
            die("a line of the file", text);
        }
        to[i] = (unsigned char)byte;
    }
}

static void read_lines(const char *name)
{
    FILE *file = fopen(name, "r");
    char hash[65], organization[33], user[33], email[255];
    size_t room = 0;

    if (file == NULL) {
        die(name, "cannot be read");
    }
    while (fscanf(file, "%64s %32s %32s %254s", hash, organization, user, email) == 4) {
        if (line_count == room) {
            room = room * 2 + 64;
            if ((lines = realloc(lines, room * sizeof(*lines))) == NULL) {
                die("memory", "none");
            }
        }
        unhex(lines[line_count].hash, 32, hash);
        unhex(lines[line_count].organization, 16, organization);
        unhex(lines[line_count].user, 16, user);
        snprintf(lines[line_count++].email, sizeof(lines->email), "%s", email);
    }
    fclose(file);
    if (line_count == 0) {
        die(name, "is empty");
    }
}

/* --- parameters --------------------------------------------------------------------------------------------------- */

static void set_bytes(worker_t *w, int i, const void *bytes, size_t size)
{
    w->lengths[i] = size;
    w->params[i] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING, .buffer = (void *)(uintptr_t)bytes, .buffer_length = size, .length = &w->lengths[i]};
}

/* Bytes of which the server takes parts. */
static void set_blob(worker_t *w, int i, const void *bytes, size_t size)
{
    set_bytes(w, i, bytes, size);
    w->params[i].buffer_type = MYSQL_TYPE_BLOB;
}

static void set_number(worker_t *w, int i, long long number)
{
    w->numbers[i] = number;
    w->params[i] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = &w->numbers[i]};
}

static void set_null(worker_t *w, int i)
{
    w->params[i] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_NULL};
}

/* An id of version 7, enough for a bench: the time, then chance. */
static void make_id(unsigned char id[16])
{
    struct timespec at;
    uint64_t ms;
    int i;

    clock_gettime(CLOCK_REALTIME, &at);
    ms = (uint64_t)at.tv_sec * 1000 + (uint64_t)at.tv_nsec / 1000000;
    if (getrandom(id, 16, 0) != 16) {
        die("getrandom", "failed");
    }
    for (i = 0; i < 6; i++) {
        id[i] = (unsigned char)(ms >> (8 * (5 - i)));
    }
}

/* --- statements --------------------------------------------------------------------------------------------------- */

static MYSQL_STMT *prepared(worker_t *w, orgs_sql_e sql)
{
    const char *text = orgs_sql(sql)->text;

    if (w->statements[sql] == NULL) {
        w->statements[sql] = mysql_stmt_init(w->mysql);
        if (mysql_stmt_prepare(w->statements[sql], text, strlen(text)) != 0) {
            die(text, mysql_stmt_error(w->statements[sql]));
        }
    }
    return w->statements[sql];
}

/* Runs a statement with the parameters that were set, and fetches all rows; the last one stays in w->room. How many rows
 * there were. */
static int run(worker_t *w, orgs_sql_e sql)
{
    MYSQL_STMT *s = prepared(w, sql);
    int columns = (int)strlen(orgs_sql(sql)->columns);
    int count = 0;
    int i;

    if (mysql_stmt_bind_param(s, w->params) != 0 || mysql_stmt_execute(s) != 0) {
        die(orgs_sql(sql)->name, mysql_stmt_error(s));
    }
    w->statements_run++;
    do {
        if (mysql_stmt_field_count(s) == 0) {
            continue;
        }
        for (i = 0; i < columns; i++) {
            w->columns[i] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING, .buffer = w->room[i], .buffer_length = COLUMN_ROOM, .length = &w->sizes[i]};
        }
        if (mysql_stmt_bind_result(s, w->columns) != 0 || mysql_stmt_store_result(s) != 0) {
            die(orgs_sql(sql)->name, mysql_stmt_error(s));
        }
        while ((i = mysql_stmt_fetch(s)) == 0 || i == MYSQL_DATA_TRUNCATED) {
            count++;
        }
        mysql_stmt_free_result(s);
    } while (mysql_stmt_next_result(s) == 0);
    return count;
}

static void ask(worker_t *w, const line_t *line, int about)
{
    set_bytes(w, 0, line->hash, 32);
    set_bytes(w, 1, line->organization, 16);
    run(w, about ? ORGS_SQL_LOOKUP : ORGS_SQL_WHO);
    if (w->sizes[2] != 16) {
        die("the hot question", "knows nobody");
    }
}

static const line_t *any_line(worker_t *w)
{
    return &lines[(size_t)rand_r(&w->seed) % line_count];
}

static void read_sixteen(worker_t *w)
{
    unsigned char hashes[ORGS_CROWD_MAX][32];
    unsigned char organizations[ORGS_CROWD_MAX][16];
    int i;

    for (i = 0; i < ORGS_CROWD_MAX; i++) {
        const line_t *line = any_line(w);

        memcpy(hashes[i], line->hash, 32);
        memcpy(organizations[i], line->organization, 16);
    }
    set_blob(w, 0, hashes, sizeof(hashes));
    set_blob(w, 1, organizations, sizeof(organizations));
    set_number(w, 2, ORGS_CROWD_MAX);
    if (run(w, ORGS_SQL_LOOKUP_CROWD) != ORGS_CROWD_MAX) {
        die("sixteen questions", "another number of answers");
    }
    w->done += ORGS_CROWD_MAX - 1;
}

static void list_organizations(worker_t *w, const line_t *line)
{
    ask(w, line, 0);
    set_bytes(w, 0, line->user, 16);
    set_number(w, 1, ORGS_BATCH);
    run(w, ORGS_SQL_ORG_LIST_FIRST);
}

static void list_members(worker_t *w, const line_t *line)
{
    int limit = ORGS_BATCH;
    unsigned char user[16];
    char joined[32];
    int i;

    ask(w, line, 1);
    set_bytes(w, 0, line->organization, 16);
    set_number(w, 1, limit);
    for (i = run(w, ORGS_SQL_MEMBER_LIST_FIRST); i == limit; i = run(w, ORGS_SQL_MEMBER_LIST)) {
        memcpy(user, w->room[0], 16);
        snprintf(joined, sizeof(joined), "%.*s", (int)w->sizes[4], w->room[4]);
        limit = limit < ORGS_BATCH_MAX / ORGS_BATCH_GROWTH ? limit * ORGS_BATCH_GROWTH : ORGS_BATCH_MAX;
        set_bytes(w, 0, line->organization, 16);
        set_bytes(w, 1, joined, strlen(joined));
        set_bytes(w, 2, joined, strlen(joined));
        set_bytes(w, 3, user, 16);
        for (i = 4; i < 8; i++) {
            set_null(w, i);
        }
        set_number(w, 8, limit);
    }
}

static void write_one(worker_t *w, const line_t *line, int adds)
{
    unsigned char event[16], id[16];

    make_id(event);
    make_id(id);
    ask(w, line, adds);
    set_bytes(w, 0, event, 16);
    set_bytes(w, 1, line->user, 16);
    set_bytes(w, 2, "a-request-of-the-bench--", 24);
    if (adds) {
        set_number(w, 3, 1);
        set_bytes(w, 4, line->organization, 16);
        set_bytes(w, 5, line->email, strlen(line->email));
        set_bytes(w, 6, "member", 6);
    }
    else {
        set_bytes(w, 3, id, 16);
        set_bytes(w, 4, "A new one", 9);
        set_bytes(w, 5, "made by the bench", 17);
        set_null(w, 6);
    }
    set_null(w, 7);
    set_null(w, 8);
    run(w, adds ? ORGS_SQL_MEMBER_ADD : ORGS_SQL_ORG_CREATE);
}

/* --- threads ------------------------------------------------------------------------------------------------------ */

static void *work(void *data)
{
    worker_t *w = data;
    size_t line;

    w->mysql = mysql_init(NULL);
    mysql_options(w->mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_options(w->mysql, MYSQL_INIT_COMMAND, "SET time_zone = '+00:00', tx_isolation = 'READ-COMMITTED'");
    if (mysql_real_connect(w->mysql, NULL, account, getenv("BENCH_PASSWORD"), "orgs", 0, socket_path, 0) == NULL) {
        die("connecting", mysql_error(w->mysql));
    }
    for (; now() < ends; w->done++) {
        if (strcmp(op, "read") == 0) {
            ask(w, any_line(w), 1);
        }
        else if (strcmp(op, "read16") == 0) {
            read_sixteen(w);
        }
        else if (strcmp(op, "list") == 0) {
            list_organizations(w, any_line(w));
        }
        else if (strcmp(op, "members") == 0) {
            list_members(w, any_line(w));
        }
        else if (strcmp(op, "create") == 0) {
            write_one(w, any_line(w), 0);
        }
        else if ((line = atomic_fetch_add(&next_line, 1)) < line_count) {
            write_one(w, &lines[line], 1);
        }
        else {
            break;
        }
    }
    mysql_close(w->mysql);
    return NULL;
}

int main(int argc, char **argv)
{
    int connections = argc > 4 ? atoi(argv[4]) : 0;
    long long done = 0, statements = 0;
    struct rusage used;
    pthread_t *threads;
    worker_t *workers;
    double began;
    int i;

    if (argc != 7 || connections < 1 || strstr(" read read16 list members create add ", argv[3]) == NULL) {
        fputs("usage: statements SOCKET USER read|read16|list|members|create|add CONNECTIONS SECONDS FILE\n", stderr);
        return 2;
    }
    socket_path = argv[1];
    account = argv[2];
    op = argv[3];
    read_lines(argv[6]);
    mysql_library_init(0, NULL, NULL);
    threads = calloc((size_t)connections, sizeof(*threads));
    workers = calloc((size_t)connections, sizeof(*workers));
    began = now();
    ends = began + atof(argv[5]);
    for (i = 0; i < connections; i++) {
        workers[i].seed = (unsigned int)i + 1;
        if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0) {
            die("pthread_create", "failed");
        }
    }
    for (i = 0; i < connections; i++) {
        pthread_join(threads[i], NULL);
        done += workers[i].done;
        statements += workers[i].statements_run;
    }
    getrusage(RUSAGE_SELF, &used);
    printf("{\"answered\":%lld,\"rate\":%.3f,\"statements\":%lld,\"cpu\":%.6f}\n", done, (double)done / (now() - began), statements,
           (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    return 0;
}
