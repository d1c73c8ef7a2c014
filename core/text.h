/*
 * text: an appender for lines and documents.
 *
 * Life:    zero-initialised -> append* -> (clear -> append*)* -> deinit.
 * Memory:  one buffer of its own that grows by doubling and is kept over clear, so that steady
 *          use allocates nothing; data is followed by a NUL after cw_text_terminate.
 * Threads: one at a time.
 * Bounds:  CW_TEXT_BYTES_MAX; passing it asserts (every caller's input is bounded far below).
 */
#ifndef CW_CORE_TEXT_H
#define CW_CORE_TEXT_H

#include "core/view.h"

#define CW_TEXT_BYTES_MAX ((size_t)1 << 36)

struct cw_text {
    char *data;
    size_t bytes;
    size_t capacity_bytes;
};

void cw_text_deinit(struct cw_text *text);

static inline void cw_text_clear(struct cw_text *text)
{
    text->bytes = 0;
}

/* Room for that many more bytes; the pointer to write them at (then add to text->bytes). */
char *cw_text_room(struct cw_text *text, size_t bytes);
const char *cw_text_terminate(struct cw_text *text);

void cw_text_put(struct cw_text *text, const void *data, size_t bytes);
void cw_text_puts(struct cw_text *text, const char *terminated);
void cw_text_char(struct cw_text *text, char c);
void cw_text_printf(struct cw_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline void cw_text_view(struct cw_text *text, struct cw_view view)
{
    cw_text_put(text, view.data, view.bytes);
}

void cw_text_u64(struct cw_text *text, uint64_t value);
void cw_text_i64(struct cw_text *text, int64_t value);

/* The shortest decimal that reads back as the same binary64: 150, 0.78, 1e+21 from 1e21 on and
   1e-7 below 1e-6, as JavaScript's JSON.stringify writes; value is finite. */
void cw_text_number(struct cw_text *text, double value);

/* A JSON string with its quotes: \" \\ \b \f \n \r \t and \u00xx for other control characters
   are escaped, all else stays raw. The view is valid UTF-8. */
void cw_text_json(struct cw_text *text, struct cw_view view);

/* An RFC 3339 time with milliseconds, in quotes. */
void cw_text_json_time(struct cw_text *text, int64_t ms);

#endif
