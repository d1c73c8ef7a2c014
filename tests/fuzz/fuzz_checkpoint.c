/*
 * A checkpoint's file made from the bytes: a head, blocks and a foot as they should be, XORed with
 * what the bytes say, hashes put right afterwards where they say so. The first byte 0xff: the rest
 * is the file as it is. Whatever it is, the reader either applies just what the foot counts, sound
 * records all, or says why not and has applied nothing.
 */
#include "core/checkpoint_priv.h"
#include "tests/core/memory_disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    BLOCKS_MAX = 6,
    RECORDS_MAX = 12000,
    TABLES = 3,
    BEGIN = 7,
    FIX = 1,  /* the hash is put right */
    XOR = 2,  /* some header bytes follow */
    SKIP = 4, /* the next block gets a wrong number */
    FILE_MAX = (BLOCKS_MAX * 4 + 8) * CW_DISK_BLOCK
};

struct input {
    const uint8_t *at, *end;
};

static const uint8_t store[16] = "fuzz";

static uint8_t byte(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static void xor_some(struct input *in, void *to, uint32_t bytes)
{
    uint8_t *at = to;
    for (uint32_t i = 0; i < bytes; i++) {
        at[i] ^= byte(in); /* NOLINT(clang-analyzer-core.uninitialized.Assign): it is written */
    }
}

static uint64_t make_head(struct input *in, char *page)
{
    struct cw_checkpoint_head *head = (struct cw_checkpoint_head *)(void *)page;
    *head = (struct cw_checkpoint_head){.magic = CW_CHECKPOINT_MAGIC,
                                        .major = CW_CHECKPOINT_MAJOR,
                                        .hash_algorithm = CW_CHECKPOINT_XXH3,
                                        .block_unit = CW_DISK_BLOCK,
                                        .begin = BEGIN,
                                        .table_count = TABLES};
    memcpy(head->store, store, sizeof store);
    uint8_t flags = byte(in);
    head->hash = cw_checkpoint_head_hash(head);
    if ((flags & XOR) != 0) {
        xor_some(in, head, 64);
    }
    if ((flags & FIX) != 0) {
        head->hash = cw_checkpoint_head_hash(head);
    }
    return head->hash;
}

/* Of the records as the reader will see them. */
static uint32_t count(struct cw_view bytes, struct cw_checkpoint_foot *foot)
{
    struct cw_record record;
    uint32_t records = 0;
    while (cw_record_next(&bytes, &record) == CW_RECORD_READ) {
        foot->rows[record.table]++;
        records++;
    }
    foot->rows_all += records;
    return records;
}

static uint64_t make_block(struct input *in, char *at, uint8_t flags,
                           struct cw_checkpoint_foot *foot)
{
    struct cw_checkpoint_block *block = (struct cw_checkpoint_block *)(void *)at;
    uint32_t want = (uint32_t)byte(in) | (uint32_t)byte(in) << 8;
    uint64_t here = (uint64_t)(in->end - in->at);
    uint32_t bytes = want % RECORDS_MAX < here ? want % RECORDS_MAX : (uint32_t)here;
    if (bytes > 0) {
        memcpy(block + 1, in->at, bytes);
    }
    in->at += bytes;
    struct cw_view records = {(const char *)(block + 1), bytes};
    *block = (struct cw_checkpoint_block){.magic = CW_CHECKPOINT_BLOCK_MAGIC,
                                          .length = (uint32_t)sizeof *block + bytes,
                                          .number = foot->blocks + ((flags & SKIP) != 0),
                                          .records = count(records, foot)};
    uint64_t whole = cw_checkpoint_whole(block->length);
    block->hash = cw_checkpoint_block_hash(block, BEGIN);
    if ((flags & XOR) != 0) {
        xor_some(in, block, sizeof *block);
    }
    if ((flags & FIX) != 0 && block->length >= sizeof *block &&
        block->length < FILE_MAX / 2) { /* what it may reach is there: the buffer is zeroed */
        block->hash = cw_checkpoint_block_hash(block, BEGIN);
    }
    foot->chain = cw_checkpoint_chain(foot->chain, block->hash);
    foot->blocks++;
    return whole;
}

static uint64_t make_file(struct input *in, char *file)
{
    struct cw_checkpoint_foot foot = {
        .magic = CW_CHECKPOINT_FOOT_MAGIC, .table_count = TABLES, .begin = BEGIN, .end = BEGIN + 1};
    foot.chain = make_head(in, file);
    uint64_t at = CW_DISK_BLOCK;
    for (uint32_t i = 0; i < BLOCKS_MAX; i++) {
        uint8_t flags = byte(in);
        if (flags == 0) {
            break;
        }
        at += make_block(in, file + at, flags, &foot);
    }
    foot.bytes = at + CW_DISK_BLOCK;
    uint8_t flags = byte(in);
    foot.hash = cw_checkpoint_foot_hash(&foot);
    if ((flags & XOR) != 0) {
        xor_some(in, &foot, 80);
    }
    if ((flags & FIX) != 0) {
        foot.hash = cw_checkpoint_foot_hash(&foot);
    }
    memcpy(file + at, &foot, sizeof foot);
    return foot.bytes <= FILE_MAX && (flags & SKIP) != 0 ? foot.bytes : at + CW_DISK_BLOCK;
}

static bool apply(void *with, struct cw_view records)
{
    uint64_t *rows = with;
    struct cw_record record;
    enum cw_record_read read;
    CW_ASSERT((uintptr_t)records.data % 8 == 0);
    while ((read = cw_record_next(&records, &record)) == CW_RECORD_READ) {
        CW_ASSERT(record.kind == CW_RECORD_PUT && record.key.bytes > 0);
        CW_ASSERT(record.key.bytes <= CW_TABLE_KEY_BYTES_MAX);
        ++*rows;
    }
    CW_ASSERT(read == CW_RECORD_END);
    return true;
}

static bool forget(void *with)
{
    *(uint64_t *)with = 0;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct memory_disk disk;
    struct cw_disk port = memory_port(&disk);
    struct cw_disk_op create = {.kind = CW_DISK_CREATE, .name = "checkpoint-0000000000000007"};
    int error = cw_disk_do(&port, &create);
    CW_ASSERT(error == 0);
    struct memory_file *file = &disk.files[create.file];
    memory_size(file, 2 * FILE_MAX);
    struct input in = {data, data + size};
    if (size > 0 && data[0] == 0xff) {
        file->bytes = size - 1 < FILE_MAX ? size - 1 : FILE_MAX;
        memcpy(file->now, data + 1, file->bytes);
    } else {
        file->bytes = make_file(&in, file->now);
    }
    uint64_t rows = 0;
    struct cw_checkpoint_found found;
    struct cw_fault fault;
    const struct cw_checkpoint_apply twice = {.apply = apply, .with = &rows};
    cw_err err = cw_checkpoint_read(&port, store, 0, true, &twice, &found, &fault);
    uint64_t rows_twice = rows;
    rows = 0;
    const struct cw_checkpoint_apply once = {.apply = apply, .forget = forget, .with = &rows};
    cw_err err_once = cw_checkpoint_read(&port, store, 0, false, &once, &found, &fault);
    CW_ASSERT(err_once == err && rows == rows_twice);
    CW_ASSERT(found.any == (err == CW_ERR_OK));
    CW_ASSERT(rows == found.rows && found.refused == (err == CW_ERR_CORRUPT));
    CW_ASSERT(err == CW_ERR_OK || err == CW_ERR_CORRUPT || err == CW_ERR_UNSUPPORTED);
    CW_ASSERT((found.why[0] != '\0') == (err == CW_ERR_CORRUPT));
    CW_ASSERT(!found.any || (found.end >= found.begin && found.bytes == file->bytes));
    memory_free(&disk);
    return 0;
}
