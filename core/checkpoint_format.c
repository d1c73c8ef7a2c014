/* XXH3 is compiled in: the library of Debian is built for SSE2 alone. No streaming state is kept,
   which with a seed would have to be initialised first (XXH3_INITSTATE). */
#define XXH_INLINE_ALL
#define _GNU_SOURCE 1 /* strerrordesc_np */
#include "core/checkpoint_priv.h"

#include "core/format.h"

#include <string.h>
#include <xxhash.h>

uint64_t cw_checkpoint_head_hash(const struct cw_checkpoint_head *head)
{
    return XXH3_64bits(head, offsetof(struct cw_checkpoint_head, hash));
}

uint64_t cw_checkpoint_block_hash(const struct cw_checkpoint_block *block, uint64_t begin)
{
    uint64_t seed =
        XXH3_64bits_withSeed(block, offsetof(struct cw_checkpoint_block, hash), begin);
    return XXH3_64bits_withSeed(block + 1, cw_checkpoint_whole(block->length) - sizeof *block,
                                seed);
}

uint64_t cw_checkpoint_chain(uint64_t chain, uint64_t block_hash)
{
    return XXH3_64bits_withSeed(&block_hash, sizeof block_hash, chain);
}

uint64_t cw_checkpoint_foot_hash(const struct cw_checkpoint_foot *foot)
{
    return XXH3_64bits_withSeed(foot, offsetof(struct cw_checkpoint_foot, hash), foot->chain);
}

/* ---- names ---- */

static const char prefix[] = "checkpoint-";
static const char suffix[] = ".new";

enum {
    PREFIX_BYTES = sizeof prefix - 1,
    DIGITS = 16
};

void cw_checkpoint_name(char name[CW_DISK_NAME_BYTES], uint64_t begin, bool made)
{
    (void)cw_format(name, CW_DISK_NAME_BYTES, "%s%016llx%s", prefix, (unsigned long long)begin,
                    made ? suffix : "");
}

