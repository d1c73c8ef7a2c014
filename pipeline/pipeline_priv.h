/* pipeline_priv: what the stages share. Read graph.c first, then rows.h. */
#ifndef CW_PIPELINE_PIPELINE_PRIV_H
#define CW_PIPELINE_PIPELINE_PRIV_H

#include "pipeline/decode.h"
#include "pipeline/pipeline.h"
#include "pipeline/rows.h"

enum {
    CW_SLOTS_MAX = CW_PROGRAMS_MAX,
    CW_SCORE_BUCKETS = 101,
    CW_VALUE_DAYS = 64,
    CW_VALUE_CLASSES = 32,
    CW_KEY_BYTES = 600,
    CW_RUN_BATCH = 64 /* events whose rows are prefetched together */
};

/* The tables, in the order of rows.h. */
#define CW_TABLES(X) \
    X(customers)     \
    X(carts)         \
    X(candidates)    \
    X(dedup)         \
    X(scores)        \
    X(products)      \
    X(messages)      \
    X(links)         \
    X(seen)          \
    X(meta)

/* Changes that wait for a commit: beyond it timers wait, and events that bring new work are
   refused. An event, or FIRED_IN_ROOM customers' timers, then still fit into one frame. */
#define CW_CHANGES_BYTES_MAX (UINT64_C(128) << 20)

/* The last slot is that of all candidates whose program is gone. */
#define CW_SLOT_GONE ((uint32_t)CW_SLOTS_MAX)

struct cw_index {
    cw_row by_score[CW_SLOTS_MAX + 1][CW_CHANNEL_COUNT][CW_SCORE_BUCKETS];
    cw_row by_value[CW_SLOTS_MAX + 1][CW_VALUE_DAYS][CW_VALUE_CLASSES];
};

struct cw_slot {
    const struct cw_program *program; /* NULL: the slot is free */
    uint32_t number;                  /* in the set */
};

/* A dedup key that is in use no more, but that entries may still stand under. */
struct cw_retired {
    int64_t until;
    struct cw_view program;
    struct cw_key_format key;
    char text[CW_ID_BYTES_MAX + 256];
};

/* What was loaded and does not go into the tables as it is: persist_meta.c. */
struct cw_loaded {
    struct cw_table *meta; /* of all cores that there were; NULL: none was loaded */
    uint64_t rows;         /* records that were applied */
};

/*
 * What is neither row nor timer, of a pipeline whose rows lie in memory that outlives the process:
 * written by cw_pipeline_seal, but for the index, which lives there.
 */
struct cw_kept {
    uint64_t layout; /* cw_pipeline_layout() */
    struct cw_hash_key hash;
    int64_t now, keep_cart_ms, keep_history_ms;
    bool sends_held;
    struct cw_fates fates;
    int64_t program_next[CW_SLOTS_MAX][CW_TOUCHES_MAX];
    int64_t channel_next[CW_CHANNEL_COUNT];
    struct cw_index index;
};

/* Hashes of an event's keys, worked out once for the batch's prefetching; 0: not worked out. */
struct cw_hints {
    uint64_t customer;
    uint64_t seen; /* of the event's (source, id) */
    uint64_t cart; /* of (customer, cart), in carts and scores; of a message's id in messages */
};

struct cw_customer; /* below */

