/*
 * service_priv: what the service's parts share.
 *
 *   service.c         the app: chunks in, batches out and home, the passing of time
 *   service_ingest.c  the events of a request, to their owners
 *   service_open.c    open requests: what became of their events
 *   service_answer.c  answers, in the dialect of who asked
 *   service_send.c    messages to the channels, results from them
 *   service_remark.c  the sentence for whom nothing works
 *   serve_route.c     paths and who may ask them
 *   serve_*.c         what is answered there
 */
#ifndef CW_PIPELINE_SERVICE_PRIV_H
#define CW_PIPELINE_SERVICE_PRIV_H

#include "core/histogram.h"
#include "core/time.h"
#include "pipeline/form.h"
#include "pipeline/pipeline_priv.h"
#include "pipeline/service.h"

#define CW_OPEN_NONE UINT32_MAX

enum {
    CW_BLOCK_EVENTS = CW_RUN_BATCH,
    CW_SERVE_PARAMS = 2,
    CW_SEND_RESULTS = 64,          /* messages that could not be rendered, not told yet */
    CW_HEAVY_MAX = 64,             /* questions with long answers, open at a time on a core */
    CW_OPEN_TEXT_KEPT = 4096,      /* of a slot's text, for its next request */
    CW_OPEN_LISTED_MAX = 10000,    /* refused events that one answer names */
    CW_OPEN_TEXT_BUDGET = 64 << 20 /* of all reasons that wait in open requests */
};

/* Events for one owner, in order, and what became of them there. */
struct cw_block {
    struct cw_block *next;
    uint32_t count;
    struct cw_event *events[CW_BLOCK_EVENTS];
    uint32_t opens[CW_BLOCK_EVENTS];   /* the open request, or CW_OPEN_NONE: nobody waits */
    uint32_t entries[CW_BLOCK_EVENTS]; /* its entry; UINT32_MAX: a copy, only waited for */
    uint64_t arrived_ns[CW_BLOCK_EVENTS];
    uint8_t fates[CW_BLOCK_EVENTS];
};

struct cw_ask;
struct cw_open;

/* A kind of question: what its owner does, and what becomes of the answers at home. */
struct cw_question {
    /* On the owner. The answer goes into the arena, which comes home with it. */
    void (*look)(struct cw_service *service, struct cw_ask *ask, struct cw_arena *arena);
    /* At home, for each answer that comes; it is gone afterwards. */
    void (*gather)(struct cw_service *service, struct cw_open *open, const struct cw_ask *ask);
    /* At home, when all are there: answers the request. */
    void (*finish)(struct cw_service *service, struct cw_open *open);
    bool heavy; /* its answers are long: only CW_HEAVY_MAX at a time */
};

/* One core's share of a question. */
struct cw_ask {
    struct cw_ask *next;
    const struct cw_question *question;
    uint32_t open;
    uint32_t number;  /* among the request's questions */
    const void *what; /* the question's own; lives as long as the request */
    struct cw_view answer;
    bool found;
};

/* What a batch carries. */
struct cw_share {
    struct cw_block *first, *last;
    struct cw_ask *asks, *last_ask;
    int64_t clock; /* event time: the chunk's latest, CW_TIME_NONE when it has none */
    /* The programs that the events' bits stand for, by a hash of their ids: their owner may have
       others already, or still. */
    uint32_t program_count;
    const uint64_t *program_ids;
};

/* A request that is not answered yet. */
struct cw_open {
    struct cw_request request;
    uint32_t next_free;
    uint32_t pending; /* events and questions that are not home */
    bool busy;        /* still being taken apart */
    enum cw_dialect dialect;
    const struct cw_question *question; /* NULL: it brought events */
    uint32_t accepted, duplicate, rejected, unlisted, lines;
    uint32_t refused, first_refused; /* of the rejected those without room; the first's entry */
    struct cw_text text;         /* reasons, or answers that are gathered */
    uint32_t found;              /* answers that found something */
    _Alignas(8) char room[1152]; /* the question's own */

    struct {
        bool failed;
        uint32_t from, bytes; /* of the error in text */
        char id[CW_UUID_BYTES];
    } put[CW_PUT_ENTRIES_MAX];
};

/* Why an event was refused before it came to the pipeline. */
#define CW_REFUSALS(X)                                                       \
    X(JSON, "malformed-json", "it is not valid JSON")                        \
    X(FUTURE, "future", "it says a time more than a day ahead of the clock") \
    X(FORM, "form", "it could not be made an envelope")                      \
    X(CONTENT, "content", "a field is missing or wrong")

enum cw_refusal {
#define CW_X(name, text, help) CW_REFUSAL_##name,
    CW_REFUSALS(CW_X)
#undef CW_X
    CW_REFUSAL_COUNT
};

/* Counters of the service's own. */
struct cw_served {
    uint64_t requests, drained, busy;
    uint64_t answers[6]; /* by the first digit of the status */
    uint64_t refusals[CW_REFUSAL_COUNT];
    uint64_t posted[CW_CHANNEL_COUNT], channel_full[CW_CHANNEL_COUNT], unrendered;
    uint64_t visits[3], machine_visits; /* opens, clicks, unsubscriptions */
};

/* What was decided of one program. */
struct cw_program_count {
    uint64_t kinds[CW_DECISION_COUNT];
    uint64_t touches[CW_OUTCOME_COUNT];
};

