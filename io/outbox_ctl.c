/* Looks into an outbox: the list of its newest files, and one of them. */
#define _GNU_SOURCE 1 /* NOLINT(bugprone-reserved-identifier,readability-identifier-naming) */
#include "core/json.h"
#include "core/port.h"
#include "core/time.h"
#include "io/clean.h"
#include "io/outbox.h"
#include "io/outbox_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LIST_MAX = 1000,
    FILE_BYTES_MAX = 16 << 20, /* of a file that is read; ours are far smaller */
    HEADERS_BYTES_MAX = 16384
};

struct name {
    char text[CW_OUTBOX_NAME_BYTES];
};

/* ---- names ---- */

static int newest_first(const void *a, const void *b)
{
    return strcmp(((const struct name *)b)->text, ((const struct name *)a)->text);
}

/* The newest count names of any number of files, in bounded memory: what is collected is cut back
   whenever twice as many have come together. */
static uint32_t newest(DIR *directory, struct name *names, uint32_t count)
{
    uint32_t used = 0;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): this stream is ours alone */
    for (const struct dirent *e; (e = readdir(directory)) != NULL;) {
        struct cw_outbox_name parts;
        size_t bytes = strlen(e->d_name);
        if (!cw_outbox_name((struct cw_view){e->d_name, (uint32_t)bytes}, &parts)) {
            continue;
        }
        if (used == 2 * count) {
            qsort(names, used, sizeof *names, newest_first);
            used = count;
        }
        memcpy(names[used++].text, e->d_name, bytes + 1);
    }
    qsort(names, used, sizeof *names, newest_first);
    return used < count ? used : count;
}

/* 20260118T164500123Z as JSON. */
static void put_time(struct cw_text *json, const char *name)
{
    cw_text_printf(json, "\"%.4s-%.2s-%.2sT%.2s:%.2s:%.2s.%.3sZ\"", name, name + 4, name + 6,
                   name + 9, name + 11, name + 13, name + 15);
}

/* ---- what stands in a file ---- */

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void put_q_word(struct cw_text *out, struct cw_view word)
{
    for (uint32_t i = 0; i < word.bytes; i++) {
        char c = word.data[i];
        if (c == '=' && i + 2 < word.bytes && digit(word.data[i + 1]) >= 0 &&
            digit(word.data[i + 2]) >= 0) {
            cw_text_char(out, (char)(digit(word.data[i + 1]) * 16 + digit(word.data[i + 2])));
            i += 2;
        } else {
            cw_text_char(out, (char)(c == '_' ? ' ' : c));
        }
    }
}

static void put_b_word(struct cw_text *out, struct cw_view word)
{
    char *room = cw_text_room(out, word.bytes + 4u);
    int bytes = EVP_DecodeBlock((uint8_t *)room, (const uint8_t *)word.data, (int)word.bytes);
    if (bytes > 0) {
        out->bytes += (size_t)bytes - (word.data[word.bytes - 1] == '=') -
                      (word.bytes > 1 && word.data[word.bytes - 2] == '=');
    }
}

/* Undoes what mime_text.c did: folding, and encoded words (which join across folds). */
static void put_header_text(struct cw_text *out, struct cw_view raw)
{
    static const char begin[] = "=?UTF-8?";
    bool word_before = false;
    for (uint32_t i = 0; i < raw.bytes;) {
        struct cw_view rest = {raw.data + i, raw.bytes - i};
        const char *end = NULL;
        if (rest.bytes > 12 && memcmp(rest.data, begin, sizeof begin - 1) == 0 &&
            rest.data[9] == '?') {
            end = memmem(rest.data + 10, rest.bytes - 10, "?=", 2);
        }
        if (end != NULL) {
            struct cw_view word = {rest.data + 10, (uint32_t)(end - rest.data) - 10};
            rest.data[8] == 'Q' ? put_q_word(out, word) : put_b_word(out, word);
            i += word.bytes + 12;
            word_before = true;
            continue;
        }
        bool fold = rest.bytes >= 3 && memcmp(rest.data, "\r\n ", 3) == 0;
        if (fold && word_before && rest.bytes > 5 && memcmp(rest.data + 3, "=?", 2) == 0) {
            i += 3;
        } else if (fold) {
            i += 2;
        } else {
            cw_text_char(out, raw.data[i++]);
        }
        word_before = false;
    }
}

