/*
 * decode: from text to an event. The document is proved whole (core/json.h); the envelope is read
 * here, the fields of each type by the table in decode_fields.c, and the programs' patterns are
 * matched while the document is at hand.
 */
#include "pipeline/decode.h"

#include "core/format.h"
#include "core/hash.h"
#include "core/time.h"
#include "pipeline/decode_priv.h"

#include <immintrin.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

static const char *const words[CW_WORD_COUNT] = {
#define CW_X(word) [CW_WORD_##word] = #word,
    CW_EVENT_WORDS(CW_X)
#undef CW_X
        [CW_WORD_detail_type] = "detail-type",
};

const struct cw_event_names cw_event_names_default = {.of = {
#define CW_X(name, source, type) \
    [CW_EVENT_##name] = {{source, sizeof(source) - 1}, {type, sizeof(type) - 1}},
                                                          CW_EVENT_TYPES(CW_X)
#undef CW_X
                                                      }};

const char *cw_event_type_name(enum cw_event_type type)
{
    CW_ASSERT(type < CW_EVENT_TYPE_COUNT);
    return cw_event_names_default.of[type].type.data;
}

/* Length and three letters tell nearly all known words apart; the rest go to the next slot. */
static inline uint32_t word_hash(const char *word, uint32_t bytes)
{
    return (bytes * 7u + (uint8_t)word[0] * 31u + (uint8_t)word[bytes - 1] * 5u +
            (uint8_t)word[bytes / 2] * 11u) %
           CW_WORD_SLOTS;
}

static void index_words(struct cw_decoder *decoder)
{
    for (uint32_t i = 0; i < CW_WORD_COUNT; i++) {
        size_t bytes = strlen(words[i]);
        CW_ASSERT(bytes < CW_WORD_BYTES);
        memcpy(decoder->words[i], words[i], bytes);
        decoder->word_bytes[i] = (uint8_t)bytes;
        uint32_t slot = word_hash(words[i], (uint32_t)bytes);
        while (decoder->slots[slot] != 0) {
            slot = (slot + 1) % CW_WORD_SLOTS;
        }
        decoder->slots[slot] = (uint8_t)(i + 1);
    }
}

uint32_t cw_decode_word(const struct cw_decoder *decoder, const char *word, uint32_t bytes)
{
    if (bytes == 0 || bytes >= CW_WORD_BYTES) {
        return CW_WORD_COUNT;
    }
    /* One comparison of 32 bytes; what is behind the word's end is masked out. */
    __m256i given = _mm256_loadu_si256((const __m256i_u *)word);
    uint32_t mask = (1u << bytes) - 1;
    for (uint32_t slot = word_hash(word, bytes); decoder->slots[slot] != 0;
         slot = (slot + 1) % CW_WORD_SLOTS) { /* bounded: the slots are never all used */
        uint32_t i = decoder->slots[slot] - 1u;
        __m256i known = _mm256_loadu_si256((const __m256i_u *)decoder->words[i]);
        uint32_t equal = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(given, known));
        if (decoder->word_bytes[i] == bytes && (equal & mask) == mask) {
            return i;
        }
    }
    return CW_WORD_COUNT;
}

