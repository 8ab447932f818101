/*
 * Texts from outside.
 */
#include "orgs_text.h"
#include "orgs_limits.h"

#include <apr_strings.h>
#include <string.h>

typedef struct {
    long first, last;
} span_t;

/* Unicode's property White_Space. */
static const span_t whites[] = {{0x09, 0x0d},     {0x20, 0x20},     {0x85, 0x85},     {0xa0, 0xa0},
                                {0x1680, 0x1680}, {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f},
                                {0x205f, 0x205f}, {0x3000, 0x3000}, {-1, -1}};

static const span_t controls[] = {{0x00, 0x1f},     {0x7f, 0x9f},     {0x061c, 0x061c}, {0x200e, 0x200f},
                                  {0x2028, 0x2029}, {0x202a, 0x202e}, {0x2066, 0x2069}, {-1, -1}};

static int is_in(const span_t *spans, long c)
{
    for (; spans->first >= 0; spans++) {
        if (c >= spans->first && c <= spans->last) {
            return 1;
        }
    }
    return 0;
}

int orgs_text_is_control(long c)
{
    return is_in(controls, c);
}

long orgs_text_next(const char **text, const char *end)
{
    static const long least[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char *at = (const unsigned char *)*text;
    apr_size_t left = (apr_size_t)(end - *text);
    apr_size_t more, i;
    long c;

    if (left == 0) {
        return -1;
    }
    if (at[0] < 0x80) {
        more = 0;
        c = at[0];
    }
    else if (at[0] >= 0xc2 && at[0] < 0xe0) {
        more = 1;
        c = at[0] & 0x1f;
    }
    else if (at[0] >= 0xe0 && at[0] < 0xf0) {
        more = 2;
        c = at[0] & 0x0f;
    }
    else if (at[0] >= 0xf0 && at[0] < 0xf5) {
        more = 3;
        c = at[0] & 0x07;
    }
    else {
        return -1;
    }
    if (left <= more) {
        return -1;
    }
    for (i = 1; i <= more; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return -1;
        }
        c = c << 6 | (at[i] & 0x3f);
    }
    if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return -1;
    }
    *text += more + 1;
    return c;
}

int orgs_text_check(const char **text, apr_size_t *len, apr_size_t max, int multiline, const char **problem)
{
    const char *at = *text;
    const char *end = *text + *len;
    const char *first = NULL;
    const char *last = *text;
    apr_size_t count = 0, kept = 0;
    int controlled = 0, suspect = 0;

    while (at < end) {
        const char *start = at;
        long c = orgs_text_next(&at, end);

        if (c < 0) {
            *problem = "It must be valid UTF-8.";
            return 0;
        }
        if (first == NULL && is_in(whites, c)) {
            continue;
        }
        if (first == NULL) {
            first = start;
        }
        count++;
        /* a control that is white counts only if something follows it */
        if (orgs_text_is_control(c) && !(multiline && (c == '\t' || c == '\r' || c == '\n'))) {
            suspect = 1;
        }
        if (!is_in(whites, c)) {
            last = at;
            kept = count;
            controlled = suspect;
        }
    }
    *text = first != NULL ? first : *text;
    *len = first != NULL ? (apr_size_t)(last - first) : 0;
    if (controlled) {
        *problem = "It must not contain control characters.";
        return 0;
    }
    if (kept > max) {
        *problem = "It is too long.";
        return 0;
    }
    return 1;
}

static int is_ascii_white(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

const char *orgs_email_check(apr_pool_t *pool, const char *text, apr_size_t len, const char **problem)
{
    const char *at, *end;
    char *email, *letter;
    int signs = 0;

    while (len > 0 && is_ascii_white(text[0])) {
        text++;
        len--;
    }
    while (len > 0 && is_ascii_white(text[len - 1])) {
        len--;
    }
    if (len < ORGS_EMAIL_MIN || len > ORGS_EMAIL_MAX) {
        *problem = "An email has 3 to 254 bytes.";
        return NULL;
    }
    end = text + len;
    for (at = text; at < end;) {
        long c = orgs_text_next(&at, end);

        if (c < 0) {
            *problem = "It must be valid UTF-8.";
            return NULL;
        }
        if (is_in(whites, c) || is_in(controls, c)) {
            *problem = "An email must not contain white space or control characters.";
            return NULL;
        }
        signs += c == '@';
    }
    if (signs != 1 || text[0] == '@' || end[-1] == '@') {
        *problem = "An email has exactly one '@' with something on both sides.";
        return NULL;
    }
    email = apr_pstrmemdup(pool, text, len);
    for (letter = email; *letter != '\0'; letter++) {
        if (*letter >= 'A' && *letter <= 'Z') {
            *letter = (char)(*letter - 'A' + 'a');
        }
    }
    return email;
}
