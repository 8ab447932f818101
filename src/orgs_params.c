/*
 * OrgsDBParams and the option file.
 */
#include "orgs_params.h"

#include <apr_file_io.h>
#include <apr_hash.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* A setter answers NULL or a sentence. */
typedef const char *setter_fn(apr_pool_t *pool, orgs_params_t *params, apr_size_t offset, const char *value);

static const char *set_string(apr_pool_t *pool, orgs_params_t *params, apr_size_t offset, const char *value)
{
    *(const char **)(void *)((char *)params + offset) = apr_pstrdup(pool, value);
    return NULL;
}

static const char *set_port(apr_pool_t *pool, orgs_params_t *params, apr_size_t offset, const char *value)
{
    char *end;
    long port = strtol(value, &end, 10);

    (void)offset;
    if (!apr_isdigit(*value) || *end != '\0' || port < 1 || port > 65535) {
        return apr_psprintf(pool, "port=%s is not a port number from 1 to 65535", value);
    }
    params->port = (unsigned int)port;
    return NULL;
}

static const char *set_ssl_mode(apr_pool_t *pool, orgs_params_t *params, apr_size_t offset, const char *value)
{
    (void)offset;
    if (strcasecmp(value, "disabled") == 0) {
        params->ssl_mode = ORGS_SSL_DISABLED;
    }
    else if (strcasecmp(value, "required") == 0) {
        params->ssl_mode = ORGS_SSL_REQUIRED;
    }
    else if (strcasecmp(value, "verify-identity") == 0 || strcasecmp(value, "verify_identity") == 0) {
        params->ssl_mode = ORGS_SSL_VERIFY_IDENTITY;
    }
    else {
        return apr_psprintf(pool, "ssl_mode=%s is none of disabled, required, verify-identity", value);
    }
    return NULL;
}

static const char *refuse_password(apr_pool_t *pool, orgs_params_t *params, apr_size_t offset, const char *value)
{
    (void)pool;
    (void)params;
    (void)offset;
    (void)value;
    return "password= is not taken here, where mod_info would show it: put it into the file of OrgsDBDefaultsFile";
}

static const struct {
    const char *name;      /* in OrgsDBParams, '_' for '-' */
    const char *file_name; /* in an option file, or NULL */
    setter_fn *set;
    setter_fn *set_from_file;
    apr_size_t offset;
} keys[] = {
    {"host", "host", set_string, set_string, offsetof(orgs_params_t, hosts)},
    {"port", "port", set_port, set_port, 0},
    {"socket", "socket", set_string, set_string, offsetof(orgs_params_t, socket)},
    {"dbname", "database", set_string, set_string, offsetof(orgs_params_t, dbname)},
    {"user", "user", set_string, set_string, offsetof(orgs_params_t, user)},
    {"password", "password", refuse_password, set_string, offsetof(orgs_params_t, password)},
    {"ssl_ca", "ssl_ca", set_string, set_string, offsetof(orgs_params_t, ssl_ca)},
    {"ssl_cert", "ssl_cert", set_string, set_string, offsetof(orgs_params_t, ssl_cert)},
    {"ssl_key", "ssl_key", set_string, set_string, offsetof(orgs_params_t, ssl_key)},
    {"ssl_mode", "ssl_mode", set_ssl_mode, set_ssl_mode, 0},
};

#define KEYS ((int)(sizeof(keys) / sizeof(keys[0])))

/* Takes one word off *text, up to an unquoted blank or (stop) sign; NULL if a quote is open. */
static char *take_word(apr_pool_t *pool, const char **text, char stop)
{
    char *word = apr_palloc(pool, strlen(*text) + 1);
    char *to = word;
    char quote = '\0';
    const char *from;

    for (from = *text; *from != '\0'; from++) {
        if (quote != '\0' ? *from == quote : (*from == '\'' || *from == '"')) {
            quote = quote != '\0' ? '\0' : *from;
        }
        else if (quote == '\0' && (apr_isspace(*from) || *from == stop)) {
            break;
        }
        else {
            *to++ = *from;
        }
    }
    *to = '\0';
    *text = from;
    return quote == '\0' ? word : NULL;
}