cw_err cw_decoder_open(struct cw_decoder **decoder, const struct cw_decoder_options *options,
                       struct cw_fault *fault)
{
    struct cw_arena arena;
    cw_err err = cw_arena_open(&arena, 1u << 20, (size_t)1 << 30, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    struct cw_decoder *made = cw_arena_zalloc(&arena, sizeof *made, CW_CACHE_LINE);
    made->options = *options;
    if (made->options.names == NULL) {
        made->options.names = &cw_event_names_default;
    }
    index_words(made);
    cw_decode_index_fields(made);
    err = cw_arena_open(&made->arena, 1u << 20, (size_t)1 << 32, fault);
    if (err == CW_ERR_OK) {
        err = cw_json_open(&made->parser, options->event_bytes_max, CW_JSON_DEPTH_MAX, fault);
    }
    if (err == CW_ERR_OK) {
        err = cw_pattern_scratch_open(&made->scratch, fault);
    }
    if (err != CW_ERR_OK) {
        cw_arena_close(&arena);
        return err;
    }
    cw_decoder_reprogram(made, options->programs);
    made->own = arena;
    made->to = &made->arena;
    *decoder = made;
    return CW_ERR_OK;
}

void cw_decoder_reprogram(struct cw_decoder *decoder, const struct cw_programs *programs)
{
    decoder->options.programs = programs;
    decoder->sessions = false;
    for (uint32_t i = 0; programs != NULL && i < programs->count; i++) {
        decoder->sessions |= programs->list[i].session_timeout_ms > 0;
    }
}

void cw_decoder_close(struct cw_decoder *decoder)
{
    cw_json_close(decoder->parser);
    cw_pattern_scratch_close(decoder->scratch);
    cw_arena_close(&decoder->arena);
    struct cw_arena own = decoder->own;
    cw_arena_close(&own);
}

void cw_decoder_put_in(struct cw_decoder *decoder, struct cw_arena *arena)
{
    decoder->to = arena != NULL ? arena : &decoder->arena;
}

void cw_decoder_reset(struct cw_decoder *decoder)
{
    cw_arena_reset(&decoder->arena);
}

const struct cw_json *cw_decoder_document(const struct cw_decoder *decoder)
{
    return decoder->parsed ? &decoder->doc : NULL;
}

bool cw_decode_refuse(struct cw_decoder *decoder, struct cw_event *event, const char *format, ...)
{
    char reason[CW_REASON_BYTES_MAX];
    va_list args;
    va_start(args, format);
    uint32_t bytes = cw_formatv(reason, sizeof reason, format, args);
    va_end(args);
    event->type = CW_EVENT_INVALID;
    memset(&event->u, 0, sizeof event->u); /* what was read so far of another kind */
    event->u.invalid.reason = cw_arena_copy(decoder->to, (struct cw_view){reason, bytes});
    return false;
}

void cw_decode_locate(const struct cw_decoder *decoder, uint32_t object, uint32_t at[CW_WORD_COUNT])
{
    const struct cw_json *doc = &decoder->doc;
    memset(at, 0xff, CW_WORD_COUNT * sizeof *at); /* CW_JSON_NONE */
    uint32_t end = doc->nodes[object].next;
    for (uint32_t i = object + 1; i < end; i = doc->nodes[i].next) {
        const struct cw_json_node *node = &doc->nodes[i];
        uint32_t word;
        if (CW_UNLIKELY(node->key_escaped != 0)) {
            char plain[CW_WORD_BYTES * 6 + CW_WORD_BYTES];
            if (node->key_bytes > CW_WORD_BYTES * 6) {
                continue; /* longer than any known word, however escaped */
            }
            struct cw_view raw = {doc->text + node->key, node->key_bytes};
            word = cw_decode_word(decoder, plain, cw_json_unescape(raw, plain));
        } else {
            word = cw_decode_word(decoder, doc->text + node->key, node->key_bytes);
        }
        if (word < CW_WORD_COUNT) {
            at[word] = i;
        }
    }
}

static_assert(CW_JSON_NONE == UINT32_MAX, "memset in cw_decode_locate");

struct cw_view cw_decode_string(struct cw_decoder *decoder, uint32_t node)
{
    struct cw_view raw = cw_json_raw(&decoder->doc, node);
    if (CW_LIKELY(decoder->doc.nodes[node].escaped == 0)) {
        return raw;
    }
    char *text = cw_arena_alloc(decoder->to, raw.bytes, 1);
    return (struct cw_view){text, cw_json_unescape(raw, text)};
}

static bool read_time(struct cw_decoder *decoder, uint32_t node, const char *name, int64_t *ms,
                      struct cw_event *event)
{
    if (!cw_decode_is_string(decoder, node) ||
        !cw_time_parse(cw_decode_string(decoder, node), ms)) {
        return cw_decode_refuse(
            decoder, event, "%s is not a time as in RFC 3339, such as 2026-01-18T16:45:00Z", name);
    }
    if (*ms >= CW_EVENT_TIME_END) {
        return cw_decode_refuse(decoder, event, "%s is after the year 9989, the last that is read",
                                name);
    }
    return true;
}

static enum cw_event_type type_of(const struct cw_event_names *known, struct cw_view source,
                                  struct cw_view type)
{
    for (uint32_t i = 0; i < CW_EVENT_TYPE_COUNT; i++) {
        if (cw_view_equal(known->of[i].type, type) && cw_view_equal(known->of[i].source, source)) {
            return (enum cw_event_type)i;
        }
    }
    return CW_EVENT_UNKNOWN;
}

/* A messaging event names no customer: its message id begins with the partition, as 4 hex digits
   (identity.h). Anything else belongs to nobody and may be counted anywhere. */
static uint32_t partition_of_message(struct cw_view id, uint32_t partitions)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < 4; i++) {
        char c = i < id.bytes ? id.data[i] : '0';
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                                                : 0;
        value = value * 16 + digit;
    }
    return value & (partitions - 1);
}

