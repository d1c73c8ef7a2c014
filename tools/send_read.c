/*
 * Events in files: one a line, read as they come, so that a pipe can be sent while it is written;
 * or a file whose name ends in .json that is one JSON document, one event or an array of them.
 */
#include "tools/send_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_BYTES = 1 << 18,
    DOCUMENT_BYTES_MAX = 1 << 28
};

void cw_send_reader_init(struct cw_send_reader *reader, const char *const *names, uint32_t count,
                         int spool)
{
    *reader = (struct cw_send_reader){.names = names,
                                      .count = count,
                                      .fd = -1,
                                      .spool = spool,
                                      .node = CW_JSON_NONE,
                                      .advise_from = UINT32_MAX};
}

static void drop_document(struct cw_send_reader *reader)
{
    cw_json_close(reader->parser);
    cw_file_free(reader->content);
    reader->parser = NULL;
    reader->content = (struct cw_view){NULL, 0};
    reader->node = CW_JSON_NONE;
}

void cw_send_reader_deinit(struct cw_send_reader *reader)
{
    if (reader->fd > STDIN_FILENO && reader->fd != reader->spool) {
        (void)close(reader->fd);
    }
    drop_document(reader);
    cw_text_deinit(&reader->buffer);
    cw_text_deinit(&reader->flat);
}

int cw_send_spool(struct cw_fault *fault)
{
    static char data[READ_BYTES];
    FILE *file = tmpfile();
    int fd = file == NULL ? -1 : dup(fileno(file));
    bool good = fd >= 0;
    for (ssize_t got = 1; good && got != 0;) {
        got = read(STDIN_FILENO, data, sizeof data);
        good = got >= 0 ? fwrite(data, 1, (size_t)got, file) == (size_t)got : errno == EINTR;
    }
    good = file != NULL && fclose(file) == 0 && good;
    if (!good) {
        fault->sys_errno = errno;
        (void)cw_fail(fault, CW_ERR_IO, "copying standard input");
        return -1;
    }
    return fd;
}

/* ---- documents ---- */

static bool is_document(const char *name)
{
    size_t bytes = strlen(name);
    return bytes > 5 && strcmp(name + bytes - 5, ".json") == 0;
}

/* Reads the file whole. A .json file that holds one event a line is read as lines after all. */
static cw_err open_document(struct cw_send_reader *reader, const char *name, bool *lines,
                            struct cw_fault *fault)
{
    cw_err err = cw_file_read(name, DOCUMENT_BYTES_MAX, &reader->content, fault);
    if (err == CW_ERR_OK) {
        err = cw_json_open(&reader->parser, reader->content.bytes + 1, CW_JSON_DEPTH_MAX, fault);
    }
    if (err != CW_ERR_OK) {
        return err;
    }
    enum cw_json_status status =
        cw_json_parse(reader->parser, reader->content.data, reader->content.bytes, &reader->doc);
    *lines = status == CW_JSON_PARSE_TRAILING || status == CW_JSON_PARSE_EMPTY;
    if (*lines) {
        drop_document(reader);
        return CW_ERR_OK;
    }
    if (status != CW_JSON_PARSE_OK) {
        return cw_fail(fault, CW_ERR_INVALID, "%s: %s (near byte %u)", name,
                       cw_json_status_text(status), reader->doc.error_offset + 1);
    }
    reader->bytes += reader->content.bytes;
    reader->node = reader->doc.nodes[0].type == CW_JSON_ARRAY ? 1 : 0;
    return CW_ERR_OK;
}

/* The element, in one line: outside of strings a line end is but a blank. */
static bool next_element(struct cw_send_reader *reader, struct cw_view *event)
{
    uint32_t node = reader->node;
    bool array = reader->doc.nodes[0].type == CW_JSON_ARRAY;
    if (node >= reader->doc.node_count || (!array && node > 0)) {
        return false;
    }
    const struct cw_json_node *is = &reader->doc.nodes[node];
    uint32_t quotes = is->type == CW_JSON_STRING ? 1 : 0;
    cw_text_clear(&reader->flat);
    cw_text_put(&reader->flat, reader->content.data + is->text - quotes,
                is->text_bytes + 2 * quotes);
    for (size_t i = 0; i < reader->flat.bytes; i++) {
        char *c = &reader->flat.data[i];
        if (*c == '\n' || *c == '\r') {
            *c = ' ';
        }
    }
    memset(cw_text_room(&reader->flat, CW_JSON_PADDING), 0, CW_JSON_PADDING);
    *event = (struct cw_view){reader->flat.data, (uint32_t)reader->flat.bytes};
    reader->node = is->next;
    reader->number++;
    return true;
}

/* ---- lines ---- */