const char *orgs_params_parse(apr_pool_t *pool, orgs_params_t *params, const char *text)
{
    for (;;) {
        const char *sentence;
        const char *name;
        const char *value;
        int i;

        while (apr_isspace(*text)) {
            text++;
        }
        if (*text == '\0') {
            return NULL;
        }
        name = take_word(pool, &text, '=');
        if (name == NULL || *text != '=') {
            return apr_psprintf(pool, "'%s' is not of the form key=value", name != NULL ? name : text);
        }
        text++;
        value = take_word(pool, &text, '\0');
        if (value == NULL) {
            return apr_psprintf(pool, "the quote after %s= is not closed", name);
        }
        for (i = 0; i < KEYS && strcmp(name, keys[i].name) != 0; i++) {
        }
        if (i == KEYS) {
            return apr_psprintf(pool, "there is no parameter %s=; there are host, port, socket, dbname, user, ssl_ca, "
                                      "ssl_cert, ssl_key and ssl_mode", name);
        }
        if (*value == '\0') {
            return apr_psprintf(pool, "%s= has no value", name);
        }
        sentence = keys[i].set(pool, params, keys[i].offset, value);
        if (sentence != NULL) {
            return sentence;
        }
    }
}

/* The value of a line of a my.cnf: without the quotes around it, with the escapes that the clients know. */
static const char *file_value(apr_pool_t *pool, const char *text)
{
    apr_size_t len = strlen(text);
    char *value = apr_pstrdup(pool, text);
    char *to = value;
    const char *from = value;
    const char *end = value + len;

    if (len >= 2 && (*value == '"' || *value == '\'') && end[-1] == *value) {
        from++;
        end--;
    }
    while (from < end) {
        if (*from == '\\' && from + 1 < end) {
            static const char escapes[] = "n\nt\tr\rb\bs \"\"''\\\\";
            const char *known;

            for (known = escapes; *known != '\0' && *known != from[1]; known += 2) {
            }
            if (*known != '\0') {
                *to++ = known[1];
                from += 2;
                continue;
            }
        }
        *to++ = *from++;
    }
    *to = '\0';
    return value;
}

static const char *file_line(apr_pool_t *pool, orgs_params_t *params, char *line)
{
    char *equals = strchr(line, '=');
    char *name = line;
    char *end;
    int i;

    if (equals == NULL) {
        return NULL;
    }
    *equals = '\0';
    for (end = equals; end > name && apr_isspace(end[-1]); *--end = '\0') {
    }
    for (end = name; *end != '\0'; end++) {
        if (*end == '-') {
            *end = '_';
        }
    }
    for (i = 0; i < KEYS; i++) {
        if (keys[i].file_name != NULL && strcmp(name, keys[i].file_name) == 0) {
            char *value = equals + 1;

            while (apr_isspace(*value)) {
                value++;
            }
            return keys[i].set_from_file(pool, params, keys[i].offset, file_value(pool, value));
        }
    }
    return NULL;
}

const char *orgs_params_file(apr_pool_t *pool, orgs_params_t *params, const char *path)
{
    char line[4096];
    const char *sentence = NULL;
    apr_file_t *file;
    int number = 0;
    int ours = 0;
    apr_status_t rv = apr_file_open(&file, path, APR_READ | APR_BUFFERED, APR_OS_DEFAULT, pool);

    if (rv != APR_SUCCESS) {
        char reason[128];

        return apr_psprintf(pool, "the option file %s cannot be read: %s", path,
                            apr_strerror(rv, reason, sizeof(reason)));
    }
    while (sentence == NULL && (rv = apr_file_gets(line, sizeof(line), file)) == APR_SUCCESS) {
        char *text = line;
        char *end = line + strlen(line);

        number++;
        if (end == line + sizeof(line) - 1 && end[-1] != '\n') {
            sentence = apr_psprintf(pool, "%s, line %d: the line is too long", path, number);
            break;
        }
        while (end > text && apr_isspace(end[-1])) {
            *--end = '\0';
        }
        while (apr_isspace(*text)) {
            text++;
        }
        if (*text == '[') {
            ours = strcmp(text, "[client]") == 0 || strcmp(text, "[mod_orgs]") == 0;
        }
        else if (ours && *text != '#' && *text != ';' && *text != '!') {
            const char *wrong = file_line(pool, params, text);

            if (wrong != NULL) {
                sentence = apr_psprintf(pool, "%s, line %d: %s", path, number, wrong);
            }
        }
    }
    /* a password was in it */
    memset(line, 0, sizeof(line));
    apr_file_close(file);
    if (sentence == NULL && rv != APR_EOF) {
        sentence = apr_psprintf(pool, "the option file %s cannot be read", path);
    }
    return sentence;
}