struct cw_pipeline {
    struct cw_pipeline_options options;
    const struct cw_programs *programs; /* those that hold now */
    struct cw_journal *journal;         /* NULL: nothing is kept */
    uint64_t erasures;                  /* in this process */
    uint32_t short_of;                  /* set of CW_SHORTAGE_*: new work is refused */
    int64_t now;                        /* the clock; never goes back */
    int64_t wall_ahead;                 /* of it, of a wall clock that nobody believes; else 0 */
#define CW_X(name) struct cw_table *name;
    CW_TABLES(CW_X)
#undef CW_X
    struct cw_wheel *wheel;
    struct cw_index *index;
    struct cw_keep *memory;   /* where rows and timers are opened; NULL: nowhere that lasts */
    struct cw_memory kept; /* a struct cw_kept, where rows and timers lie in such a memory */
    struct cw_decoder *decoder; /* for events that cartwheel makes itself */
    struct cw_arena scratch;    /* reset after each event */
    struct cw_arena own;
    struct cw_text made;    /* the event that a session's end makes */
    struct cw_text urls[3]; /* of a message that is handed over: click, unsubscribe, open */
    bool watches_sessions;
    struct cw_fates fates;
    struct cw_slot slots[CW_SLOTS_MAX + 1];
    uint8_t slot_of[CW_PROGRAMS_MAX]; /* by the program's number in the set */
    struct cw_retired retired[32];
    uint8_t paused[CW_SLOTS_MAX + 1]; /* 1 << enum cw_channel */
    /* The earliest free slot under each rate, in microseconds; by the touch's place. */
    int64_t program_next[CW_SLOTS_MAX][CW_TOUCHES_MAX];
    int64_t channel_next[CW_CHANNEL_COUNT];
    const struct cw_hints *hints; /* of the event that is applied; NULL while timers fire */
    uint64_t clean_cursor[8];
    uint64_t clean_count[8]; /* rows that the last slice of cleaning left in each table */
    /* Facts of a cart are looked at for that long, the longest of all programs. */
    int64_t keep_cart_ms;
    /* Ended candidates stay for that long: no shorter than their dedup entries, which erasure finds
       through them. */
    int64_t keep_history_ms;
    uint32_t sends_held;     /* set of CW_HOLD_*; not empty: no touch is claimed, hold.c */
    bool meta_changed;       /* programs, pauses or retired keys, since they were noted */
    struct cw_loaded loaded; /* by cw_pipeline_load, until cw_pipeline_relink */
    uint64_t astray;         /* candidates in flight whose program was gone when it was relinked */
    /* The walk of settle_in_doubt or assume_sent that is under way, in doubt.c; NULL: none is. */
    void (*doubt_visit)(struct cw_pipeline *, struct cw_customer *, cw_row, int64_t);
    int64_t doubt_with;
    uint64_t doubt_cursor;
    int64_t assumes_until; /* what was due before may have been sent; CW_TIME_NONE: nobody asks */
    int64_t assumed_at;    /* when all candidates were asked; CW_TIME_NONE: not yet */
    bool assumes_again;    /* something was planned since that may have been sent */
};

/* A customer under work: the row and its struct, which moves when its tail grows. */
struct cw_customer {
    struct cw_view id;
    cw_row row; /* CW_ROW_NONE: no such customer */
    const struct cw_customer_row *at;
};

/*
 * Rows are read through const pointers, and changed through two others (core/table.h):
 *
 *     edit    what outlives the process. It notes the row for the log, so it is asked for before
 *             the change and only where there is one.
 *     link    what is made anew from the rows after a restart, hence not worth a log record:
 *                 customer    timer, timer_due, in_flight, history, carts, watched, seen,
 *                             in_flight_count, watched_count
 *                 cart        next, prev, watched_next, watched_prev
 *                 candidate   next, prev, next_due, slot, cart_hash, pending, score_*, value_*
 *                 touch       place;   item: product;   seen: next, prev
 *
 * All of them point at the same bytes, until the row is resized or removed.
 */
static inline struct cw_customer_row *cw_customer_edit(struct cw_pipeline *p,
                                                       const struct cw_customer *customer)
{
    return cw_table_edit(p->customers, customer->row);
}

static inline struct cw_customer_row *cw_customer_link(struct cw_pipeline *p,
                                                       const struct cw_customer *customer)
{
    return cw_table_link(p->customers, customer->row);
}

static inline const struct cw_cart_row *cw_cart_at(const struct cw_pipeline *p, cw_row row)
{
    return cw_table_value(p->carts, row);
}

static inline struct cw_cart_row *cw_cart_edit(struct cw_pipeline *p, cw_row row)
{
    return cw_table_edit(p->carts, row);
}

