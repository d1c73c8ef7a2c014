/*
 * target: the engine that a client speaks to: its address, what it is to be told by, and the
 * credentials.
 *
 * Life: open -> headers* -> close, which wipes the secrets. Threads: headers from any.
 */
#ifndef CW_TOOLS_TARGET_H
#define CW_TOOLS_TARGET_H

#include "io/sigv4.h"
#include "tools/cli.h"

enum cw_target_kind {
    CW_TARGET_EVENTS,     /* POST /v1/events, NDJSON */
    CW_TARGET_PUT_EVENTS, /* POST /, EventBridge PutEvents */
    CW_TARGET_LINES,      /* NDJSON over TCP, acknowledged by lines */
    CW_TARGET_CONTROL     /* paths of /v1, behind the address's own: ask.h */
};

/* As given on the command line; NULL: not given. */
struct cw_target_options {
    const char *to, *as, *api_key_file, *key_id, *secret_file, *region;
    bool control; /* not for events */
};

struct cw_target {
    enum cw_target_kind kind;
    bool tls;
    char host[256];      /* to connect to: no brackets round an IPv6 address */
    char port[8];        /* in digits */
    char authority[272]; /* the Host header */
    char path[1024];     /* with the query, as it is asked for; CONTROL: without / at the end */
    char url[2048];
    char api_key[CW_SIGV4_SECRET_MAX + 1];
    char key_id[CW_SIGV4_PART_BYTES + 1], secret[CW_SIGV4_SECRET_MAX + 1]; /* "": not signed */
    char token[4096], region[CW_SIGV4_PART_BYTES + 1];
};

/* Says what is wrong on standard error; an exit code. Credentials not given for PutEvents come from
   the environment, as the AWS command line takes them. */
CW_MUST_USE int cw_target_open(struct cw_target *target, const char *command,
                               const struct cw_target_options *options);
void cw_target_close(struct cw_target *target);

#define CW_TARGET_HEADERS_MAX 8u

struct cw_target_head {
    struct cw_header list[CW_TARGET_HEADERS_MAX]; /* names in lower case; Host among them */
    uint32_t count;
    struct cw_sigv4_signed sigv4;
};

/* The headers of a request with that body, signed when there are keys. */
void cw_target_headers(const struct cw_target *target, struct cw_view body, int64_t now_ms,
                       struct cw_target_head *head);

#endif
