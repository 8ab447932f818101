/*
 * One answer of HTTP/1.1, taken in as its bytes come.
 */
#ifndef BENCH_ANSWER_H
#define BENCH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_HEAD_MAX 16384
/* how much of a body is kept: of one that nobody looks at, for the message if it is an error's; else */
#define ANSWER_FEW 400
#define ANSWER_ALL (64 << 20)

typedef enum {
    ANSWER_HEAD,
    ANSWER_LENGTH,
    ANSWER_TO_END,
    ANSWER_CHUNK_SIZE,
    ANSWER_CHUNK_DATA,
    ANSWER_CHUNK_END,
    ANSWER_TRAILER
} answer_part_e;

typedef struct {
    answer_part_e part;
    int status;
    bool closes;         /* the connection, after it */
    bool whole;          /* the body is kept */
    uint64_t left;       /* of the body or the chunk */
    size_t line_len;     /* of a trailer's line; of a chunk's first one: an extension has begun */
    char *body;          /* what is kept of it, without chunks */
    size_t body_len;
    size_t body_room;
    size_t head_len;     /* 0: nothing has come */
    char head[ANSWER_HEAD_MAX];
} answer_t;

/** Makes ready for the next answer of a connection. An answer_t is all zeros before the first. */
void answer_begin(answer_t *answer, bool whole);

/** Takes bytes in; true when the answer is whole (in ANSWER_TO_END it is when the connection ends). */
bool answer_feed(answer_t *answer, const char *data, size_t size);

#endif