static inline struct cw_cart_row *cw_cart_link(struct cw_pipeline *p, cw_row row)
{
    return cw_table_link(p->carts, row);
}

static inline const struct cw_candidate_row *cw_candidate_at(const struct cw_pipeline *p,
                                                             cw_row row)
{
    return cw_table_value(p->candidates, row);
}

static inline struct cw_candidate_row *cw_candidate_edit(struct cw_pipeline *p, cw_row row)
{
    return cw_table_edit(p->candidates, row);
}

static inline struct cw_candidate_row *cw_candidate_link(struct cw_pipeline *p, cw_row row)
{
    return cw_table_link(p->candidates, row);
}

/* number: of the touch, from 0. */
static inline struct cw_touch_row *cw_touch_edit(struct cw_pipeline *p, cw_row candidate,
                                                 uint32_t number)
{
    return (struct cw_touch_row *)(cw_candidate_edit(p, candidate) + 1) + number;
}

static inline struct cw_touch_row *cw_touch_link(struct cw_pipeline *p, cw_row candidate,
                                                 uint32_t number)
{
    return (struct cw_touch_row *)(cw_candidate_link(p, candidate) + 1) + number;
}

static inline const struct cw_message_row *cw_message_at(const struct cw_pipeline *p, cw_row row)
{
    return cw_table_value(p->messages, row);
}

/* One event in one program: what the stages of graph.c work on. */
struct cw_item {
    const struct cw_event *event;
    const struct cw_program *program;
    uint32_t slot;
    struct cw_customer *customer;
    struct cw_view content; /* canonical content of the cart, for dedup */
    cw_row entry;           /* the dedup entry of its key, or none */
    cw_row dedup;           /* the same, while its window is open */
    bool same_content;      /* as the entry's, while its window is open */
    cw_row candidate;       /* the one in flight for this cart, or none */
    bool again;             /* abandoned again while in flight */
    bool holdout;
    struct cw_view filter; /* who rejected it */
    enum cw_rejection rejection;
    struct cw_features features;
    cw_row score_entry; /* the cached score of this cart, or none */
    bool cached;        /* it counts */
    double score, discount;
    enum cw_confidence confidence;
};

/* The hint when there is one, else the hash of the key. */
static inline uint64_t cw_hint_or(uint64_t hint, const struct cw_table *table, const void *key,
                                  uint32_t key_bytes)
{
    return hint != 0 ? hint : cw_table_hash(table, key, key_bytes);
}

/* pipeline.c: tables and wheel, in p->memory if there is one; closed they may be opened anew. */
CW_MUST_USE cw_err cw_rows_open(struct cw_pipeline *p, struct cw_fault *fault);
void cw_rows_close(struct cw_pipeline *p);

/* store.c: rows */
CW_MUST_USE bool cw_customer_find(struct cw_pipeline *p, struct cw_view id,
                                  struct cw_customer *customer);
CW_MUST_USE bool cw_customer_make(struct cw_pipeline *p, struct cw_view id,
                                  struct cw_customer *customer);
CW_MUST_USE bool cw_customer_resize(struct cw_pipeline *p, struct cw_customer *customer,
                                    uint32_t value_bytes);
struct cw_view cw_customer_string(const struct cw_customer_row *row, enum cw_profile_field field);
const int64_t *cw_customer_sends(const struct cw_customer_row *row);

const struct cw_cart_row *cw_cart_find(struct cw_pipeline *p, struct cw_view customer,
                                       struct cw_view cart, cw_row *row);
const struct cw_cart_row *cw_cart_make(struct cw_pipeline *p, struct cw_customer *customer,
                                       struct cw_view cart, cw_row *row);
CW_MUST_USE bool cw_cart_set_raw(struct cw_pipeline *p, struct cw_customer *customer, cw_row *row,
                                 struct cw_view raw);
/* True when nothing of the cart counts any more: it is as if it had never been seen, whether it has
   been cleaned away yet or not. */
