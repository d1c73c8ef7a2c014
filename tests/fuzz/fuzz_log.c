/*
 * Bytes as the segments of a log, with all hashes, salts and magics put right where the input says
 * so: recovery must end, within the files, with frames in order or with words; and what it opens
 * must be opened the same by a second recovery.
 *
 * The input: a byte of flags (bits 0 and 1: only looked at where both are 0; 2 and 3: how many
 * frames more a checkpoint needs than it has; 4 to 7: how many it has), then blocks. A block is 8
 * bytes of choice and the fields of a frame or segment header that they name; the rest is zero.
 */
#include "core/log_priv.h"
#include "tests/sim/fault_disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    BLOCKS = 8,
    SEGMENTS = 3
};

struct cw_fuzz {
    const uint8_t *at, *end;
    uint64_t applied;
};

static uint64_t take(struct cw_fuzz *f, uint32_t bytes)
{
    uint64_t value = 0;
    for (; bytes > 0 && f->at < f->end; bytes--) {
        value = value << 8 | *f->at++;
    }
    return value;
}

static bool apply(void *with, uint64_t lsn, int64_t logical_ms, struct cw_view records)
{
    struct cw_fuzz *f = with;
    (void)logical_ms;
    CW_ASSERT(lsn > f->applied);
    f->applied = lsn;
    uint8_t sum = 0;
    for (uint32_t i = 0; i < records.bytes; i++) { /* all of it can be read */
        sum = (uint8_t)(sum + (uint8_t)records.data[i]);
    }
    return sum != 0xa5;
}

static void build_head(struct cw_fuzz *f, struct cw_log_head *head, uint64_t seq, uint64_t *salt,
                       uint64_t lsn, uint64_t chain)
{
    uint64_t how = take(f, 1);
    *head = (struct cw_log_head){.major = CW_LOG_MAJOR,
                                 .hash_algorithm = CW_LOG_HASH_XXH3,
                                 .block_bytes = CW_DISK_BLOCK,
                                 .seq = seq,
                                 .first_lsn = lsn,
                                 .prev_chain = chain,
                                 .salt = 1000 + (how >> 6)};
    memcpy(head->magic, CW_LOG_HEAD_MAGIC, sizeof head->magic);
    switch (how % 32) {
    case 1: head->first_lsn = take(f, 8); break;
    case 2: head->prev_chain = take(f, 8); break;
    case 3: head->seq = take(f, 8); break;
    case 4: head->major = (uint16_t)take(f, 2); break;
    case 5: head->shard = (uint32_t)take(f, 4); break;
    case 6: head->block_bytes = (uint32_t)take(f, 4); break;
    case 7: head->hash_algorithm = (uint32_t)take(f, 4); break;
    default: break;
    }
    *salt = head->salt;
    head->hash = cw_log_head_hash(head) ^ (how % 32 == 8);
}

/* Its length in blocks. */
static uint32_t build_frame(struct cw_fuzz *f, struct cw_log_frame *frame, uint32_t room,
                            uint64_t salt, uint64_t lsn, uint64_t chain)
{
    uint64_t how = take(f, 1);
    uint32_t records = (uint32_t)take(f, 1) * (how >= 128 ? 64 : 1);
    *frame = (struct cw_log_frame){.magic = CW_LOG_FRAME_MAGIC,
                                   .len = (uint32_t)sizeof *frame + records,
                                   .salt = salt,
                                   .lsn = lsn,
                                   .prev_chain = chain,
                                   .durable_lsn = lsn - 1,
                                   .logical_ms = (int64_t)lsn};
    memset(frame + 1, (int)(lsn & 63), CW_DISK_BLOCK - sizeof *frame);
    switch (how % 16) {
    case 1: frame->len = (uint32_t)take(f, 4); break;
    case 2: frame->lsn = take(f, 8); break;
    case 3: frame->durable_lsn = take(f, 8); break;
    case 4: frame->prev_chain = take(f, 8); break;
    case 5: frame->salt = take(f, 2); break;
    case 6: frame->flags = (uint32_t)take(f, 4); break;
    case 7: frame->magic = (uint32_t)take(f, 4); break;
    default: break;
    }
    uint32_t there = room * CW_DISK_BLOCK;
    if (frame->len <= there && frame->len >= sizeof *frame) {
        frame->hash = cw_log_frame_hash(frame) ^ (how % 16 == 8);
    }
    uint64_t blocks = cw_log_blocks(frame->len) / CW_DISK_BLOCK;
    return blocks > 0 && blocks < room ? (uint32_t)blocks : room;
}

static void recover(struct cw_fuzz *f, struct cw_fault_disk *disk, uint64_t flags)
{
    struct cw_log_options options = {.disk = cw_fault_disk_port(disk),
                                     .segment_bytes = BLOCKS * CW_DISK_BLOCK,
                                     .random = 7,
                                     .read_only = flags % 4 == 0,
                                     .since = flags >> 4,
                                     .until = (flags >> 4) + (flags >> 2) % 4};
    uint64_t first = 0;
    for (uint32_t i = 0; i < 2; i++) {
        struct cw_log *log = NULL;
        struct cw_log_found found;
        struct cw_fault fault;
        f->applied = 0;
        uint64_t digest = cw_fault_disk_digest(disk);
        cw_err err = cw_log_recover(&log, &options, apply, f, &found, &fault);
        CW_ASSERT(i == 0 || err == CW_ERR_OK);
        if (err != CW_ERR_OK) {
            CW_ASSERT(cw_fault_disk_digest(disk) == digest);
            return;
        }
        CW_ASSERT(f->applied <= found.last_lsn && (i == 0 || found.last_lsn == first));
        first = found.last_lsn;
        cw_log_close(log, false);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cw_fault_disk *disk = cw_fault_disk_new(&(struct cw_fault_disk_options){.seed = 1});
    static _Alignas(8) uint8_t segment[BLOCKS * CW_DISK_BLOCK];
    struct cw_fuzz f = {.at = data, .end = data + size};
    uint64_t flags = take(&f, 1);
    uint64_t lsn = 1;
    uint64_t chain = 0;
    for (uint64_t i = 0; i < SEGMENTS && f.at < f.end; i++) {
        uint64_t salt = 0;
        void *at = segment;
        memset(segment, 0, sizeof segment);
        build_head(&f, at, i + 1, &salt, lsn, chain);
        for (uint32_t block = 1; block < BLOCKS && f.at < f.end && take(&f, 1) % 8 != 0;) {
            at = segment + block * CW_DISK_BLOCK;
            struct cw_log_frame *frame = at;
            block += build_frame(&f, frame, BLOCKS - block, salt, lsn++, chain);
            chain = frame->hash;
        }
        char name[CW_DISK_NAME_BYTES];
        cw_log_name(name, i + 1 + (take(&f, 1) == 77)); /* a gap, now and then */
        cw_fault_disk_put(disk, name, segment, sizeof segment - take(&f, 1) % 2 * 3000);
    }
    recover(&f, disk, flags);
    cw_fault_disk_free(disk);
    return 0;
}
