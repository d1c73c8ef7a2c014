#include "core/snapshot.h"
#include "core/snapshot_priv.h"
#include "tests/core/random.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdlib.h>

enum {
    MEMBERS = 4,
    FILE_MAX = 8 << 20
};

static _Alignas(8) char room[CW_SNAPSHOT_ROOM_BYTES];

struct file {
    char *data;
    uint32_t bytes, limit;
};

static bool put(void *with, const void *data, uint32_t bytes)
{
    struct file *file = with;
    if (file->bytes + bytes > file->limit) {
        return false;
    }
    memcpy(file->data + file->bytes, data, bytes);
    file->bytes += bytes;
    return true;
}

static const char *const names[MEMBERS] = {"manifest", "programs/first.yaml",
                                           "shard-0/checkpoint-0000000000000001", "shard-0/log-1"};

/* The bytes of member m of a file with this scale. */
static uint32_t size_of(int m, uint32_t scale)
{
    const uint32_t sizes[MEMBERS] = {5, 0, 8, 37};
    return sizes[m] * scale;
}

static bool write_file(struct file *file, uint32_t scale)
{
    struct cw_snapshot_writer writer;
    char *bytes = malloc(37 * scale + 1);
    (void)cw_snapshot_begin(&writer, put, file);
    for (int m = 0; m < MEMBERS; m++) {
        struct cw_view name = {names[m], (uint32_t)strlen(names[m])};
        (void)cw_snapshot_member(&writer, name);
        memset(bytes, 'a' + m, size_of(m, scale));
        uint32_t half = size_of(m, scale) / 2;
        (void)cw_snapshot_data(&writer, bytes, half);
        (void)cw_snapshot_data(&writer, bytes + half, size_of(m, scale) - half);
        (void)cw_snapshot_end_member(&writer);
    }
    free(bytes);
    return cw_snapshot_end(&writer);
}

struct seen {
    int member; /* -1: none yet */
    uint32_t bytes, scale;
    bool open, wrong;
    int ended, refuse; /* refuse: number of the call that says no */
    int calls;
};

static bool see_member(void *with, struct cw_view name)
{
    struct seen *seen = with;
    seen->member++;
    seen->bytes = 0;
    seen->wrong |= seen->open || seen->member >= MEMBERS ||
                   !cw_view_equal(name, (struct cw_view){names[seen->member],
                                                         (uint32_t)strlen(names[seen->member])});
    seen->open = true;
    return ++seen->calls != seen->refuse;
}

static bool see_data(void *with, struct cw_view bytes)
{
    struct seen *seen = with;
    for (uint32_t i = 0; i < bytes.bytes; i++) {
        seen->wrong |= bytes.data[i] != 'a' + seen->member;
    }
    seen->bytes += bytes.bytes;
    return ++seen->calls != seen->refuse;
}

static bool see_end(void *with)
{
    struct seen *seen = with;
    seen->wrong |= !seen->open || seen->bytes != size_of(seen->member, seen->scale);
    seen->open = false;
    seen->ended++;
    return ++seen->calls != seen->refuse;
}

static struct cw_snapshot_receiver receiver(struct seen *seen, uint32_t scale)
{
    *seen = (struct seen){.member = -1, .scale = scale};
    return (struct cw_snapshot_receiver){see_member, see_data, see_end, seen};
}

static enum cw_snapshot_state prove(const struct file *file, struct cw_snapshot_reader *reader)
{
    cw_snapshot_reader_begin(reader, room, NULL);
    return cw_snapshot_feed(reader, file->data, file->bytes);
}

static struct file file_of(uint32_t scale)
{
    struct file file = {.data = malloc(FILE_MAX), .limit = FILE_MAX};
    bool whole = write_file(&file, scale);
    cr_assert(whole);
    return file;
}

Test(snapshot, what_was_written_is_read_in_pieces_of_any_size)
{
    uint64_t random = 1;
    const uint32_t scales[] = {1, 3, 1000, 100000};
    for (uint32_t s = 0; s < CW_COUNTOF(scales); s++) {
        struct file file = file_of(scales[s]);
        for (uint32_t most = 1; most <= file.bytes * 2; most *= 7) {
            if (file.bytes / most > 100000) {
                continue;
            }
            struct seen seen;
            struct cw_snapshot_receiver to = receiver(&seen, scales[s]);
            struct cw_snapshot_reader reader;
            cw_snapshot_reader_begin(&reader, room, &to);
            uint32_t at = 0;
            while (at < file.bytes) {
                cr_assert(eq(int, reader.state, CW_SNAPSHOT_MORE));
                uint32_t bytes = 1 + random_below(&random, most);
                bytes = bytes < file.bytes - at ? bytes : file.bytes - at;
                (void)cw_snapshot_feed(&reader, file.data + at, bytes);
                at += bytes;
            }
            cr_assert(eq(int, reader.state, CW_SNAPSHOT_DONE), "%s", reader.why);
            cr_assert(seen.ended == MEMBERS && !seen.wrong && !seen.open);
            cr_assert(reader.members == MEMBERS && reader.data_bytes == 50ull * scales[s]);
            cr_assert(eq(u64, reader.bytes, file.bytes));
        }
        free(file.data);
    }
}

Test(snapshot, empty)
{
    struct file file = {.data = malloc(4096), .limit = 4096};
    struct cw_snapshot_writer writer;
    cr_assert(cw_snapshot_begin(&writer, put, &file));
    cr_assert(cw_snapshot_end(&writer));
    struct cw_snapshot_reader reader;
    cr_assert(eq(int, prove(&file, &reader), CW_SNAPSHOT_DONE));
    cr_assert(eq(u64, reader.members, 0));
    free(file.data);
}

