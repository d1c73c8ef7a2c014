/*
 * sim: the whole engine in one thread, from one seed: real shards, mesh, services, stores, logs,
 * checkpoints and recovery; simulated disks, clocks, clients and providers. What must hold is
 * checked by functions of their own (sim_check.c), from books that the world outside keeps.
 *
 *   sim_main.c     command line
 *   sim_run.c      one seed: which faults it has, its 80 hours, its end
 *   sim_machine.c  one machine's life: start, steps, stop, crash
 *   sim_state.c    the stable storage of that machine: disks and manifest slots
 *   sim_restore.c  a machine that is lost, and an older copy of its state in its place
 *   sim_client.c   shops: events, requests, answers
 *   sim_provider.c channels and the providers behind them
 *   sim_check.c    checkers of single moments
 *   sim_timely.c   what was told to be due, and that nothing of it is early or late
 *   sim_recall.c   checkers of recovered state
 *   sim_plant.c    bugs on purpose: each must be found
 *   sim_power.c    short lives whose power fails at each operation of a disk
 *
 * Two clocks: `base` is the true time that the world lives in; a machine's wall clock is base with
 * an offset that faults change.
 */
#ifndef CW_TESTS_SIM_SIM_H
#define CW_TESTS_SIM_SIM_H

#include "core/shard.h"
#include "core/time.h"
#include "io/clock.h"
#include "pipeline/pipeline_priv.h"
#include "pipeline/service.h"
#include "tests/core/random.h"
#include "tests/sim/fault_disk.h"
#include "tools/durable.h"

#include <setjmp.h>
#include <stdio.h>

enum {
    SIM_CORES_MAX = 4,
    SIM_PARTITIONS = 256,
    SIM_CUSTOMERS_MAX = 60,
    SIM_CARTS_MAX = 128, /* of one customer */
    SIM_EVENTS_MAX = 4000,
    SIM_BATCH_MAX = 8, /* events in one request */
    SIM_DIRS_MAX = 64,
    SIM_MARKS = 16,
    SIM_PROGRAMS = 3,
    SIM_TOUCHES = 4
};

#define SIM_START INT64_C(1768824000000) /* 2026-01-19T12:00:00Z, a Monday */
#define SIM_HOURS 80

struct sim;

/* ---- faults ---- */

#define SIM_FAULTS(X)                                                            \
    X(CRASH, "power-crash", "the power fails")                                   \
    X(KILL, "kill", "the process dies")                                          \
    X(STOP, "stop", "it is stopped in order and started again")                  \
    X(DISK_ERROR, "disk-error", "a flush fails: the process ends")               \
    X(DISK_FULL, "disk-full", "no space for a while")                            \
    X(CLOCK, "clock-step", "the wall clock jumps")                               \
    X(RELOAD, "reload", "other programs")                                        \
    X(CHANNEL_FULL, "channel-full", "channels take nothing for a while")         \
    X(OUTAGE, "outage", "providers answer LATER for a while")                    \
    X(RECROSS, "crash-in-recovery", "the power fails again while state is read") \
    X(READ_ERROR, "read-error", "the disk refuses to read at a start")           \
    X(CORES, "other-cores", "restarted on another number of cores")              \
    X(DAMAGE, "damage", "acknowledged bytes are changed, lost or misdirected")   \
    X(BACKUP, "snapshot", "a copy of the state is made")                         \
    X(RESTORE, "restore", "the machine is lost: the copy takes its place")

enum sim_fault {
#define CW_X(name, text, help) SIM_FAULT_##name,
    SIM_FAULTS(CW_X)
#undef CW_X
    SIM_FAULT_COUNT
};