bool cw_cart_forgotten(const struct cw_pipeline *p, const struct cw_cart_row *at);
/* Into the list of carts whose session runs, and out of it; false when it is full. */
CW_MUST_USE bool cw_cart_watch(struct cw_pipeline *p, struct cw_customer *customer, cw_row row,
                               uint64_t slots);
void cw_cart_unwatch(struct cw_pipeline *p, struct cw_customer *customer, cw_row row);
struct cw_view cw_cart_key_cart(const struct cw_pipeline *p, cw_row row);

/* The key of a cart in carts and scores. */
uint32_t cw_cart_key(struct cw_view customer, struct cw_view cart, char key[CW_KEY_BYTES]);

uint32_t cw_seen_key(char kind, struct cw_view customer, struct cw_view source, struct cw_view id,
                     char key[CW_KEY_BYTES]);
/* True when (kind, source, id) was here within 7 days; else remembers it. time: its event's own,
   which counts where it is ahead of the clock; hash: its key's, or 0. */
bool cw_seen_before(struct cw_pipeline *p, struct cw_customer *customer, char kind,
                    struct cw_view source, struct cw_view id, int64_t time, uint64_t hash);

/*
 * Up to when what was told of a customer who was erased is gone for good: events that are not
 * later change nothing, for 7 days from then; CW_TIME_NONE: nothing was erased. It is a row beside
 * the ids that were seen, and a bit of the customer's own, so that others cost nothing.
 */
int64_t cw_erased_until(const struct cw_pipeline *p, const struct cw_customer *customer);
void cw_erased_remember(struct cw_pipeline *p, struct cw_customer *customer, int64_t until);

/* Takes back what cw_seen_before remembered, of an event that was refused after all. */
void cw_seen_forget(struct cw_pipeline *p, struct cw_customer *customer,
                    const struct cw_event *event);

uint32_t cw_dedup_key(const struct cw_key_format *format, struct cw_view program,
                      struct cw_view customer, struct cw_view cart,
                      char key[CW_TABLE_KEY_BYTES_MAX]);

const struct cw_touch_row *cw_candidate_touches(const struct cw_candidate_row *candidate);
const struct cw_item_row *cw_candidate_items(const struct cw_candidate_row *candidate);
const struct cw_program *cw_candidate_program(const struct cw_pipeline *p,
                                              const struct cw_candidate_row *candidate);

/* Its touch (from 0) as the program has it now; NULL: the program, or its channel, is no more. */
const struct cw_touch *cw_candidate_touch(const struct cw_pipeline *p,
                                          const struct cw_candidate_row *candidate,
                                          uint32_t number);

struct cw_candidate_texts {
    struct cw_view cart, program, currency, marketplace, url;
    const char *items; /* each item's id, name, image, one after the other */
};

struct cw_candidate_texts cw_candidate_texts(const struct cw_candidate_row *candidate);

/* The customer's candidate of that serial, or none: also when it has ended too long ago. */
cw_row cw_candidate_by_serial(const struct cw_pipeline *p, struct cw_view customer,
                              uint32_t serial);

/* True when nothing can ask for it any more: as if it were not there, cleaned or not. */
bool cw_candidate_over(const struct cw_pipeline *p, const struct cw_candidate_row *candidate);

/* The candidate in flight of that cart in that program, or CW_ROW_NONE. */
cw_row cw_candidate_find(const struct cw_pipeline *p, const struct cw_customer *customer,
                         uint32_t slot, struct cw_view cart);

/* What a candidate will be after an item: worked out once, for the store and for explain. */
struct cw_plan {
    int64_t t0;
    double discount; /* one that was announced is never lowered */
    bool holdout;
    uint32_t touch_count;
    bool pending[CW_TOUCHES_MAX];
    int64_t due[CW_TOUCHES_MAX]; /* of the pending ones */
};

struct cw_plan cw_candidate_plan(const struct cw_pipeline *p, const struct cw_item *item);

