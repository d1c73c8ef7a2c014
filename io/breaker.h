/*
 * breaker: stops trying a provider that cannot be reached, and tries again with one message.
 *
 * Closed: everything passes. After CW_BREAKER_FAILURES failures in a row to get any answer at all
 * it is open: nothing passes until a wait is over (1 s, doubled up to 60 s, with jitter); then one
 * message passes, the probe, whose fate closes it or opens it again for longer.
 *
 * Threads: one. Time comes in, monotonic.
 */
#ifndef CW_IO_BREAKER_H
#define CW_IO_BREAKER_H

#include "core/base.h"

#define CW_BREAKER_FAILURES 5u

struct cw_breaker {
    uint32_t failures; /* in a row */
    uint32_t wait_ms;  /* of the present opening; 0: closed */
    uint64_t until_ns;
    bool probing;
    uint64_t random; /* state of the jitter; any number */
};

/* False: nothing would pass just now. */
bool cw_breaker_ready(const struct cw_breaker *breaker, uint64_t now_ns);

/* Lets one message pass; true in *probe when its fate decides. False: it must not be tried. */
bool cw_breaker_pass(struct cw_breaker *breaker, uint64_t now_ns, bool *probe);

/* What became of a message that passed: the provider gave some answer, or none. */
void cw_breaker_reached(struct cw_breaker *breaker);
void cw_breaker_failed(struct cw_breaker *breaker, bool probe, uint64_t now_ns);

/* Whole seconds until something may pass, at least 1. */
uint32_t cw_breaker_wait_s(const struct cw_breaker *breaker, uint64_t now_ns);

#endif
