/* XXH3 is compiled in: the library of Debian is built for SSE2 alone. One call over the whole frame
   needs no streaming state, which with a seed would have to be initialised first
   (XXH3_INITSTATE). */
#define XXH_INLINE_ALL
#include "core/log_priv.h"

#include "core/format.h"

#include <xxhash.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the layouts are little endian");

struct cw_log_bugs cw_log_bugs;

uint64_t cw_log_frame_hash(struct cw_log_frame *frame)
{
    uint64_t kept = frame->hash;
    frame->hash = 0;
    uint64_t hash = XXH3_64bits_withSeed(frame, frame->len, frame->salt);
    frame->hash = kept;
    return hash;
}

uint64_t cw_log_head_hash(const struct cw_log_head *head)
{
    return XXH3_64bits(head, offsetof(struct cw_log_head, hash));
}

enum cw_log_head_is cw_log_head_check(const struct cw_log_head *head,
                                      const struct cw_log_options *options, uint64_t seq)
{
    if (memcmp(head->magic, CW_LOG_HEAD_MAGIC, sizeof head->magic) != 0 ||
        head->hash != cw_log_head_hash(head)) {
        return CW_LOG_HEAD_BAD;
    }
    /* Later majors keep magic, version and hash where they are; nothing else may be believed. */
    if (head->major != CW_LOG_MAJOR || head->hash_algorithm != CW_LOG_HASH_XXH3 ||
        head->block_bytes != CW_DISK_BLOCK) {
        return CW_LOG_HEAD_VERSION;
    }
    if (memcmp(head->store, options->store, sizeof head->store) != 0 ||
        head->shard != options->shard) {
        return CW_LOG_HEAD_FOREIGN;
    }
    bool sane = head->seq == seq && head->first_lsn > 0 && head->first_lsn < CW_LOG_NUMBER_MAX;
    return sane ? CW_LOG_HEAD_GOOD : CW_LOG_HEAD_BAD;
}

void cw_log_name(char name[CW_DISK_NAME_BYTES], uint64_t seq)
{
    (void)cw_format(name, CW_DISK_NAME_BYTES, "log-%016llx", (unsigned long long)seq);
}

void cw_log_spare_name(char name[CW_DISK_NAME_BYTES], uint64_t number, bool made)
{
    (void)cw_format(name, CW_DISK_NAME_BYTES, "spare-%llu%s", (unsigned long long)number,
                    made ? "" : ".new");
}

/* Lower-case digits of the base; stops at the first byte that is none. */
static const char *read_number(const char *text, uint32_t base, uint64_t *number)
{
    *number = 0;
    for (; *text != '\0'; text++) {
        uint32_t digit = *text >= '0' && *text <= '9'   ? (uint32_t)(*text - '0')
                         : *text >= 'a' && *text <= 'f' ? (uint32_t)(*text - 'a') + 10
                                                        : 16;
        if (digit >= base || __builtin_mul_overflow(*number, (uint64_t)base, number) ||
            __builtin_add_overflow(*number, (uint64_t)digit, number)) {
            break;
        }
    }
    return text;
}

/* What is not exactly a name of ours is somebody else's, and left alone. */
enum cw_log_name_is cw_log_name_read(const char *name, uint64_t *number)
{
    char again[CW_DISK_NAME_BYTES];
    if (strncmp(name, "log-", 4) == 0) {
        (void)read_number(name + 4, 16, number);
        cw_log_name(again, *number);
        bool ours = strcmp(name, again) == 0 && *number < CW_LOG_NUMBER_MAX;
        return ours ? CW_LOG_NAME_SEGMENT : CW_LOG_NAME_OTHER;
    }
    if (strncmp(name, "spare-", 6) == 0) {
        bool made = *read_number(name + 6, 10, number) == '\0';
        cw_log_spare_name(again, *number, made);
        return strcmp(name, again) != 0 || *number >= CW_LOG_NUMBER_MAX ? CW_LOG_NAME_OTHER
               : made                   ? CW_LOG_NAME_SPARE
                                        : CW_LOG_NAME_NEW;
    }
    return CW_LOG_NAME_OTHER;
}
