#define _GNU_SOURCE 1 /* memmem */ /* NOLINT */
#include "tools/receipts.h"
#include "tools/flush.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "erasures.ndjson"

enum {
    BESIDE_BYTES = 4200
};

/* Of a snapshot, and of one that is not whole, since who made it was ended. */
static const char *const suffixes[] = {".cwsnap", ".cwsnap.new"};

/* ---- dead letters ---- */

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The four digits behind \u; -1: no such digits. */
static int32_t code_unit(const char *at, size_t left)
{
    int32_t code = 0;
    for (size_t i = 0; i < 4; i++) {
        int digit = i < left ? hex(at[i]) : -1;
        if (digit < 0) {
            return -1;
        }
        code = code * 16 + digit;
    }
    return code;
}

static void put_utf8(struct cw_text *out, uint32_t code)
{
    if (code < 0x80) {
        cw_text_char(out, (char)code);
    } else if (code < 0x800) {
        cw_text_char(out, (char)(0xc0 | code >> 6));
        cw_text_char(out, (char)(0x80 | (code & 0x3f)));
    } else {
        if (code < 0x10000) {
            cw_text_char(out, (char)(0xe0 | code >> 12));
        } else {
            cw_text_char(out, (char)(0xf0 | code >> 18));
            cw_text_char(out, (char)(0x80 | (code >> 12 & 0x3f)));
        }
        cw_text_char(out, (char)(0x80 | (code >> 6 & 0x3f)));
        cw_text_char(out, (char)(0x80 | (code & 0x3f)));
    }
}

/* A text without its backslashes, whatever stood in whatever quotes: \u is the character, white
   space a blank. */
static void unquote(struct cw_text *out, struct cw_view text)
{
    uint32_t high = 0; /* the first half of a surrogate pair */
    for (uint32_t i = 0; i < text.bytes; i++) {
        if (text.data[i] != '\\') {
            cw_text_char(out, (unsigned char)text.data[i] < ' ' ? ' ' : text.data[i]);
            continue;
        }
        while (i + 1 < text.bytes && text.data[i + 1] == '\\') {
            i++;
        }
        char next = i + 1 < text.bytes ? text.data[i + 1] : '\0';
        int32_t code = next == 'u' ? code_unit(text.data + i + 2, text.bytes - i - 2) : -1;
        if (code < 0) {
            if (next == 'n' || next == 'r' || next == 't') {
                cw_text_char(out, ' ');
                i++;
            }
            continue;
        }
        i += 5;
        if (code >= 0xd800 && code < 0xdc00) {
            high = (uint32_t)code;
            continue;
        }
        bool pair = high != 0 && code >= 0xdc00 && code < 0xe000;
        put_utf8(out, pair ? 0x10000 + ((high - 0xd800) << 10) + ((uint32_t)code - 0xdc00)
                           : (uint32_t)code);
        high = 0;
    }
}

bool cw_letter_names(struct cw_view line, struct cw_view customer)
{
    static const char name[] = "customerId\"";
    struct cw_text plain = {0};
    struct cw_text wanted = {0};
    unquote(&plain, line);
    unquote(&wanted, customer);
    bool found = false;
    const char *at = plain.data;
    const char *end = at == NULL ? NULL : at + plain.bytes;
    while (!found && at != NULL &&
           (at = memmem(at, (size_t)(end - at), name, sizeof name - 1)) != NULL) {
        at += sizeof name - 1;
        const char *value = at;
        while (value < end && (*value == ' ' || *value == ':' || *value == '"')) {
            value++;
        }
        /* A number is no customerId, which may be why it is here, but it is somebody's. */
        const char *ends = value > at && value[-1] == '"' ? "\"" : " ,]}";
        found = (size_t)(end - value) > wanted.bytes &&
                memcmp(value, wanted.data, wanted.bytes) == 0 &&
                /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): a NUL ends nothing */
                memchr(ends, value[wanted.bytes], strlen(ends)) != NULL;
    }
    cw_text_deinit(&plain);
    cw_text_deinit(&wanted);
    return found;
}

/* The lines of one file that do not name the customer, to a file beside it. */
static bool copy_others(FILE *from, FILE *to, struct cw_view customer, uint64_t *removed)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t bytes;
    bool good = true;
    while (good && (bytes = getline(&line, &room, from)) > 0) {
        if (cw_letter_names((struct cw_view){line, (uint32_t)bytes}, customer)) {
            (*removed)++;
        } else {
            good = fwrite(line, 1, (size_t)bytes, to) == (size_t)bytes;
        }
    }
    free(line);
    return good && ferror(from) == 0;
}

static void name_beside(const char *path, char beside[BESIDE_BYTES])
{
    (void)snprintf(beside, BESIDE_BYTES, "%.4090s.new", path);
}

/* Those lines are durable in a file beside it, where there are any others; *found: how many not. */
static cw_err copy_beside(const char *path, struct cw_view customer, uint64_t *found,
                          struct cw_fault *fault)
{
    char beside[BESIDE_BYTES];
    *found = 0;
    name_beside(path, beside);
    FILE *from = fopen(path, "re");
    if (from == NULL) {
        return errno == ENOENT ? CW_ERR_OK : cw_fail(fault, CW_ERR_IO, "opening %s", path);
    }
    int file = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *to = file >= 0 ? fdopen(file, "w") : NULL;
    bool good = to != NULL && copy_others(from, to, customer, found);
    good = good && fflush(to) == 0 && fsync(file) == 0;
    if (to != NULL) {
        good &= fclose(to) == 0;
    }
    (void)fclose(from);
    cw_err err = good ? CW_ERR_OK : cw_fail(fault, CW_ERR_IO, "removing lines from %s", path);
    if (!good || *found == 0) {
        (void)unlink(beside);
    }
    return err;
}

