/*
 * sigv4: AWS Signature Version 4, from both ends: what a server needs to verify a request, and
 * what a client needs to sign one.
 *
 * The canonical form of a request is
 *
 *     METHOD \n PATH \n QUERY \n (for each signed header: name:value \n) \n NAMES \n
 * HEX(SHA256(body))
 *
 * with the path percent-encoded once more than it was sent (as every service but S3 does), the
 * query's parameters in one spelling and sorted, and blanks in values folded.
 *
 * Threads: pure functions. Fails: false, for a request that has no canonical form.
 * Bounds:  CW_SIGV4_*_MAX.
 * Source:  AWS, "Create a signed AWS API request"; proven on captured requests (tests/data/wire).
 */
#ifndef CW_IO_SIGV4_H
#define CW_IO_SIGV4_H

#include "core/port.h"

#define CW_SIGV4_HEADERS_MAX 64u   /* signed headers of one request */
#define CW_SIGV4_PARAMS_MAX  64u   /* parameters in a query */
#define CW_SIGV4_NAMES_BYTES 2048u /* of the list of signed headers */
#define CW_SIGV4_PART_BYTES  128u  /* of the key id, the region and the service */
#define CW_SIGV4_SECRET_MAX  1024u
#define CW_SIGV4_HEX         64u /* a SHA-256 in hex digits */
#define CW_SHA256_BYTES      32u

/* Bytes to hex digits, lower case; no terminator. */
void cw_hex(const uint8_t *data, uint32_t bytes, char *out);

void cw_sha256(struct cw_view data, uint8_t out[CW_SHA256_BYTES]);
void cw_hmac_sha256(struct cw_view key, struct cw_view data, uint8_t out[CW_SHA256_BYTES]);

/* What an Authorization header of this scheme says. Views into it. */
struct cw_sigv4_auth {
    struct cw_view key_id, day, region, service;
    struct cw_view scope; /* day/region/service/aws4_request */
    struct cw_view names; /* of the signed headers, by semicolons, as sent */
    struct cw_view signature;
};

/* value: the whole header, with its scheme. */
CW_MUST_USE bool cw_sigv4_parse(struct cw_view value, struct cw_sigv4_auth *auth);

/* 20260118T164500Z */
CW_MUST_USE bool cw_sigv4_time(struct cw_view text, int64_t *ms);

/* True when the list of signed headers has the name. */
bool cw_sigv4_signs(struct cw_view names, struct cw_view name);

/* The hash of the canonical request, in hex. False when a header that is named is not there, or
   the query has too many parameters. body_hash: hex digits. */
CW_MUST_USE bool cw_sigv4_canonical(const struct cw_request *request, struct cw_view names,
                                    struct cw_view body_hash, char out[CW_SIGV4_HEX]);

/* The signature, in hex. Only the scope and its parts of auth are read. */
void cw_sigv4_signature(const struct cw_sigv4_auth *auth, struct cw_view secret,
                        struct cw_view date, const char canonical[CW_SIGV4_HEX],
                        char out[CW_SIGV4_HEX]);

/* ---- the client's side ---- */

struct cw_sigv4_signer {
    struct cw_view key_id, secret, region, service;
};

/* Two headers to send with the request, ended by NUL. */
struct cw_sigv4_signed {
    char date[17]; /* x-amz-date */
    char authorization[CW_SIGV4_NAMES_BYTES + 4 * CW_SIGV4_PART_BYTES + 256];
};

/* Signs method, path, query, every header that the request has (names in lower case, host among
   them, a session token as x-amz-security-token) and the body. */
CW_MUST_USE bool cw_sigv4_sign(const struct cw_request *request,
                               const struct cw_sigv4_signer *signer, int64_t now_ms,
                               struct cw_sigv4_signed *out);

#endif