/* The value of a header, raw; empty when it is not there. name: "\r\nTo: ". */
static struct cw_view header(const struct cw_text *file, const char *name)
{
    size_t room = file->bytes < HEADERS_BYTES_MAX ? file->bytes : HEADERS_BYTES_MAX;
    const char *end = memmem(file->data, room, "\r\n\r\n", 4);
    room = end == NULL ? 0 : (size_t)(end - file->data) + 2;
    const char *at = memmem(file->data, room, name, strlen(name));
    if (at == NULL) {
        return CW_VIEW("");
    }
    at += strlen(name);
    room -= (size_t)(at - file->data);
    const char *stop = at;
    while ((stop = memmem(stop, room - (size_t)(stop - at), "\r\n", 2)) != NULL &&
           (size_t)(stop - at) + 2 < room && stop[2] == ' ') {
        stop += 2;
    }
    return (struct cw_view){at, (uint32_t)(stop == NULL ? room : (size_t)(stop - at))};
}

static void put_clean(struct cw_text *json, const char *name, const struct cw_text *text)
{
    struct cw_text clean = {0};
    cw_clean_utf8(&clean, (struct cw_view){text->data, (uint32_t)text->bytes});
    cw_text_printf(json, ",\"%s\":", name);
    cw_text_json(json,
                 (struct cw_view){clean.data == NULL ? "" : clean.data, (uint32_t)clean.bytes});
    cw_text_deinit(&clean);
}

static void put_mail(struct cw_text *json, const struct cw_text *file)
{
    struct cw_text text = {0};
    put_header_text(&text, header(file, "\r\nTo: "));
    put_clean(json, "to", &text);
    cw_text_clear(&text);
    put_header_text(&text, header(file, "\r\nSubject: "));
    put_clean(json, "subject", &text);
    cw_text_deinit(&text);
}

static bool take_member(const struct cw_json *doc, const char *name, struct cw_text *text)
{
    uint32_t node = cw_json_find(doc, 0, (struct cw_view){name, (uint32_t)strlen(name)});
    if (node == CW_JSON_NONE || doc->nodes[node].type != CW_JSON_STRING) {
        return false;
    }
    struct cw_view raw = cw_json_raw(doc, node);
    text->bytes += cw_json_unescape(raw, cw_text_room(text, raw.bytes));
    return true;
}

static void put_json(struct cw_text *json, struct cw_text *file)
{
    struct cw_fault fault;
    struct cw_json_parser *parser = NULL;
    struct cw_json doc;
    struct cw_text to = {0};
    struct cw_text subject = {0};
    memset(cw_text_room(file, CW_JSON_PADDING), 0, CW_JSON_PADDING);
    if (cw_json_open(&parser, FILE_BYTES_MAX, 8, &fault) == CW_ERR_OK) {
        if (cw_json_parse(parser, file->data, (uint32_t)file->bytes, &doc) == CW_JSON_PARSE_OK &&
            doc.nodes[0].type == CW_JSON_OBJECT) {
            (void)take_member(&doc, "to", &to);
            if (!take_member(&doc, "subject", &subject)) {
                (void)take_member(&doc, "title", &subject);
            }
        }
        cw_json_close(parser);
    }
    put_clean(json, "to", &to);
    put_clean(json, "subject", &subject);
    cw_text_deinit(&to);
    cw_text_deinit(&subject);
}

/* ---- files ---- */