bool cw_checkpoint_name_read(const char *name, uint64_t *begin, bool *made)
{
    if (strncmp(name, prefix, PREFIX_BYTES) != 0) {
        return false;
    }
    const char *digits = name + PREFIX_BYTES;
    *begin = 0;
    for (uint32_t i = 0; i < DIGITS; i++) {
        char c = digits[i]; /* the name's NUL is no digit */
        if (c >= '0' && c <= '9') {
            *begin = *begin << 4 | (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            *begin = *begin << 4 | (uint64_t)(c - 'a' + 10);
        } else {
            return false;
        }
    }
    *made = strcmp(digits + DIGITS, suffix) == 0;
    return *made || digits[DIGITS] == '\0';
}

/* Keeps the list sorted, largest first; the smallest falls out at the end. */
static void insert(uint64_t *begins, uint32_t *count, uint64_t begin)
{
    uint32_t at = 0;
    while (at < *count && begins[at] > begin) {
        at++;
    }
    if (at == CW_CHECKPOINT_GENERATIONS_MAX) {
        return;
    }
    *count += *count < CW_CHECKPOINT_GENERATIONS_MAX;
    memmove(&begins[at + 1], &begins[at], (*count - at - 1) * sizeof *begins);
    begins[at] = begin;
}

static void list_found(void *with, const char *name, uint64_t bytes)
{
    (void)bytes;
    struct cw_checkpoint_names *names = with;
    uint64_t begin;
    bool made;
    if (!cw_checkpoint_name_read(name, &begin, &made)) {
        return;
    }
    if (made) {
        insert(names->unfinished, &names->unfinished_count, begin);
    } else {
        insert(names->begins, &names->count, begin);
    }
}

cw_err cw_checkpoint_list(const struct cw_disk *disk, struct cw_checkpoint_names *names,
                          struct cw_fault *fault)
{
    *names = (struct cw_checkpoint_names){0};
    int error = disk->list(disk->self, list_found, names);
    if (error != 0) {
        cw_err err = cw_fail(fault, CW_ERR_IO, "checkpoints: listing the directory: %s",
                             strerrordesc_np(error));
        fault->sys_errno = error;
        return err;
    }
    return CW_ERR_OK;
}

/* ---- scan ---- */

static enum cw_checkpoint_scanned bad(struct cw_checkpoint_scan *scan, const char *what)
{
    (void)cw_format(scan->why, sizeof scan->why, "%s at byte %llu", what,
                    (unsigned long long)scan->at);
    return CW_CHECKPOINT_SCAN_BAD;
}

static enum cw_checkpoint_scanned strange(struct cw_checkpoint_scan *scan, const char *what)
{
    scan->strange = true;
    (void)cw_format(scan->why, sizeof scan->why, "%s", what);
    return CW_CHECKPOINT_SCAN_BAD;
}

static enum cw_checkpoint_scanned scan_head(struct cw_checkpoint_scan *scan,
                                            const struct cw_checkpoint_head *head)
{
    if (memcmp(head->magic, CW_CHECKPOINT_MAGIC, sizeof head->magic) != 0 ||
        head->hash != cw_checkpoint_head_hash(head)) {
        return bad(scan, "a damaged header");
    }
    /* Later majors keep magic, version and hash where they are; nothing else may be believed. */
    if (head->major != CW_CHECKPOINT_MAJOR || head->hash_algorithm != CW_CHECKPOINT_XXH3 ||
        head->block_unit != CW_DISK_BLOCK) {
        return strange(scan, "it has a format that this version does not read");
    }
    if (memcmp(head->store, scan->store, sizeof head->store) != 0 || head->shard != scan->shard) {
        return strange(scan, "it belongs to another state or another core");
    }
    if (head->begin != scan->begin) {
        return bad(scan, "a header that is not what the name says");
    }
    if (head->table_count > CW_CHECKPOINT_TABLES_MAX) {
        return bad(scan, "a header with too many tables");
    }
    scan->logical_ms = head->logical_ms;
    scan->table_count = head->table_count;
    scan->chain = head->hash;
    return CW_CHECKPOINT_SCAN_TOOK;
}

/* What the hash cannot say: whoever wrote the block followed the rules. */
static bool scan_records(struct cw_checkpoint_scan *scan, struct cw_view bytes, uint32_t records)
{
    struct cw_record record;
    enum cw_record_read read;
    uint32_t count = 0;
    while ((read = cw_record_next(&bytes, &record)) == CW_RECORD_READ) {
        if (record.kind != CW_RECORD_PUT || record.table >= scan->table_count ||
            record.key.bytes == 0 || record.key.bytes > CW_TABLE_KEY_BYTES_MAX ||
            record.value.bytes > CW_TABLE_VALUE_MAX) {
            return false;
        }
        scan->rows[record.table]++;
        count++;
    }
    scan->rows_all += count;
    return read == CW_RECORD_END && count == records;
}

static enum cw_checkpoint_scanned scan_block(struct cw_checkpoint_scan *scan,
                                             const struct cw_checkpoint_block *block,
                                             uint64_t available, uint64_t *used,
                                             struct cw_view *records)
{
    uint64_t whole = cw_checkpoint_whole(block->length);
    if (block->magic != CW_CHECKPOINT_BLOCK_MAGIC || block->length <= sizeof *block ||
        whole > CW_CHECKPOINT_BLOCK_MAX || whole > scan->bytes - scan->at) {
        return bad(scan, "a damaged block header");
    }
    if (whole > available) {
        return CW_CHECKPOINT_SCAN_MORE;
    }
    if (block->number != scan->blocks || block->zero != 0 ||
        block->hash != cw_checkpoint_block_hash(block, scan->begin)) {
        return bad(scan, "a damaged block");
    }
    *records = (struct cw_view){.data = (const char *)(block + 1),
                                .bytes = block->length - (uint32_t)sizeof *block};
    if (!scan_records(scan, *records, block->records)) {
        return bad(scan, "a block of records that are none");
    }
    scan->chain = cw_checkpoint_chain(scan->chain, block->hash);
    scan->blocks++;
    *used = whole;
    return CW_CHECKPOINT_SCAN_TOOK;
}

static enum cw_checkpoint_scanned scan_foot(struct cw_checkpoint_scan *scan,
                                            const struct cw_checkpoint_foot *foot)
{
    if (foot->magic != CW_CHECKPOINT_FOOT_MAGIC || foot->hash != cw_checkpoint_foot_hash(foot)) {
        return bad(scan, "a damaged or missing end");
    }
    if (foot->chain != scan->chain || foot->begin != scan->begin || foot->end < foot->begin ||
        foot->blocks != scan->blocks || foot->bytes != scan->bytes ||
        foot->table_count != scan->table_count || foot->rows_all != scan->rows_all ||
        memcmp(foot->rows, scan->rows, sizeof foot->rows) != 0) {
        return bad(scan, "an end that does not fit what is before it");
    }
    scan->end = foot->end;
    scan->complete = true;
    return CW_CHECKPOINT_SCAN_TOOK;
}

enum cw_checkpoint_scanned cw_checkpoint_scan(struct cw_checkpoint_scan *scan, const char *data,
                                              uint64_t available, uint64_t *used,
                                              struct cw_view *records)
{
    CW_ASSERT(!scan->complete && available >= CW_DISK_BLOCK && available % CW_DISK_BLOCK == 0);
    CW_ASSERT((uintptr_t)data % 8 == 0);
    *used = CW_DISK_BLOCK;
    *records = (struct cw_view){0};
    enum cw_checkpoint_scanned scanned;
    if (scan->bytes < (uint64_t)2 * CW_DISK_BLOCK || scan->bytes % CW_DISK_BLOCK != 0) {
        scanned = bad(scan, "it is cut short");
    } else if (scan->at == 0) {
        scanned = scan_head(scan, (const struct cw_checkpoint_head *)(const void *)data);
    } else if (scan->at == scan->bytes - CW_DISK_BLOCK) {
        scanned = scan_foot(scan, (const struct cw_checkpoint_foot *)(const void *)data);
    } else {
        scanned = scan_block(scan, (const struct cw_checkpoint_block *)(const void *)data,
                             available, used, records);
    }
    if (scanned == CW_CHECKPOINT_SCAN_TOOK) {
        scan->at += *used;
    }
    return scanned;
}
