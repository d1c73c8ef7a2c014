/*
 * log_priv: what the log's files share, and what its tests reach: the layouts on disk, recovery's
 * decision table, and planted bugs that the tests must find.
 */
#ifndef CW_CORE_LOG_PRIV_H
#define CW_CORE_LOG_PRIV_H

#include "core/ahead.h"
#include "core/log.h"

#define CW_LOG_FRAME_MAGIC 0x52465743u /* "CWFR" */
#define CW_LOG_HEAD_MAGIC  "CWLOGSEG"
#define CW_LOG_MAJOR       1u
#define CW_LOG_MINOR       0u
#define CW_LOG_HASH_XXH3   1u
#define CW_LOG_NUMBER_MAX  (UINT64_C(1) << 62) /* LSNs and numbers of files: no sum overflows */

enum {
    CW_LOG_FLAG_CLEAN = 1, /* the log was closed in order after this frame; no records */
    CW_LOG_FLAG_SEAL = 2,  /* only gives the frame before a successor; no records */

    CW_LOG_SEGMENTS_MAX = 1 << 16,
    CW_LOG_SPARES_READY = 2,      /* made ahead: the next segment, and the reserve */
    CW_LOG_SPARES_KEPT = 30,      /* more released segments than this are removed */
    CW_LOG_SPARES_MAX = 32,       /* so that one can always be made */
    CW_LOG_OWED = 2,              /* for each spare that is made */
    CW_LOG_SLICE_BYTES = 1 << 20, /* zeroes written at a time */
    CW_LOG_RETRY_POLLS = 1 << 14  /* a full disk is tried again after so many */
};

/* ---- layouts; little endian ---- */

/* A frame begins on a block; its records follow, then zeroes up to the next block. */
struct cw_log_frame {
    uint32_t magic;
    uint32_t len;  /* this header and the records */
    uint64_t salt; /* the segment's */
    uint64_t lsn;
    uint32_t flags;
    uint32_t zero;
    uint64_t prev_chain;  /* `hash` of frame lsn - 1 */
    uint64_t durable_lsn; /* known to be flushed when this one was built */
    int64_t logical_ms;
    uint64_t hash; /* XXH3-64, seed `salt`, over `len` bytes with this field 0 */
};

static_assert(sizeof(struct cw_log_frame) == 64, "a cache line");

/* The first block of a segment. */
struct cw_log_head {
    char magic[8];
    uint16_t major, minor;
    uint32_t hash_algorithm;
    uint8_t store[16];
    uint32_t shard;
    uint32_t block_bytes;
    uint64_t seq; /* as in the name */
    uint64_t first_lsn;
    uint64_t prev_chain; /* `hash` of frame first_lsn - 1; 0: there is none */
    uint64_t salt;       /* random for every use of a file as a segment */
    int64_t logical_ms;
    uint8_t zero[4008];
    uint64_t hash; /* XXH3-64 over the bytes before */
};

static_assert(sizeof(struct cw_log_head) == CW_DISK_BLOCK, "one block");
static_assert(offsetof(struct cw_log_head, hash) == 4088, "the last eight bytes");

static inline uint64_t cw_log_blocks(uint64_t bytes)
{
    return (bytes + CW_DISK_BLOCK - 1) & ~(uint64_t)(CW_DISK_BLOCK - 1);
}

/* Of the frame's `len` bytes, which are there; writes nothing in the end. */
uint64_t cw_log_frame_hash(struct cw_log_frame *frame);
uint64_t cw_log_head_hash(const struct cw_log_head *head);

enum cw_log_head_is {
    CW_LOG_HEAD_GOOD,
    CW_LOG_HEAD_BAD,     /* damaged, or of another place */
    CW_LOG_HEAD_FOREIGN, /* whole, of another store or shard */
    CW_LOG_HEAD_VERSION  /* whole, of a format that this program does not read */
};

enum cw_log_head_is cw_log_head_check(const struct cw_log_head *head,
                                      const struct cw_log_options *options, uint64_t seq);

/* Names: log-<seq>, spare-<n>, and spare-<n>.new while it is being written. */
void cw_log_name(char name[CW_DISK_NAME_BYTES], uint64_t seq);
void cw_log_spare_name(char name[CW_DISK_NAME_BYTES], uint64_t number, bool made);

enum cw_log_name_is { CW_LOG_NAME_OTHER, CW_LOG_NAME_SEGMENT, CW_LOG_NAME_SPARE, CW_LOG_NAME_NEW };