/* Times in ns, and how late timers fired in ms. */
#define CW_LATENCIES(X)                                                                         \
    X(SCHEDULED, "event_to_scheduled",                                                          \
      "From an abandonment's last byte to its candidate's "                                     \
      "touches scheduled")                                                                      \
    X(ANSWERED, "event_to_answer", "From the last byte of a request with events to its answer") \
    X(READ, "read", "From the last byte of a question under /v1 to its answer")                 \
    X(TIMER, "timer_lateness",                                                                  \
      "How late the earliest timer was each time some were due, in "                            \
      "time of the engine's clock")

enum cw_latency {
#define CW_X(name, text, help) CW_LATENCY_##name,
    CW_LATENCIES(CW_X)
#undef CW_X
    CW_LATENCY_COUNT
};

struct cw_service {
    struct cw_service_options options;
    struct cw_arena own, scratch;
    struct cw_decoder *decoder;
    struct cw_form *form;
    struct cw_pipeline *pipeline;
    const struct cw_programs *programs;
    int64_t clock;    /* never goes back */
    int64_t advanced; /* timers up to just before it have fired */
    int64_t cleaned;  /* when the last slice was cleaned without a batch */
    uint64_t sequence;
    bool draining;
    bool lagging;     /* more timers are due than a turn has room for */
    uint64_t aside_s; /* cw_service_stalled_s as a request is answered aside; 0: none is */
    /* While a chunk is decoded: */
    struct cw_batch *const *batches;
    uint32_t batch_count;
    int64_t chunk_clock;
    /* Open requests. */
    struct cw_open *opens;
    uint32_t open_free, open_used, open_count; /* free list; slots ever used; open now */
    uint32_t heavy_count;
    uint64_t text_bytes;   /* in open requests */
    struct cw_text answer; /* the one that is written */
    /* Messages. */
    struct cw_message message;
    struct cw_post_result unsent[CW_SEND_RESULTS];
    uint32_t unsent_count;
    /* Counters. */
    struct cw_served served;
    struct cw_program_count by_program[CW_PROGRAMS_MAX];
    uint64_t program_ids[CW_PROGRAMS_MAX]; /* hashes, the same on all cores */
    struct cw_histogram latencies[CW_LATENCY_COUNT];

    struct {
        uint64_t items, unmatched;
        uint64_t rejections[CW_REJECTION_COUNT];
        int64_t told[CW_REJECTION_COUNT + 2]; /* when each was said last; unmatched, unknown */
        char text[480];
        char source[64], type[64]; /* of the first event that meant nothing here */
    } remark;
};

/* service_remark.c: an event came whose source and detail-type mean nothing here. */
void cw_service_note_unknown(struct cw_service *service, const struct cw_event *event);

/* service.c */
struct cw_share *cw_share_of(struct cw_service *service, struct cw_batch *batch);
uint64_t cw_service_ns(struct cw_service *service);
int64_t cw_service_clock(struct cw_service *service);
/* The option of that name; within one request answered aside it does not change. */
uint64_t cw_service_stalled_s(const struct cw_service *service);

/* service_open.c: a slot for a request, or NULL when all are taken. */
struct cw_open *cw_open_take(struct cw_service *service, const struct cw_request *request);
uint32_t cw_open_number(const struct cw_service *service, const struct cw_open *open);
/* Ends what the request's own decoding added; answers when nothing is away. */
void cw_open_ready(struct cw_service *service, struct cw_open *open);
/* Something of it is home. */
void cw_open_home(struct cw_service *service, struct cw_open *open);
void cw_open_fate(struct cw_service *service, struct cw_open *open, uint32_t entry,
                  enum cw_event_fate fate);
/* One of its events is refused for good. code: AWS's, or NULL for the usual one. */
void cw_open_reject(struct cw_service *service, struct cw_open *open, uint32_t entry,
                    const char *code, struct cw_view reason);
/* Gives the slot back, once its request is answered. */
void cw_open_release(struct cw_service *service, struct cw_open *open);

/* service_answer.c */
extern const struct cw_view cw_type_json, cw_type_html, cw_type_text;

/* Answers a request, open or not; adds the headers that every answer has. */
void cw_service_answer(struct cw_service *service, const struct cw_request *request,
                       uint16_t status, struct cw_view type, struct cw_view body,
                       const struct cw_header *headers, uint32_t header_count);
/* The same with what service->answer holds. */
void cw_service_answer_json(struct cw_service *service, const struct cw_request *request,
                            uint16_t status);
/* An error in the dialect of who asked; aws_type: what it is called there. */
void cw_service_error(struct cw_service *service, const struct cw_request *request, uint16_t status,
                      const char *aws_type, struct cw_view text);
/* Overload, in the dialect of who asked. */
void cw_service_busy(struct cw_service *service, const struct cw_request *request, const char *why);
/* What became of the events of a request that are all home. */
void cw_service_answer_events(struct cw_service *service, struct cw_open *open);

/* service_ingest.c: the events of a request, or of text that nobody waits for. */
void cw_service_ingest(struct cw_service *service, const struct cw_request *request);
void cw_service_ingest_text(struct cw_service *service, const struct cw_chunk *chunk);

/* service_send.c */
enum cw_send_answer cw_service_send(void *self, const struct cw_send *send);
bool cw_service_results(struct cw_service *service);

/* serve_route.c */
struct cw_call {
    const struct cw_request *request;
    struct cw_view params[CW_SERVE_PARAMS]; /* still percent-encoded */
};

void cw_serve(struct cw_service *service, const struct cw_request *request);
#endif