Test(snapshot, every_bit_counts)
{
    struct file file = file_of(3);
    struct cw_snapshot_reader reader;
    for (uint32_t bit = 0; bit < file.bytes * 8; bit++) {
        file.data[bit / 8] ^= (char)(1 << bit % 8);
        enum cw_snapshot_state state = prove(&file, &reader);
        /* A length that became longer may also wait for more than there is. */
        cr_assert(ne(int, state, CW_SNAPSHOT_DONE), "bit %u", bit);
        cr_assert(state == CW_SNAPSHOT_MORE || reader.why[0] != '\0');
        file.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    cr_assert(eq(int, prove(&file, &reader), CW_SNAPSHOT_DONE));
    free(file.data);
}

Test(snapshot, cut_short_or_longer_it_is_not_whole)
{
    struct file file = file_of(2);
    uint32_t bytes = file.bytes;
    struct cw_snapshot_reader reader;
    for (file.bytes = 0; file.bytes < bytes; file.bytes++) {
        cr_assert(eq(int, prove(&file, &reader), CW_SNAPSHOT_MORE));
    }
    file.data[bytes] = 0;
    file.bytes = bytes + 1;
    cr_assert(eq(int, prove(&file, &reader), CW_SNAPSHOT_BAD));
    free(file.data);
}

Test(snapshot, pieces_of_another_place_do_not_fit)
{
    struct file file = file_of(8); /* member 3: two pieces of 148 bytes, which split 144 + 4 */
    struct cw_snapshot_reader reader;
    uint32_t at = sizeof(struct cw_snapshot_head);
    uint32_t previous = 0;
    int swapped = 0;
    while (at < file.bytes) {
        const struct cw_snapshot_piece *piece = (const void *)(file.data + at);
        uint32_t bytes = (uint32_t)sizeof *piece + ((piece->bytes + 7) & ~7u);
        const struct cw_snapshot_piece *before = (const void *)(file.data + previous);
        if (previous != 0 && before->bytes == piece->bytes) {
            char kept[4096];
            memcpy(kept, before, bytes);
            memmove(file.data + previous, piece, bytes);
            memcpy(file.data + at, kept, bytes);
            cr_assert(eq(int, prove(&file, &reader), CW_SNAPSHOT_BAD));
            memmove(file.data + at, file.data + previous, bytes);
            memcpy(file.data + previous, kept, bytes);
            swapped++;
        }
        previous = at;
        at += bytes;
    }
    cr_assert(swapped > 0);
    cr_assert(eq(int, prove(&file, &reader), CW_SNAPSHOT_DONE));
    free(file.data);
}

Test(snapshot, another_format_is_told_apart)
{
    struct file file = file_of(1);
    struct cw_snapshot_head *head = (void *)file.data;
    head->major++;
    head->hash = cw_snapshot_head_hash(head);
    struct cw_snapshot_reader reader;
    cr_assert(eq(int, prove(&file, &reader), CW_SNAPSHOT_BAD));
    cr_assert(ne(ptr, strstr(reader.why, "format"), NULL));
    cr_assert(eq(u32, reader.format, CW_SNAPSHOT_FORMAT + 1));
    head->major ^= 4; /* a bit that flips is damage */
    cr_assert(eq(int, prove(&file, &reader), CW_SNAPSHOT_BAD));
    cr_assert(eq(u32, reader.format, 0));
    free(file.data);
}

Test(snapshot, the_receiver_may_stop_it)
{
    struct file file = file_of(2);
    for (int call = 1; call <= 12; call++) {
        struct seen seen;
        struct cw_snapshot_receiver to = receiver(&seen, 2);
        seen.refuse = call;
        struct cw_snapshot_reader reader;
        cw_snapshot_reader_begin(&reader, room, &to);
        cr_assert(eq(int, cw_snapshot_feed(&reader, file.data, file.bytes), CW_SNAPSHOT_BAD));
        cr_assert(eq(int, seen.calls, call));
    }
    free(file.data);
}

Test(snapshot, a_writer_that_ran_full_says_so)
{
    struct file whole = file_of(2);
    for (uint32_t limit = 0; limit < whole.bytes; limit++) {
        struct file file = {.data = whole.data, .limit = limit};
        bool ended = write_file(&file, 2);
        cr_assert(not(ended));
        cr_assert(file.bytes <= limit);
    }
    free(whole.data);
}

Test(snapshot, names_lead_nowhere_else)
{
    const char *const good[] = {"a", "manifest", "a/b/c", "shard-0/log-00_1.x", "A9"};
    const char *const wrong[] = {"",     "/",      "/a",   "a/",     "a//b", ".",
                                 "..",   "../a",   "a/..", "a/../b", ".hid", "a/.hid",
                                 "a b",  "a\\b",   "a:b",  "\xc3\xa9"};
    for (uint32_t i = 0; i < CW_COUNTOF(good); i++) {
        cr_assert(cw_snapshot_name_ok((struct cw_view){good[i], (uint32_t)strlen(good[i])}));
    }
    for (uint32_t i = 0; i < CW_COUNTOF(wrong); i++) {
        bool ok = cw_snapshot_name_ok((struct cw_view){wrong[i], (uint32_t)strlen(wrong[i])});
        cr_assert(not(ok), "%s", wrong[i]);
    }
    bool ok = cw_snapshot_name_ok((struct cw_view){"a\0b", 3});
    cr_assert(not(ok));
    char longest[CW_SNAPSHOT_NAME_MAX + 1];
    memset(longest, 'n', sizeof longest);
    cr_assert(cw_snapshot_name_ok((struct cw_view){longest, CW_SNAPSHOT_NAME_MAX}));
    ok = cw_snapshot_name_ok((struct cw_view){longest, CW_SNAPSHOT_NAME_MAX + 1});
    cr_assert(not(ok));
}
