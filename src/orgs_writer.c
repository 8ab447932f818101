/*
 * Writing JSON.
 */
#include "orgs_writer.h"

#include <apr_strings.h>
#include <jansson.h>
#include <string.h>

#include "orgs_text.h"
#include "orgs_time.h"

#define FIRST_ROOM 1024

static void grow_text(orgs_writer_t *to)
{
    apr_size_t len = orgs_writer_len(to);
    char *larger = apr_palloc(to->pool, 2 * len);

    to->base = memcpy(larger, to->base, len);
    to->at = larger + len;
    to->end = larger + 2 * len;
}

void orgs_writer_text(orgs_writer_t *to, apr_pool_t *pool)
{
    to->pool = pool;
    to->base = to->at = apr_palloc(pool, FIRST_ROOM);
    to->end = to->base + FIRST_ROOM;
    to->grow = grow_text;
    to->bare = 0;
    to->baton = NULL;
}

apr_size_t orgs_writer_len(const orgs_writer_t *to)
{
    return (apr_size_t)(to->at - to->base);
}

void orgs_writer_raw(orgs_writer_t *to, const char *bytes, apr_size_t len)
{
    while (len > 0) {
        apr_size_t room = (apr_size_t)(to->end - to->at);

        if (room == 0) {
            to->grow(to);
            continue;
        }
        if (room > len) {
            room = len;
        }
        memcpy(to->at, bytes, room);
        to->at += room;
        bytes += room;
        len -= room;
    }
}

/* The same for few bytes, whose number the compiler knows. */
static inline void put_few(orgs_writer_t *to, const char *bytes, apr_size_t len)
{
    if ((apr_size_t)(to->end - to->at) < len) {
        orgs_writer_raw(to, bytes, len);
        return;
    }
    memcpy(to->at, bytes, len);
    to->at += len;
}

/* A text that needs no escapes, in its quotes. */
static inline void plain(orgs_writer_t *to, const char *text, apr_size_t len)
{
    char *at = to->at;

    if ((apr_size_t)(to->end - at) < len + 2) {
        put_few(to, "\"", 1);
        orgs_writer_raw(to, text, len);
        put_few(to, "\"", 1);
        return;
    }
    *at++ = '"';
    memcpy(at, text, len);
    at[len] = '"';
    to->at = at + len + 1;
}

/* How a byte is written: 0 as it is, u by its number, 8 as a part of UTF-8, else with a backslash before it. */
static const char escapes[256] = {
    ['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
    [0x00 ... 0x07] = 'u', [0x0b] = 'u', [0x0e ... 0x1f] = 'u', [0x80 ... 0xff] = '8'};

static void escape(orgs_writer_t *to, unsigned char c, char how)
{
    static const char hex[] = "0123456789ABCDEF";
    char escaped[6] = {'\\', how, '0', '0', hex[c >> 4], hex[c & 15]};

    orgs_writer_raw(to, escaped, how == 'u' ? 6 : 2);
}

static void quote(orgs_writer_t *to, const char *text)
{
    const char *from = text;

    put_few(to, "\"", 1);
    for (;;) {
        unsigned char c;

        while (escapes[c = (unsigned char)*text] == 0 || escapes[c] == '8') {
            text++;
        }
        orgs_writer_raw(to, from, (apr_size_t)(text - from));
        if (c == '\0') {
            break;
        }
        escape(to, c, escapes[c]);
        from = ++text;
    }
    put_few(to, "\"", 1);
}

/* How many bytes there are before the first that is not ASCII, needs an escape, or ends the text. */
static apr_size_t plain_len(const char *text)
{
    apr_size_t len = 0;

    while (escapes[(unsigned char)text[len]] == 0) {
        len++;
    }
    return len;
}

static int is_utf8(const char *text)
{
    const char *end = text + strlen(text);

    while (text < end) {
        if (orgs_text_next(&text, end) < 0) {
            return 0;
        }
    }
    return 1;
}

void orgs_writer_open(orgs_writer_t *to)
{
    put_few(to, "{", 1);
    to->bare = 1;
}

void orgs_writer_close(orgs_writer_t *to)
{
    put_few(to, "}", 1);
    to->bare = 0;
}

void orgs_writer_name(orgs_writer_t *to, const char *name)
{
    if (!to->bare) {
        put_few(to, ",", 1);
    }
    to->bare = 0;
    plain(to, name, strlen(name));
    put_few(to, ":", 1);
}

void orgs_writer_null(orgs_writer_t *to)
{
    put_few(to, "null", 4);
}

void orgs_writer_string(orgs_writer_t *to, const char *name, const char *value)
{
    apr_size_t len;

    orgs_writer_name(to, name);
    if (value == NULL) {
        orgs_writer_null(to);
    }
    else if (value[len = plain_len(value)] == '\0') {
        plain(to, value, len);
    }
    else if (is_utf8(value + len)) {
        quote(to, value);
    }
    else {
        orgs_writer_null(to);
    }
}

void orgs_writer_id(orgs_writer_t *to, const char *name, const orgs_id_t *value)
{
    char buffer[ORGS_ID_TEXT_LEN + 1];

    orgs_writer_name(to, name);
    if (value != NULL) {
        plain(to, orgs_id_print(buffer, value), ORGS_ID_TEXT_LEN);
    }
    else {
        orgs_writer_null(to);
    }
}

void orgs_writer_hex(orgs_writer_t *to, const char *name, const void *bytes, apr_size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = bytes;
    apr_size_t i;

    orgs_writer_name(to, name);
    put_few(to, "\"", 1);
    for (i = 0; i < len; i++) {
        char pair[2] = {digits[from[i] >> 4], digits[from[i] & 15]};

        put_few(to, pair, 2);
    }
    put_few(to, "\"", 1);
}

void orgs_writer_time(orgs_writer_t *to, const char *name, apr_time_t value)
{
    char buffer[ORGS_TIME_TEXT_LEN + 1];

    orgs_writer_name(to, name);
    if (value != -1) {
        plain(to, orgs_time_print(buffer, value), ORGS_TIME_TEXT_LEN);
    }
    else {
        orgs_writer_null(to);
    }
}

void orgs_writer_flag(orgs_writer_t *to, const char *name, int value)
{
    orgs_writer_name(to, name);
    orgs_writer_raw(to, value ? "true" : "false", value ? 4 : 5);
}

void orgs_writer_number(orgs_writer_t *to, const char *name, apr_int64_t value)
{
    char buffer[24];

    orgs_writer_name(to, name);
    orgs_writer_raw(to, buffer, (apr_size_t)apr_snprintf(buffer, sizeof(buffer), "%" APR_INT64_T_FMT, value));
}

static int put(const char *bytes, size_t len, void *to)
{
    orgs_writer_raw(to, bytes, len);
    return 0;
}

void orgs_writer_json(orgs_writer_t *to, const char *name, const char *text)
{
    json_t *value = text != NULL ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;

    orgs_writer_name(to, name);
    if (value == NULL || json_dump_callback(value, put, to, JSON_COMPACT | JSON_ENCODE_ANY) != 0) {
        orgs_writer_null(to);
    }
    json_decref(value);
}