static void route(const struct cw_decoder *decoder, struct cw_event *event)
{
    uint32_t partitions = decoder->options.partitions;
    if (event->customer.data != NULL) {
        event->partition = cw_partition(event->customer, partitions);
    } else if (event->type >= CW_EVENT_DELIVERED && event->type <= CW_EVENT_UNSUBSCRIBED) {
        event->partition = partition_of_message(event->u.message.id, partitions);
    }
}

bool cw_source_takes_bus(const struct cw_program_source *source, struct cw_view bus)
{
    struct cw_view own =
        source->bus.data != NULL ? source->bus : CW_VIEW("default"); /* as EventBridge calls it */
    return bus.data == NULL || cw_view_equal(bus, own);
}

struct cw_view cw_decoder_bus(const struct cw_decoder *decoder)
{
    return decoder->bus;
}

/* Which programs want this event: a pattern of theirs matches, on the bus it names. */
static uint64_t match(struct cw_decoder *decoder)
{
    const struct cw_programs *programs = decoder->options.programs;
    struct cw_pattern_matches matches;
    cw_pattern_match(programs->patterns, decoder->scratch, &decoder->doc, &matches);
    uint64_t wanted = 0;
    for (uint32_t i = 0; i < programs->count; i++) {
        const struct cw_program *program = &programs->list[i];
        for (uint32_t s = 0; s < program->source_count && program->enabled; s++) {
            uint32_t pattern = program->sources[s].pattern;
            if (cw_source_takes_bus(&program->sources[s], decoder->bus) &&
                (matches.words[pattern / 64] >> (pattern % 64) & 1u) != 0) {
                wanted |= UINT64_C(1) << i;
            }
        }
    }
    return wanted;
}

/* The envelope: source, detail-type, detail; id, time and bus when they are there. */
static bool read_envelope(struct cw_decoder *decoder, const uint32_t at[CW_WORD_COUNT],
                          struct cw_view *type, struct cw_event *event)
{
    if (cw_decode_absent(decoder, at[CW_WORD_source]) ||
        cw_decode_absent(decoder, at[CW_WORD_detail_type]) ||
        cw_decode_absent(decoder, at[CW_WORD_detail])) {
        return cw_decode_refuse(decoder, event, "%s is missing",
                                cw_decode_absent(decoder, at[CW_WORD_source])        ? "source"
                                : cw_decode_absent(decoder, at[CW_WORD_detail_type]) ? "detail-type"
                                                                                     : "detail");
    }
    if (!cw_decode_id(decoder, at[CW_WORD_source], CW_PLACE_ENVELOPE, CW_WORD_source,
                      &event->source, event) ||
        !cw_decode_id(decoder, at[CW_WORD_detail_type], CW_PLACE_ENVELOPE, CW_WORD_detail_type,
                      type, event)) {
        return false;
    }
    if (decoder->doc.nodes[at[CW_WORD_detail]].type != CW_JSON_OBJECT) {
        return cw_decode_refuse(decoder, event, "detail is not an object");
    }
    if (!cw_decode_absent(decoder, at[CW_WORD_id]) &&
        !cw_decode_id(decoder, at[CW_WORD_id], CW_PLACE_ENVELOPE, CW_WORD_id, &event->id, event)) {
        return false;
    }
    return cw_decode_absent(decoder, at[CW_WORD_eventBusName]) ||
           cw_decode_text(decoder, at[CW_WORD_eventBusName], CW_PLACE_ENVELOPE,
                          CW_WORD_eventBusName, (struct cw_bounds){1, 1600}, &decoder->bus, event);
}