/* What one seed has of each: drawn once. */
struct sim_swarm {
    uint32_t customers, events;
    uint32_t disk_delay;   /* most polls of an operation */
    uint32_t lost_answers; /* per mille */
    uint32_t twice;        /* requests sent to two cores at once, per mille */
    uint32_t late;         /* events delayed by minutes to hours, per mille */
    uint32_t probes;       /* acknowledged events sent again, per mille of requests */
    uint32_t refused, later, unknown_sent, unknown_lost; /* outcomes of attempts, per mille */
    uint32_t slow_s;                                     /* most seconds that a provider takes */
    uint32_t channel_room;                               /* posts that one core's queue holds */
    uint32_t recross, read_errors, other_cores;          /* at a start, percent */
    uint32_t downtime; /* 0: seconds; 1: minutes; 2: up to a day */
    uint64_t segment_bytes, checkpoint_bytes;
    bool collapses[CW_CHANNEL_COUNT];
    bool marks_always; /* state is kept at each commit, not only before a crash */
    bool damages;      /* the class of seeds that damage acknowledged data */
    uint32_t programs, cores_max, rows_max;
};

/* A fault that comes at a time of the run. */
struct sim_due {
    int64_t at; /* base */
    enum sim_fault fault;
};

/* ---- stable storage ---- */

struct sim_dir {
    uint64_t epoch;
    uint32_t core;
    struct cw_fault_disk *disk;
};

struct sim_storage {
    struct sim_dir dirs[SIM_DIRS_MAX];
    uint32_t count;
    char slots[2][CW_MANIFEST_BYTES_MAX];
    uint32_t slot_bytes[2];
};

/* ---- what the world knows ---- */

enum sim_event_state {
    SIM_EVENT_WAITING, /* to be sent at send_at */
    SIM_EVENT_OUT,     /* in a request */
    SIM_EVENT_ACKED,
    SIM_EVENT_DEAD /* the engine refused it for good, or nobody wants it any more */
};

struct sim_event {
    uint32_t number, customer, cart;
    enum cw_event_type type;
    enum sim_event_state state;
    uint32_t out;          /* requests that hold it */
    bool all_carts;        /* an order of all carts up to this one */
    bool kept;             /* it was acknowledged when the copy of the state was made */
    bool lost;             /* it was sent to a machine that was lost, after that */
    int64_t time, send_at; /* base */
    int64_t first_sent;    /* the engine's clock; CW_TIME_NONE: never */
    uint64_t acked_turn;   /* the turn in which it was acknowledged */
    uint32_t channel;      /* an opt-out's */
    char *text;
};

struct sim_request {
    struct cw_request request;
    struct cw_header header;
    uint64_t sent_turn, sent_ns;
    uint32_t events[SIM_BATCH_MAX];
    uint32_t count, core;
    bool lost; /* its answer does not arrive */
    char *body;
    struct sim_request *next; /* open ones */
};

struct sim_cart {
    bool ordered, order_acked;
    int64_t order_time; /* of the latest that was acknowledged */
};

struct sim_customer {
    bool told, erasing, erased_acked;
    uint64_t erasing_turn; /* when the erasure was made */
    uint32_t erasure;      /* the event that asks for it */
    bool opting_out[CW_CHANNEL_COUNT], opted_out[CW_CHANNEL_COUNT];
    uint32_t carts; /* numbers in use: the latest of them is the one that is filled */
    struct sim_cart cart[SIM_CARTS_MAX];
};

/* ---- messages ---- */

enum sim_attempt_state {
    SIM_ATTEMPT_POSTED,   /* waits for its commit to begin */
    SIM_ATTEMPT_STAGED,   /* for it to be durable */
    SIM_ATTEMPT_RELEASED, /* on its way to the provider */
    SIM_ATTEMPT_ANSWERED, /* the result is on its way back */
    SIM_ATTEMPT_DONE
};

struct sim_attempt {
    struct sim_attempt *next;
    uint32_t message, core, number; /* number: from 1 */
    enum sim_attempt_state state;
    int64_t at;       /* base: when it comes to the provider, then when its result is back */
    int64_t now_ms;   /* the engine's clock when it was claimed */
    uint64_t order;   /* of claims, over the whole run */
    uint32_t version; /* of the programs */
    struct cw_post_result result;
    uint64_t settled; /* commit that will have its result */
};

