/*
 * A snapshot made from the bytes: pieces of any kind, order, length and payload, chained and hashed
 * as they should be unless the bytes say otherwise; the first byte 0xff: the rest is the file as it
 * is. However it is cut, the reader says the same; what the receiver was given is what the reader
 * counted, and names are such that they may be used.
 */
#include "core/snapshot_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    FILE_MAX = 1 << 17,
    XOR = 0x10, /* a byte of the header is changed, */
    FIX = 0x20  /* and the hash put right afterwards */
};

struct input {
    const uint8_t *at, *end;
};

struct file {
    char data[FILE_MAX];
    uint32_t bytes;
    uint64_t hash, pieces, members, data_bytes, member_bytes;
};

struct seen {
    uint64_t members, ended, bytes;
};

static uint8_t byte(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static void make_head(struct input *in, struct file *file)
{
    struct cw_snapshot_head head = {.magic = CW_SNAPSHOT_MAGIC,
                                    .major = CW_SNAPSHOT_MAJOR,
                                    .hash_algorithm = CW_SNAPSHOT_XXH3};
    uint8_t flags = byte(in);
    head.hash = cw_snapshot_head_hash(&head);
    if ((flags & XOR) != 0) {
        ((uint8_t *)&head)[byte(in) % sizeof head] ^= byte(in);
    }
    if ((flags & FIX) != 0) {
        head.hash = cw_snapshot_head_hash(&head);
    }
    memcpy(file->data, &head, sizeof head);
    file->bytes = sizeof head;
    file->hash = head.hash;
}

/* What its end or the trailer should say, else bytes of the input. */
static uint32_t payload_of(struct input *in, const struct file *file, uint32_t kind, bool right,
                           char *to)
{
    if (kind == CW_SNAPSHOT_END_MEMBER && right) {
        memcpy(to, &file->member_bytes, 8);
        return 8;
    }
    if (kind == CW_SNAPSHOT_TRAILER && right) {
        struct cw_snapshot_trailer trailer = {
            .members = file->members, .data_bytes = file->data_bytes, .bytes = file->bytes + 48u};
        memcpy(to, &trailer, sizeof trailer);
        return sizeof trailer;
    }
    uint32_t want = byte(in) * (kind == CW_SNAPSHOT_DATA ? 33u : 1u);
    uint32_t here = (uint32_t)(in->end - in->at);
    uint32_t bytes = want < here ? want : here;
    if (bytes > 0) {
        memcpy(to, in->at, bytes);
    }
    in->at += bytes;
    return bytes;
}

static void make_piece(struct input *in, struct file *file)
{
    static const uint32_t kinds[] = {CW_SNAPSHOT_MEMBER, CW_SNAPSHOT_DATA, CW_SNAPSHOT_END_MEMBER,
                                     CW_SNAPSHOT_TRAILER, 0x12345678};
    uint8_t flags = byte(in);
    uint32_t kind = kinds[(flags & 7) % CW_COUNTOF(kinds)];
    struct cw_snapshot_piece piece = {.kind = kind, .number = file->pieces++};
    char *payload = file->data + file->bytes + sizeof piece;
    piece.bytes = payload_of(in, file, kind, (flags & 8) == 0, payload);
    uint32_t whole = (piece.bytes + 7) & ~7u;
    piece.hash = cw_snapshot_piece_hash(&piece, payload, file->hash);
    if ((flags & XOR) != 0) {
        ((uint8_t *)&piece)[byte(in) % sizeof piece] ^= byte(in);
    }
    if ((flags & FIX) != 0 && piece.bytes <= whole) {
        piece.hash = cw_snapshot_piece_hash(&piece, payload, file->hash);
    }
    memcpy(payload - sizeof piece, &piece, sizeof piece);
    file->bytes += (uint32_t)sizeof piece + whole;
    file->hash = piece.hash;
    file->members += kind == CW_SNAPSHOT_MEMBER;
    file->member_bytes = kind == CW_SNAPSHOT_MEMBER ? 0 : file->member_bytes;
    if (kind == CW_SNAPSHOT_DATA) {
        file->data_bytes += piece.bytes;
        file->member_bytes += piece.bytes;
    }
}

static bool member(void *with, struct cw_view name)
{
    struct seen *seen = with;
    CW_ASSERT(cw_snapshot_name_ok(name) && seen->members == seen->ended);
    seen->members++;
    return true;
}

static bool data_of(void *with, struct cw_view bytes)
{
    struct seen *seen = with;
    CW_ASSERT(bytes.bytes > 0 && seen->members == seen->ended + 1);
    seen->bytes += bytes.bytes;
    return true;
}

static bool end_member(void *with)
{
    struct seen *seen = with;
    seen->ended++;
    CW_ASSERT(seen->members == seen->ended);
    return true;
}

static enum cw_snapshot_state read_file(const struct file *file, uint32_t step, struct seen *seen)
{
    static _Alignas(8) char room[CW_SNAPSHOT_ROOM_BYTES];
    struct cw_snapshot_receiver to = {member, data_of, end_member, seen};
    struct cw_snapshot_reader reader;
    *seen = (struct seen){0};
    cw_snapshot_reader_begin(&reader, room, &to);
    for (uint32_t at = 0; at < file->bytes; at += step) {
        uint32_t left = file->bytes - at;
        (void)cw_snapshot_feed(&reader, file->data + at, left < step ? left : step);
    }
    CW_ASSERT((reader.why[0] != '\0') == (reader.state == CW_SNAPSHOT_BAD));
    if (reader.state == CW_SNAPSHOT_DONE) {
        CW_ASSERT(seen->members == reader.members && seen->ended == reader.members);
        CW_ASSERT(seen->bytes == reader.data_bytes && reader.bytes == file->bytes);
    }
    return reader.state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct file file;
    memset(&file, 0, sizeof file);
    struct input in = {data, data + size};
    if (size > 0 && data[0] == 0xff) {
        file.bytes = size - 1 < FILE_MAX ? (uint32_t)size - 1 : FILE_MAX;
        memcpy(file.data, data + 1, file.bytes);
    } else {
        make_head(&in, &file);
        while (in.at < in.end && file.bytes < FILE_MAX - 10000) {
            make_piece(&in, &file);
        }
    }
    struct seen whole;
    struct seen cut;
    enum cw_snapshot_state state = read_file(&file, FILE_MAX, &whole);
    CW_ASSERT(read_file(&file, 7, &cut) == state);
    CW_ASSERT(memcmp(&whole, &cut, sizeof cut) == 0);
    return 0;
}
