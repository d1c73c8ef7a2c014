/*
 * option: the keys of a configuration as rows of a table, and the reader that a table drives.
 *
 * One row tells a key's name, type, range, unit, default and meaning; from it come the checks, the
 * messages (unknown keys with the nearest known one, wrong types, values out of range), the default
 * value and the help. What depends on two keys at once is checked by whoever reads the table.
 *
 * Memory:  settings point into the document. Threads: one at a time.
 * Bounds:  CW_OPTIONS_MAX rows a table; a list has the bounds of its row.
 */
#ifndef CW_PIPELINE_OPTION_CTL_H
#define CW_PIPELINE_OPTION_CTL_H

#include "pipeline/yaml_ctl.h"

#define CW_OPTIONS_MAX 32u

enum cw_option_type {
    CW_OPTION_LINE,             /* text without control characters; min to max bytes */
    CW_OPTION_TEXT,             /* text, may have several lines; min to max bytes */
    CW_OPTION_NUMBER,           /* min to max */
    CW_OPTION_NUMBER_BY_MARKET, /* the same, or a map of such numbers by marketplace */
    CW_OPTION_BOOL,
    CW_OPTION_WORD,     /* one of words */
    CW_OPTION_CLOCK,    /* HH:MM */
    CW_OPTION_LINES,    /* min to max different lines */
    CW_OPTION_MAPPING,  /* keys of inner */
    CW_OPTION_MAPPINGS, /* min to max such mappings */
    CW_OPTION_TREE      /* any mapping; somebody else reads it */
};

struct cw_option {
    const char *name;
    enum cw_option_type type;
    bool required;
    bool whole; /* numbers: no fraction */
    bool above; /* numbers: min itself is not allowed */
    double min, max;
    uint32_t item_max; /* bytes of each of LINES; 0: 128 */
    const char *unit;
    const char *fallback; /* the default as YAML would write it; NULL: none */
    const char *help;
    const char *const *words;       /* NULL-terminated */
    const struct cw_options *inner; /* NULL: chosen by the reader */
};

struct cw_options {
    const char *what; /* "a channel" */
    const struct cw_option *list;
    uint32_t count;
};

/* What one key says. Not given, or given wrongly, the values are those of its default. */
struct cw_setting {
    uint32_t key;  /* in the document; 0: not there, nor anything that seems to mean it */
    uint32_t node; /* its value, 0 when it is not there */
    bool good;     /* it is there, of the right type and in its range */
    bool yes;
    uint32_t word; /* place in words */
    double number; /* of a CLOCK: minute of the day */
    struct cw_view text;
};

struct cw_option_reader {
    const struct cw_yaml *doc;
    const char *file;
    struct cw_problems *problems;
    const struct cw_options *const *tables; /* all there are, NULL-terminated: for "belongs in" */
};

/* Reads a mapping into one setting per row. Another node than a mapping is told and reads as an
   empty one whose required keys nobody misses. */
void cw_options_read(const struct cw_option_reader *reader, uint32_t mapping,
                     const struct cw_options *options, struct cw_setting *settings);

/* The settings of a mapping that is not there. */
void cw_options_default(const struct cw_options *options, struct cw_setting *settings);

/* Adds a problem at a node. */
void cw_option_error(const struct cw_option_reader *reader, uint32_t node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void cw_option_remark(const struct cw_option_reader *reader, uint32_t node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The number that a scalar of kind NUMBER spells. */
double cw_option_number(const struct cw_yaml_node *node);

/* `did you mean "x"?` when a word of the NULL-terminated list is near, else `known are a, b, c`
   with that many as fit. Returns out. */
#define CW_OPTION_HINT_BYTES 200u

const char *cw_option_hint(struct cw_view word, const char *const *known,
                           char out[CW_OPTION_HINT_BYTES]);

/* One line of help: type, range, unit and default of a row. Returns out. */
const char *cw_option_describe(const struct cw_option *option, char out[CW_OPTION_HINT_BYTES]);

#endif