struct sim_message {
    char key[CW_POST_KEY_BYTES];
    uint32_t program, customer, cart, touch, channel;
    uint32_t posted, received; /* the highest attempt that was */
    uint32_t deliveries;
    uint64_t delivered_order; /* claim of the latest delivered attempt */
    int64_t delivered_now;
    bool doubted;                     /* an attempt was told as UNKNOWN, or its result was lost */
    bool kept, lost; /* all was told when the copy was made; known to a lost machine alone */
    bool told[CW_POSTED_UNKNOWN + 1]; /* results that the engine has durably taken in */
    enum cw_posted last_told;         /* of the latest such result */
};

/* When a touch was promised: by program, customer, cart, touch. */
struct sim_promise {
    bool any;
    int64_t due, least; /* what was told last; the earliest ever told */
};

/* That a touch will be looked at, or a message's result taken in: sim_timely.c. */
struct sim_awaited {
    uint32_t program, customer, cart, touch, core;
    int64_t due, told; /* by the engine's clock; told: when it was */
    bool held;         /* with all sends: due as it was, looked at within a minute of their end */
    bool out;          /* its message is under way */
    bool answered;     /* as it is told now, what was under way is not any more */
};

struct sim_awaited_book {
    struct sim_awaited *at;
    uint32_t count, room;
};

/* ---- the machine ---- */

/* What a core's state was at a commit. */
struct sim_mark {
    uint64_t lsn;
    struct cw_text dump;
    bool counted; /* fates are in that commit; of what changed no row they may not be */
    struct cw_fates fates;
};

struct sim_core {
    struct sim *sim;
    uint32_t index;
    struct cw_service *service;
    struct cw_templates *templates;
    struct cw_store *store;
    struct cw_clock clock;
    struct cw_request *queue, **queue_end;
    bool doubts_settled, draining, idle;
    int64_t began_ms; /* the clock that it began with */
    int64_t clock_ms; /* what it was told last that it is */
    int64_t held_ms;  /* that at the latest step with sends held */
    int64_t look_at;  /* nothing of the book is late by a clock that is not later */
    uint64_t committed_ns;
    uint64_t erasures, erased; /* that its store was asked for; that are through */
    uint32_t restore_step;     /* of letting sends go: sim_restore.c */
    uint64_t restore_need;     /* the commit that it waits for */
    struct sim_mark marks[SIM_MARKS];
    uint32_t mark_count; /* ever made in this life */
};

struct sim_machine {
    bool up;
    uint64_t up_turn; /* since when */
    uint32_t cores;
    uint32_t version; /* of the programs */
    struct cw_mesh *mesh;
    struct cw_shard shards[SIM_CORES_MAX];
    struct sim_core core[SIM_CORES_MAX];
    struct cw_durable *durable;
    bool stopping;
    bool resuming; /* sends that were held after a restore are let go */
    char fault[160]; /* what the disk's failure said */
};

/* What was true when a machine went down. */
struct sim_last {
    bool any, clean, damaged;
    uint32_t damages; /* since the last start: frames that they may have taken */
    bool restored; /* an older copy has taken its place */
    uint32_t cores, version;
    uint64_t epoch;
    uint64_t durable[SIM_CORES_MAX], submitted[SIM_CORES_MAX];
    bool looked; /* the next is known, see sim_look_before */
    uint64_t left[SIM_CORES_MAX];
    struct sim_mark marks[SIM_CORES_MAX][SIM_MARKS];
    uint32_t mark_count[SIM_CORES_MAX];
    int64_t clock;
};

struct sim_totals {
    uint64_t seeds, steps, events, acked, probes, deliveries, commits, checkpoints, recoveries;
    uint64_t compared, uncompared, refused_corrupt, tail_lost;
    uint64_t faults[SIM_FAULT_COUNT];
    int64_t base_ms;
};

struct sim_options {
    uint64_t seed;
    bool verbose;
    const struct sim_plant *plant; /* NULL: none */
    struct sim_power *power;       /* NULL: it fails at random moments alone */
};

