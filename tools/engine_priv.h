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
#include "tools/receipts.h"
#include "tools/retention.h"
#include "tools/state.h"

#include <stdatomic.h>

#define CW_NOTE_PATH_BYTES 512u

/* durability none, as /healthz says it. */
#define CW_NOTHING_KEPT "durability none, for measuring: nothing outlives a stop"

/* What a core asks the control plane to answer. */
struct cw_note {
    uint64_t token;
    enum cw_method method;
    char path[CW_NOTE_PATH_BYTES], query[CW_NOTE_PATH_BYTES];
};

/* And what comes back. */
struct cw_reply {
    uint64_t token;
    uint16_t status;
    const char *type;
    struct cw_text body;
};

/* What the control plane's task wants of a core, and what the core says. The wish is written, then
   asked is one more; the core answers, then done is the same. */
enum cw_wish {
    CW_WISH_CHECKPOINT, /* made now; after it nothing is removed */
    CW_WISH_UNPIN,
    CW_WISH_RESUME
};

struct cw_core_task {
    _Atomic uint32_t asked, done;
    enum cw_wish wish;
    int64_t until; /* RESUME: touches due before may have been sent; CW_TIME_NONE: none */
    bool failed;
    uint32_t held; /* RESUME: why sends are held all the same */
    struct cw_store_image image;
    /* The core's own. */
    bool begun;
    uint32_t step;
    uint64_t need, failures;
};

/* A snapshot, or a resume, on a thread of its own: one at a time. */
enum cw_task_kind {
    CW_TASK_SNAPSHOT,
    CW_TASK_RESUME,
    CW_TASK_KINDS
};

struct cw_task {
    enum cw_task_kind kind;
    bool running; /* and its thread is to be joined */
    bool scheduled;
    pthread_t thread;
    atomic_bool done;
    struct cw_core *asker; /* whose request `token` waits for it; NULL: nobody */
    uint64_t token, began_ns;
    int64_t until;
    uint32_t held_before, held; /* RESUME: why sends were, and still are */
    int64_t trusted_ms;         /* the wall clock's time that it confirmed; CW_TIME_NONE: nothing */
    int64_t trusted_ns;         /* and where the wall clock stood */
    char file[4096];
    struct cw_manifest manifest; /* SNAPSHOT: as it began */
    struct cw_program_file programs[CW_PROGRAMS_MAX]; /* SNAPSHOT: as they run; own copies */
    uint32_t program_count;
    cw_err err;
    struct cw_fault fault;
    uint64_t bytes;
    /* What became of the last one of each kind. */
    uint16_t status[CW_TASK_KINDS];
    struct cw_text told[CW_TASK_KINDS];
    uint64_t next_ns; /* when the next scheduled one begins */
    uint32_t failed_in_a_row;
    struct cw_retention retention;
    _Atomic uint64_t made, failed;
};

/* Erasures from a core's tables to their receipts: engine_erasure.c. */
struct cw_core_erasure {
    uint64_t asked, through; /* of the pipeline's count: told the store, told the control plane */
    uint64_t told, forgotten;
    bool more; /* not all could be told at once */
    struct cw_ring *receipts;
    _Atomic uint64_t written; /* of those told */
    /* The control plane's. */
    struct cw_receipt *at_work;
    uint64_t again_ns; /* after a failure */
};

/* The wall clock under watch, with --clock wall: engine_clock.c. */
struct cw_engine_clock {
    bool guarded;              /* it is the engine's clock, so it matters */
    _Atomic int64_t offset;    /* where the wall clock stands that was confirmed last, ns */
    _Atomic uint32_t confirms; /* how often: cores look for another number */
    _Atomic int64_t ahead_ms;  /* of a suspect wall clock; else 0 */
    _Atomic int64_t behind_ms; /* of the engine's clock, which waits for it; else 0 */
    _Atomic uint64_t steps;    /* how often it was suspect */
    _Atomic uint64_t grace_ns; /* monotonic: until then sources come first; 0: they do not */
    /* The control plane's. */
    struct cw_clock watch;
    uint32_t seen;
    bool suspect, behind; /* told */
    bool since_mark;      /* it is suspect since the start: how long that was off is not known */
    int64_t told_ms;      /* how far ahead the wall clock was when it was told */
    int64_t off_ms;       /* how long the engine was off at most, where there is a grace */
    bool note_failed;
};

