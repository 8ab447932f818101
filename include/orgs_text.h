/*
 * Texts from outside: names, descriptions, emails. What they may hold is the contract's section 3.
 */
#ifndef ORGS_TEXT_H
#define ORGS_TEXT_H

#include <apr_pools.h>

/**
 * Trims Unicode white space at both ends and checks what remains: valid UTF-8 of at most max code points, without
 * control characters (C0, DEL, C1, U+2028, U+2029, the bidirectional controls). An empty text is good.
 * @param text, len in: the bytes, which may hold NULs (a control). Out: the trimmed span, pointing into them
 * @param multiline whether tab, CR and LF are allowed
 * @param problem a static sentence where zero is returned
 * @return nonzero if the text is good
 */
int orgs_text_check(const char **text, apr_size_t *len, apr_size_t max, int multiline, const char **problem);

/**
 * Trims ASCII white space, lower-cases ASCII letters and checks an email: 3 to 254 bytes of valid UTF-8, exactly one
 * '@' with something on both sides, no white space or control.
 * @param problem a static sentence where NULL is returned
 * @return the email as it is stored and compared, allocated in pool, or NULL
 */
const char *orgs_email_check(apr_pool_t *pool, const char *text, apr_size_t len, const char **problem);

/**
 * Reads one code point from bytes up to end, and moves on. Returns it, or -1 (and stands still) if the bytes are no
 * UTF-8: cut, overlong, surrogate or beyond U+10FFFF.
 */
long orgs_text_next(const char **text, const char *end);

/** Nonzero for what a name may not hold: C0, DEL, C1, U+2028, U+2029, bidirectional controls. */
int orgs_text_is_control(long c);

#endif