static cw_err open_next(struct cw_send_reader *reader, struct cw_fault *fault)
{
    const char *name = reader->names[reader->file];
    bool lines = true;
    reader->number = 0;
    reader->ended = false;
    reader->start = 0;
    reader->searched = 0;
    cw_text_clear(&reader->buffer);
    if (strcmp(name, "-") == 0) {
        reader->fd = reader->spool >= 0 ? reader->spool : STDIN_FILENO;
        if (reader->spool >= 0 && lseek(reader->spool, 0, SEEK_SET) != 0) {
            return cw_fail(fault, CW_ERR_IO, "reading standard input again");
        }
        return CW_ERR_OK;
    }
    if (is_document(name)) {
        cw_err err = open_document(reader, name, &lines, fault);
        if (err != CW_ERR_OK || !lines) {
            return err;
        }
    }
    reader->fd = open(name, O_RDONLY | O_CLOEXEC);
    if (reader->fd < 0) {
        fault->sys_errno = errno;
        return cw_fail(fault, CW_ERR_IO, "opening %s", name);
    }
    return CW_ERR_OK;
}

static cw_err fill(struct cw_send_reader *reader, struct cw_fault *fault)
{
    struct cw_text *buffer = &reader->buffer;
    if (reader->start > 0) {
        buffer->bytes -= reader->start;
        memmove(buffer->data, buffer->data + reader->start, buffer->bytes);
        reader->searched -= reader->start;
        reader->start = 0;
    }
    if (buffer->bytes > CW_SEND_EVENT_BYTES) {
        return cw_fail(fault, CW_ERR_LIMIT, "%s:%llu: the line is longer than 16 MiB",
                       reader->names[reader->file], (unsigned long long)reader->number + 1);
    }
    char *room = cw_text_room(buffer, READ_BYTES + CW_JSON_PADDING);
    ssize_t got = read(reader->fd, room, READ_BYTES);
    while (got < 0 && errno == EINTR && cw_send_interrupted == 0) {
        got = read(reader->fd, room, READ_BYTES);
    }
    if (got < 0 && cw_send_interrupted == 0) {
        fault->sys_errno = errno;
        return cw_fail(fault, CW_ERR_IO, "reading %s", reader->names[reader->file]);
    }
    reader->ended = got <= 0;
    buffer->bytes += got > 0 ? (size_t)got : 0;
    reader->bytes += got > 0 ? (size_t)got : 0;
    return CW_ERR_OK;
}

static bool blank(struct cw_view line)
{
    for (uint32_t i = 0; i < line.bytes; i++) {
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r') {
            return false;
        }
    }
    return true;
}

/* The next line of what has been read; at the end also one that nothing ends. */
static bool next_line(struct cw_send_reader *reader, struct cw_view *line)
{
    struct cw_text *buffer = &reader->buffer;
    while (reader->start < buffer->bytes) {
        size_t left = buffer->bytes - reader->searched;
        char *newline = left == 0 ? NULL : memchr(buffer->data + reader->searched, '\n', left);
        if (newline == NULL && !reader->ended) {
            reader->searched = buffer->bytes;
            return false;
        }
        size_t end = newline == NULL ? buffer->bytes : (size_t)(newline - buffer->data);
        *line = (struct cw_view){buffer->data + reader->start, (uint32_t)(end - reader->start)};
        reader->start = newline == NULL ? end : end + 1;
        reader->searched = reader->start;
        reader->number++;
        if (!blank(*line)) {
            return true;
        }
    }
    return false;
}

/* No whole line is left of what was read: reads more, or goes on to the next file. */
static cw_err fill_or_close(struct cw_send_reader *reader, struct cw_fault *fault)
{
    if (!reader->ended) {
        return fill(reader, fault);
    }
    if (reader->fd != STDIN_FILENO && reader->fd != reader->spool) {
        (void)close(reader->fd);
    }
    reader->fd = -1;
    reader->file++;
    return CW_ERR_OK;
}

/* True when reading would wait for whoever writes into a pipe. */
static bool nothing_yet(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 0;
}

/* Once a file, when its first line looks like no event. */
static void advise(struct cw_send_reader *reader, struct cw_view line)
{
    if (reader->file >= reader->advise_from) {
        reader->advise_from = reader->file + 1;
        cw_lines_advise(reader->names[reader->file], line);
    }
}

enum cw_send_next cw_send_read(struct cw_send_reader *reader, struct cw_view *event,
                               struct cw_fault *fault)
{
    for (;;) { /* as often as there are files and pieces of them */
        if (reader->node != CW_JSON_NONE) {
            if (next_element(reader, event)) {
                return CW_SEND_EVENT;
            }
            drop_document(reader);
            reader->file++;
        } else if (reader->fd >= 0) {
            if (next_line(reader, event)) {
                advise(reader, *event);
                return CW_SEND_EVENT;
            }
            if (!reader->patient && !reader->ended && nothing_yet(reader->fd)) {
                return CW_SEND_WAIT;
            }
            if (fill_or_close(reader, fault) != CW_ERR_OK) {
                return CW_SEND_FAILED;
            }
        } else if (reader->file == reader->count) {
            return CW_SEND_END;
        } else if (open_next(reader, fault) != CW_ERR_OK) {
            return CW_SEND_FAILED;
        }
    }
}
