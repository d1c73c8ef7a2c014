/*
 * pipeline: what one core knows of its customers and does with their events.
 *
 * Everything comes in as arguments: events with the clock at which they happen, the passing of
 * time, the seed of its hash. What it decides goes out through the port, in order. The same events
 * give the same decisions, whatever the number of cores: a customer lives on one core, products
 * are told to all of them.
 *
 * Life:    open -> { run | advance }* -> close.
 * Memory:  its tables (grown by use up to the bounds of the options) and a scratch arena.
 * Threads: its core only; the programs, zones and models it is given are shared, read-only.
 * Bounds:  rows_max rows and bytes_max bytes in each table. When one is full the event that needs
 *          more is counted as refused and leaves nothing behind.
 * Fails:   open only.
 */
#ifndef CW_PIPELINE_PIPELINE_H
#define CW_PIPELINE_PIPELINE_H

#include "core/hash.h"
#include "core/port.h"
#include "core/zone.h"
#include "pipeline/decision.h"
#include "pipeline/event.h"
#include "pipeline/fate.h"
#include "pipeline/link.h"
#include "pipeline/message.h"

struct cw_pipeline; /* opaque: owns its memory */
struct cw_journal;
struct cw_event_names;
struct cw_item; /* an event in one program, see graph.h */

/* A touch that is to be sent now: everything a channel needs. Valid during the call. */
struct cw_send {
    enum cw_channel channel;
    struct cw_view address, message_id;
    struct cw_view from; /* the program's, NULL when it names none */
    struct cw_view program, customer, cart;
    uint32_t touch, attempt;              /* both from 1 */
    int64_t deadline_ms;                  /* the candidate's expiry */
    const struct cw_message_input *input; /* what cw_message_render wants */
};

enum cw_send_answer {
    CW_SEND_DONE,  /* sent, here and now (a replay) */
    CW_SEND_TAKEN, /* under way: cw_pipeline_result tells what became of it, after the call */
    CW_SEND_FULL   /* no room in the channel: nothing was taken; it is offered again */
};

/* Where decisions and messages go. */
struct cw_pipeline_port {
    void *self;
    void (*decide)(void *self, const struct cw_decision *decision);
    /* NULL: sending is only decided. In a replay a send always succeeds at once. */
    enum cw_send_answer (*send)(void *self, const struct cw_send *send);
    /* NULL in service; for explain.h. Called before an event takes effect (item NULL), then before
       its path through each program that wants it. It may look at all and must change nothing. */
    void (*before)(void *self, struct cw_pipeline *pipeline, const struct cw_event *event,
                   const struct cw_item *item);
};

struct cw_pipeline_options {
    const struct cw_programs *programs;
    const struct cw_zones *zones;
    struct cw_pipeline_port port;
    const struct cw_event_names *names; /* NULL: the default ones; for events it makes itself */
    uint32_t core;                      /* 0 counts what is told to all cores */
    uint32_t partitions;
    uint32_t event_bytes_max;
    struct cw_hash_key hash;  /* keys the tables: not guessable by who sends events */
    struct cw_hash_key codes; /* keys unique discount codes: the same for all cores and runs */
    int64_t start_ms;         /* the earliest clock: timers before it are overdue */
    uint64_t rows_max, bytes_max;
    struct cw_view shop_link, shop_name; /* the cart's link when an event brings none */
    const struct cw_links *links;        /* NULL: messages carry the shop's own links */
    double rates[CW_CHANNEL_COUNT];      /* messages a second of this core; 0: no limit */
    bool collapses[CW_CHANNEL_COUNT];    /* the provider takes a key: resend what is unknown, for
                                            CW_KEYS_KEPT_MS */
    uint32_t cores; /* that share a program's ratePerSecond; 0: this one alone */
    bool live;      /* rates and pauses hold; in a replay they do not */
    bool unfollowed; /* decide CW_DECISION_UNFOLLOWED of what comes to nothing, too */
};

