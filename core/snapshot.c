/* The writer and the reader of snapshots; their bytes are drawn in snapshot_priv.h. */
#define XXH_INLINE_ALL
#include "core/snapshot.h"

#include "core/format.h"
#include "core/snapshot_priv.h"

#include <xxhash.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the layouts are little endian");

static uint32_t whole(uint32_t bytes)
{
    return (bytes + 7) & ~7u;
}

uint64_t cw_snapshot_head_hash(const struct cw_snapshot_head *head)
{
    return XXH3_64bits(head, offsetof(struct cw_snapshot_head, hash));
}

uint64_t cw_snapshot_piece_hash(const struct cw_snapshot_piece *piece, const void *payload,
                                uint64_t before)
{
    uint64_t seed = XXH3_64bits_withSeed(piece, offsetof(struct cw_snapshot_piece, hash), before);
    return XXH3_64bits_withSeed(payload, whole(piece->bytes), seed);
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '.' || c == '_' || c == '-';
}

bool cw_snapshot_name_ok(struct cw_view name)
{
    if (name.bytes == 0 || name.bytes > CW_SNAPSHOT_NAME_MAX) {
        return false;
    }
    bool first = true; /* of its part */
    for (uint32_t i = 0; i < name.bytes; i++) {
        char c = name.data[i];
        if (c == '/' ? first : !is_name_byte(c) || (first && c == '.')) {
            return false;
        }
        first = c == '/';
    }
    return !first;
}

/* ---- writing ---- */

static void put(struct cw_snapshot_writer *writer, const void *data, uint32_t bytes)
{
    if (!writer->failed && bytes > 0) {
        writer->failed = !writer->put(writer->with, data, bytes);
        writer->bytes += bytes;
    }
}

/* A piece whose payload is filled up with zeroes already, or needs none. */
static void put_piece(struct cw_snapshot_writer *writer, enum cw_snapshot_kind kind,
                      const void *payload, uint32_t bytes)
{
    struct cw_snapshot_piece piece = {
        .kind = (uint32_t)kind, .bytes = bytes, .number = writer->pieces++};
    piece.hash = cw_snapshot_piece_hash(&piece, payload, writer->hash);
    writer->hash = piece.hash;
    put(writer, &piece, sizeof piece);
    put(writer, payload, whole(bytes));
}

bool cw_snapshot_begin(struct cw_snapshot_writer *writer,
                       bool (*put_bytes)(void *with, const void *data, uint32_t bytes), void *with)
{
    *writer = (struct cw_snapshot_writer){.put = put_bytes, .with = with};
    struct cw_snapshot_head head = {.magic = CW_SNAPSHOT_MAGIC,
                                    .major = CW_SNAPSHOT_MAJOR,
                                    .minor = CW_SNAPSHOT_MINOR,
                                    .hash_algorithm = CW_SNAPSHOT_XXH3};
    head.hash = cw_snapshot_head_hash(&head);
    writer->hash = head.hash;
    put(writer, &head, sizeof head);
    return !writer->failed;
}

bool cw_snapshot_member(struct cw_snapshot_writer *writer, struct cw_view name)
{
    CW_ASSERT(!writer->in_member && !writer->ended && cw_snapshot_name_ok(name));
    char filled[CW_SNAPSHOT_NAME_MAX + 8] = {0};
    memcpy(filled, name.data, name.bytes);
    put_piece(writer, CW_SNAPSHOT_MEMBER, filled, name.bytes);
    writer->in_member = true;
    writer->member_bytes = 0;
    writer->members++;
    return !writer->failed;
}