static cw_err read_file(int directory, const char *name, struct cw_text *content,
                        struct cw_fault *fault)
{
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT || errno == ELOOP ? cw_fail(fault, CW_ERR_NOT_FOUND, "no such file")
                                                 : cw_fail(fault, CW_ERR_IO, "%s: %m", name);
    }
    struct stat about;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size > FILE_BYTES_MAX) {
        (void)close(fd);
        return cw_fail(fault, CW_ERR_NOT_FOUND, "%s: not a file that an outbox writes", name);
    }
    size_t left = (size_t)about.st_size;
    ssize_t got = 1;
    while (left > 0 && got > 0) {
        got = read(fd, cw_text_room(content, left), left);
        if (got > 0) {
            content->bytes += (size_t)got;
            left -= (size_t)got;
        }
    }
    (void)close(fd);
    return got < 0 ? cw_fail(fault, CW_ERR_IO, "%s: %m", name) : CW_ERR_OK;
}

static int open_directory(const char *path, struct cw_fault *fault, cw_err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        *err = errno == ENOENT ? cw_fail(fault, CW_ERR_NOT_FOUND, "%s: no such directory", path)
                               : cw_fail(fault, CW_ERR_IO, "%s: %m", path);
    }
    return fd;
}

static void put_one(struct cw_text *json, int directory, const char *name, bool first)
{
    struct cw_fault fault;
    struct cw_outbox_name parts;
    struct cw_text file = {0};
    struct cw_view view = {name, (uint32_t)strlen(name)};
    bool good = cw_outbox_name(view, &parts);
    CW_ASSERT(good);
    if (read_file(directory, name, &file, &fault) != CW_ERR_OK) {
        cw_text_deinit(&file); /* gone meanwhile */
        return;
    }
    cw_text_puts(json, first ? "{\"name\":" : ",{\"name\":");
    cw_text_json(json, view);
    cw_text_puts(json, ",\"channel\":");
    cw_text_json(json, parts.kind);
    size_t bytes = file.bytes;
    if (parts.mail) {
        put_mail(json, &file);
    } else {
        put_json(json, &file);
    }
    cw_text_puts(json, ",\"at\":");
    put_time(json, name);
    cw_text_puts(json, ",\"bytes\":");
    cw_text_u64(json, bytes);
    cw_text_char(json, '}');
    cw_text_deinit(&file);
}

cw_err cw_outbox_list(const char *path, uint32_t count_max, struct cw_text *json,
                      struct cw_fault *fault)
{
    uint32_t count = count_max < LIST_MAX ? count_max : LIST_MAX;
    cw_err err = CW_ERR_OK;
    int fd = open_directory(path, fault, &err);
    if (fd < 0) {
        return err;
    }
    DIR *directory = fdopendir(fd);
    struct name *names = malloc((2 * (size_t)count + 1) * sizeof *names);
    CW_ASSERT(directory != NULL && names != NULL);
    uint32_t used = count == 0 ? 0 : newest(directory, names, count);
    cw_text_char(json, '[');
    size_t start = json->bytes;
    for (uint32_t i = 0; i < used; i++) {
        put_one(json, fd, names[i].text, json->bytes == start);
    }
    cw_text_char(json, ']');
    free(names);
    (void)closedir(directory);
    return CW_ERR_OK;
}

cw_err cw_outbox_read(const char *path, struct cw_view name, struct cw_text *content,
                      struct cw_fault *fault)
{
    struct cw_outbox_name parts;
    if (name.data == NULL || !cw_outbox_name(name, &parts)) {
        return cw_fail(fault, CW_ERR_NOT_FOUND, "not the name of a file in an outbox");
    }
    char file[CW_OUTBOX_NAME_BYTES];
    memcpy(file, name.data, name.bytes);
    file[name.bytes] = '\0';
    cw_err err = CW_ERR_OK;
    int fd = open_directory(path, fault, &err);
    if (fd < 0) {
        return err;
    }
    err = read_file(fd, file, content, fault);
    (void)close(fd);
    return err;
}
