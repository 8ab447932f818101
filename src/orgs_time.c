/*
 * Times.
 */
#include "orgs_time.h"

#include <apr_strings.h>
#include <string.h>
#include <time.h>

static inline void put_two(char *to, unsigned int value)
{
    to[0] = (char)('0' + value / 10);
    to[1] = (char)('0' + value % 10);
}

/* The day of a number of days since 1970, for what gmtime() takes a lock that all threads share. A year is taken to begin
 * in March, so that the day that some lack is its last: 400 of them have 146097 days. */
static void put_day(char *to, apr_int64_t days)
{
    unsigned int since = (unsigned int)(days + 719468); /* since the first of March of the year 0 */
    unsigned int of_era = since % 146097;
    unsigned int year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned int of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned int month = (5 * of_year + 2) / 153; /* from March on */
    unsigned int day = of_year - (153 * month + 2) / 5 + 1;
    unsigned int year = year_of_era + since / 146097 * 400 + (month >= 10 ? 1 : 0);

    put_two(to, year / 100);
    put_two(to + 2, year % 100);
    put_two(to + 5, month < 10 ? month + 3 : month - 9);
    put_two(to + 8, day);
}

const char *orgs_time_print(char buffer[ORGS_TIME_TEXT_LEN + 1], apr_time_t at)
{
    apr_int64_t ms = at / 1000 - (at % 1000 < 0 ? 1 : 0);
    apr_int64_t days = ms / 86400000 - (ms % 86400000 < 0 ? 1 : 0);
    unsigned int of_day = (unsigned int)(ms - days * 86400000);
    unsigned int seconds = of_day / 1000;

    memcpy(buffer, "0000-00-00T00:00:00.000Z", ORGS_TIME_TEXT_LEN + 1);
    put_day(buffer, days);
    put_two(buffer + 11, seconds / 3600);
    put_two(buffer + 14, seconds / 60 % 60);
    put_two(buffer + 17, seconds % 60);
    put_two(buffer + 20, of_day % 1000 / 10);
    buffer[22] = (char)('0' + of_day % 10);
    return buffer;
}

const char *orgs_time_text(apr_pool_t *pool, apr_time_t at)
{
    return orgs_time_print(apr_palloc(pool, ORGS_TIME_TEXT_LEN + 1), at);
}

/* Reads count digits; -1 if they are none. */
static int digits(const char *text, int count)
{
    int value = 0;

    while (count-- > 0) {
        if (*text < '0' || *text > '9') {
            return -1;
        }
        value = value * 10 + (*text++ - '0');
    }
    return value;
}

/* The fraction and the zone of a time; nonzero if well formed. */
static int time_tail(const char *text, apr_size_t len, apr_int32_t *usec)
{
    apr_int32_t unit = 100000;
    apr_size_t i = 0;

    *usec = 0;
    if (i < len && text[i] == '.') {
        for (i++; i < len && text[i] >= '0' && text[i] <= '9'; i++) {
            *usec += (text[i] - '0') * unit;
            unit /= 10;
        }
        if (text[i - 1] == '.' || i > 10) {
            return 0;
        }
    }
    *usec -= *usec % 1000;
    if (i < len && (text[i] == 'Z' || text[i] == 'z')) {
        i++;
    }
    return i == len;
}

int orgs_time_parse(apr_time_t *at, const char *text, apr_size_t len)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    apr_time_exp_t t;
    int year, month, leap;

    memset(&t, 0, sizeof(t));
    if (len < 19 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't' && text[10] != ' ')
        || text[13] != ':' || text[16] != ':' || !time_tail(text + 19, len - 19, &t.tm_usec)) {
        return 0;
    }
    year = digits(text, 4);
    month = digits(text + 5, 2);
    t.tm_mday = digits(text + 8, 2);
    t.tm_hour = digits(text + 11, 2);
    t.tm_min = digits(text + 14, 2);
    t.tm_sec = digits(text + 17, 2);
    if (year < 1970 || month < 1 || month > 12 || t.tm_hour < 0 || t.tm_hour > 23 || t.tm_min < 0 || t.tm_min > 59
        || t.tm_sec < 0 || t.tm_sec > 59) {
        return 0;
    }
    leap = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (t.tm_mday < 1 || t.tm_mday > days[month - 1] + leap) {
        return 0;
    }
    t.tm_year = year - 1900;
    t.tm_mon = month - 1;
    return apr_time_exp_gmt_get(at, &t) == APR_SUCCESS;
}

apr_time_t orgs_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return apr_time_from_sec(now.tv_sec) + now.tv_nsec / 1000;
}
