#define _GNU_SOURCE 1 /* memmem */ /* NOLINT */
#include "tools/http_reader.h"

#include <string.h>
#include <strings.h>

void cw_http_reader_next(struct cw_http_reader *reader)
{
    reader->state = CW_HTTP_HEAD;
    reader->status = 0;
    reader->close = false;
    reader->left = 0;
    cw_text_clear(&reader->head);
    cw_text_clear(&reader->body);
}

void cw_http_reader_deinit(struct cw_http_reader *reader)
{
    cw_text_deinit(&reader->head);
    cw_text_deinit(&reader->body);
}

/* Digits in that base and nothing else, at most CW_HTTP_BODY_MAX. */
static bool read_number(struct cw_view text, uint32_t base, uint64_t *value)
{
    uint64_t number = 0;
    for (uint32_t i = 0; i < text.bytes; i++) {
        char c = text.data[i];
        uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0')
                         : (c | 0x20) >= 'a' && (c | 0x20) <= 'f'
                             ? (uint32_t)((c | 0x20) - 'a' + 10)
                             : 16;
        if (digit >= base) {
            return false;
        }
        number = number * base + digit;
        if (number > CW_HTTP_BODY_MAX) {
            return false;
        }
    }
    *value = number;
    return text.bytes > 0;
}

static bool same_word(struct cw_view text, const char *word)
{
    return text.bytes == strlen(word) && strncasecmp(text.data, word, text.bytes) == 0;
}

struct head {
    bool length, chunked, wrong;
};

static void read_header(struct cw_http_reader *reader, struct cw_view line, struct head *head)
{
    const char *colon = line.bytes == 0 ? NULL : memchr(line.data, ':', line.bytes);
    if (colon == NULL || colon == line.data) {
        head->wrong = true;
        return;
    }
    struct cw_view name = {line.data, (uint32_t)(colon - line.data)};
    struct cw_view value = {colon + 1, line.bytes - name.bytes - 1};
    while (value.bytes > 0 && (value.data[0] == ' ' || value.data[0] == '\t')) {
        value.data++;
        value.bytes--;
    }
    while (value.bytes > 0 && (value.data[value.bytes - 1] == ' ')) {
        value.bytes--;
    }
    if (same_word(name, "content-length")) {
        uint64_t before = reader->left;
        head->wrong = head->wrong || !read_number(value, 10, &reader->left) ||
                      (head->length && before != reader->left);
        head->length = true;
    } else if (same_word(name, "transfer-encoding")) {
        head->wrong = head->wrong || head->chunked || !same_word(value, "chunked");
        head->chunked = true;
    } else if (same_word(name, "connection") && same_word(value, "close")) {
        reader->close = true;
    }
}

static bool read_status(struct cw_http_reader *reader, struct cw_view line)
{
    /* HTTP/1.1 200 OK */
    if (line.bytes < 12 || memcmp(line.data, "HTTP/1.", 7) != 0 ||
        (line.data[7] != '0' && line.data[7] != '1') || line.data[8] != ' ' ||
        (line.bytes > 12 && line.data[12] != ' ')) {
        return false;
    }
    uint64_t status = 0;
    if (!read_number((struct cw_view){line.data + 9, 3}, 10, &status) || status < 100) {
        return false;
    }
    reader->status = (uint16_t)status;
    reader->close = line.data[7] == '0';
    return true;
}

/* The whole head, its empty line included. */
static bool read_head(struct cw_http_reader *reader)
{
    struct head head = {.wrong = false};
    const char *at = reader->head.data;
    const char *end = at + reader->head.bytes - 2;
    bool first = true;
    reader->left = 0;
    while (at < end) {
        const char *newline = memmem(at, (size_t)(end - at), "\r\n", 2);
        if (newline == NULL) {
            return false;
        }
        struct cw_view line = {at, (uint32_t)(newline - at)};
        if (first && !read_status(reader, line)) {
            return false;
        }
        if (!first) {
            read_header(reader, line, &head);
        }
        first = false;
        at = newline + 2;
    }
    if (head.wrong || first || (head.length && head.chunked)) {
        return false;
    }
    cw_text_clear(&reader->head);
    if (reader->status < 200) {
        return reader->status != 101; /* an answer follows */
    }
    bool bodiless = reader->status == 204 || reader->status == 304;
    if (bodiless || (head.length && reader->left == 0)) {
        reader->state = CW_HTTP_COMPLETE;
    } else if (head.chunked) {
        reader->state = CW_HTTP_CHUNK_SIZE;
    } else {
        reader->state = head.length ? CW_HTTP_BODY : CW_HTTP_TO_END;
        reader->close = reader->close || !head.length;
    }
    return true;
}