CW_MUST_USE cw_err cw_pipeline_open(struct cw_pipeline **pipeline,
                                    const struct cw_pipeline_options *options,
                                    struct cw_fault *fault);
void cw_pipeline_close(struct cw_pipeline *pipeline);

/* Makes memory real that the core will come to next (core/memory.h); true when there is more to do.
   Any one thread, while the pipeline is open. */
bool cw_pipeline_populate(struct cw_pipeline *pipeline);

/* Runs events in order. Each has its clock, not before the one ahead of it; timers due before an
   event's clock fire first. Only events of this core's partitions and of products come here. */
void cw_pipeline_run(struct cw_pipeline *pipeline, const struct cw_event *const *events,
                     uint32_t count);

/* The same, and tells of each event what became of it, an enum cw_event_fate; NULL: nobody asks. */
void cw_pipeline_run_telling(struct cw_pipeline *pipeline, const struct cw_event *const *events,
                             uint32_t count, uint8_t *fates);

/* Fires every timer due up to and including now. After it, no event may have a clock <= now. */
void cw_pipeline_advance(struct cw_pipeline *pipeline, int64_t now);

/* The same, but for a bounded number of customers, and while there is room for changes in the next
   commit: false when timers are left. The clock is then at the last that fired. */
CW_MUST_USE bool cw_pipeline_advance_within(struct cw_pipeline *pipeline, int64_t now);

/* From now on changes of rows are noted in this journal (core/journal.h), under the numbers of
   persist.h. NULL: no more. */
void cw_pipeline_journal(struct cw_pipeline *pipeline, struct cw_journal *journal);

/* Erasures that this process has to see through: of customers erased since it was opened, and one
   for all that an earlier process left. What is left of them in files has to go. */
uint64_t cw_pipeline_erasures(const struct cw_pipeline *pipeline);

struct cw_erased {
    struct cw_view customer, event; /* the erasing event's id, NULL when it has none */
    int64_t asked_ms;
};

/* So many of them are through: each is told, once; again if tell says false. */
void cw_pipeline_erasures_through(struct cw_pipeline *pipeline, uint64_t through,
                                  bool (*tell)(void *self, const struct cw_erased *erased),
                                  void *self);

/* What was told need not be known any more. What is told and not forgotten is told again after a
   restart. */
void cw_pipeline_erasures_forget(struct cw_pipeline *pipeline);

/* What there is too little of for new work: a set. */
enum cw_shortage {
    CW_SHORTAGE_NONE = 0,
    CW_SHORTAGE_DISK = 1,
    CW_SHORTAGE_MEMORY = 2
};

/* While something is short, events that bring new work are refused; orders, clearings, profiles,
   erasures and what comes back about messages are not. */
void cw_pipeline_refuse(struct cw_pipeline *pipeline, uint32_t shortages);
uint32_t cw_pipeline_short_of(const struct cw_pipeline *pipeline);

/* The earliest timer (exact or earlier); false when none is left. */
CW_MUST_USE bool cw_pipeline_earliest(const struct cw_pipeline *pipeline, int64_t *due);

/*
 * What became of a message that was under way, at the clock that was advanced to last. SENT and
 * UNKNOWN settle the touch (`unknown` is sent as far as caps and gaps go; onUnknown says whether it
 * is tried again). LATER tries again after an exponential back-off with jitter (from the message's
 * id: no randomness comes in), at least retry_after_s, looking again at everything then; after the
 * channel's retries it is `failed`. A result for a message that is not under way changes nothing
 * and is counted. Never called from within the port's functions.
 */
void cw_pipeline_result(struct cw_pipeline *pipeline, const struct cw_post_result *result);

/* Pauses or resumes a program's channel (CW_CHANNEL_COUNT: all of them): its touches are deferred
   as `paused` until resumed; what is overdue then comes within a minute. False: no such program. */