bool cw_snapshot_data(struct cw_snapshot_writer *writer, const void *data, uint64_t bytes)
{
    CW_ASSERT(writer->in_member);
    const char *at = data;
    writer->member_bytes += bytes;
    writer->data_bytes += bytes;
    while (bytes >= 8 && !writer->failed) { /* once per MiB */
        uint64_t most = bytes < CW_SNAPSHOT_PIECE_MAX ? bytes : CW_SNAPSHOT_PIECE_MAX;
        uint32_t take = (uint32_t)most & ~7u;
        put_piece(writer, CW_SNAPSHOT_DATA, at, take);
        at += take;
        bytes -= take;
    }
    if (bytes > 0 && !writer->failed) { /* what needs zeroes is a piece of its own */
        char filled[8] = {0};
        memcpy(filled, at, bytes);
        put_piece(writer, CW_SNAPSHOT_DATA, filled, (uint32_t)bytes);
    }
    return !writer->failed;
}

bool cw_snapshot_end_member(struct cw_snapshot_writer *writer)
{
    CW_ASSERT(writer->in_member);
    put_piece(writer, CW_SNAPSHOT_END_MEMBER, &writer->member_bytes, sizeof writer->member_bytes);
    writer->in_member = false;
    return !writer->failed;
}

bool cw_snapshot_end(struct cw_snapshot_writer *writer)
{
    CW_ASSERT(!writer->in_member && !writer->ended);
    struct cw_snapshot_trailer trailer = {.members = writer->members,
                                          .data_bytes = writer->data_bytes};
    trailer.bytes = writer->bytes + sizeof(struct cw_snapshot_piece) + sizeof trailer;
    put_piece(writer, CW_SNAPSHOT_TRAILER, &trailer, sizeof trailer);
    writer->ended = true;
    return !writer->failed;
}

/* ---- reading ---- */

/* NOLINTNEXTLINE(readability-non-const-parameter): the reader writes there */
void cw_snapshot_reader_begin(struct cw_snapshot_reader *reader, char *room,
                              const struct cw_snapshot_receiver *receiver)
{
    CW_ASSERT((uintptr_t)room % 8 == 0);
    *reader = (struct cw_snapshot_reader){.room = room, .need = sizeof(struct cw_snapshot_head)};
    if (receiver != NULL) {
        reader->receiver = *receiver;
    }
}

static void bad(struct cw_snapshot_reader *reader, const char *what)
{
    reader->state = CW_SNAPSHOT_BAD;
    (void)cw_format(reader->why, sizeof reader->why, "%s at byte %llu", what,
                    (unsigned long long)reader->bytes);
}

static bool in_head(const struct cw_snapshot_reader *reader)
{
    return reader->bytes == 0;
}

bool cw_snapshot_begins(const void *data, uint64_t bytes)
{
    return memcmp(data, CW_SNAPSHOT_MAGIC,
                  bytes < sizeof CW_SNAPSHOT_MAGIC ? bytes : sizeof CW_SNAPSHOT_MAGIC) == 0;
}

static void take_head(struct cw_snapshot_reader *reader)
{
    const struct cw_snapshot_head *head =
        (const struct cw_snapshot_head *)(const void *)reader->room;
    if (memcmp(head->magic, CW_SNAPSHOT_MAGIC, sizeof head->magic) != 0) {
        bad(reader, "no snapshot");
    } else if (head->hash != cw_snapshot_head_hash(head)) {
        bad(reader, "a damaged header");
    } else if (head->major != CW_SNAPSHOT_MAJOR) { /* no damage: the hash is of that number */
        reader->format = head->major;
        bad(reader, "a format that this version does not read");
    } else if (head->hash_algorithm != CW_SNAPSHOT_XXH3) {
        bad(reader, "a format that this version does not read");
    }
    reader->hash = head->hash;
}

static void take_member(struct cw_snapshot_reader *reader, struct cw_view name)
{
    if (reader->in_member || !cw_snapshot_name_ok(name)) {
        bad(reader, "a member that cannot be");
        return;
    }
    reader->in_member = true;
    reader->member_bytes = 0;
    reader->members++;
    if (reader->receiver.member != NULL && !reader->receiver.member(reader->receiver.with, name)) {
        bad(reader, "a member that is not wanted");
    }
}

