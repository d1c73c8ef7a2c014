#include "io/breaker.h"

enum {
    WAIT_MS_MIN = 1000,
    WAIT_MS_MAX = 60000
};

bool cw_breaker_ready(const struct cw_breaker *breaker, uint64_t now_ns)
{
    return breaker->wait_ms == 0 || (!breaker->probing && now_ns >= breaker->until_ns);
}

bool cw_breaker_pass(struct cw_breaker *breaker, uint64_t now_ns, bool *probe)
{
    *probe = false;
    if (!cw_breaker_ready(breaker, now_ns)) {
        return false;
    }
    *probe = breaker->wait_ms != 0;
    breaker->probing = *probe;
    return true;
}

void cw_breaker_reached(struct cw_breaker *breaker)
{
    breaker->failures = 0;
    breaker->wait_ms = 0;
    breaker->probing = false;
}

/* From three quarters of the wait to all of it: many channels do not come back in step. */
static uint64_t jittered_ns(struct cw_breaker *breaker)
{
    breaker->random = breaker->random * 6364136223846793005u + 1442695040888963407u;
    uint64_t wait_ns = (uint64_t)breaker->wait_ms * 1000000u;
    return wait_ns - wait_ns / 4 * (breaker->random >> 48) / 65536;
}

void cw_breaker_failed(struct cw_breaker *breaker, bool probe, uint64_t now_ns)
{
    breaker->failures++;
    if (probe) {
        breaker->probing = false;
        breaker->wait_ms = breaker->wait_ms > WAIT_MS_MAX / 2 ? WAIT_MS_MAX : breaker->wait_ms * 2;
    } else if (breaker->wait_ms == 0 && breaker->failures >= CW_BREAKER_FAILURES) {
        breaker->wait_ms = WAIT_MS_MIN;
    } else {
        return; /* still trying, or a straggler from before it opened */
    }
    breaker->until_ns = now_ns + jittered_ns(breaker);
}

uint32_t cw_breaker_wait_s(const struct cw_breaker *breaker, uint64_t now_ns)
{
    if (breaker->wait_ms == 0 || now_ns >= breaker->until_ns) {
        return 1;
    }
    return (uint32_t)((breaker->until_ns - now_ns + 999999999u) / 1000000000u);
}
