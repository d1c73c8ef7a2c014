/* engine_priv: what the parts of the engine share. */
#ifndef CW_TOOLS_ENGINE_PRIV_H
#define CW_TOOLS_ENGINE_PRIV_H

#include "core/runtime.h"
#include "io/clock.h"
#include "pipeline/service.h"
#include "tools/bundle.h"
#include "tools/durable.h"
#include "tools/engine.h"
#include "tools/lines.h"
#include "tools/state.h"

#include <stdatomic.h>

#define CW_NOTE_PATH_BYTES 512u

/* What a core asks the control plane to answer. */
struct cw_note {
    uint64_t token;
    enum cw_method method;
    char path[CW_NOTE_PATH_BYTES];
};

/* And what comes back. */
struct cw_reply {
    uint64_t token;
    uint16_t status;
    const char *type;
    struct cw_text body;
};

struct cw_core {
    struct cw_engine *engine;
    uint32_t index;
    struct cw_server *server;
    struct cw_source source;
    struct cw_service *service;
    struct cw_lane *lane; /* NULL: nobody wants decisions */
    struct cw_letters letters;
    struct cw_ring *notes, *replies;
    _Atomic(struct cw_bundle *) next; /* to be taken over */
    _Atomic(struct cw_bundle *) current;
    _Atomic(char *) remark; /* for the control plane, which frees it */
    int64_t settled_ms, remarked_ms;
    uint64_t decided;
    struct cw_clock clock; /* --clock wall */
    struct cw_store *store;
    /* What is decided up to then may be told: all of it; with the commit under way; once durable.
     */
    int64_t until, staged_until, durable_until;
    bool ended;            /* and nothing comes after it */
    uint64_t committed_ns; /* when the last commit began: a log that rests is sealed */
    uint64_t commits;
    uint64_t erasures; /* of which the store knows */
    bool draining;
    bool doubts_settled; /* of messages that were under way when it stopped */
    uint64_t drained_ns; /* when nothing more came in; 0: not yet */
    uint16_t ports[CW_LISTENERS_MAX];
};

struct cw_engine {
    struct cw_engine_options options;
    const struct cw_engine_live *live;
    uint32_t count;
    struct cw_core *cores;
    struct cw_shard *shards;
    struct cw_runtime runtime;
    struct cw_arena own;
    struct cw_mesh *mesh;
    struct cw_zones *zones;
    struct cw_state state;
    struct cw_durable *durable;
    struct cw_durable_directory directory;
    double recover_s;
    struct cw_durable_found found;
    bool state_open, started;
    struct cw_letter_file letters;
    struct cw_credentials *credentials;
    struct cw_channels *channels;
    struct cw_channel_options rows[CW_CHANNEL_COUNT];
    char outbox[4096];
    struct cw_bundle *bundle;
    struct cw_bundle *retired; /* until every core has taken the one above; NULL: all have */
    struct cw_links links;
    struct cw_text base;
    struct cw_lines lines;
    pthread_t writer;
    bool writes;
    int wake;
    int64_t start_ms;
    uint64_t start_ns;
    atomic_bool stopping;
    bool letters_failed;
};

/* Programs and templates anew, on all cores or on none; problems are appended to told. */
int cw_engine_reload_told(struct cw_engine *engine, struct cw_text *told);

/* engine.c */
int64_t cw_engine_now_ms(void *core);
void cw_engine_wake(void *engine, uint32_t core);

/* engine_state.c: opens the state and reads it into the cores. */
CW_MUST_USE cw_err cw_engine_recover(struct cw_engine *engine, struct cw_fault *fault);
/* Once a turn, on its core. */
void cw_engine_look_after_state(struct cw_core *core);
void cw_engine_settled(void *core, uint64_t sequence, int64_t until, bool end);
bool cw_engine_finished(void *core);
void cw_engine_say_state(const struct cw_engine *engine, FILE *to);

/* engine.c: what waits in the cores' boxes goes to the disk. */
void cw_engine_write_letters(struct cw_engine *engine);

#endif