static void take_data(struct cw_snapshot_reader *reader, struct cw_view bytes)
{
    if (!reader->in_member || bytes.bytes == 0) {
        bad(reader, "bytes of no member");
        return;
    }
    reader->member_bytes += bytes.bytes;
    reader->data_bytes += bytes.bytes;
    if (reader->receiver.data != NULL && !reader->receiver.data(reader->receiver.with, bytes)) {
        bad(reader, "bytes that are not wanted");
    }
}

static void take_end_member(struct cw_snapshot_reader *reader, struct cw_view payload)
{
    uint64_t said = 0;
    memcpy(&said, payload.data, payload.bytes < sizeof said ? payload.bytes : sizeof said);
    if (!reader->in_member || payload.bytes != sizeof said || said != reader->member_bytes) {
        bad(reader, "a member's end that does not fit");
        return;
    }
    reader->in_member = false;
    if (reader->receiver.end_member != NULL &&
        !reader->receiver.end_member(reader->receiver.with)) {
        bad(reader, "a member that was not taken");
    }
}

static void take_trailer(struct cw_snapshot_reader *reader, struct cw_view payload)
{
    struct cw_snapshot_trailer said = {0};
    memcpy(&said, payload.data, payload.bytes < sizeof said ? payload.bytes : sizeof said);
    if (reader->in_member || payload.bytes != sizeof said || said.members != reader->members ||
        said.data_bytes != reader->data_bytes || said.bytes != reader->bytes + reader->have) {
        bad(reader, "a trailer that does not fit");
        return;
    }
    reader->state = CW_SNAPSHOT_DONE;
}

static void take_piece(struct cw_snapshot_reader *reader)
{
    const struct cw_snapshot_piece *piece =
        (const struct cw_snapshot_piece *)(const void *)reader->room;
    struct cw_view payload = {reader->room + sizeof *piece, piece->bytes};
    if (piece->number != reader->pieces ||
        piece->hash != cw_snapshot_piece_hash(piece, payload.data, reader->hash)) {
        bad(reader, "damage");
        return;
    }
    reader->hash = piece->hash;
    reader->pieces++;
    switch ((enum cw_snapshot_kind)piece->kind) {
    case CW_SNAPSHOT_MEMBER: take_member(reader, payload); break;
    case CW_SNAPSHOT_DATA: take_data(reader, payload); break;
    case CW_SNAPSHOT_END_MEMBER: take_end_member(reader, payload); break;
    case CW_SNAPSHOT_TRAILER: take_trailer(reader, payload); break;
    default: bad(reader, "a piece of an unknown kind"); break;
    }
}

/* The room has what was needed: a head, a piece, or a piece's header that says how much more. */
static void take_room(struct cw_snapshot_reader *reader)
{
    if (in_head(reader)) {
        take_head(reader);
    } else {
        const struct cw_snapshot_piece *piece =
            (const struct cw_snapshot_piece *)(const void *)reader->room;
        if (piece->bytes > CW_SNAPSHOT_PIECE_MAX) {
            bad(reader, "damage");
            return;
        }
        uint32_t need = (uint32_t)sizeof *piece + whole(piece->bytes);
        if (reader->need < need) {
            reader->need = need;
            return;
        }
        take_piece(reader);
    }
    if (reader->state != CW_SNAPSHOT_BAD) {
        reader->bytes += reader->have;
        reader->have = 0;
        reader->need = sizeof(struct cw_snapshot_piece);
    }
}

enum cw_snapshot_state cw_snapshot_feed(struct cw_snapshot_reader *reader, const void *data,
                                        uint64_t bytes)
{
    const char *at = data;
    while (bytes > 0 && reader->state == CW_SNAPSHOT_MORE) { /* twice per piece at most */
        uint32_t lacks = reader->need - reader->have;
        uint32_t take = bytes < lacks ? (uint32_t)bytes : lacks;
        memcpy(reader->room + reader->have, at, take);
        reader->have += take;
        at += take;
        bytes -= take;
        if (reader->have == reader->need) {
            take_room(reader);
        }
    }
    if (bytes > 0 && reader->state == CW_SNAPSHOT_DONE) {
        bad(reader, "something behind the end");
    }
    return reader->state;
}
