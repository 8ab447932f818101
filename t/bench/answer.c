/*
 * The answers of HTTP/1.1 as they come in, in pieces of any size.
 */
#include "answer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void answer_begin(answer_t *answer, bool whole)
{
    answer->part = ANSWER_HEAD;
    answer->status = 0;
    answer->closes = false;
    answer->whole = whole;
    answer->head_len = answer->body_len = answer->line_len = 0;
}

/* Of a field of the head, by its name and colon; NULL without. */
static const char *field(const answer_t *answer, const char *name)
{
    const char *at = strcasestr(answer->head, name);

    return at != NULL ? at + strlen(name) + strspn(at + strlen(name), " ") : NULL;
}

static void read_head(answer_t *answer)
{
    const char *length = field(answer, "\r\nContent-Length:");
    const char *coding = field(answer, "\r\nTransfer-Encoding:");
    const char *connection = field(answer, "\r\nConnection:");

    answer->status = atoi(answer->head + 9);
    answer->closes = connection != NULL && strncasecmp(connection, "close", 5) == 0;
    answer->left = 0;
    if (coding != NULL && strncasecmp(coding, "chunked", 7) == 0) {
        answer->part = ANSWER_CHUNK_SIZE;
    }
    else if (length != NULL || answer->status == 204 || answer->status == 304) {
        answer->left = length != NULL ? strtoull(length, NULL, 10) : 0;
        answer->part = ANSWER_LENGTH;
    }
    else {
        answer->part = ANSWER_TO_END;
    }
}

/* Keeps a piece of the body, as far as anybody wants it. */
static void keep(answer_t *answer, const char *data, size_t size)
{
    size_t most = answer->whole ? ANSWER_ALL : ANSWER_FEW;

    size = size < most - answer->body_len ? size : most - answer->body_len;
    if (answer->body_len + size > answer->body_room) {
        char *grown = realloc(answer->body, (answer->body_len + size) * 2);

        if (grown == NULL) {
            return;
        }
        answer->body = grown;
        answer->body_room = (answer->body_len + size) * 2;
    }
    if (size > 0) {
        memcpy(answer->body + answer->body_len, data, size);
    }
    answer->body_len += size;
}

/* Takes one byte of what is between chunks; true at the end of all. */
static bool between_chunks(answer_t *answer, char byte)
{
    if (answer->part == ANSWER_CHUNK_SIZE) {
        if (byte == '\n') {
            answer->part = answer->left > 0 ? ANSWER_CHUNK_DATA : ANSWER_TRAILER;
            answer->line_len = 0;
        }
        else if (byte == ';') {
            answer->line_len = 1; /* an extension, which nobody needs */
        }
        else if (byte != '\r' && answer->line_len == 0) {
            answer->left = answer->left * 16 + (uint64_t)(byte <= '9' ? byte - '0' : (byte | 32) - 'a' + 10);
        }
    }
    else if (answer->part == ANSWER_CHUNK_END) {
        answer->part = byte == '\n' ? ANSWER_CHUNK_SIZE : ANSWER_CHUNK_END;
        answer->line_len = 0;
    }
    else if (byte == '\n') {
        if (answer->line_len == 0) {
            return true;
        }
        answer->line_len = 0;
    }
    else if (byte != '\r') {
        answer->line_len++;
    }
    return false;
}

bool answer_feed(answer_t *answer, const char *data, size_t size)
{
    while (size > 0) {
        if (answer->part == ANSWER_HEAD) {
            if (answer->head_len == ANSWER_HEAD_MAX - 1) {
                answer->head_len = 0; /* no head is that long: what follows shows as an error */
            }
            answer->head[answer->head_len++] = *data++;
            size--;
            if (answer->head_len >= 4 && memcmp(answer->head + answer->head_len - 4, "\r\n\r\n", 4) == 0) {
                answer->head[answer->head_len] = '\0';
                read_head(answer);
                if (answer->part == ANSWER_LENGTH && answer->left == 0) {
                    return true;
                }
            }
        }
        else if (answer->part == ANSWER_LENGTH || answer->part == ANSWER_TO_END || answer->part == ANSWER_CHUNK_DATA) {
            size_t piece = answer->part == ANSWER_TO_END || size < answer->left ? size : (size_t)answer->left;

            keep(answer, data, piece);
            data += piece;
            size -= piece;
            answer->left -= answer->part == ANSWER_TO_END ? 0 : piece;
            if (answer->part != ANSWER_TO_END && answer->left == 0) {
                if (answer->part == ANSWER_LENGTH) {
                    return true;
                }
                answer->part = ANSWER_CHUNK_END;
            }
        }
        else {
            size--;
            if (between_chunks(answer, *data++)) {
                return true;
            }
        }
    }
    return false;
}