struct sim {
    struct sim_options options;
    struct sim_swarm swarm;
    uint64_t random;
    uint64_t trace; /* a hash of all that happened */
    jmp_buf fail, disk_failed;
    char failed_checker[32], failed_what[600];
    struct sim_totals totals;
    /* Time. */
    uint64_t ns;         /* since the run began */
    int64_t wall_offset; /* of the machine's clock, ms */
    int64_t confirm_at;  /* base: when it is confirmed as it then stands; 0: nothing to confirm */
    bool confirmed;      /* in this life of the machine, to be at */
    int64_t confirmed_ns;
    int64_t believed; /* ms beside base: the furthest ahead that the engine's clock may be */
    uint64_t turn;    /* steps so far */
    /* The engine's configuration. */
    struct cw_programs *programs[2];
    const struct cw_zones *zones;
    struct cw_links links;
    /* The machine. */
    struct sim_storage storage;
    uint64_t ops, snapshot_at; /* operations of disks; when the power fails in a recovery */
    struct cw_fault_disk
        *failing; /* a read of it will fail at this start; NULL: none, or it is gone */
    bool failed;  /* and one did before it was gone */
    struct sim_storage *snapshot;
    struct sim_storage backup; /* no slots: there is none */
    uint32_t backup_cores;
    int64_t sent_until; /* the engine's clock: what the lost machine may have sent */
    struct sim_machine machine;
    struct sim_last last;
    int64_t engine_ms;  /* the latest clock of any core */
    int64_t down_until; /* base */
    /* Faults to come. */
    struct sim_due dues[64];
    uint32_t due_count;
    enum sim_fault armed; /* a crash that comes within some steps; SIM_FAULT_COUNT: none */
    bool marking;         /* it is near: state is kept at each commit */
    uint32_t armed_steps, patience, idle_steps, steps_since_skip;
    int64_t full_until, channel_full_until, outage_until; /* base */
    bool quiet; /* no faults any more: the end of the run */
    /* Clients. */
    struct sim_event events[SIM_EVENTS_MAX];
    uint32_t event_count;
    struct sim_customer customers[SIM_CUSTOMERS_MAX];
    struct sim_request *open; /* not answered */
    uint64_t tokens;
    int64_t next_event;   /* base */
    bool waiting_changed; /* since next_waiting was worked out */
    int64_t next_waiting; /* base: when the first of the waiting events is to be sent */
    /* Providers. */
    struct sim_message *messages;
    uint32_t message_count, message_room;
    struct sim_attempt *attempts; /* not done */
    uint64_t claims;
    struct sim_promise promises[SIM_PROGRAMS][SIM_CUSTOMERS_MAX][SIM_CARTS_MAX][SIM_TOUCHES];
    struct sim_awaited_book awaited;
    struct cw_text said; /* decisions, for --verbose */
};

/* ---- sim_run.c ---- */

/* Once a process: programs, zones, the model. */
bool sim_prepare(void);
const struct cw_zones *sim_zones(void);

/* One seed. True: all checks held; else failed_checker and failed_what say which did not. */
bool sim_run(struct sim *sim, const struct sim_options *options, struct sim_totals *totals);
void sim_free(struct sim *sim);