/* Makes or rewrites (row not none) a candidate from an item; returns its row, linked everywhere. */
CW_MUST_USE cw_row cw_candidate_write(struct cw_pipeline *p, struct cw_item *item, cw_row row);

/* Takes it out of flight and of the indexes, into the customer's history. */
void cw_candidate_end(struct cw_pipeline *p, struct cw_customer *customer, cw_row row,
                      enum cw_status status);
void cw_candidate_index(struct cw_pipeline *p, cw_row row);
/* After its times or the state of its touches changed. */
void cw_candidate_settle(struct cw_pipeline *p, cw_row row);
uint32_t cw_candidate_hash(const struct cw_pipeline *p, struct cw_view cart);
void cw_candidate_unindex(struct cw_pipeline *p, cw_row row);
void cw_candidate_remove(struct cw_pipeline *p, struct cw_customer *customer, cw_row row);

/* Frees everything of a customer but the row itself; its candidates have ended. */
void cw_customer_forget(struct cw_pipeline *p, struct cw_customer *customer);

CW_MUST_USE bool cw_message_remember(struct cw_pipeline *p, struct cw_view customer,
                                     const struct cw_candidate_row *candidate, uint32_t touch,
                                     struct cw_view id);
void cw_message_forget(struct cw_pipeline *p, const struct cw_candidate_row *candidate,
                       struct cw_view id);
cw_row cw_message_find(const struct cw_pipeline *p, struct cw_view id, uint64_t hash);
struct cw_view cw_message_owner(const struct cw_message_row *message);

/* Notes what came back about the message at `row`; REPEATED when it was noted before. */
enum cw_event_fate cw_engage_note(struct cw_pipeline *p, struct cw_customer *customer,
                                  cw_row candidate, cw_row row, enum cw_event_type type,
                                  int64_t time);

/* program_set.c: programs in slots */

/* What a touch is known by in all versions of its program: a hash of its channelId. */
uint64_t cw_touch_identity(const struct cw_touch *touch);
/* Where the touch of that identity stands in a version; CW_PLACE_NONE: nowhere. */
uint8_t cw_touch_place(const struct cw_program *program, uint64_t identity);

void cw_programs_install(struct cw_pipeline *p, const struct cw_programs *programs);
/* Keys that entries may still stand under, for who is erased. The oldest of many makes room: its
   entries then stay until their window ends. */
void cw_programs_retire(struct cw_pipeline *p, struct cw_view program,
                        const struct cw_key_format *key, int64_t until);
bool cw_key_format_same(const struct cw_key_format *a, const struct cw_key_format *b);
CW_MUST_USE bool cw_slot_find(const struct cw_pipeline *p, struct cw_view program, uint32_t *slot);
/* The order of two candidates' programs, by id. */
int cw_slot_compare(const struct cw_pipeline *p, uint32_t a, struct cw_view a_program, uint32_t b,
                    struct cw_view b_program);

/* clock.c: the customer's one timer */
void cw_customer_arm(struct cw_pipeline *p, struct cw_customer *customer, int64_t due);
void cw_customer_fire(struct cw_pipeline *p, struct cw_customer *customer);

/* profile.c */
struct cw_view cw_customer_marketplace(const struct cw_customer *customer, struct cw_view event);
uint32_t cw_customer_zone(const struct cw_pipeline *p, const struct cw_customer *customer,
                          struct cw_view marketplace);
bool cw_customer_has_address(const struct cw_customer *customer, enum cw_channel channel);
bool cw_customer_opted_out(const struct cw_customer *customer, enum cw_channel channel);
/* False when the table is full and nothing has changed. */
CW_MUST_USE bool cw_profile_update(struct cw_pipeline *p, struct cw_customer *customer,
                                   const struct cw_event *event);
void cw_profile_opt_out(struct cw_pipeline *p, struct cw_customer *customer,
                        enum cw_channel channel, int64_t time);