CW_MUST_USE bool cw_pipeline_pause(struct cw_pipeline *pipeline, struct cw_view program,
                                   enum cw_channel channel, bool paused);
bool cw_pipeline_paused(const struct cw_pipeline *pipeline, struct cw_view program,
                        enum cw_channel channel);

/* From now on these programs hold; candidates in flight keep their due times, texts and caps follow
   the new ones; those of a program that is gone go on under the old version's expiry and send
   nothing more. The old set may be closed once every core has let go of it. */
void cw_pipeline_reprogram(struct cw_pipeline *pipeline, const struct cw_programs *programs);

/* Somebody opened, clicked or unsubscribed through a link of a message (GET /u/ is a look: it
   changes nothing). */
struct cw_visit {
    enum cw_link_kind kind;
    bool look;    /* only asks */
    bool machine; /* a scanner or a mail proxy, as far as one can tell */
    int64_t time;
    struct cw_link link;
};

struct cw_visited {
    bool known, expired;
    enum cw_channel channel;
    struct cw_view url; /* where a click leads: the cart, else the shop; NULL: nowhere */
    struct cw_view shop_name;
};

/* Views in *visited are valid until the next event. */
void cw_pipeline_visit(struct cw_pipeline *pipeline, const struct cw_visit *visit,
                       struct cw_visited *visited);

/* Appends the candidate of (customer, program) in flight, else the latest that ended, as the JSON
   object of the reference; all: an array of all of them, those in flight first, then newest first.
   False, and nothing appended, when there is none. */
CW_MUST_USE bool cw_pipeline_candidate(struct cw_pipeline *pipeline, struct cw_view customer,
                                       struct cw_view program, bool all, struct cw_text *json);

/* There will be no more events: fires the timers that are left, or those due up to `until`
   (CW_TIME_NONE: all), of at most `turns` instants. clock: the latest of all events. True when it
   is through; else *reached is the instant that comes next, and it is called again. */
CW_MUST_USE bool cw_pipeline_finish(struct cw_pipeline *pipeline, int64_t clock, int64_t until,
                                    uint32_t turns, int64_t *reached);

/* A slice of cleaning: visits so many rows of each table, and one and a half for each that was put
   since the last slice, and frees what nothing can ask for any more. Never changes a decision. */
void cw_pipeline_clean(struct cw_pipeline *pipeline, uint32_t rows);

/* A candidate in flight as the indexes show it. Views are valid until the next event or timer. */
struct cw_candidate_view {
    struct cw_view customer, cart, currency;
    double score, cart_value, discount;
    int64_t t0, expires_at;
    bool active; /* a touch was sent */
};

/*
 * Program:Channel:Score: candidates in flight of a program whose next touch goes by that channel,
 * the highest score first, then by customer and cart. Returns how many were written, at most room.
 * Cost: the candidates of the score buckets that it reaches into.
 */
uint32_t cw_pipeline_by_score(struct cw_pipeline *pipeline, struct cw_view program,
                              enum cw_channel channel, struct cw_candidate_view *list,
                              uint32_t room);

/* Program:CartValue:Date: candidates in flight of a program abandoned on the UTC day that holds
   day_ms, the highest cart value first, then by customer and cart. As above otherwise. */
uint32_t cw_pipeline_by_value(struct cw_pipeline *pipeline, struct cw_view program, int64_t day_ms,
                              struct cw_candidate_view *list, uint32_t room);

const struct cw_fates *cw_pipeline_fates(const struct cw_pipeline *pipeline);

/* Counts candidates in flight and their pending touches in the rows themselves. */
void cw_pipeline_count(const struct cw_pipeline *pipeline, uint64_t *in_flight, uint64_t *pending);

/* Proves the invariants: every list well linked, both indexes hold what they should, every timer
   is early enough, the counters reconcile with the rows. Says on standard error what does not hold.
   Slow; for tests (check_ctl.c). */
bool cw_pipeline_check(const struct cw_pipeline *pipeline);

#endif