orgs_params_t *orgs_params_copy(apr_pool_t *pool, const orgs_params_t *from)
{
    orgs_params_t *params = apr_pmemdup(pool, from, sizeof(*from));
    int i;

    for (i = 0; i < KEYS; i++) {
        if (keys[i].set_from_file == set_string) {
            const char **value = (const char **)(void *)((char *)params + keys[i].offset);

            *value = apr_pstrdup(pool, *value);
        }
    }
    return params;
}

orgs_params_t *orgs_params_merge(apr_pool_t *pool, const orgs_params_t *base, const orgs_params_t *over)
{
    orgs_params_t *params = apr_pmemdup(pool, base, sizeof(*base));
    int i;

    for (i = 0; i < KEYS; i++) {
        if (keys[i].set_from_file == set_string) {
            const char *value = *(const char *const *)(const void *)((const char *)over + keys[i].offset);

            if (value != NULL) {
                *(const char **)(void *)((char *)params + keys[i].offset) = value;
            }
        }
    }
    if (over->port != 0) {
        params->port = over->port;
    }
    if (over->ssl_mode != ORGS_SSL_DEFAULT) {
        params->ssl_mode = over->ssl_mode;
    }
    /* a place named by the stronger one is not joined by the weaker one's */
    if (over->socket != NULL && over->hosts == NULL) {
        params->hosts = NULL;
    }
    else if (over->hosts != NULL && over->socket == NULL) {
        params->socket = NULL;
    }
    return params;
}

/* A socket, or an address of loopback; a name may begin with 127. too. */
static int is_near(const char *host)
{
    return host == NULL || strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0
           || (strncmp(host, "127.", 4) == 0 && host[strspn(host, "0123456789.")] == '\0');
}

orgs_ssl_e orgs_params_ssl(const orgs_params_t *params, const char *host)
{
    if (params->ssl_mode != ORGS_SSL_DEFAULT) {
        return params->ssl_mode;
    }
    return is_near(host) ? ORGS_SSL_DISABLED : ORGS_SSL_VERIFY_IDENTITY;
}

unsigned int orgs_params_digest(const orgs_params_t *params)
{
    const char *const texts[] = {params->hosts,    params->socket, params->dbname,   params->user,
                                 params->password, params->ssl_ca, params->ssl_cert, params->ssl_key};
    unsigned int digest = params->port * 31 + (unsigned int)params->ssl_mode;
    apr_size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        apr_ssize_t len = APR_HASH_KEY_STRING;

        digest = digest * 33 + (texts[i] != NULL ? apr_hashfunc_default(texts[i], &len) : 1);
    }
    return digest != 0 ? digest : 1;
}

const char *orgs_params_exposed(apr_pool_t *pool, const orgs_params_t *params)
{
    apr_array_header_t *hosts = orgs_params_hosts(pool, params);
    int i;

    for (i = 0; i < hosts->nelts; i++) {
        const char *host = APR_ARRAY_IDX(hosts, i, const char *);

        if (!is_near(host) && orgs_params_ssl(params, host) == ORGS_SSL_DISABLED) {
            return host;
        }
    }
    return NULL;
}

apr_array_header_t *orgs_params_hosts(apr_pool_t *pool, const orgs_params_t *params)
{
    apr_array_header_t *named = apr_array_make(pool, 4, sizeof(char *));
    char *hosts = params->hosts != NULL ? apr_pstrdup(pool, params->hosts) : NULL;
    char *state = NULL;
    char *host = hosts != NULL ? apr_strtok(hosts, ", ", &state) : NULL;

    do {
        APR_ARRAY_PUSH(named, char *) = host;
    } while (host != NULL && (host = apr_strtok(NULL, ", ", &state)) != NULL);
    return named;
}
