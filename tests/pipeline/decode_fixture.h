/* A decoder and texts with poison behind them, for the tests of decoding and copying. */
#ifndef CW_TESTS_DECODE_FIXTURE_H
#define CW_TESTS_DECODE_FIXTURE_H

#include "core/time.h"
#include "pipeline/decode.h"
#include "tests/pipeline/program_fixture.h"

#include <stdarg.h>

struct decoding {
    struct fixture f;
    struct cw_zones *zones;
    struct cw_decoder *decoder;
    struct cw_arena arena;
    char *text; /* of the last event, followed by poison */
    size_t bytes;
    struct cw_event event;
};

static inline void decoding_reopen(struct decoding *d, const struct cw_event_names *names)
{
    if (d->decoder != NULL) {
        cw_decoder_close(d->decoder);
    }
    struct cw_decoder_options options = {.names = names,
                                         .programs = d->f.programs,
                                         .zones = d->zones,
                                         .partitions = 256,
                                         .event_bytes_max = CW_EVENT_BYTES_MAX};
    cw_err err = cw_decoder_open(&d->decoder, &options, &d->f.fault);
    CW_ASSERT(err == CW_ERR_OK);
    cw_decoder_put_in(d->decoder, &d->arena);
}

static inline void decoding_open(struct decoding *d)
{
    memset(d, 0, sizeof *d);
    CW_ASSERT(fixture_open(&d->f));
    cw_err err = cw_zones_open(&d->zones, "/usr/share/zoneinfo", &d->f.fault);
    CW_ASSERT(err == CW_ERR_OK);
    err = cw_arena_open(&d->arena, 1u << 20, (size_t)1 << 30, &d->f.fault);
    CW_ASSERT(err == CW_ERR_OK);
    decoding_reopen(d, NULL);
}

static inline void decoding_close(struct decoding *d)
{
    cw_decoder_close(d->decoder);
    cw_arena_close(&d->arena);
    cw_zones_close(d->zones);
    fixture_close(&d->f);
    free(d->text);
}

static inline const struct cw_event *decode_bytes(struct decoding *d, const char *text,
                                                  size_t bytes)
{
    free(d->text);
    d->text = malloc(bytes + CW_JSON_PADDING);
    d->bytes = bytes;
    memcpy(d->text, text, bytes);
    memset(d->text + bytes, '"', CW_JSON_PADDING);
    memset(&d->event, 0xa5, sizeof d->event);
    cw_decode(d->decoder, (struct cw_view){d->text, (uint32_t)bytes}, &d->event);
    return &d->event;
}

static inline const struct cw_event *decode_text(struct decoding *d, const char *text)
{
    return decode_bytes(d, text, strlen(text));
}

#define DECODING_TIME "2026-01-18T16:45:00Z"
#define DECODING_MS   INT64_C(1768754700000)

/* An event with an envelope that is right. */
static inline const struct cw_event *decode_detail(struct decoding *d, const char *source,
                                                   const char *type, const char *detail)
{
    size_t room = strlen(detail) + 512;
    char *line = malloc(room);
    (void)snprintf(line, room,
                   "{\"version\":\"0\",\"id\":\"e-1\",\"detail-type\":\"%s\",\"source\":\"%s\","
                   "\"account\":\"1\",\"time\":\"" DECODING_TIME
                   "\",\"region\":\"r\",\"resources\":[],\"detail\":{%s}}",
                   type, source, detail);
    const struct cw_event *event = decode_text(d, line);
    free(line);
    return event;
}

static inline bool view_is(struct cw_view view, const char *text)
{
    return text == NULL ? view.data == NULL
                        : view.data != NULL && view.bytes == strlen(text) &&
                              memcmp(view.data, text, view.bytes) == 0;
}

#endif
