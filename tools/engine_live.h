/*
 * engine_live: what an engine file says of running live: listening, credentials, channels, links,
 * state. Part of struct cw_engine_file.
 */
#ifndef CW_TOOLS_ENGINE_LIVE_H
#define CW_TOOLS_ENGINE_LIVE_H

#include "io/channel.h"
#include "io/server.h"
#include "pipeline/program.h"

#define CW_HTTP_ADDRESS_DEFAULT "127.0.0.1:8080"
#define CW_STATE_DEFAULT        "./cartwheel-state"

enum cw_clock_mode {
    CW_CLOCK_WALL,
    CW_CLOCK_EVENT,      /* time is what the events say */
    CW_CLOCK_ACCELERATED /* from now on, so many times as fast */
};

struct cw_engine_credential {
    enum cw_credential_type type;
    enum cw_role role;
    struct cw_view id, secret;
};

struct cw_engine_live {
    struct cw_listener listeners[CW_LISTENERS_MAX];
    uint32_t listener_count;
    struct cw_server_limits limits;
    enum cw_loop_choice loop;
    struct cw_engine_credential credentials[CW_CREDENTIALS_MAX];
    uint32_t credential_count;
    struct cw_channel_options channels[CW_CHANNEL_COUNT];
    double rates[CW_CHANNEL_COUNT]; /* messages a second of all cores; 0: no limit */
    const char *state;              /* directory */
    const char *memory;             /* directory that tables lie in; NULL: none */
    struct cw_view link_base;       /* NULL data: the first HTTP address */
    struct cw_view link_secret;     /* NULL data: one is made and kept in the state directory */
    uint32_t cores;                 /* 0: one for each CPU this process may use */
    enum cw_clock_mode clock;
    double clock_factor;      /* ACCELERATED */
    uint64_t downtime_ms_max; /* WALL: a start after a longer one holds sends */
    uint64_t grace_ms;        /* WALL: held for so long after having been off for longer; 0: not */
    uint64_t dead_letter_bytes;
    bool durability_os;        /* written, not flushed */
    bool durability_none;      /* not even written: for measuring */
    uint64_t segment_bytes;    /* of logs; 0: the usual */
    uint64_t checkpoint_bytes; /* of log from one checkpoint to the next; 0: the usual */

    struct {
        uint64_t every_ms; /* 0: none are made by themselves */
        uint32_t keep;
        const char *to; /* directory; NULL: snapshots in the state's */
    } snapshots;
};

struct cw_engine_reader;

/* "fsync", "os" or "none". */
const char *cw_durability_name(const struct cw_engine_live *live);

/* What holds without a file. */
void cw_engine_live_default(struct cw_engine_live *live);

/* Reads one of the keys above from its node; problems are told where they stand. */
enum cw_engine_section {
    CW_SECTION_HTTP,
    CW_SECTION_TCP,
    CW_SECTION_CREDENTIALS,
    CW_SECTION_CHANNELS,
    CW_SECTION_LINKS,
    CW_SECTION_SNAPSHOTS
};

void cw_engine_live_read(struct cw_engine_reader *reader, enum cw_engine_section section,
                         uint32_t node);

/* 90, 90s, 30m, 6h, 1d as milliseconds; false: none of them, or nothing. */
CW_MUST_USE bool cw_engine_duration(struct cw_view text, uint64_t *ms);

/* "wall", "event" or a factor such as "3600x"; false when it is none of them. */
CW_MUST_USE bool cw_clock_mode_parse(const char *text, enum cw_clock_mode *mode, double *factor);

extern const struct cw_options cw_engine_http, cw_engine_tcp, cw_engine_credential,
    cw_engine_channels, cw_engine_channel, cw_engine_links, cw_engine_snapshots;

#endif
