/*
 * rows: what the pipeline remembers, as fixed structs with variable tails, one table each.
 *
 * Every row of a customer lies in the customer's partition, so it is found, logged and moved with
 * it. Rows name each other by cw_row; a row that is resized may move, and who moves it mends the
 * links (store.c). Times are ms; CW_TIME_NONE means never.
 *
 *     table       key                           holds
 *     customers   customerId                    profile, features kept from the stream, sends of
 *                                               7 days, lists, timer
 *     carts       customerId, cartId            order, clearing, update seen; the watched session
 *     candidates  customerId, serial            one abandoned cart in one program, its touches
 *     dedup       the program's keyFormat       the accepted abandonment that the window holds
 *     scores      customerId, cartId            the cached score
 *     products    productId                     stock; every core has all of them
 *     messages    messageId                     the touch that it was
 *     links       a keyed hash of the messageId the message that a short link leads to
 *     seen        kind, customerId, source, id  events and orders that were here already
 *     meta        kind, core, what              what is no row: persist_priv.h
 */
#ifndef CW_PIPELINE_ROWS_H
#define CW_PIPELINE_ROWS_H

#include "core/table.h"
#include "core/time.h"
#include "core/wheel.h"
#include "pipeline/event.h"
#include "pipeline/model.h"

/* A repeated id is known for this long after its first arrival; caps look back as far. */
#define CW_WEEK_MS (7 * CW_DAY_MS)

/* Ended candidates and their message ids stay for late opens, clicks and unsubscriptions. */
#define CW_HISTORY_MS (90 * CW_DAY_MS)

/* For how long after the first attempt its key is counted on: four fifths of the 24 hours for which
   providers that take an Idempotency-Key usually keep it. */
#define CW_KEYS_KEPT_MS (CW_DAY_MS * 4 / 5)

/* Attribution looks back this far from the order. */
#define CW_CLICK_WINDOW_MS (5 * CW_DAY_MS)

/* Sends are remembered for CW_WEEK_MS, at most so many: more than any sensible cap. */
#define CW_SENDS_MAX 4096u

/*
 * Candidates in flight, and carts whose session runs, that one customer may have: what happens to
 * a customer looks along both lists, so they bound what one event can cost. Only `parallel` comes
 * near. An abandonment beyond is refused; a cart beyond is not watched. The bytes bound what one
 * event of such a customer writes into a commit.
 */
#define CW_IN_FLIGHT_MAX       1024u
#define CW_IN_FLIGHT_BYTES_MAX (UINT64_C(64) << 20)
#define CW_WATCHED_MAX         1024u

/* Of cw_customer_row.told: there is, or was, a row that says up to when all was erased. */
#define CW_TOLD_ERASED (1u << 31)

/*
 * Tail: sends_count entries of i64, oldest first: ms << 2 | enum cw_channel; then the strings of
 * CW_PROFILE_STRINGS in order, string_bytes[] long each.
 */
struct cw_customer_row {
    bool known; /* a CustomerUpdated was seen; other events make rows too */
    uint8_t account_status;
    bool payment_method;
    uint8_t opted_out; /* 1 << enum cw_channel */
    uint32_t told;     /* 1 << enum cw_profile_field, and CW_TOLD_ERASED */
    cw_timer timer;    /* CW_TIMER_NONE when none is armed */
    uint32_t candidate_serial;
    int64_t timer_due;
    cw_row in_flight;     /* newest first, by cw_candidate_row.next */
    cw_row history;       /* candidates that have ended, newest first */
    cw_row carts;         /* all of this customer's cart rows */
    cw_row watched;       /* those whose session runs */
    cw_row seen;          /* all of this customer's seen rows */
    int64_t last_sent;    /* any program, any channel */
    int64_t purchased_at; /* the latest order that named no cart */
    int64_t field_time[CW_PROFILE_FIELD_COUNT];
    double numbers[CW_PROFILE_NUMBERS];
    /* Kept from the stream (decisions D4 in README.md). */
    uint64_t orders, abandonments, emails_sent, emails_engaged;
    uint64_t orders_since_history, orders_since_average;
    double order_sum_since_average;
    uint32_t sends_count;
    uint32_t string_bytes[CW_PROFILE_STRINGS];
    double rating_sum;
    uint32_t ratings;
    uint32_t in_flight_count, watched_count;
    uint32_t listings; /* how often one of its candidates was put in front of a list */
};

/* Tail: the text of the last CartUpdated that had content, raw_bytes long (0: none had any). */
struct cw_cart_row {
    cw_row next, prev;                 /* among the customer's carts */
    cw_row watched_next, watched_prev; /* among those whose session runs, while it does */
    /* The latest of each by its own time. */
    int64_t purchased_at, cleared_at, updated_at, abandoned_at;
    int64_t session_time; /* of the last CartUpdated: sessions end a timeout after it */
    int64_t raw_time;     /* of the CartUpdated in the tail */
    uint64_t sessions;    /* 1 << slot of each program whose session timer runs */
    uint32_t raw_bytes;
    uint32_t pad;
};

enum cw_status {
    CW_STATUS_SCHEDULED,
    CW_STATUS_ACTIVE, /* a touch was sent */
    CW_STATUS_CONVERTED,
    CW_STATUS_CANCELLED,
    CW_STATUS_SUPERSEDED,
    CW_STATUS_REJECTED,
    CW_STATUS_EXPIRED
};

