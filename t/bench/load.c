/*
 * load HOST PORT FILE CONNECTIONS SECONDS [SEED|each] [REQUESTS]: asks an HTTP server on so many connections that are kept, each
 * asking its next question as soon as the last is answered. Prints one line of JSON.
 *
 * A line of FILE is a request: method, path, token, status that is wanted, text that must be in the body, body, with tabs
 * between. They are chosen at random, the same ones for the same SEED; `each` takes each of them once, in order.
 * After SECONDS, or after so many REQUESTS (0: no limit), no more are sent; after SECONDS the rest has BENCH_GRACE (30)
 * more to be answered.
 *
 * The status of every answer is looked at, and the body of one in SAMPLE. A kept connection that ends where an answer
 * should begin was idle for the server, which may close it: the request is sent again, `retried` counts that and its
 * time goes on. Every other end is an error. Who has no answer at the end is `unanswered`.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"

#define SAMPLE 16

typedef struct {
    char *bytes;
    size_t size;
    int status;
    char *needle;
} request_t;

typedef struct {
    int fd;                     /* -1: closed */
    bool busy;                  /* waits for an answer */
    bool used;                  /* had an answer before */
    const request_t *request;
    size_t sent;
    uint64_t began;
    answer_t answer;
} connection_t;

static struct sockaddr_in server;
static request_t *requests;
static size_t request_count;
static bool in_order;
static size_t next_request;
static uint64_t seed = 1;
static uint64_t ends, limit;
static int epoll;
static uint32_t *times;         /* in microseconds */
static size_t answered, times_room;
static uint64_t sent_count, in_time, errors, retried, reconnects, bytes, last_answer, active;
static char first_error[ANSWER_FEW + 200];

static uint64_t now(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000 + (uint64_t)at.tv_nsec / 1000;
}

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void *room(void *old, size_t size)
{
    void *grown = realloc(old, size);

    if (grown == NULL) {
        die("memory");
    }
    return grown;
}

/* One line of the file, which it takes apart. */
static request_t read_request(char *line)
{
    char *field[6] = {line, NULL, NULL, NULL, NULL, NULL};
    request_t request;
    char length[120] = "";
    int i, size;

    for (i = 1; i < 6; i++) {
        field[i] = strchr(field[i - 1], '\t');
        if (field[i] == NULL) {
            errno = EINVAL;
            die("a line of the file");
        }
        *field[i]++ = '\0';
    }
    if (*field[5] != '\0') {
        snprintf(length, sizeof(length), "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(field[5]));
    }
    size = asprintf(&request.bytes, "%s %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n%s\r\n%s", field[0],
                    field[1], field[2], length, field[5]);
    if (size < 0 || (request.needle = strdup(field[4])) == NULL) {
        die("memory");
    }
    request.size = (size_t)size;
    request.status = atoi(field[3]);
    return request;
}

static void read_requests(const char *name)
{
    FILE *file = fopen(name, "r");
    char *line = NULL;
    size_t line_room = 0, count_room = 0;
    ssize_t size;

    if (file == NULL) {
        die(name);
    }
    while ((size = getline(&line, &line_room, file)) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (request_count == count_room) {
            count_room = count_room * 2 + 64;
            requests = room(requests, count_room * sizeof(*requests));
        }
        requests[request_count++] = read_request(line);
    }
    free(line);
    fclose(file);
    if (request_count == 0) {
        errno = ENODATA;
        die(name);
    }
}

/* NULL: no more. */
static const request_t *choose(void)
{
    if (limit != 0 && sent_count >= limit) {
        return NULL;
    }
    if (in_order) {
        return next_request < request_count ? &requests[next_request++] : NULL;
    }
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return &requests[(seed >> 33) % request_count];
}

static void fails(const connection_t *c, const char *what)
{
    if (errors++ == 0) {
        snprintf(first_error, sizeof(first_error), "%s: status %d, %.*s", what, c->answer.status, (int)(c->answer.body_len < ANSWER_FEW ? c->answer.body_len : ANSWER_FEW), c->answer.body_len > 0 ? c->answer.body : "");
    }
}

static void watch(connection_t *c, int how, uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.ptr = c}};

    if (epoll_ctl(epoll, how, c->fd, &event) != 0) {
        die("epoll_ctl");
    }
}

