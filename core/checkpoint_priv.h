/*
 * checkpoint_priv: the layout of a checkpoint's file, shared by its writer (checkpoint.c) and its
 * reader (checkpoint_read.c); checkpoint_format.c proves it. Everything is little endian and starts
 * on a block of CW_DISK_BLOCK bytes:
 *
 *     head | block 0 | block 1 | ... | foot
 *
 * No byte is outside a hash, zeroes that fill up a block included, and each hash leads to the next:
 * a block's is seeded with `begin` and its own header, which has its number; `chain` runs through
 * the head's hash and those of all blocks in turn. A block of another file, or of another place in
 * this one, does not fit.
 */
#ifndef CW_CORE_CHECKPOINT_PRIV_H
#define CW_CORE_CHECKPOINT_PRIV_H

#include "core/checkpoint.h"

#define CW_CHECKPOINT_MAGIC       "CWCHECK"   /* and its NUL */
#define CW_CHECKPOINT_BLOCK_MAGIC 0x4b4c4243u /* "CBLK" */
#define CW_CHECKPOINT_FOOT_MAGIC  0x444e4543u /* "CEND" */

enum {
    CW_CHECKPOINT_MAJOR = 1, /* another one is refused; */
    CW_CHECKPOINT_MINOR = 0, /* any of these is read */
    CW_CHECKPOINT_XXH3 = 1,  /* hash_algorithm */
    CW_CHECKPOINT_TABLES_MAX = 256,
    CW_CHECKPOINT_BLOCK_BYTES_MAX = 1 << 20, /* of usual blocks */
    CW_CHECKPOINT_GENERATIONS_MAX = 64,      /* files that are looked at; more are left alone */
};

struct cw_checkpoint_head {
    char magic[8];
    uint16_t major, minor;
    uint32_t hash_algorithm;
    uint8_t store[16];
    uint32_t shard;
    uint32_t block_unit; /* CW_DISK_BLOCK */
    uint64_t begin;
    int64_t logical_ms;
    uint32_t table_count; /* records name smaller ones */
    uint32_t zero;
    uint8_t rest[4024];
    uint64_t hash; /* XXH3-64 of all before */
};

struct cw_checkpoint_block {
    uint32_t magic;
    uint32_t length; /* of this header and the records; zeroes up to a multiple of block_unit */
    uint64_t number;  /* 0, 1, 2, ... */
    uint32_t records; /* puts among them; others may be skipped and are not counted */
    uint32_t zero;
    uint64_t hash; /* XXH3-64 of all after it, zeroes included; the seed is that of all before it,
                      whose seed is `begin` */
};

struct cw_checkpoint_foot {
    uint32_t magic;
    uint32_t table_count;
    uint64_t begin, end;
    uint64_t blocks, bytes; /* bytes: of the whole file */
    uint64_t rows_all;
    uint64_t chain; /* the head's hash; for each block XXH3-64 of its hash, seed: the one before */
    uint64_t rows[CW_CHECKPOINT_TABLES_MAX];
    uint8_t rest[1984];
    uint64_t hash; /* XXH3-64 of all before, seed `chain` */
};

static_assert(sizeof(struct cw_checkpoint_head) == CW_DISK_BLOCK, "one block");
static_assert(sizeof(struct cw_checkpoint_foot) == CW_DISK_BLOCK, "one block");
static_assert(sizeof(struct cw_checkpoint_block) == 32, "records are 8-byte aligned");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the layouts are little endian");

/* The longest block: of one row of the greatest size. */
#define CW_CHECKPOINT_BLOCK_MAX \
    (CW_TABLE_VALUE_MAX + CW_TABLE_KEY_BYTES_MAX + (uint32_t)(CW_DISK_BLOCK - 1024))

static_assert(CW_CHECKPOINT_BLOCK_MAX % CW_DISK_BLOCK == 0, "whole blocks");
static_assert(sizeof(struct cw_checkpoint_block) + CW_RECORD_HEAD_BYTES + CW_TABLE_KEY_BYTES_MAX +
                      CW_TABLE_VALUE_MAX + 7 <= CW_CHECKPOINT_BLOCK_MAX, "the largest row fits");

static inline uint64_t cw_checkpoint_whole(uint64_t bytes)
{
    return (bytes + CW_DISK_BLOCK - 1) & ~(uint64_t)(CW_DISK_BLOCK - 1);
}

uint64_t cw_checkpoint_head_hash(const struct cw_checkpoint_head *head);

/* Of a block that is filled up with zeroes. */
uint64_t cw_checkpoint_block_hash(const struct cw_checkpoint_block *block, uint64_t begin);
uint64_t cw_checkpoint_chain(uint64_t chain, uint64_t block_hash);
uint64_t cw_checkpoint_foot_hash(const struct cw_checkpoint_foot *foot);

/* checkpoint-<begin>, with .new while it is `made`. */
void cw_checkpoint_name(char name[CW_DISK_NAME_BYTES], uint64_t begin, bool made);

/* False when it is not exactly such a name: somebody else's, and left alone. */
CW_MUST_USE bool cw_checkpoint_name_read(const char *name, uint64_t *begin, bool *made);

/* The files of a directory, newest first. When there are too many the newest are listed. */
struct cw_checkpoint_names {
    uint64_t begins[CW_CHECKPOINT_GENERATIONS_MAX];
    uint32_t count;
    uint64_t unfinished[CW_CHECKPOINT_GENERATIONS_MAX];
    uint32_t unfinished_count;
};

CW_MUST_USE cw_err cw_checkpoint_list(const struct cw_disk *disk,
                                      struct cw_checkpoint_names *names, struct cw_fault *fault);

/* ---- proving a file front to back, a piece at a time ---- */

enum cw_checkpoint_scanned {
    CW_CHECKPOINT_SCAN_TOOK, /* *used bytes were good */
    CW_CHECKPOINT_SCAN_MORE, /* a block goes on after the bytes that are here: give them all again
                                with more behind them, CW_CHECKPOINT_BLOCK_MAX at most */
    CW_CHECKPOINT_SCAN_BAD   /* `why` says what is wrong */
};

struct cw_checkpoint_scan {
    /* The caller's. */
    uint64_t bytes; /* of the file */
    uint64_t begin; /* as its name says */
    uint8_t store[16];
    uint32_t shard;
    /* Found out. */
    uint64_t at; /* how far it is proven */
    bool complete;
    bool strange; /* whole, but of another version or another state: no damage */
    uint64_t end, blocks, rows_all, chain;
    int64_t logical_ms;
    uint32_t table_count;
    uint64_t rows[CW_CHECKPOINT_TABLES_MAX];
    char why[160];
};

/* `data` is what stands at scan->at, `available` bytes of it: whole blocks. Each call takes the
   head, a block, whose records are then in *records, or the foot. */
CW_MUST_USE enum cw_checkpoint_scanned cw_checkpoint_scan(struct cw_checkpoint_scan *scan,
                                                          const char *data, uint64_t available,
                                                          uint64_t *used, struct cw_view *records);

#endif