static cw_err take_over(const char *path, uint64_t found, struct cw_fault *fault)
{
    char beside[BESIDE_BYTES];
    name_beside(path, beside);
    return found == 0 || rename(beside, path) == 0
               ? CW_ERR_OK
               : cw_fail(fault, CW_ERR_IO, "removing lines from %s", path);
}

static cw_err remove_letters(const struct cw_receipts *receipts, struct cw_view customer,
                             uint64_t *removed, struct cw_fault *fault)
{
    struct cw_letter_file *letters = receipts->letters;
    uint64_t now;
    uint64_t before = 0;
    /* What may find no room comes first, so that who tries again counts all of them. */
    cw_err err = copy_beside(letters->path, customer, &now, fault);
    err = err == CW_ERR_OK ? copy_beside(letters->before, customer, &before, fault) : err;
    err = err == CW_ERR_OK ? take_over(letters->before, before, fault) : err;
    err = err == CW_ERR_OK ? take_over(letters->path, now, fault) : err;
    *removed = now + before;
    return err == CW_ERR_OK && now > 0 ? cw_letter_file_reopen(letters, fault) : err;
}

/* ---- the receipt ---- */

static int is_snapshot(const struct dirent *entry)
{
    size_t bytes = strlen(entry->d_name);
    bool is = false;
    for (size_t i = 0; i < CW_COUNTOF(suffixes); i++) {
        size_t suffix = strlen(suffixes[i]);
        is = is || (bytes > suffix && strcmp(entry->d_name + bytes - suffix, suffixes[i]) == 0);
    }
    return is;
}

static int is_given_up(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void put_paths(struct cw_text *out, const char *directory,
                      int (*is)(const struct dirent *entry))
{
    struct dirent **list = NULL;
    int count = scandir(directory, &list, is, alphasort);
    for (int i = 0; i < count; i++) {
        char path[4400];
        int bytes = snprintf(path, sizeof path, "%.4000s/%.255s", directory, list[i]->d_name);
        cw_text_puts(out, out->data[out->bytes - 1] == '[' ? "" : ",");
        cw_text_json(out, (struct cw_view){path, (uint32_t)bytes});
        free(list[i]);
    }
    free(list);
}

cw_err cw_receipt_write(const struct cw_receipts *receipts, const struct cw_receipt *receipt,
                        struct cw_fault *fault)
{
    uint64_t removed = 0;
    cw_err err = remove_letters(
        receipts, (struct cw_view){receipt->customer, receipt->customer_bytes}, &removed, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    struct cw_text line = {0};
    cw_text_puts(&line, "{\"event\":");
    cw_text_json(&line, (struct cw_view){receipt->event, receipt->event_bytes});
    cw_text_puts(&line, ",\"askedAt\":");
    cw_text_json_time(&line, receipt->asked_ms);
    cw_text_puts(&line, ",\"completeAt\":");
    cw_text_json_time(&line, receipt->through_ms);
    cw_text_printf(&line, ",\"deadLetters\":%llu,\"snapshots\":[", (unsigned long long)removed);
    char own[4096];
    (void)snprintf(own, sizeof own, "%.3900s/snapshots", receipts->directory);
    put_paths(&line, own, is_snapshot);
    if (receipts->snapshots != NULL) {
        put_paths(&line, receipts->snapshots, is_snapshot);
    }
    cw_text_puts(&line, "],\"givenUp\":[");
    (void)snprintf(own, sizeof own, "%.3900s/given-up", receipts->directory);
    put_paths(&line, own, is_given_up);
    cw_text_puts(&line, "]}\n");
    char path[4200];
    (void)snprintf(path, sizeof path, "%.3900s/" FILE_NAME, receipts->directory);
    err = cw_flush_line(path, (struct cw_view){line.data, (uint32_t)line.bytes}, fault);
    cw_text_deinit(&line);
    return err;
}

cw_err cw_receipts_read(const char *directory, uint32_t bytes_max, struct cw_text *out,
                        struct cw_fault *fault)
{
    char path[4200];
    (void)snprintf(path, sizeof path, "%.3900s/" FILE_NAME, directory);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return errno == ENOENT ? CW_ERR_OK : cw_fail(fault, CW_ERR_IO, "opening %s", path);
    }
    off_t end = lseek(file, 0, SEEK_END);
    off_t from = end > (off_t)bytes_max ? end - (off_t)bytes_max : 0;
    char *text = malloc(bytes_max);
    CW_ASSERT(text != NULL);
    ssize_t got = end >= 0 ? pread(file, text, bytes_max, from) : -1;
    (void)close(file);
    if (got > 0) {
        const char *first = text; /* a line that was cut is left out */
        if (from > 0) {
            first = memchr(text, '\n', (size_t)got);
            first = first == NULL ? text + got : first + 1;
        }
        cw_text_put(out, first, (size_t)(text + got - first));
    }
    free(text);
    return got >= 0 ? CW_ERR_OK : cw_fail(fault, CW_ERR_IO, "reading %s", path);
}
