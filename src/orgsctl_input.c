/*
 * What orgsctl was given: options and words, checked.
 */
#include "orgsctl.h"

#include <apr_strings.h>
#include <string.h>

#include "orgs_text.h"
#include "orgs_time.h"

const char *orgsctl_option(const orgsctl_t *ctl, const char *name)
{
    const orgsctl_option_t *option = ctl->command->options;
    const char **value = ctl->values;

    for (; option != NULL && option->name != NULL; option++, value++) {
        if (strcmp(option->name, name) == 0) {
            return *value;
        }
    }
    return NULL;
}

const char *orgsctl_email(orgsctl_t *ctl, const char *text)
{
    const char *problem;
    const char *email = orgs_email_check(ctl->pool, text, strlen(text), &problem);

    if (email == NULL) {
        orgsctl_fail(ctl, "\"%s\" is no email: %s", orgsctl_clean(ctl->pool, text), problem);
    }
    return email;
}

int orgsctl_id(orgsctl_t *ctl, const char *text, orgs_error_e unknown, orgs_id_t *id)
{
    if (!orgs_id_parse(id, text, strlen(text))) {
        orgsctl_fail(ctl, "%s", unknown == ORGS_E_COUNT ? "That is no id." : orgs_error_text(unknown));
        return 0;
    }
    return 1;
}

int orgsctl_text_of(orgsctl_t *ctl, const char *what, apr_size_t max, int empty, const char **text)
{
    const char *problem;
    apr_size_t len = strlen(*text);

    if (!orgs_text_check(text, &len, max, 0, &problem)) {
        orgsctl_fail(ctl, "%s: %s", what, problem);
        return 0;
    }
    if (len == 0 && !empty) {
        orgsctl_fail(ctl, "%s must not be empty", what);
        return 0;
    }
    *text = apr_pstrmemdup(ctl->pool, *text, len);
    return 1;
}

int orgsctl_text(orgsctl_t *ctl, const char *name, apr_size_t max, int empty, const char **text)
{
    *text = orgsctl_option(ctl, name);
    return *text == NULL || orgsctl_text_of(ctl, apr_pstrcat(ctl->pool, "--", name, NULL), max, empty, text);
}

/* Digits without a sign; -1 for anything else. */
static apr_int64_t digits(const char *text)
{
    apr_int64_t number = 0;

    if (*text == '\0' || strlen(text) > 18) {
        return -1;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') {
            return -1;
        }
        number = number * 10 + (*text - '0');
    }
    return number;
}

int orgsctl_number(orgsctl_t *ctl, const char *name, apr_int64_t min, apr_int64_t max, apr_int64_t *number)
{
    const char *text = orgsctl_option(ctl, name);

    if (text == NULL) {
        return 1;
    }
    *number = digits(text);
    if (*number < min || *number > max) {
        orgsctl_usage(ctl, "--%s wants a number from %" APR_INT64_T_FMT " to %" APR_INT64_T_FMT, name, min, max);
        return 0;
    }
    return 1;
}

int orgsctl_seats(orgsctl_t *ctl, orgs_change_e *change, apr_int64_t *seats)
{
    const char *text = orgsctl_option(ctl, "seats");

    *change = ORGS_KEEP;
    *seats = -1;
    if (text == NULL) {
        return 1;
    }
    if (strcmp(text, "unlimited") == 0) {
        *change = ORGS_CLEAR;
        return 1;
    }
    *change = ORGS_SET;
    *seats = digits(text);
    if (*seats < 0 || *seats > APR_UINT32_MAX) {
        orgsctl_usage(ctl, "--seats wants a number, or unlimited");
        return 0;
    }
    return 1;
}

int orgsctl_time(orgsctl_t *ctl, const char *name, orgs_change_e *change, apr_time_t *at)
{
    const char *text = orgsctl_option(ctl, name);

    *change = ORGS_KEEP;
    *at = -1;
    if (text == NULL) {
        return 1;
    }
    if (strcmp(text, "none") == 0) {
        *change = ORGS_CLEAR;
        return 1;
    }
    *change = ORGS_SET;
    if (!orgs_time_parse(at, text, strlen(text))) {
        orgsctl_usage(ctl, "--%s wants a time in UTC like 2030-12-31T00:00:00Z, or none", name);
        return 0;
    }
    return 1;
}