struct cw_core {
    struct cw_engine *engine;
    struct cw_core_task task;
    uint32_t clock_counters, server_counters; /* how many counters are the clock's, the server's */
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
    struct cw_clock clock;            /* --clock wall */
    bool clock_begun;                 /* before that, time is what the state says */
    uint32_t clock_confirms;          /* that it has heard of */
    atomic_bool clock_suspect;        /* for the control plane */
    _Atomic uint32_t short_of;        /* the same: set of CW_SHORTAGE_* */
    struct cw_store *store;           /* NULL: durability none */
    const struct cw_disk_store *disk; /* its; NULL: likewise */
    uint64_t stalled_since_ns; /* since when its disk does not answer, as was told; 0: it does */
    /* What is decided up to then may be told: all of it; with the commit under way; once durable.
     */
    int64_t until, staged_until, durable_until;
    bool ended;            /* and nothing comes after it */
    uint64_t committed_ns; /* when the last commit began: a log that rests is sealed */
    uint64_t marked_ns;    /* when a log that rests was last told the time; 0: never */
    uint64_t commits;
    struct cw_core_erasure erasure;
    bool draining;
    bool doubts_settled; /* of messages that were under way when it stopped */
    uint64_t drained_ns; /* when nothing more came in; 0: not yet */
    uint16_t ports[CW_LISTENERS_MAX];
};

struct cw_engine {
    struct cw_engine_options options;
    const struct cw_engine_live *live;
    uint32_t count;
    /* Since when a disk does not answer; 0: all do. Among what is seldom written. */
    _Atomic uint64_t disk_stalled_since_ns;
    struct cw_server_limits limits; /* as configured, or as many connections as files allow */
    struct cw_core *cores;
    struct cw_shard *shards;
    struct cw_runtime runtime;
    struct cw_arena own;
    struct cw_mesh *mesh;
    struct cw_zones *zones;
    struct cw_state state;
    struct cw_durable *durable; /* NULL: durability none */
    struct cw_durable_directory directory;
    char seal[4096];
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
    pthread_t writer, memory;
    bool writes, memory_runs;
    atomic_bool memory_stopping, memory_low;
    _Atomic uint64_t memory_left; /* bytes of what was nearest its end, when that was looked at */
    _Atomic uint32_t memory_of;   /* what that was: engine_room.c */
    uint32_t short_of_told;       /* set of CW_SHORTAGE_* */
    int wake;
    int64_t start_ms;
    uint64_t start_ns;
    atomic_bool stopping;
    bool letters_failed;
    struct cw_task task;
    struct cw_engine_clock clock;
    int name; /* a socket whose name says that this store runs; -1: none */
};

/* Programs and templates anew, on all cores or on none; problems are appended to told. */
int cw_engine_reload_told(struct cw_engine *engine, struct cw_text *told);

/* engine.c; here and below `self` is a core, for cw_engine_wake the engine */
int64_t cw_engine_now_ms(void *self);
/* The same for the control plane, on its thread; CW_TIME_NONE: time is what events say. */
int64_t cw_engine_control_ms(struct cw_engine *engine);
void cw_engine_wake(void *self, uint32_t shard);
void cw_engine_wake_all(struct cw_engine *engine); /* from any thread */

/* engine_state.c: opens the state and reads it into the cores. */
CW_MUST_USE cw_err cw_engine_recover(struct cw_engine *engine, struct cw_fault *fault);
/* Once a turn, on its core. */
void cw_engine_look_after_state(struct cw_core *core);
void cw_engine_settled(void *self, uint64_t sequence, int64_t until, bool end);
bool cw_engine_finished(void *self);
void cw_engine_say_state(const struct cw_engine *engine, FILE *to);

/* Counters of the store, after the server's. */
bool cw_engine_counter(const struct cw_core *core, uint32_t index, const char **name,
                       const char **help, uint64_t *value);

/* engine_task.c. A note about a task: not so, or answered in the reply, or it will be. */
enum cw_task_note {
    CW_TASK_NOTE_OTHER,
    CW_TASK_NOTE_ANSWERED,
    CW_TASK_NOTE_LATER
};

enum cw_task_note cw_engine_task_note(struct cw_core *core, const struct cw_note *note,
                                      struct cw_reply *reply);