enum cw_log_name_is cw_log_name_read(const char *name, uint64_t *number);

/* ---- recovery's decision table ---- */

/* What stands where frame `expected` should. */
enum cw_log_frame_is {
    CW_LOG_FRAME_VALID,   /* it, whole */
    CW_LOG_FRAME_STRANGE, /* a whole frame of this segment that does not belong here */
    CW_LOG_FRAME_TORN,    /* a header of this segment, but the whole does not verify */
    CW_LOG_FRAME_NOTHING, /* nothing of this segment */
    CW_LOG_FRAME_KINDS
};

/* What follows this segment. */
enum cw_log_next_is {
    CW_LOG_NEXT_NONE,    /* it is the last */
    CW_LOG_NEXT_MEETS,   /* one that begins with `expected` and knows the frame before it */
    CW_LOG_NEXT_DIFFERS, /* one that begins elsewhere */
    CW_LOG_NEXT_BAD,     /* one whose header is damaged */
    CW_LOG_NEXT_MISSING, /* a later one, but not the next */
    CW_LOG_NEXT_KINDS
};

struct cw_log_facts {
    enum cw_log_frame_is frame;
    bool later;  /* further on in this segment a whole frame says that `expected` was durable */
    bool wanted; /* `expected` is needed by a checkpoint */
    enum cw_log_next_is next;
};

enum cw_log_verdict { CW_LOG_APPLY, CW_LOG_NEXT_SEGMENT, CW_LOG_END, CW_LOG_CORRUPT };

struct cw_log_row {
    uint32_t frames, laters, wanteds, nexts; /* bits of the values that it matches */
    enum cw_log_verdict verdict;
    const char *why;
};

#define CW_LOG_ROWS 10u
extern const struct cw_log_row cw_log_rows[CW_LOG_ROWS];

bool cw_log_row_matches(const struct cw_log_row *row, const struct cw_log_facts *facts);

/* The one row that matches. */
const struct cw_log_row *cw_log_judge(const struct cw_log_facts *facts);

/* ---- planted bugs: all off, except in the tests that prove that they would be found ---- */

struct cw_log_bugs {
    bool no_salt;   /* frames of an earlier use of the file pass */
    bool no_chain;  /* nobody asks whether a frame follows the one before */
    bool no_scan;   /* any bad frame is the end */
    bool early_ack; /* durable as soon as it is submitted */
};

extern struct cw_log_bugs cw_log_bugs;

/* ---- the log itself ---- */

struct cw_log_segment {
    uint64_t seq, first_lsn, last_lsn; /* last_lsn < first_lsn: no frames yet */
    uint64_t used_bytes;               /* of frames */
    uint64_t file_bytes;
};

struct cw_log_spare {
    uint64_t number, bytes;
    bool dirty;   /* it was a segment: its old frames are still in it */
    bool settled; /* its name as a spare is durable, if it had another before */
};

/* Steps of writing a frame; the ones before the last only when a segment is begun. */
enum cw_log_step {
    CW_LOG_IDLE,
    CW_LOG_SYNC,       /* durability `os` alone: what the segment has so far */
    CW_LOG_SYNC_OLD,   /* that too, before another is begun */
    CW_LOG_WAIT_SPARE, /* until the background has made one */
    CW_LOG_OPEN,
    CW_LOG_HEADER,
    CW_LOG_RENAME,
    CW_LOG_NAMES,
    CW_LOG_CLOSE_OLD,
    CW_LOG_FRAME
};

/* What the background does: one operation at a time. */
enum cw_log_task {
    CW_LOG_REST,
    CW_LOG_MAKE_CREATE, /* a spare, through to MAKE_NAME */
    CW_LOG_MAKE_ZERO,
    CW_LOG_MAKE_CLOSE,
    CW_LOG_MAKE_NAME,
    CW_LOG_DROP_CLOSE, /* no space for it: what there is goes */
    CW_LOG_DROP_REMOVE,
    CW_LOG_RELEASE_RENAME, /* the first segment becomes a spare */
    CW_LOG_RELEASE_REMOVE, /* or goes */
    CW_LOG_SPARE_REMOVE,   /* the spare that is last in the list goes */
    CW_LOG_SETTLE          /* names */
};

enum {
    CW_LOG_TRASH_MAX = 64 /* what is left over goes with the next recoveries */
};

struct cw_log_buffer {
    char *at;
    uint64_t bytes;
};

struct cw_log {
    struct cw_log_options options;
    struct cw_disk disk;
    uint64_t segment_bytes;