/* persist_erasure.c: the customer is to be gone from all files, too. */
void cw_erasure_note(struct cw_pipeline *p, struct cw_view customer, struct cw_view event);
int64_t cw_profile_latest(const struct cw_customer_row *row); /* that anything was told */
void cw_profile_erase(struct cw_pipeline *p, struct cw_customer *customer);
void cw_profile_order(struct cw_pipeline *p, struct cw_customer *customer,
                      const struct cw_event *event);
CW_MUST_USE bool cw_sends_add(struct cw_pipeline *p, struct cw_customer *customer,
                              enum cw_channel channel, int64_t at);
/* Takes back what cw_sends_add noted at that time; the time of the last send follows, as far as the
   week that is remembered goes back. */
void cw_sends_take_back(struct cw_pipeline *p, struct cw_customer *customer,
                        enum cw_channel channel, int64_t at);
uint32_t cw_sends_count(const struct cw_pipeline *p, const struct cw_customer *customer,
                        uint32_t cap);
void cw_features_read(const struct cw_customer *customer, const struct cw_event_cart *cart,
                      struct cw_features *features);

/* The features that confidence counts: what is known of the customer. */
enum {
    CW_CONFIDENCE_FIRST = CW_FEATURE_purchase_history,
    CW_CONFIDENCE_LAST = CW_FEATURE_email_engagement
};

enum cw_confidence cw_features_confidence(const struct cw_features *features);

/* filter.c, score.c, touch.c, engage.c, session.c */
bool cw_items_in_stock(struct cw_pipeline *p, const struct cw_candidate_row *candidate);
/* The product's row, or none when nothing was told of it. */
cw_row cw_product_find(const struct cw_pipeline *p, struct cw_view id);

/* The product's row, made as one that counts as in stock when nothing was told; or none. */
cw_row cw_product_make(struct cw_pipeline *p, struct cw_view id);
bool cw_product_in_stock(const struct cw_pipeline *p, cw_row product, uint32_t quantity);

/* A discount and the numbers on the way to it. */
struct cw_discount {
    double sensitivity;
    double urge;    /* 0 to 1: how far from base to max */
    double value;   /* percent before rounding */
    double percent; /* what is offered */
};

struct cw_discount cw_discount(const struct cw_program *program, double score, double sensitivity);
uint32_t cw_discount_code(const struct cw_pipeline *p, double percent, bool unique, uint32_t serial,
                          struct cw_view customer, char code[32]);
/* The variant of the touch that a customer gets, by hash; NULL when it has none. Its delay. */
const struct cw_variant *cw_touch_variant(const struct cw_program *program,
                                          const struct cw_touch *touch, struct cw_view customer);
int64_t cw_touch_delay(const struct cw_program *program, const struct cw_touch *touch,
                       struct cw_view customer);
/* Here and below `row` is a candidate's, and `number` says which of its touches. */
void cw_touch_fire(struct cw_pipeline *p, struct cw_customer *customer, cw_row row,
                   uint32_t number);

/* doubt.c: before a candidate's row may move: a walk goes by places, and must not miss it. */
void cw_doubt_visit(struct cw_pipeline *p, struct cw_customer *customer, cw_row row);
/* A touch is planned for then. */
void cw_doubt_planned(struct cw_pipeline *p, int64_t due);

/* A touch that may have been sent at that time counts as claimed then: it is SENDING. */
void cw_touch_assume(struct cw_pipeline *p, struct cw_customer *customer, cw_row row,
                     uint32_t number, int64_t at);

/* hold.c: when a touch that may be sent can be; CW_TIME_NONE: now. Only asked for when live. */
/* When a pending touch is looked at next: when it is due, but for one that waits in a hold. */
int64_t cw_touch_wakes(const struct cw_pipeline *p, struct cw_view customer,
                       const struct cw_touch_row *touch);
int64_t cw_touch_hold(struct cw_pipeline *p, const struct cw_customer *customer, cw_row row,
                      uint32_t number, enum cw_touch_reason *reason);

/* deliver.c: what becomes of a message that a channel took */