/* Ends the run: does not return. */
_Noreturn void sim_fail(struct sim *sim, const char *checker, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void sim_say(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Into the hash of the run. */
void sim_trace(struct sim *sim, const void *bytes, size_t count);

static inline int64_t sim_base(const struct sim *sim)
{
    return SIM_START + (int64_t)(sim->ns / 1000000);
}

/* At most one draw among the arguments of a call or the parts of an initializer: their order is the
   compiler's, and a seed has to mean the same with each. */
static inline uint32_t sim_draw(struct sim *sim, uint32_t bound)
{
    return random_below(&sim->random, bound);
}

static inline bool sim_chance(struct sim *sim, uint32_t per_mille)
{
    return sim_draw(sim, 1000) < per_mille;
}

/* ---- sim_programs.c ---- */

struct sim_program_facts {
    const char *id;
    uint32_t email_cap[2]; /* by version; 0: none */
    uint32_t touches;

    struct {
        enum cw_channel channel;
        int8_t on_unknown; /* enum cw_on_unknown */
    } touch[SIM_TOUCHES];
};

extern const struct sim_program_facts sim_programs[SIM_PROGRAMS];
/* Of the programs' texts of a version, `count` of them. NULL: they are wrong. */
struct cw_programs *sim_programs_load(uint32_t version, uint32_t count);
bool sim_templates_open(struct cw_templates **templates);
/* SIM_PROGRAMS: none has that id. */
uint32_t sim_program_find(struct cw_view id);

/* ---- sim_state.c ---- */

struct cw_durable_files sim_files(struct sim *sim);
void sim_storage_free(struct sim_storage *storage);
/* What a restart finds after the power failed, or the process was killed. */
void sim_storage_after(struct sim *sim, struct sim_storage *to, const struct sim_storage *from,
                       bool power);
void sim_storage_off(struct sim_storage *storage);
void sim_storage_space(struct sim *sim, bool full);
/* Changes something that is there; false: there is nothing. */
bool sim_storage_damage(struct sim *sim);
/* The next write of some core is lost or goes astray. How many frames that may take. */
uint32_t sim_storage_lie(struct sim *sim);

/* ---- sim_machine.c ---- */

/* Brings it up on so many cores, whatever it takes (crashes and read errors on the way). False: the
   state is refused as damaged, in a seed that damages. */
bool sim_machine_start(struct sim *sim, uint32_t cores);
/* One step of a core; true when it worked. */
bool sim_machine_step(struct sim *sim, uint32_t core);
/* The power fails or the process dies, now. */
void sim_machine_crash(struct sim *sim, bool power);
/* Everything under way is finished; then it is closed in order. */
void sim_machine_stop(struct sim *sim);
/* Closes what is there without a look back (end of a run). */
void sim_machine_drop(struct sim *sim);
void sim_machine_reload(struct sim *sim);
/* True while something waits for a disk or another core. */
bool sim_machine_busy(const struct sim *sim);
/* What each core is at, for --verbose. */
void sim_machine_tell(struct sim *sim);
int64_t sim_machine_clock(struct sim *sim, uint32_t core);
/* The base time of the earliest timer; INT64_MAX: there is none. */
int64_t sim_machine_earliest(struct sim *sim);
/* Every core's state at its last commit is known. */
bool sim_machine_marked(struct sim *sim);
void sim_machine_mark_now(struct sim *sim);

/* ---- sim_restore.c ---- */

/* Whether and when a machine of this seed is lost. */
void sim_restore_draw(struct sim *sim);
void sim_backup(struct sim *sim);
static inline bool sim_backed_up(const struct sim *sim)
{
    return sim->backup.count > 0;
}

/* Now; the copy is there for the next start, and used up. */
void sim_restore_lose(struct sim *sim);
/* After each step of a machine that is up: begins to let go of sends, and ends it. */
void sim_restore_turn(struct sim *sim);
/* Once a turn, on a core, while that goes on. */
void sim_restore_core(struct sim_core *core);
/* Why this core holds sends: a set of CW_HOLD_*. */
uint32_t sim_restore_holds(const struct sim_core *core);

/* ---- sim_client.c ---- */

/* Makes events and requests that are due. */
void sim_client_turn(struct sim *sim);
int64_t sim_client_next(struct sim *sim);
void sim_client_answer(struct sim *sim, uint64_t token, const struct cw_answer *answer);
/* The connection broke: nobody knows what became of what is open. */
void sim_client_cut(struct sim *sim);
/* Sends one event, alone, to a core. */
void sim_client_send(struct sim *sim, uint32_t event, uint32_t core);
/* True when all events are acknowledged or dead and no request is open. */
bool sim_client_done(const struct sim *sim);
void sim_client_free(struct sim *sim);
/* Whether an erasure was made of the customer whom the event tells of, and takes it along. */
bool sim_client_erases(const struct sim *sim, const struct sim_event *event);
/* False for events that may rightly be new again. */
bool sim_client_known(const struct sim *sim, const struct sim_event *event);

/* ---- sim_provider.c ---- */

struct cw_channel_port sim_channels(struct sim *sim);
void sim_provider_turn(struct sim *sim);
int64_t sim_provider_next(const struct sim *sim);
void sim_provider_cut(struct sim *sim, const uint64_t *durable);
void sim_provider_free(struct sim *sim);
bool sim_program_resends(const struct sim_message *message); /* `onUnknown: resend` */
bool sim_provider_resends(const struct sim *sim, const struct sim_message *message);

/* ---- sim_timely.c ---- */

/* A decision was told; a message was posted. */
void sim_timely_told(struct sim_core *core, const struct cw_decision *decision);
void sim_timely_posted(struct sim *sim, const struct sim_message *message);
/* All that is due, from the state that came back; the cores' clocks are set. */
void sim_timely_recall(struct sim *sim);

/* ---- checkers: they end the run where something does not hold ---- */

void sim_check_answer(struct sim *sim, const struct sim_request *request, uint32_t accepted,
                      uint32_t duplicate); /* 1 */
/* Before each try of a start: what the files of a damaged machine end with. */
void sim_look_before(struct sim *sim);
/* 2; false: acknowledged commits at the very end are lost to damage, as may be: the run ends. Of
   several at the end each has to be damaged by itself. */
CW_MUST_USE bool sim_check_recovered(struct sim *sim, const struct cw_durable_found *found);
/* That a message is of, as the engine has it; NULL: it does not know the message. */
const struct cw_candidate_row *sim_candidate_of(const struct sim *sim,
                                                const struct sim_message *message);
void sim_check_intents(struct sim *sim); /* 3 */
void sim_check_delivery(struct sim *sim, const struct sim_message *message,
                        const struct sim_attempt *attempt);                 /* 4 */
void sim_check_stopped(struct sim *sim, const struct sim_message *message); /* 5 */
void sim_check_caps(struct sim *sim, const struct sim_message *message,
                    const struct sim_attempt *attempt);                   /* 6 */
void sim_check_due(struct sim *sim, const struct sim_message *message);   /* 7 */
/* 7, after a step in which the core let time pass; held: so were sends when it began. */
void sim_check_timely(struct sim_core *core, bool held);
void sim_check_clock(struct sim *sim, const struct sim_attempt *attempt); /* 13 */
void sim_check_ledger(struct sim *sim);                                   /* 8 */
void sim_check_sums(struct sim *sim);                                     /* 9 */
void sim_check_ended(struct sim *sim);                                    /* 10 */
void sim_check_erased(struct sim *sim);                                   /* 11 */
void sim_check_epochs(struct sim *sim);                                   /* 11, 15 */
void sim_check_pools(struct sim *sim);                                    /* 14 */

/* ---- sim_plant.c ---- */

struct sim_plant {
    const char *name;
    const char *checker; /* that has to find it; one of several */
    const char *help;
};

extern const struct sim_plant sim_plants[];
/* NULL: none has that name. */
const struct sim_plant *sim_plant_find(const char *name);
bool sim_planted(const struct sim *sim, const char *name);
/* The shard's commit port, with a bug where one is planted there. */
struct cw_commit sim_plant_commit(struct sim *sim, uint32_t core);
/* Before changes become a frame. */
void sim_plant_commit_begins(struct sim *sim, uint32_t core);
void sim_plant_recovered(struct sim *sim);
/* Before a slot of the manifest is written; false: it stays as it was. */
bool sim_plant_slot(struct sim *sim, uint32_t slot);
/* Before each step of a core. */
void sim_plant_step(struct sim *sim);
/* A result on its way into the engine; false: it is swallowed. */
bool sim_plant_result(struct sim *sim, struct cw_post_result *result);
/* The body of an order, on its way into the engine. */
void sim_plant_order(struct sim *sim, char *body);
int64_t sim_plant_clock(struct sim *sim, int64_t now_ms);

/* ---- sim_power.c ---- */

/* The command line's --power and --power-seed. */
int sim_power_main(struct sim *sim, int argc, char **argv);
/* What such a seed has, in place of what others draw. */
void sim_power_draw(struct sim *sim);
/* Before each operation. Does not always return. */
void sim_power_operation(struct sim *sim);

#endif