    /* Frames. */
    struct cw_log_buffer buffers[2];
    uint32_t fill;            /* which of them is the next frame's room */
    struct cw_log_frame *own; /* a block for frames of the log's own */
    struct cw_log_head *head; /* a block for segment headers */
    struct cw_log_frame *flying;
    uint64_t flying_bytes;
    uint64_t last_lsn, durable_lsn;
    uint64_t flushed_lsn; /* durable_lsn, or with durability `os` what really was flushed */
    uint64_t chain;       /* hash of the last frame */
    uint64_t salts;       /* how many were made */
    int64_t logical_ms;
    bool sealed; /* the last frame has a successor, or is none that anybody would miss */

    /* The segment that is written: the last of `segments`. */
    int32_t file;
    int32_t fresh; /* the next one while it is begun, then the one before until it is closed */
    uint64_t at, end;
    uint64_t salt;

    enum cw_log_step step;
    struct cw_disk_op front;
    bool front_pending;
    uint64_t want_bytes; /* of the segment that is waited for */
    struct cw_log_spare taken;

    /* What reading found that is to go before a segment is begun. */
    struct {
        uint64_t number;
        bool made;
    } trash[CW_LOG_TRASH_MAX]; /* spares: unfinished ones, and some too many */

    uint32_t trash_count;
    bool last_empty; /* the last segment has no frame, and is not needed for the log's place */

    struct cw_log_segment *segments; /* by seq, without gaps behind the first needed */
    uint32_t segment_count;
    struct cw_log_spare spares[CW_LOG_SPARES_MAX];
    uint32_t spare_count;
    uint64_t spare_next; /* numbers from here on were never used */

    enum cw_log_task task;
    struct cw_disk_op back;
    bool back_pending;
    struct cw_log_spare making;
    int32_t making_file;
    uint64_t made_bytes;
    const char *zeroes; /* CW_LOG_SLICE_BYTES of them */
    bool unsettled;     /* names were changed in the background and not yet flushed */
    bool no_space;
    uint32_t owed; /* operations that let go of something, before the next spare */
    uint32_t polls_full;
    uint64_t release_lsn, erase_lsn;
    bool turn_over; /* the next frame begins a segment */
    bool flush;     /* asked for, and not begun */
    bool erase_spares;

    bool closing;
    bool failed;
    int fault_errno;
    char fault[160];
    struct cw_log_stats stats;
};

/* NULL when there is no memory. */
void *cw_log_map(uint64_t bytes);
void cw_log_unmap(void *at, uint64_t bytes);

CW_MUST_USE cw_err cw_log_new(struct cw_log **log, const struct cw_log_options *options,
                              struct cw_fault *fault);
void cw_log_free(struct cw_log *log);

/* log_read.c: a segment's bytes for recovery. Opened and closed as its `ahead`. */
struct cw_log_reader {
    struct cw_ahead ahead;
    char *large; /* what is longer than a window */
    uint64_t large_bytes;
};

/* False: there is no memory. */
CW_MUST_USE bool cw_log_reader_init(struct cw_log_reader *reader, const struct cw_disk *disk);
void cw_log_reader_deinit(struct cw_log_reader *reader);

/* Makes `bytes` from `offset` on, which is a block's, readable until the next call; *to is NULL
   when the file has fewer. 0 or errno (ENOMEM: for so many bytes). */
CW_MUST_USE int cw_log_reader_need(struct cw_log_reader *reader, uint64_t offset, uint64_t bytes,
                                   void **to);

/* The same for the first block, with nothing ahead: of a file of which no more is wanted. */
CW_MUST_USE int cw_log_reader_head(struct cw_log_reader *reader, void **to);

/* Begins a segment that a frame of so many bytes fits in; the flying frame, if any, is written
   into it. */
void cw_log_rotate(struct cw_log *log, uint64_t frame_bytes);

/* Takes in what is done and goes on; waits for the disk when something is under way there. */
void cw_log_wait(struct cw_log *log);

/* Says what failed; nothing will be durable any more. */
void cw_log_fail(struct cw_log *log, const struct cw_disk_op *op, const char *what);

void cw_log_submit_op(struct cw_log *log, struct cw_disk_op *op, bool *pending);

/* Takes the smallest spare of at least so many bytes out of the list; false: there is none. */
bool cw_log_take_spare(struct cw_log *log, uint64_t bytes, struct cw_log_spare *spare);

/* The background: takes in an operation that is done, or begins what is to be done next. */
bool cw_log_back(struct cw_log *log);

#endif