/* The touch was sent: counts it, tells it while the journey goes on. */
void cw_touch_went_out(struct cw_pipeline *p, struct cw_customer *customer, cw_row row,
                       uint32_t number, struct cw_view message_id);
/* True when something came back that only a message that arrived can bring. */
bool cw_touch_arrived(const struct cw_touch_row *touch);
/* Puts a touch into another state; the candidate's place in the indexes follows. */
void cw_touch_become(struct cw_pipeline *p, cw_row row, uint32_t number, enum cw_touch_state state);
/* A touch that will not be tried again and of which an attempt is in doubt. */
void cw_touch_in_doubt(struct cw_pipeline *p, struct cw_customer *customer, cw_row row,
                       uint32_t number, enum cw_touch_reason reason);
/* What becomes of a touch that is SENDING when nobody will ever tell: as when its channel told
   UNKNOWN. */
void cw_touch_settle_unknown(struct cw_pipeline *p, struct cw_customer *customer, cw_row row,
                             uint32_t number);
/* Takes back what the last claim charged. */
void cw_touch_uncharge(struct cw_pipeline *p, struct cw_customer *customer, cw_row row,
                       uint32_t number);
/* When to ask a channel again that has no room. */
int64_t cw_touch_room_at(const struct cw_pipeline *p, struct cw_view message_id, uint32_t waits);
/* `row`: the cart's. */
void cw_session_fire(struct cw_pipeline *p, struct cw_customer *customer, cw_row row,
                     uint32_t slot);
/* Through each program that wants it; false when one had no room for it. */
bool cw_abandon_run(struct cw_pipeline *p, struct cw_customer *customer,
                    const struct cw_event *event);
void cw_cart_updated(struct cw_pipeline *p, struct cw_customer *customer,
                     const struct cw_event *event);
void cw_cart_cleared(struct cw_pipeline *p, struct cw_customer *customer,
                     const struct cw_event *event);
void cw_cart_abandoned(struct cw_pipeline *p, struct cw_customer *customer,
                       const struct cw_event *event);
void cw_cancel_erased(struct cw_pipeline *p, struct cw_customer *customer);
void cw_order_placed(struct cw_pipeline *p, struct cw_customer *customer,
                     const struct cw_event *event);
/* Requests what cw_engage will ask for once the message names its customer. */
void cw_engage_prefetch(const struct cw_pipeline *p, const struct cw_event *event,
                        struct cw_hints *hints);
enum cw_event_fate cw_engage(struct cw_pipeline *p, const struct cw_event *event);
void cw_cancel_opted_out(struct cw_pipeline *p, struct cw_customer *customer);
void cw_cancel(struct cw_pipeline *p, struct cw_customer *customer, cw_row row,
               enum cw_cancel reason);

/* Tells the port; fills what every decision has. */
void cw_decide(struct cw_pipeline *p, struct cw_decision *decision, enum cw_decision_kind kind,
               struct cw_view program, struct cw_view customer, struct cw_view cart);
/* Tells of an event that came to nothing, where that is asked for; not of one that was here
   before. */
void cw_decide_unfollowed(struct cw_pipeline *pipeline, const struct cw_event *event,
                          enum cw_event_fate fate);

/* Tells who explains, if anybody does. */
static inline void cw_tell_before(struct cw_pipeline *p, const struct cw_event *event,
                                  const struct cw_item *item)
{
    if (p->options.port.before != NULL) {
        p->options.port.before(p->options.port.self, p, event, item);
    }
}

/* How long facts about a cart count for a program (decision D19). */
static inline int64_t cw_facts_ms(const struct cw_program *program)
{
    return program->dedup.ttl_ms > program->candidate_ttl_ms ? program->dedup.ttl_ms
                                                             : program->candidate_ttl_ms;
}

/* A fact at or after `since` counts while the program remembers it. */
static inline bool cw_fact_counts(const struct cw_pipeline *p, const struct cw_program *program,
                                  int64_t fact, int64_t since)
{
    return fact != CW_TIME_NONE && fact >= since && p->now < fact + cw_facts_ms(program);
}

#endif
