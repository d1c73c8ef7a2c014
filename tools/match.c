/* cartwheel match: does each event match an EventBridge pattern? */
#include "core/json.h"
#include "core/text.h"
#include "pipeline/pattern.h"
#include "tools/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
    EVENT_BYTES_MAX = 1 << 20,
    READ_BYTES = 1 << 16
};

struct match {
    struct cw_json_parser *parser;
    struct cw_pattern_set *set;
    struct cw_pattern_scratch *scratch;
    bool explain;
    bool all_valid, advised;
    struct cw_text out;
};

static void print_help(void)
{
    (void)printf(
        "usage: cartwheel match [--explain] PATTERN.json [EVENTS.ndjson]\n\n"
        "Prints for each event, one a line, whether the EventBridge event pattern\n"
        "matches it: true, false, or invalid: REASON. Reads standard input when no file\n"
        "of events is named. A blank line is invalid.\n\n"
        "  --explain  after each verdict, two blanks in front, what each field of the\n"
        "             pattern asks for and what the event has there\n\n"
        "exit: 0 all events were valid, 1 some were not, 2 the pattern is not valid\n");
}

static void put_invalid(struct match *m, const char *reason)
{
    m->all_valid = false;
    cw_text_printf(&m->out, "invalid: %s\n", reason);
}

static void put_explanation(struct match *m, const struct cw_json *doc)
{
    struct cw_text lines = {0};
    cw_pattern_explain(m->set, 0, m->scratch, doc, &lines);
    for (size_t i = 0; i < lines.bytes; i++) {
        cw_text_puts(&m->out, i == 0 || lines.data[i - 1] == '\n' ? "  " : "");
        cw_text_char(&m->out, lines.data[i]);
    }
    cw_text_deinit(&lines);
}

/* line must have CW_JSON_PADDING readable bytes behind it. */
static void match_line(struct match *m, const char *line, size_t bytes)
{
    if (bytes > EVENT_BYTES_MAX) {
        put_invalid(m, "the event is longer than 1 MiB");
        return;
    }
    struct cw_json doc;
    enum cw_json_status status = cw_json_parse(m->parser, line, (uint32_t)bytes, &doc);
    if (!m->advised && status != CW_JSON_PARSE_EMPTY) {
        m->advised = true;
        cw_lines_advise("the events' text", (struct cw_view){line, (uint32_t)bytes});
    }
    if (status == CW_JSON_PARSE_EMPTY) {
        put_invalid(m, "the line is blank");
    } else if (status != CW_JSON_PARSE_OK) {
        m->all_valid = false;
        cw_text_printf(&m->out, "invalid: %s (near byte %u)\n", cw_json_status_text(status),
                       doc.error_offset + 1);
    } else if (doc.nodes[0].type != CW_JSON_OBJECT) {
        put_invalid(m, "an event is a JSON object");
    } else {
        struct cw_pattern_matches matches;
        cw_pattern_match(m->set, m->scratch, &doc, &matches);
        cw_text_puts(&m->out, (matches.words[0] & 1) != 0 ? "true\n" : "false\n");
        if (m->explain) {
            put_explanation(m, &doc);
        }
    }
}

static bool flush(struct match *m, bool now)
{
    bool ok = true;
    if (m->out.bytes > READ_BYTES || (now && m->out.bytes > 0)) {
        ok = fwrite(m->out.data, 1, m->out.bytes, stdout) == m->out.bytes;
        cw_text_clear(&m->out);
    }
    return ok && (!now || fflush(stdout) == 0);
}

/* Lines of what has been read; what is left over moves to the front. Of a line that is too long
   only as much is kept as tells that it is. */
static void match_lines(struct match *m, struct cw_text *in, size_t *held_back, bool last)
{
    size_t start = 0;
    size_t from = *held_back;
    for (;;) { /* as often as there are lines */
        char *newline = in->bytes == from ? NULL : memchr(in->data + from, '\n', in->bytes - from);
        if (newline == NULL) {
            break;
        }
        size_t end = (size_t)(newline - in->data);
        match_line(m, in->data + start, end - start);
        start = end + 1;
        from = start;
    }
    if (last && start < in->bytes) {
        match_line(m, in->data + start, in->bytes - start);
        start = in->bytes;
    }
    in->bytes -= start;
    memmove(in->data, in->data + start, in->bytes);

    enum {
        KEPT = EVENT_BYTES_MAX + 1
    };

    in->bytes = in->bytes < KEPT ? in->bytes : KEPT;
    *held_back = in->bytes;
}

