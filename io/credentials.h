/*
 * credentials: who may ask what: AWS Signature Version 4, API keys, Basic.
 *
 * Secrets come from files or the environment, never from a configuration file, and are compared in
 * constant time.
 *
 * Life:    open -> add* -> check* -> close. Memory: its own; secrets are wiped at close.
 * Threads: add on the control plane; check from any thread once all are added.
 * Bounds:  CW_CREDENTIALS_MAX. Source: INTERFACES: the recipe was proven on captured requests of
 *          boto3, the AWS CLI and the JavaScript SDK (tests/data/wire).
 */
#ifndef CW_IO_CREDENTIALS_H
#define CW_IO_CREDENTIALS_H

#include "core/err.h"
#include "core/port.h"

#define CW_CREDENTIALS_MAX 64u

enum cw_credential_type {
    CW_CREDENTIAL_SIGV4,   /* id: access key id */
    CW_CREDENTIAL_API_KEY, /* id: header name, lower case (default x-api-key) */
    CW_CREDENTIAL_BASIC,   /* id: user */
    CW_CREDENTIAL_BEARER   /* Authorization: Bearer; id: a name for people */
};

struct cw_credentials; /* opaque */

CW_MUST_USE cw_err cw_credentials_open(struct cw_credentials **credentials, struct cw_fault *fault);
void cw_credentials_close(struct cw_credentials *credentials);

/* The secret is copied; at least 8 bytes for API keys and Basic of roles above report. */
CW_MUST_USE cw_err cw_credentials_add(struct cw_credentials *credentials,
                                      enum cw_credential_type type, struct cw_view id,
                                      struct cw_view secret, enum cw_role role,
                                      struct cw_fault *fault);
uint32_t cw_credentials_count(const struct cw_credentials *credentials);

enum cw_check {
    CW_CHECK_OK,
    CW_CHECK_NONE,      /* the request brings none: role NONE */
    CW_CHECK_UNKNOWN,   /* key id, user or key not known */
    CW_CHECK_SIGNATURE, /* wrong signature or password */
    CW_CHECK_SKEW,      /* signed at a time more than 5 minutes off */
    CW_CHECK_MALFORMED
};

/* now_ms: wall time. Sets *role when OK. reason: a sentence for the answer (static storage); it
   tells a caller with a wrong signature what to look at, never a secret. */
enum cw_check cw_credentials_check(const struct cw_credentials *credentials,
                                   const struct cw_request *request, int64_t now_ms,
                                   enum cw_role *role, const char **reason);

#endif
