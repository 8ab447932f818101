/*
 * Ids, tokens, cursors, digests.
 */
#include "orgs_id.h"
#include "orgs_limits.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <openssl/evp.h>
#include <string.h>

static const char base64url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void mark(orgs_id_t *id, unsigned int version)
{
    id->bytes[6] = (unsigned char)((id->bytes[6] & 0x0fu) | (version << 4));
    id->bytes[8] = (unsigned char)((id->bytes[8] & 0x3fu) | 0x80u);
}

apr_status_t orgs_id_make_v7(orgs_id_t *id)
{
    apr_uint64_t ms = (apr_uint64_t)apr_time_as_msec(apr_time_now());
    apr_status_t rv = apr_generate_random_bytes(id->bytes + 6, sizeof(id->bytes) - 6);
    int i;

    for (i = 5; i >= 0; i--) {
        id->bytes[i] = (unsigned char)(ms & 0xffu);
        ms >>= 8;
    }
    mark(id, 7);
    return rv;
}

apr_status_t orgs_id_make_v4(orgs_id_t *id)
{
    apr_status_t rv = apr_generate_random_bytes(id->bytes, sizeof(id->bytes));

    mark(id, 4);
    return rv;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

static int is_dash_place(apr_size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

int orgs_id_parse(orgs_id_t *id, const char *text, apr_size_t len)
{
    apr_size_t i, n = 0;

    if (len != ORGS_ID_TEXT_LEN) {
        return 0;
    }
    for (i = 0; i < len;) {
        int high, low;

        if (is_dash_place(i)) {
            if (text[i++] != '-') {
                return 0;
            }
            continue;
        }
        high = hex_value(text[i++]);
        low = hex_value(text[i++]);
        if (high < 0 || low < 0) {
            return 0;
        }
        id->bytes[n++] = (unsigned char)(high * 16 + low);
    }
    return 1;
}

int orgs_hex_decode(unsigned char *bytes, apr_size_t size, const char *text)
{
    apr_size_t i;

    if (text == NULL || strlen(text) != 2 * size) {
        return 0;
    }
    for (i = 0; i < size; i++) {
        int high = hex_value(text[2 * i]);
        int low = hex_value(text[2 * i + 1]);

        if (high < 0 || low < 0) {
            return 0;
        }
        bytes[i] = (unsigned char)(high * 16 + low);
    }
    return 1;
}

const char *orgs_id_print(char buffer[ORGS_ID_TEXT_LEN + 1], const orgs_id_t *id)
{
    static const char hex[] = "0123456789abcdef";
    static const unsigned char places[] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};
    apr_size_t i;

    buffer[8] = buffer[13] = buffer[18] = buffer[23] = '-';
    for (i = 0; i < sizeof(id->bytes); i++) {
        buffer[places[i]] = hex[id->bytes[i] >> 4];
        buffer[places[i] + 1] = hex[id->bytes[i] & 15];
    }
    buffer[ORGS_ID_TEXT_LEN] = '\0';
    return buffer;
}

const char *orgs_id_text(apr_pool_t *pool, const orgs_id_t *id)
{
    return orgs_id_print(apr_palloc(pool, ORGS_ID_TEXT_LEN + 1), id);
}

/* Looked up once: OpenSSL 3 looks for an implementation at each use of EVP_sha256(), which costs as much as the digest
 * of a token does. As old as the process, and never freed. */
static const EVP_MD *sha256(void)
{
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
    static EVP_MD *fetched;
    EVP_MD *md = __atomic_load_n(&fetched, __ATOMIC_ACQUIRE);
    EVP_MD *none = NULL;

    if (md == NULL && (md = EVP_MD_fetch(NULL, "SHA256", NULL)) != NULL
        && !__atomic_compare_exchange_n(&fetched, &none, md, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        EVP_MD_free(md);
        md = none;
    }
    return md;
#else
    return EVP_sha256();
#endif
}

void orgs_sha256(unsigned char digest[ORGS_SHA256_LEN], const void *data, apr_size_t len)
{
    const EVP_MD *md = sha256();

    if (md == NULL || !EVP_Digest(data, len, digest, NULL, md, NULL)) {
        /* OpenSSL without SHA-256: no digest may then look like another */
        memset(digest, 0, ORGS_SHA256_LEN);
        apr_generate_random_bytes(digest, ORGS_SHA256_LEN);
    }
}

const char *orgs_base64url(apr_pool_t *pool, const void *data, apr_size_t len)
{
    const unsigned char *from = data;
    char *text = apr_palloc(pool, len / 3 * 4 + 5);
    char *to = text;
    unsigned int bits = 0;
    unsigned int held = 0;

    while (len-- > 0) {
        held = (held << 8 | *from++) & 0xffffu;
        for (bits += 8; bits >= 6; bits -= 6) {
            *to++ = base64url_digits[held >> (bits - 6) & 63];
        }
    }
    if (bits > 0) {
        *to++ = base64url_digits[held << (6 - bits) & 63];
    }
    *to = '\0';
    return text;
}

int orgs_base64url_decode(apr_pool_t *pool, const char *text, apr_size_t len, unsigned char **data, apr_size_t *size)
{
    unsigned char *to = apr_palloc(pool, len / 4 * 3 + 3);
    unsigned int bits = 0;
    unsigned int held = 0;

    *data = to;
    while (len-- > 0) {
        const char *digit = *text != '\0' ? strchr(base64url_digits, *text) : NULL;

        text++;
        if (digit == NULL) {
            return 0;
        }
        held = (held << 6 | (unsigned int)(digit - base64url_digits)) & 0xffffu;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            *to++ = (unsigned char)(held >> bits);
        }
    }
    *size = (apr_size_t)(to - *data);
    /* canonical: no whole digit too many, and nothing but zeros in the bits that are left */
    return bits < 6 && (held & ((1u << bits) - 1)) == 0;
}

apr_status_t orgs_token_make(apr_pool_t *pool, const char **token)
{
    unsigned char secret[32];
    unsigned char digest[ORGS_SHA256_LEN];
    apr_status_t rv = apr_generate_random_bytes(secret, sizeof(secret));
    const char *head = apr_pstrcat(pool, ORGS_TOKEN_PREFIX, orgs_base64url(pool, secret, sizeof(secret)), NULL);

    orgs_sha256(digest, head, strlen(head));
    *token = apr_pstrcat(pool, head, apr_pstrndup(pool, orgs_base64url(pool, digest, 6), ORGS_TOKEN_CHECK_LEN), NULL);
    return rv;
}

int orgs_token_digest(unsigned char digest[ORGS_SHA256_LEN], const char *token, apr_size_t len)
{
    const apr_size_t head = ORGS_TOKEN_PREFIX_LEN + ORGS_TOKEN_SECRET_LEN;
    const char *last;
    apr_size_t i;

    if (len != ORGS_TOKEN_LEN || memcmp(token, ORGS_TOKEN_PREFIX, ORGS_TOKEN_PREFIX_LEN) != 0) {
        return 0;
    }
    for (i = ORGS_TOKEN_PREFIX_LEN; i < len; i++) {
        if (token[i] == '\0' || strchr(base64url_digits, token[i]) == NULL) {
            return 0;
        }
    }
    /* 43 digits are 258 bits: the last two must be zero */
    last = strchr(base64url_digits, token[head - 1]);
    if ((last - base64url_digits) % 4 != 0) {
        return 0;
    }
    orgs_sha256(digest, token, head);
    for (i = 0; i < ORGS_TOKEN_CHECK_LEN; i++) {
        unsigned int bit = (unsigned int)i * 6;
        unsigned int pair = (unsigned int)digest[bit / 8] << 8 | digest[bit / 8 + 1];

        if (token[head + i] != base64url_digits[pair >> (10 - bit % 8) & 63]) {
            return 0;
        }
    }
    orgs_sha256(digest, token, len);
    return 1;
}

/* A cursor: list, scope, number, id, and four bytes by which typing errors are noticed. */
#define CURSOR_LEN (1 + 16 + 8 + 16)
#define CURSOR_CHECK_LEN 4

static void cursor_check(unsigned char *cursor)
{
    unsigned char digest[ORGS_SHA256_LEN];

    orgs_sha256(digest, cursor, CURSOR_LEN);
    memcpy(cursor + CURSOR_LEN, digest, CURSOR_CHECK_LEN);
}

int orgs_position_is_first(const orgs_position_t *at)
{
    static const orgs_position_t first;

    return at->number == 0 && memcmp(&at->id, &first.id, sizeof(at->id)) == 0;
}

const char *orgs_cursor_text(apr_pool_t *pool, orgs_cursor_e list, const orgs_id_t *scope, const orgs_position_t *at)
{
    unsigned char cursor[CURSOR_LEN + CURSOR_CHECK_LEN];
    apr_uint64_t number = (apr_uint64_t)at->number;
    int i;

    cursor[0] = (unsigned char)list;
    memcpy(cursor + 1, scope->bytes, 16);
    for (i = 24; i > 16; i--) {
        cursor[i] = (unsigned char)(number & 0xffu);
        number >>= 8;
    }
    memcpy(cursor + 25, at->id.bytes, 16);
    cursor_check(cursor);
    return orgs_base64url(pool, cursor, sizeof(cursor));
}

int orgs_cursor_parse(apr_pool_t *pool, orgs_cursor_e list, const orgs_id_t *scope, const char *text, apr_size_t len,
                      orgs_position_t *at)
{
    unsigned char expected[CURSOR_LEN + CURSOR_CHECK_LEN];
    unsigned char *cursor;
    apr_uint64_t number = 0;
    apr_size_t size;
    int i;

    if (!orgs_base64url_decode(pool, text, len, &cursor, &size) || size != sizeof(expected)
        || cursor[0] != (unsigned char)list || memcmp(cursor + 1, scope->bytes, 16) != 0) {
        return 0;
    }
    memcpy(expected, cursor, sizeof(expected));
    cursor_check(expected);
    if (memcmp(expected, cursor, sizeof(expected)) != 0) {
        return 0;
    }
    for (i = 17; i < 25; i++) {
        number = number << 8 | cursor[i];
    }
    at->number = (apr_int64_t)number;
    memcpy(at->id.bytes, cursor + 25, 16);
    return 1;
}