static cw_err match_events(struct match *m, int events, struct cw_fault *fault)
{
    struct cw_text in = {0};
    size_t held_back = 0; /* of in: searched for a newline already */
    bool last = false;
    cw_err err = CW_ERR_OK;
    while (!last && err == CW_ERR_OK) {
        char *room = cw_text_room(&in, READ_BYTES + CW_JSON_PADDING);
        ssize_t got = read(events, room, READ_BYTES);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            err = cw_fail(fault, CW_ERR_IO, "reading the events");
            break;
        }
        in.bytes += (size_t)got;
        last = got == 0;
        match_lines(m, &in, &held_back, last);
        if (!flush(m, got < READ_BYTES)) {
            err = cw_fail(fault, CW_ERR_IO, "writing the verdicts");
        }
    }
    cw_text_deinit(&in);
    return err;
}

/* What stands behind the pattern is not read; say so, it may be a mistake. */
static void remark_rest(struct match *m, const char *path, struct cw_view pattern)
{
    struct cw_json doc;
    if (cw_json_parse(m->parser, pattern.data, pattern.bytes, &doc) != CW_JSON_PARSE_OK) {
        (void)fprintf(stderr,
                      "cartwheel: %s: what stands behind the pattern's closing brace is "
                      "not read\n",
                      path);
    }
}

static int open_pattern(struct match *m, const char *path, struct cw_fault *fault)
{
    struct cw_view pattern;
    if (cw_json_open(&m->parser, EVENT_BYTES_MAX, CW_JSON_DEPTH_MAX, fault) != CW_ERR_OK ||
        cw_pattern_set_open(&m->set, fault) != CW_ERR_OK ||
        cw_pattern_scratch_open(&m->scratch, fault) != CW_ERR_OK) {
        return cw_failure(fault);
    }
    /* Longer than a pattern may be: for the message to be the pattern's own. */
    if (cw_file_read(path, EVENT_BYTES_MAX, &pattern, fault) != CW_ERR_OK) {
        (void)cw_failure(fault);
        return CW_EXIT_USAGE;
    }
    int result = CW_EXIT_OK;
    if (cw_pattern_add(m->set, pattern, CW_PATTERN_STRICT, NULL, fault) != CW_ERR_OK) {
        (void)fprintf(stderr, "cartwheel: %s: the pattern is not valid: %s\n", path, fault->text);
        result = CW_EXIT_USAGE;
    } else {
        cw_pattern_set_seal(m->set);
        remark_rest(m, path, pattern);
    }
    cw_file_free(pattern);
    return result;
}

static int run(struct match *m, const char *pattern, const char *events)
{
    struct cw_fault fault;
    int result = open_pattern(m, pattern, &fault);
    if (result != CW_EXIT_OK) {
        return result;
    }
    bool standard = events == NULL || strcmp(events, "-") == 0;
    int file = standard ? STDIN_FILENO : open(events, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        (void)cw_fail(&fault, CW_ERR_IO, "opening %s", events);
        return cw_failure(&fault);
    }
    cw_err err = match_events(m, file, &fault);
    if (!standard) {
        (void)close(file);
    }
    if (err != CW_ERR_OK) {
        return cw_failure(&fault);
    }
    return m->all_valid ? CW_EXIT_OK : CW_EXIT_FAILURE;
}

int cw_cmd_match(int argc, char **argv)
{
    struct match m = {.all_valid = true};
    const char *paths[2] = {NULL, NULL};
    int count = 0;
    bool options = true;
    for (int i = 1; i < argc; i++) {
        if (options && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            print_help();
            return CW_EXIT_OK;
        }
        if (options && strcmp(argv[i], "--explain") == 0) {
            m.explain = true;
        } else if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
            return cw_usage_error("match", "unknown option %s", argv[i]);
        } else if (count == 2) {
            return cw_usage_error("match", "more than a pattern and one file of events");
        } else {
            paths[count++] = argv[i];
        }
    }
    if (count == 0) {
        return cw_usage_error("match", "no pattern named");
    }
    int result = run(&m, paths[0], paths[1]);
    cw_text_deinit(&m.out);
    cw_pattern_scratch_close(m.scratch);
    cw_pattern_set_close(m.set);
    cw_json_close(m.parser);
    return result;
}