/* Collects bytes until they end in `mark`; true when they do. */
static bool collect(struct cw_http_reader *reader, const char *data, size_t bytes, size_t *used,
                    struct cw_view mark)
{
    size_t before = reader->head.bytes;
    size_t from = before >= mark.bytes ? before - mark.bytes + 1 : 0;
    size_t room = CW_HTTP_HEAD_MAX - before;
    size_t taken = bytes < room ? bytes : room;
    cw_text_put(&reader->head, data, taken);
    const char *found =
        memmem(reader->head.data + from, reader->head.bytes - from, mark.data, mark.bytes);
    if (found == NULL) {
        *used += taken;
        return false;
    }
    size_t end = (size_t)(found - reader->head.data) + mark.bytes;
    *used += end - before;
    reader->head.bytes = end;
    return true;
}

/* A line of the chunked coding. */
static bool read_line(struct cw_http_reader *reader)
{
    struct cw_view line = {reader->head.data, (uint32_t)reader->head.bytes - 2};
    bool good = true;
    if (reader->state == CW_HTTP_CHUNK_SIZE) {
        const char *extension = line.bytes == 0 ? NULL : memchr(line.data, ';', line.bytes);
        if (extension != NULL) {
            line.bytes = (uint32_t)(extension - line.data);
        }
        good = read_number(line, 16, &reader->left);
        reader->state = reader->left == 0 ? CW_HTTP_TRAILERS : CW_HTTP_CHUNK;
    } else if (reader->state == CW_HTTP_CHUNK_END) {
        good = line.bytes == 0;
        reader->state = CW_HTTP_CHUNK_SIZE;
    } else if (line.bytes == 0) {
        reader->state = CW_HTTP_COMPLETE;
    }
    cw_text_clear(&reader->head);
    return good;
}

/* Bytes of the body; false when they are too many. */
static bool take_body(struct cw_http_reader *reader, const char *data, size_t bytes, size_t *used)
{
    size_t taken = reader->state != CW_HTTP_TO_END && reader->left < bytes ? reader->left : bytes;
    if (reader->body.bytes + taken > CW_HTTP_BODY_MAX) {
        return false;
    }
    cw_text_put(&reader->body, data, taken);
    *used += taken;
    if (reader->state == CW_HTTP_TO_END) {
        return true;
    }
    reader->left -= taken;
    if (reader->left == 0) {
        reader->state = reader->state == CW_HTTP_BODY ? CW_HTTP_COMPLETE : CW_HTTP_CHUNK_END;
    }
    return true;
}

enum cw_http_read cw_http_read(struct cw_http_reader *reader, const char *data, size_t bytes,
                               size_t *used)
{
    *used = 0;
    while (*used < bytes && reader->state != CW_HTTP_COMPLETE) {
        const char *at = data + *used;
        size_t left = bytes - *used;
        bool good = true;
        if (reader->state == CW_HTTP_BODY || reader->state == CW_HTTP_TO_END ||
            reader->state == CW_HTTP_CHUNK) {
            good = take_body(reader, at, left, used);
        } else if (reader->state == CW_HTTP_HEAD) {
            good = collect(reader, at, left, used, CW_VIEW("\r\n\r\n"))
                       ? read_head(reader)
                       : reader->head.bytes < CW_HTTP_HEAD_MAX;
        } else {
            good = collect(reader, at, left, used, CW_VIEW("\r\n"))
                       ? read_line(reader)
                       : reader->head.bytes < CW_HTTP_HEAD_MAX;
        }
        if (!good) {
            return CW_HTTP_BAD;
        }
    }
    return reader->state == CW_HTTP_COMPLETE ? CW_HTTP_DONE : CW_HTTP_MORE;
}

enum cw_http_read cw_http_read_end(struct cw_http_reader *reader)
{
    return reader->state == CW_HTTP_TO_END ? CW_HTTP_DONE : CW_HTTP_BAD;
}