static bool read_times(struct cw_decoder *decoder, uint32_t envelope, uint32_t own,
                       struct cw_event *event)
{
    event->time = CW_TIME_NONE;
    if (!cw_decode_absent(decoder, envelope) &&
        !read_time(decoder, envelope, "time", &event->time, event)) {
        return false;
    }
    return cw_decode_absent(decoder, own) ||
           read_time(decoder, own, "detail.timestamp", &event->time, event);
}

static bool decode(struct cw_decoder *decoder, struct cw_view text, struct cw_event *event)
{
    enum cw_json_status status =
        cw_json_parse(decoder->parser, text.data, text.bytes, &decoder->doc);
    decoder->parsed = status == CW_JSON_PARSE_OK;
    if (!decoder->parsed) {
        return cw_decode_refuse(decoder, event, "malformed JSON near byte %u: %s",
                                decoder->doc.error_offset, cw_json_status_text(status));
    }
    if (decoder->doc.nodes[0].type != CW_JSON_OBJECT) {
        return cw_decode_refuse(decoder, event, "an event is a JSON object");
    }
    uint32_t at[CW_WORD_COUNT];
    struct cw_view type = {0};
    decoder->bus = (struct cw_view){0};
    cw_decode_locate(decoder, 0, at);
    if (!read_envelope(decoder, at, &type, event)) {
        return false;
    }
    uint32_t envelope_time = at[CW_WORD_time];
    cw_decode_locate(decoder, at[CW_WORD_detail], at);
    enum cw_event_type known = type_of(decoder->options.names, event->source, type);
    bool timed = read_times(decoder, envelope_time, at[CW_WORD_timestamp], event);
    if (known == CW_EVENT_UNKNOWN) {
        event->type = CW_EVENT_UNKNOWN; /* whatever its times look like */
        event->time = timed ? event->time : CW_TIME_NONE;
        event->u.unknown.type = type;
        return true;
    }
    if (!timed) {
        return false;
    }
    if (event->time == CW_TIME_NONE) {
        return cw_decode_refuse(decoder, event,
                                "neither time nor detail.timestamp says when it happened");
    }
    event->type = known;
    if (known == CW_EVENT_CART_ABANDONED || known == CW_EVENT_CART_UPDATED) {
        event->u.abandoned.value = NAN;
        event->u.abandoned.discount_sensitivity = NAN;
        event->u.abandoned.item_count = -1;
        if (known == CW_EVENT_CART_UPDATED && decoder->sessions) {
            event->u.abandoned.raw = text;
        }
    }
    if (!cw_decode_fields(decoder, at, event)) {
        return false;
    }
    route(decoder, event);
    if (known == CW_EVENT_CART_ABANDONED && decoder->options.programs != NULL) {
        event->programs = match(decoder);
    }
    return true;
}

void cw_decode(struct cw_decoder *decoder, struct cw_view text, struct cw_event *event)
{
    memset(event, 0, sizeof *event);
    event->time = CW_TIME_NONE;
    event->clock = CW_TIME_NONE;
    if (!decode(decoder, text, event)) {
        event->partition = 0;
        event->time = CW_TIME_NONE;
    }
}
