/*
 * The channel that sends nothing: each message becomes a file, `20260118T164500123Z-email-KEY.eml`.
 * It is written under a name that cw_outbox_list does not show, and renamed when whole.
 */
#include "io/outbox.h"

#include "core/format.h"
#include "core/time.h"
#include "io/channel_priv.h"
#include "io/outbox_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

bool cw_outbox_name(struct cw_view name, struct cw_outbox_name *parts)
{
    static const char shape[] = "00000000T000000000Z-";

    enum {
        TIME_BYTES = sizeof shape - 1
    };

    if (name.bytes < TIME_BYTES || name.bytes >= CW_OUTBOX_NAME_BYTES) {
        return false;
    }
    for (uint32_t i = 0; i < TIME_BYTES; i++) {
        char c = name.data[i];
        if (shape[i] == '0' ? c < '0' || c > '9' : c != shape[i]) {
            return false;
        }
    }
    struct cw_view rest = {name.data + TIME_BYTES, name.bytes - TIME_BYTES};
    const char *dash = memchr(rest.data, '-', rest.bytes);
    uint32_t kind_bytes = dash == NULL ? 0 : (uint32_t)(dash - rest.data);
    uint32_t ending = kind_bytes + 1 + CW_POST_KEY_BYTES;
    if (kind_bytes == 0 || !cw_outbox_kind((struct cw_view){rest.data, kind_bytes}) ||
        rest.bytes < ending || !cw_mime_key(dash + 1)) {
        return false;
    }
    struct cw_view type = {rest.data + ending, rest.bytes - ending};
    parts->mail = cw_view_equal(type, CW_VIEW(".eml"));
    parts->kind = (struct cw_view){rest.data, kind_bytes};
    return parts->mail || cw_view_equal(type, CW_VIEW(".json"));
}

bool cw_outbox_kind(struct cw_view kind)
{
    for (uint32_t i = 0; i < kind.bytes; i++) {
        char c = kind.data[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_') {
            return false;
        }
    }
    return kind.bytes > 0 && kind.bytes <= CW_OUTBOX_KIND_BYTES_MAX;
}

/* Also makes the directories above. */
static int make_directory(const char *path)
{
    char part[4096];
    uint32_t bytes = cw_format(part, sizeof part, "%s", path);
    for (uint32_t i = 1; i < bytes; i++) {
        if (part[i] == '/') {
            part[i] = '\0';
            (void)mkdir(part, 0700);
            part[i] = '/';
        }
    }
    return mkdir(path, 0700) != 0 && errno != EEXIST ? -1 : 0;
}

static cw_err outbox_open(struct cw_channel *channel, struct cw_fault *fault)
{
    const char *path = channel->options.directory.data;
    if (path == NULL || path[0] == '\0') {
        return cw_fail(fault, CW_ERR_INVALID, "directory: an outbox needs one");
    }
    if (make_directory(path) != 0 ||
        (channel->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        return cw_fail(fault, CW_ERR_IO, "%s: %m", path);
    }
    return CW_ERR_OK;
}

static bool trouble(struct cw_post_result *result, const char *doing)
{
    cw_channel_result(result, CW_POSTED_LATER, NULL, "%s: %m", doing);
    return true;
}

/* Another attempt of the same message may have left its file: the one that is there counts. */
static bool is_there(const struct cw_channel *channel, const char *ending)
{
    int copy = openat(channel->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = copy < 0 ? NULL : fdopendir(copy);
    if (directory == NULL) {
        if (copy >= 0) {
            (void)close(copy);
        }
        return false;
    }
    size_t ending_bytes = strlen(ending);
    bool found = false;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): this stream is ours alone */
    for (const struct dirent *e; !found && (e = readdir(directory)) != NULL;) {
        size_t bytes = strlen(e->d_name);
        found = e->d_name[0] != '.' && bytes > ending_bytes &&
                memcmp(e->d_name + bytes - ending_bytes, ending, ending_bytes) == 0;
    }
    (void)closedir(directory);
    return found;
}

static bool write_whole(int fd, const struct cw_text *text)
{
    for (size_t at = 0; at < text->bytes;) {
        ssize_t wrote = write(fd, text->data + at, text->bytes - at);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            return false;
        }
        at += (size_t)wrote;
    }
    return true;
}

/* errno says why not. */
static bool write_file(int directory, const char *name, const struct cw_text *text)
{
    char part[CW_OUTBOX_NAME_BYTES + 8];
    (void)cw_format(part, sizeof part, ".%s.part", name);
    int fd = openat(directory, part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return false;
    }
    int why = write_whole(fd, text) ? 0 : errno != 0 ? errno : ENOSPC;
    if (close(fd) != 0 && why == 0) {
        why = errno;
    }
    if (why == 0 && renameat(directory, part, directory, name) != 0) {
        why = errno;
    }
    if (why != 0) {
        (void)unlinkat(directory, part, 0);
        errno = why;
    }
    return why == 0;
}

static void name_of(const struct cw_post *post, bool mail, char name[CW_OUTBOX_NAME_BYTES])
{
    struct cw_civil at = cw_civil_from_ms(post->now_ms);
    (void)cw_format(name, CW_OUTBOX_NAME_BYTES, "%04d%02d%02dT%02d%02d%02d%03dZ-%.*s-%.*s%s",
                    at.year, at.month, at.day, at.hour, at.minute, at.second, at.millisecond,
                    (int)post->kind.bytes, post->kind.data, (int)CW_POST_KEY_BYTES, post->key,
                    mail ? ".eml" : ".json");
}

static bool outbox_make(struct cw_attempt *attempt, const struct cw_post *post,
                        struct cw_post_result *result)
{
    struct cw_channel *channel = attempt->channel;
    bool mail = cw_view_equal(post->kind, CW_VIEW("email"));
    if (!cw_outbox_kind(post->kind) || !cw_mime_key(post->key)) {
        cw_channel_result(result, CW_POSTED_REFUSED, NULL,
                          "the message's kind or key cannot be part of a file name");
        return true;
    }
    if (!mail) {
        cw_post_json(&attempt->wire, &channel->channels->scratch, post, channel->options.from);
        cw_text_char(&attempt->wire, '\n');
    } else if (!cw_mime_write(&channel->mime, post, &attempt->wire)) {
        cw_channel_result(result, CW_POSTED_REFUSED, NULL, "%s", channel->mime.reason);
        return true;
    }
    char name[CW_OUTBOX_NAME_BYTES];
    name_of(post, mail, name);
    if (post->attempt > 1 && is_there(channel, strchr(name, '-'))) {
        cw_channel_result(result, CW_POSTED_SENT, NULL, "%s", "");
        return true;
    }
    errno = 0;
    if (!write_file(channel->directory, name, &attempt->wire)) {
        return trouble(result, "the outbox cannot be written");
    }
    cw_channel_result(result, CW_POSTED_SENT, NULL, "%s", "");
    return true;
}

const struct cw_way cw_way_outbox = {.collapses = true, .open = outbox_open, .make = outbox_make};