static void open_connection(connection_t *c)
{
    int on = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        die("socket");
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    /* what becomes of it is met again by reading */
    (void)!connect(c->fd, (struct sockaddr *)&server, sizeof(server));
    c->used = false;
    watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static void close_connection(connection_t *c)
{
    close(c->fd);
    c->fd = -1;
}

static void send_rest(connection_t *c)
{
    ssize_t n = send(c->fd, c->request->bytes + c->sent, c->request->size - c->sent, MSG_NOSIGNAL);

    /* what the socket says of itself is met again by reading */
    c->sent += n > 0 ? (size_t)n : 0;
    watch(c, EPOLL_CTL_MOD, c->sent < c->request->size ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void begin(connection_t *c)
{
    c->sent = 0;
    answer_begin(&c->answer, c->answer.whole);
    if (c->fd < 0) {
        open_connection(c);
    }
    else {
        send_rest(c);
    }
}

/* The next request, if there is to be one. */
static void next(connection_t *c)
{
    uint64_t at = now();

    c->busy = false;
    active--;
    if (at < ends && (c->request = choose()) != NULL) {
        c->answer.whole = sent_count++ % SAMPLE == 0;
        c->busy = true;
        c->began = at;
        active++;
        begin(c);
    }
    else if (c->fd >= 0) {
        close_connection(c);
    }
}

static void finish(connection_t *c)
{
    uint64_t at = now();

    if (c->answer.status != c->request->status) {
        fails(c, "another status than wanted");
    }
    else if (c->answer.whole && *c->request->needle != '\0'
             && memmem(c->answer.body, c->answer.body_len, c->request->needle, strlen(c->request->needle)) == NULL) {
        fails(c, "another body than wanted");
    }
    if (answered == times_room) {
        times_room = times_room * 2 + 65536;
        times = room(times, times_room * sizeof(*times));
    }
    times[answered++] = (uint32_t)(at - c->began);
    in_time += at <= ends;
    last_answer = at;
    c->used = true;
    if (c->answer.closes && c->fd >= 0) {
        close_connection(c);
        reconnects++;
    }
    next(c);
}

/* The connection has ended. */
static void ended(connection_t *c)
{
    bool whole = c->busy && c->answer.part == ANSWER_TO_END;

    close_connection(c);
    reconnects++;
    if (whole) {
        finish(c);
    }
    else if (c->busy && c->used && c->answer.head_len == 0) {
        retried++;
        begin(c);
    }
    else if (c->busy) {
        fails(c, "the connection ended in an answer, or before it");
        if (errors > 1000 && answered == 0) {
            errno = ECONNREFUSED;
            die("the server");
        }
        next(c);
    }
}

static void look(connection_t *c, uint32_t events)
{
    static char buffer[1 << 18];
    ssize_t n;

    /* the event may be of a connection that was closed since */
    if (c->fd < 0) {
        return;
    }
    if ((events & EPOLLOUT) != 0 && c->busy && c->sent < c->request->size) {
        send_rest(c);
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) {
        return;
    }
    n = recv(c->fd, buffer, sizeof(buffer), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        ended(c);
        return;
    }
    bytes += (uint64_t)n;
    if (answer_feed(&c->answer, buffer, (size_t)n)) {
        finish(c);
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static double quantile(double part)
{
    return answered > 0 ? times[(size_t)((double)(answered - 1) * part)] / 1000.0 : 0;
}

static void print_quoted(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        printf(*text == '"' || *text == '\\' || (unsigned char)*text < ' ' ? "\\u%04x" : "%c", (unsigned char)*text);
    }
    putchar('"');
}

static double cpu(void)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void report(uint64_t began, int connections, double cpu_used)
{
    double seconds = (double)(last_answer - began) / 1e6;
    double rate = answered > 0 && seconds > 0 ? (double)answered / seconds : 0;

    /* where few are answered the last ones, though late, are a part of it */
    if (ends != UINT64_MAX && in_time >= 20 * (uint64_t)connections && last_answer >= ends) {
        rate = (double)in_time / ((double)(ends - began) / 1e6);
    }
    qsort(times, answered, sizeof(*times), by_size);
    printf("{\"sent\":%llu,\"answered\":%zu,\"rate\":%.3f,\"seconds\":%.3f,\"errors\":%llu,\"retried\":%llu,\"reconnects\":%llu,"
           "\"unanswered\":%llu,\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"max\":%.3f,\"bytes\":%llu,\"cpu\":%.6f,\"first_error\":",
           (unsigned long long)sent_count, answered, rate, seconds, (unsigned long long)errors, (unsigned long long)retried,
           (unsigned long long)reconnects, (unsigned long long)active, quantile(0.5), quantile(0.9), quantile(0.99), quantile(1),
           (unsigned long long)bytes, cpu_used);
    print_quoted(first_error);
    puts("}");
}

int main(int argc, char **argv)
{
    struct epoll_event events[256];
    int connections = argc > 4 ? atoi(argv[4]) : 0;
    connection_t *all;
    uint64_t began;
    const char *given = getenv("BENCH_GRACE");
    uint64_t grace = given != NULL ? strtoull(given, NULL, 10) : 30;
    double cpu_before;
    int i, n;

    if (argc < 6 || connections < 1 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) {
        fputs("usage: load ADDRESS PORT FILE CONNECTIONS SECONDS [SEED|each] [REQUESTS]\n", stderr);
        return 2;
    }
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)atoi(argv[2]));
    read_requests(argv[3]);
    in_order = argc > 6 && strcmp(argv[6], "each") == 0;
    seed = argc > 6 && !in_order ? strtoull(argv[6], NULL, 10) * 2 + 1 : 1;
    limit = argc > 7 ? strtoull(argv[7], NULL, 10) : 0;
    all = room(NULL, (size_t)connections * sizeof(*all));
    epoll = epoll_create1(EPOLL_CLOEXEC);
    cpu_before = cpu();
    began = last_answer = now();
    ends = atof(argv[5]) > 0 ? began + (uint64_t)(atof(argv[5]) * 1e6) : UINT64_MAX;
    for (i = 0; i < connections; i++) {
        memset(&all[i], 0, sizeof(all[i]));
        all[i].fd = -1;
        active++;
        next(&all[i]);
    }
    while (active > 0 && (ends == UINT64_MAX || now() < ends + grace * 1000000)) {
        n = epoll_wait(epoll, events, (int)(sizeof(events) / sizeof(events[0])), 100);
        for (i = 0; i < n; i++) {
            look(events[i].data.ptr, events[i].events);
        }
    }
    report(began, connections, cpu() - cpu_before);
    return 0;
}