enum cw_touch_state {
    CW_TOUCH_PENDING,
    CW_TOUCH_SENT,
    CW_TOUCH_SKIPPED,
    CW_TOUCH_FAILED,
    CW_TOUCH_SENDING, /* claimed: what became of it will be told (deliver.c) */
    CW_TOUCH_UNKNOWN  /* nobody knows whether it went out, and it is not tried again */
};

enum cw_touch_flag {
    CW_TOUCH_BOUNCED = 1u << 0,
    CW_TOUCH_CHARGED = 1u << 1, /* counts for caps and gap, and as an e-mail sent, at sent_at */
    CW_TOUCH_DOUBTED = 1u << 2, /* of one of its attempts nobody knows */
    CW_TOUCH_UNIQUE = 1u << 3,  /* the code that its message carries is the customer's alone */
    /* Its due time is its slot under the program's, and the channel's, rate. Cleared when rows are
       taken over by another process, which gives slots anew. */
    CW_TOUCH_SLOT_OWN = 1u << 4,
    CW_TOUCH_SLOT_CHANNEL = 1u << 5
};

#define CW_PLACE_NONE 0xffu

struct cw_touch_row {
    int64_t due;     /* of a pending touch; deferral moves it */
    int64_t sent_at; /* when the last attempt was claimed; CW_TIME_NONE: none was */
    int64_t delivered_at, opened_at, clicked_at; /* CW_TIME_NONE: not told */
    double discount;                             /* percent that the last attempt carries */
    uint8_t state;                               /* enum cw_touch_state */
    uint8_t channel;                             /* enum cw_channel */
    uint8_t reason;                              /* enum cw_touch_reason of its last delay or end */
    uint8_t flags;                               /* enum cw_touch_flag */
    uint8_t attempts;                            /* claimed so far; its message id is known then */
    uint8_t waits;                               /* for room in the channel, since the last claim */
    uint8_t place; /* in the program's touches as they are now; CW_PLACE_NONE: it has it no more */
    uint8_t untried; /* how many of its attempts never left their channel: these are not failures */
    uint64_t channel_id; /* cw_touch_identity: finds its place in another version of the program */
};

struct cw_item_row {
    double price;
    cw_row product; /* never removed, so that a touch looks at the stock without a search */
    uint32_t quantity;
    uint32_t id_bytes, name_bytes, image_bytes; /* image_bytes UINT32_MAX: no image */
};

/*
 * Tail: touch_count cw_touch_row; item_count cw_item_row; then text: cartId, programId, currency,
 * marketplace, url, then each item's id, name, image.
 */
struct cw_candidate_row {
    /* What walks along a customer's candidates read stands together. */
    cw_row next, prev; /* in the customer's in_flight or history */
    int64_t next_due;  /* the earliest of its expiry and its pending touches */
    int64_t t0;        /* abandonment time the journey counts from */
    int64_t expires_at;
    uint32_t slot; /* of the program in this process, while in flight: program_set.c */
    uint32_t cart_hash;
    uint8_t pending[CW_CHANNEL_COUNT]; /* touches still to come, none of which counts as sent */
    uint8_t status;                    /* enum cw_status */
    uint8_t touch_count;
    bool holdout;
    uint8_t confidence;
    uint8_t pad;
    cw_row score_next, score_prev;       /* in its bucket of Program:Channel:Score */
    cw_row value_next, value_prev;       /* in its bucket of Program:CartValue:Date */
    uint32_t score_bucket, value_bucket; /* where it stands; CW_BUCKET_NONE: nowhere */
    uint32_t serial;
    uint32_t listed;    /* the customer's `listings` then: its lists stand by it, highest first */
    int64_t first_t0;   /* T0 when it was first created: part of its message ids */
    int64_t created_at; /* the clock at creation */
    int64_t ended_at;
    double cart_value, score, discount;
    double announced; /* percent a sent message carried, 0 when none did */
    int64_t code_expires_at;
    uint32_t item_count;
    uint32_t cart_bytes, program_bytes, currency_bytes, marketplace_bytes, url_bytes;
};

#define CW_BUCKET_NONE UINT32_MAX

/* Tail: the content it was accepted with (abandon.c's canonical form), content_bytes long. */
struct cw_dedup_row {
    int64_t until; /* the window: from the first acceptance for the program's ttlDays */
    int64_t t0;    /* of the last accepted abandonment */
    uint32_t content_bytes;
    uint32_t pad;
};

/* Tail: the content that was scored, content_bytes long. */
struct cw_score_row {
    int64_t cached_at;
    uint64_t model; /* cw_model_content */
    double score;
    uint32_t content_bytes;
    uint32_t pad;
};

struct cw_product_row {
    int64_t time;
    int64_t available; /* CW_AVAILABLE_ALWAYS: not counted */
};

/* Tail: customerId. */
struct cw_message_row {
    uint32_t serial;   /* of the candidate */
    uint32_t touch;    /* from 1 */
    uint32_t feedback; /* 1 << (event type - CW_EVENT_DELIVERED) of what came back */
    uint32_t customer_bytes;
};

/* What a short link leads to: the message of the touch. */
struct cw_link_row {
    char message_id[36];
    uint32_t pad;
};

struct cw_seen_row {
    cw_row next, prev; /* among the customer's seen rows; none for products */
    int64_t first_at;  /* the clock of its first arrival; of an erasure, up to when all went */
};

#endif
