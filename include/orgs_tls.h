/*
 * TLS to the database, and what else keeps the password from whoever is not the server.
 */
#ifndef ORGS_TLS_H
#define ORGS_TLS_H

#include <mysql.h>

#include "orgs_params.h"

/** Sets the client library up. To be called once in each process, before its threads are there. */
void orgs_tls_library_init(void);

/**
 * Sets what mode asks for, before connecting. Unless the server's certificate is verified, or the server is at a
 * socket, the password is used by methods only that do not tell it to the server.
 * @param host the host to be connected to; NULL: the socket
 * @param mode the one that counts for it (orgs_params_ssl)
 */
void orgs_tls_set(MYSQL *my, const orgs_params_t *params, const char *host, orgs_ssl_e mode);

/** What to say of a failed attempt to connect: the library's words, or better ones. Lives as long as my. */
const char *orgs_tls_error(MYSQL *my);

#endif
