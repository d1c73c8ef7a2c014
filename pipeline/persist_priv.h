/* persist_priv: what the files of persist.h share. */
#ifndef CW_PIPELINE_PERSIST_PRIV_H
#define CW_PIPELINE_PERSIST_PRIV_H

#include "pipeline/persist.h"
#include "pipeline/pipeline_priv.h"

/* No time in rows is later: what follows from an event, years after the last one that is taken. */
#define CW_ROW_TIME_END (CW_EVENT_TIME_END + CW_DAY_MS * 366 * 5)

/* No core has a higher number. */
#define CW_CORES_MAX 1024u

/*
 * Rows of `meta`. Key: one byte of kind, u32 core; of a program its id after that, of a retired key
 * its u32 number, of an erasure the customer's id.
 */
enum cw_meta_kind {
    CW_META_CLOCK = 'c',
    CW_META_FATES = 'f',
    CW_META_PROGRAM = 'p',
    CW_META_RETIRED = 'r',
    CW_META_ERASURE = 'e'
};

#define CW_META_HEAD_BYTES (1 + (uint32_t)sizeof(uint32_t))

struct cw_meta_clock {
    int64_t now;
    int64_t present; /* of the wheel: now, or the millisecond after it, once now is over */
    int64_t keep_cart_ms, keep_history_ms;
    uint8_t sends_held;
    uint8_t pad[7];
};

/* persist_fates.c: counters as a value, and back; NULL, or what is wrong with it. */
#define CW_FATES_IMAGE_BYTES (8 + sizeof(struct cw_fates) + 36 * sizeof(uint64_t))
void cw_fates_write(const struct cw_fates *fates, uint8_t image[CW_FATES_IMAGE_BYTES]);
CW_MUST_USE const char *cw_fates_read(struct cw_fates *fates, struct cw_view image);

/* Tail: of a retired key its program's id; the key's literals. */
struct cw_meta_program {
    int64_t until; /* of a retired key: when the last entry under it is over; else its ttl in ms */
    int64_t session_timeout_ms; /* 0: it watches no sessions */
    uint32_t slot;
    uint8_t paused; /* 1 << enum cw_channel */
    uint8_t part_count;
    uint8_t pad[2];
    uint8_t parts[CW_KEY_PARTS_MAX]; /* enum cw_key_part */
    uint16_t literal_bytes[CW_KEY_PARTS_MAX];
    uint32_t id_bytes; /* of a retired key: its program's */
    uint32_t pad2;
};

/* A program as a core had it. Views into the loaded rows. */
struct cw_program_before {
    struct cw_view id;
    uint32_t slot;
    uint8_t paused;
    int64_t until, session_timeout_ms;
    struct cw_key_format key;
    uint32_t slot_now; /* CW_SLOT_GONE when it is gone */
    bool watches;      /* still */
};

/* A core that was. */
struct cw_core_before {
    bool known;
    struct cw_meta_clock clock;
    struct cw_program_before *by_slot[CW_SLOTS_MAX]; /* NULL: there was none */
};

CW_MUST_USE cw_err cw_damaged(struct cw_fault *fault, const char *what);

static inline bool cw_row_time(int64_t time)
{
    return time >= 0 && time <= CW_ROW_TIME_END;
}

static inline bool cw_row_time_or_none(int64_t time)
{
    return time == CW_TIME_NONE || cw_row_time(time);
}

/* persist_meta.c */

/* Whether a row of meta could have been written. NULL: yes; else what is wrong. */
const char *cw_meta_wrong(struct cw_view key, struct cw_view value);

/* Reads what was loaded: list[cores_before], in scratch; their counters summed, or (own not
   UINT32_MAX) those of one core. */
/* same: as many cores as before, each of which has read its own alone. */
CW_MUST_USE cw_err cw_meta_read(struct cw_pipeline *p, uint32_t cores_before, bool same,
                                struct cw_core_before *list, struct cw_fault *fault);
void cw_meta_fates(const struct cw_pipeline *p, uint32_t core, struct cw_fates *sum);

/* persist_erasure.c: one that was asked for before, and whether it can be. */
void cw_erasure_take_over(struct cw_pipeline *p, struct cw_view key, struct cw_view value);
bool cw_erasure_good(struct cw_view key, struct cw_view value);

/* Takes over the retired keys of all cores that were, erasures that were not through (each is one
   core's), and those rows that stay this core's own. */
CW_MUST_USE cw_err cw_meta_take_over(struct cw_pipeline *p, bool same_cores, uint32_t cores,
                                     struct cw_fault *fault);

#endif