/* Once the state is this process's alone, before anything is done. */
void cw_engine_task_open(struct cw_engine *engine);
/* Warns where scheduled snapshots cannot be kept as things are. */
void cw_engine_task_say(const struct cw_engine *engine, FILE *to);
/* Each time the control plane looks. */
void cw_engine_task_tick(struct cw_engine *engine);
/* Once a turn, on its core. */
void cw_engine_task_turn(struct cw_core *core);
/* True while a resume that settles what may have been sent is at work on this core. */
bool cw_engine_task_assumes(const struct cw_core *core);
/* Waits for what is at work, which gives up. */
void cw_engine_task_close(struct cw_engine *engine);

/* engine_files.c */
/* Raises the limit of open files, and bounds engine->limits by it; CW_ERR_INVALID: too small. */
CW_MUST_USE cw_err cw_engine_bound_files(struct cw_engine *engine, struct cw_fault *fault);
void cw_engine_files_say(const struct cw_engine *engine, FILE *to); /* where it bounds something */

/* engine_clock.c */
/* At a start, once the state is read: the time at which the engine begins; `mark` is the latest one
   that the state says, 0: none. Adds to *held what the clock is a reason for, or takes it away. */
int64_t cw_engine_clock_begin(struct cw_engine *engine, int64_t mark, uint32_t *held);
/* After that, where `held` is all that the state holds sends for: CW_HOLD_START, until the engine
   has run for `startGrace`, where it was off for longer or a grace was cut short; else none. */
uint32_t cw_engine_clock_grace(struct cw_engine *engine, int64_t mark, uint32_t held, bool cut);
/* On the control plane: whether it is so still; and that sends were resumed, which ends it. */
bool cw_engine_clock_in_grace(const struct cw_engine *engine);
void cw_engine_clock_end_grace(struct cw_engine *engine);
int64_t cw_engine_clock_latest_ms(void *self);
/* The wall clock as it stands is right, somebody says. */
void cw_engine_clock_confirm(struct cw_engine *engine, int64_t offset_ns);
void cw_engine_clock_turn(struct cw_core *core);     /* once a turn, on its core */
void cw_engine_clock_tick(struct cw_engine *engine); /* each time the control plane looks */
/* Counters of the first core, and of each. */
bool cw_engine_clock_counter(const struct cw_core *core, uint32_t index, const char **name,
                             const char **help, uint64_t *value);
void cw_engine_clock_say(const struct cw_engine *engine, FILE *to);

/* engine_erasure.c */
void cw_engine_erasure_open(struct cw_core *core);
void cw_engine_erasure_close(struct cw_core *core);
void cw_engine_erasure_turn(struct cw_core *core); /* once a turn, on its core */
void cw_engine_erasure_tick(struct cw_engine *engine);
CW_MUST_USE cw_err cw_engine_erasure_read(const struct cw_engine *engine, struct cw_text *out,
                                          struct cw_fault *fault);

/* engine_memory.c */
CW_MUST_USE cw_err cw_engine_memory_start(struct cw_engine *engine, struct cw_fault *fault);
void cw_engine_memory_stop(struct cw_engine *engine);

/* engine_room.c: on the thread for memory; once a turn, on its core; on the control plane. */
void cw_engine_room_look(struct cw_engine *engine);
void cw_engine_room_turn(struct cw_core *core);
void cw_engine_room_tick(struct cw_engine *engine);

/* engine_disk.c. For how many seconds, 10 or more, some core's disk has carried out one operation;
   0: none. Any thread. */
uint64_t cw_engine_disk_stalled_s(void *self);
/* This core's; NULL: durability none. On its core. */
const struct cw_histogram *cw_engine_disk_flushes(void *self);
/* On its core, while it can take nothing: answers those who ask why. */
void cw_engine_disk_turn(struct cw_core *core);
/* On the thread for memory: tells when a disk does not answer, and when it does again. */
void cw_engine_disk_look(struct cw_engine *engine);

/* engine_control.c: gives a reply to its core. */
void cw_engine_reply(struct cw_core *core, struct cw_reply *reply);
void cw_engine_refuse(struct cw_reply *reply, uint16_t status, const char *why);

/* engine.c: what waits in the cores' boxes goes to the disk. */
void cw_engine_write_letters(struct cw_engine *engine);

#endif
