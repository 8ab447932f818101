/*
 * TLS to the database.
 */
#include "orgs_tls.h"

#include <apr_strings.h>
#include <errmsg.h>
#include <openssl/x509.h>
#include <string.h>
#include <unistd.h>

#ifdef MARIADB_PACKAGE_VERSION

/* for mysql/client_plugin.h, which includes what is not installed */
#include <mysql/plugin_auth.h>

#define AUTHENTICATION 2
#define AUTHENTICATION_VERSION 0x0100
#define GUARD "orgs_guard"

/* The methods of authentication by which a server does not get the password itself. The library looks for a name in
 * the whole text. */
static const char discreet[] = "mysql_native_password,client_ed25519,parsec,caching_sha2_password,"
                               "sha256_password,auth_gssapi_client";

/*
 * Connector/C goes on in plain text where the server offers no TLS, unless it shall verify the certificate. So the first
 * method of authentication is ours, the only one allowed: it goes on where TLS is offered, by saying nothing yet (within
 * TLS by then), and the server names the account's own method.
 */
static int guard(MYSQL_PLUGIN_VIO *vio, MYSQL *my)
{
    unsigned char *packet;

    if (!(my->server_capabilities & CLIENT_SSL)) {
        my->net.last_errno = CR_SSL_CONNECTION_ERROR;
        apr_cpystrn(my->net.last_error, "the server offers no TLS, and without it nothing is said",
                    sizeof(my->net.last_error));
        return CR_ERROR;
    }
    mysql_options(my, MARIADB_OPT_RESTRICTED_AUTH, discreet);
    return vio->read_packet(vio, &packet) < 0 ? CR_ERROR : CR_OK_HANDSHAKE_COMPLETE;
}

static struct {
    MYSQL_CLIENT_PLUGIN_HEADER
    int (*authenticate_user)(MYSQL_PLUGIN_VIO *vio, MYSQL *my);
} guard_plugin = {
    .type = AUTHENTICATION,
    .interface_version = AUTHENTICATION_VERSION,
    .name = GUARD,
    .author = "mod_orgs",
    .desc = "nothing is said without TLS",
    .version = {1, 0, 0},
    .license = "",
    .authenticate_user = guard};

static void make_guard(void)
{
    MYSQL *my = mysql_init(NULL);

    if (my != NULL) {
        mysql_client_register_plugin(my, (struct st_mysql_client_plugin *)(void *)&guard_plugin);
        mysql_close(my);
    }
}

static void set_mode(MYSQL *my, const char *host, orgs_ssl_e mode)
{
    my_bool enforce = mode != ORGS_SSL_DISABLED;
    my_bool verify = mode == ORGS_SSL_VERIFY_IDENTITY;

    mysql_options(my, MYSQL_OPT_SSL_ENFORCE, &enforce);
    mysql_options(my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
    if (mode == ORGS_SSL_REQUIRED) {
        mysql_options(my, MYSQL_DEFAULT_AUTH, GUARD);
        mysql_options(my, MARIADB_OPT_RESTRICTED_AUTH, GUARD);
    }
    else if (mode == ORGS_SSL_DISABLED && host != NULL) {
        mysql_options(my, MARIADB_OPT_RESTRICTED_AUTH, discreet);
    }
}

#else

static void make_guard(void)
{
}

static void set_mode(MYSQL *my, const char *host, orgs_ssl_e mode)
{
    enum mysql_ssl_mode wanted = mode == ORGS_SSL_DISABLED   ? SSL_MODE_DISABLED
                                 : mode == ORGS_SSL_REQUIRED ? SSL_MODE_REQUIRED
                                                             : SSL_MODE_VERIFY_IDENTITY;
    bool ask = mode == ORGS_SSL_DISABLED;
    bool may = mode == ORGS_SSL_VERIFY_IDENTITY || host == NULL;

    mysql_options(my, MYSQL_OPT_SSL_MODE, &wanted);
    mysql_options(my, MYSQL_ENABLE_CLEARTEXT_PLUGIN, &may);
    /* caching_sha2_password without TLS: encrypted by the server's key, for which Connector/C asks by itself */
    mysql_options(my, MYSQL_OPT_GET_SERVER_PUBLIC_KEY, &ask);
}

#endif

void orgs_tls_library_init(void)
{
    mysql_library_init(0, NULL, NULL);
    make_guard();
}

/* The system's authorities. Connector/C takes them by itself, but since 3.4, unless it is told some, also whoever signs
 * itself, if it knows the password or is at loopback. */
static void trust_system(MYSQL *my)
{
    const char *file = X509_get_default_cert_file();

    if (access(file, R_OK) == 0) {
        mysql_options(my, MYSQL_OPT_SSL_CA, file);
    }
    mysql_options(my, MYSQL_OPT_SSL_CAPATH, X509_get_default_cert_dir());
}

void orgs_tls_set(MYSQL *my, const orgs_params_t *params, const char *host, orgs_ssl_e mode)
{
    set_mode(my, host, mode);
    if (mode == ORGS_SSL_DISABLED) {
        return;
    }
    if (params->ssl_ca != NULL) {
        mysql_options(my, MYSQL_OPT_SSL_CA, params->ssl_ca);
    }
    else if (mode == ORGS_SSL_VERIFY_IDENTITY) {
        trust_system(my);
    }
    if (params->ssl_cert != NULL) {
        mysql_options(my, MYSQL_OPT_SSL_CERT, params->ssl_cert);
    }
    if (params->ssl_key != NULL) {
        mysql_options(my, MYSQL_OPT_SSL_KEY, params->ssl_key);
    }
}

const char *orgs_tls_error(MYSQL *my)
{
    const char *text = mysql_error(my);

    if (strstr(text, "Validation of SSL server certificate failed") != NULL
        || strstr(text, "Hostname verification failed") != NULL) {
        return "TLS/SSL error: the server's certificate is not one for this host";
    }
#ifdef CR_PLUGIN_NOT_ALLOWED
    if (mysql_errno(my) == CR_PLUGIN_NOT_ALLOWED) {
        return "the server asks for the password itself, or a weak digest of it: that is for a socket or verified TLS";
    }
#endif
    return text;
}
