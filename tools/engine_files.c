/*
 * engine_files: as many descriptors as the system gives, some of them for what is no connection.
 *
 * A log that cannot open its next file ends the engine, as a failed disk does, and a crowd of
 * callers must not be what takes the last descriptor. So connections are bounded by what the limit
 * of open files leaves beside logs, checkpoints, tables in files, and channels.
 */
#include "io/server.h"
#include "tools/engine_priv.h"

#include <inttypes.h>
#include <sys/resource.h>

enum {
    ENGINE_FILES = 128, /* what it opens once, and a request of its control plane */
    CORE_FILES = 96,    /* log, checkpoints, rings; a file for each table with `memory:` */
    CONNECTIONS_LEAST = 8
};

static uint64_t raise_limit(void)
{
    struct rlimit limit;
    int rc = getrlimit(RLIMIT_NOFILE, &limit);
    CW_ASSERT(rc == 0);
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit most = {limit.rlim_max, limit.rlim_max};
        limit = setrlimit(RLIMIT_NOFILE, &most) == 0 ? most : limit;
    }
    return limit.rlim_cur;
}

cw_err cw_engine_bound_files(struct cw_engine *engine, struct cw_fault *fault)
{
    uint64_t limit = raise_limit();
    uint64_t own = ENGINE_FILES + (uint64_t)engine->count * CORE_FILES;
    for (uint32_t i = 0; i < CW_CHANNEL_COUNT; i++) {
        own += engine->live->channels[i].under_way_max;
    }
    uint64_t least = own + (uint64_t)engine->count * (CONNECTIONS_LEAST + CW_SERVER_SPARE);
    engine->limits = engine->live->limits;
    if (limit < least) {
        return cw_fail(fault, CW_ERR_INVALID,
                       "the limit of open files is %" PRIu64 ", and %u cores need %" PRIu64
                       "; raise it (ulimit -n, LimitNOFILE=)",
                       limit, engine->count, least);
    }
    uint64_t most = (limit - own) / engine->count - CW_SERVER_SPARE;
    if (engine->limits.connections > most) {
        engine->limits.connections = (uint32_t)most;
    }
    return CW_ERR_OK;
}

void cw_engine_files_say(const struct cw_engine *engine, FILE *to)
{
    if (engine->limits.connections < engine->live->limits.connections) {
        (void)fprintf(to,
                      "  at most %u connections on each core, not %u: the limit of open files "
                      "leaves no more (ulimit -n, LimitNOFILE=)\n",
                      engine->limits.connections, engine->live->limits.connections);
    }
}
