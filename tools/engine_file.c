#include "tools/engine_file.h"

#include "core/mesh.h"
#include "tools/engine_file_priv.h"

#include <string.h>
#include <sys/stat.h>

/* ---- the keys ---- */

enum {
    PATH_BYTES_MAX = 4000,
    GRACE_MS_MAX = 3600000
};

static const char *const loops[] = {"auto", "uring", "epoll", NULL}; /* enum cw_loop_choice */

/* clang-format off */
static const char *const durabilities[] = {"fsync", "os", "none", NULL};

#define ENGINE_KEYS(X) \
    X(MODELS, "models", LINE, .min = 1, .max = PATH_BYTES_MAX, \
      .help = "a directory of models besides the shipped ones") \
    X(TEMPLATES, "templates", LINE, .min = 1, .max = PATH_BYTES_MAX, \
      .help = "a directory of templates besides the shipped ones") \
    X(PROGRAMS, "programs", LINES, .min = 1, .max = CW_PROGRAMS_MAX, .item_max = PATH_BYTES_MAX, \
      .help = "the program files to run, relative to this file") \
    X(EVENT_BYTES_MAX, "eventBytesMax", NUMBER, .whole = true, .min = 4096, .max = 67108864, \
      .unit = "bytes", .fallback = "1048576", .help = "longer events are refused") \
    X(PARTITIONS, "partitions", NUMBER, .whole = true, .min = 1, .max = 65536, \
      .fallback = "256", .help = "partitions of the state, a power of two") \
    X(SHOP_NAME, "shopName", LINE, .min = 1, .max = 256, .help = "{shopName} in messages") \
    X(SHOP_URL, "shopUrl", LINE, .min = 1, .max = 2048, \
      .help = "the cart's link when an event brings none") \
    X(HTTP, "http", MAPPING, .inner = &cw_engine_http, .help = "run: requests over HTTP") \
    X(TCP, "tcp", MAPPING, .inner = &cw_engine_tcp, .help = "run: NDJSON over TCP") \
    X(CREDENTIALS, "credentials", MAPPINGS, .inner = &cw_engine_credential, .min = 1, \
      .max = CW_CREDENTIALS_MAX, .help = "run: who may put events in, read and control") \
    X(CHANNELS, "channels", MAPPING, .inner = &cw_engine_channels, \
      .help = "run: how messages leave; into the local outbox where not told") \
    X(LINKS, "links", MAPPING, .inner = &cw_engine_links, \
      .help = "run: where the links in messages lead") \
    X(STATE, "state", LINE, .min = 1, .max = PATH_BYTES_MAX, .fallback = "./cartwheel-state", \
      .help = "run: the directory for what is kept") \
    X(MEMORY, "memory", LINE, .min = 1, .max = PATH_BYTES_MAX, \
      .help = "run: a tmpfs directory where tables outlive a clean stop; else none") \
    X(DURABILITY, "durability", WORD, .words = durabilities, .fallback = "fsync", \
      .help = "run: fsync survives a loss of power, os its own end, none nothing") \
    X(CHECKPOINT_BYTES, "checkpointBytes", NUMBER, .whole = true, .min = 1048576, .max = 1e12, \
      .unit = "bytes", .fallback = "1073741824", \
      .help = "run: log on each core from one checkpoint to the next") \
    X(SNAPSHOTS, "snapshots", MAPPING, .inner = &cw_engine_snapshots, \
      .help = "run: snapshots that are made by themselves; none where not told") \
    X(CORES, "cores", NUMBER, .whole = true, .min = 1, .max = CW_MESH_SHARDS_MAX, \
      .help = "run: so many cores; default: all that the process may use") \
    X(CLOCK, "clock", LINE, .min = 2, .max = 16, .fallback = "wall", \
      .help = "run: wall, event (what the events say) or a factor such as 3600x") \
    X(DOWNTIME, "maxTrustedDowntime", LINE, .min = 1, .max = 16, .fallback = "7d", \
      .help = "run: a wall clock further ahead at a start holds sends: 7d, 36h") \
    X(GRACE, "startGrace", LINE, .min = 1, .max = 16, .fallback = "1m", \
      .help = "run: sources come first for so long after being off for longer; 0s: no") \
    X(IO, "io", WORD, .words = loops, .fallback = "auto", \
      .help = "run: auto is io_uring, or epoll where that is forbidden") \
    X(DEAD_LETTERS, "deadLetterBytesMax", NUMBER, .whole = true, .min = 0, .max = 1e12, \
      .unit = "bytes", .fallback = "67108864", \
      .help = "run: dead-letters.ndjson is begun anew beyond, the one before kept") \
    X(EVENTS, "events", MAPPING, .inner = &event_types, \
      .help = "what events are called here, by what they mean")

#define EVENT_KEYS(X) \
    X(SOURCE, "source", LINE, .min = 1, .max = CW_ID_BYTES_MAX, \
      .help = "the event's source; as by default when absent") \
    X(DETAIL_TYPE, "detailType", LINE, .min = 1, .max = CW_ID_BYTES_MAX, \
      .help = "the event's detail-type; as by default when absent")

#define ROW(id, key, kind, ...) {.name = key, .type = CW_OPTION_##kind, __VA_ARGS__},
#define ROW_NAME(id, ...) KEY_##id,
enum engine_key { ENGINE_KEYS(ROW_NAME) ENGINE_KEY_COUNT };
enum event_key { EVENT_KEYS(ROW_NAME) EVENT_KEY_COUNT };

static const struct cw_option event_list[] = {EVENT_KEYS(ROW)};
static const struct cw_options event_names = {"an event's name", event_list, EVENT_KEY_COUNT};

static const struct cw_option type_list[] = {
#define CW_X(id, usual_source, usual_type) \
    {.name = (usual_type), .type = CW_OPTION_MAPPING, .inner = &event_names, \
     .help = "instead of " usual_source " / " usual_type},
    CW_EVENT_TYPES(CW_X)
#undef CW_X
};
static const struct cw_options event_types = {"events", type_list, CW_EVENT_TYPE_COUNT};

static const struct cw_option engine_list[] = {ENGINE_KEYS(ROW)};
static const struct cw_options engine_options = {"the engine file", engine_list, ENGINE_KEY_COUNT};
#undef ROW
#undef ROW_NAME
/* clang-format on */

static_assert((int)CW_EVENT_TYPE_COUNT <= (int)CW_OPTIONS_MAX, "settings have room for all types");

const struct cw_options *const cw_engine_tables[] = {&engine_options,     &cw_engine_http,
                                                     &cw_engine_tcp,      &cw_engine_credential,
                                                     &cw_engine_channels, &cw_engine_channel,
                                                     &cw_engine_links,    &cw_engine_snapshots,
                                                     &event_types,
                                                     &event_names,        NULL};

/* ---- reading ---- */

struct cw_view cw_engine_keep(struct cw_engine_reader *reader, struct cw_view text)
{
    char *kept = cw_arena_alloc(&reader->file->arena, text.bytes + 1, 1);
    memcpy(kept, text.data, text.bytes);
    kept[text.bytes] = '\0';
    return (struct cw_view){kept, text.bytes};
}

/* A path of the file, as seen from where cartwheel runs. */
const char *cw_engine_path(struct cw_engine_reader *reader, struct cw_view path)
{
    const char *slash = strrchr(reader->in.file, '/');
    size_t base = path.data[0] == '/' || slash == NULL ? 0 : (size_t)(slash - reader->in.file) + 1;
    const char *before = reader->in.file;
    if (base == 0 && cw_view_equal(path, CW_VIEW("-"))) { /* a file of that name, as elsewhere */
        before = "./";
        base = 2;
    }
    char *kept = cw_arena_alloc(&reader->file->arena, base + path.bytes + 1, 1);
    memcpy(kept, before, base);
    memcpy(kept + base, path.data, path.bytes);
    kept[base + path.bytes] = '\0';
    return kept;
}

/* NULL for a path that is no directory (or no file), which is told where it is written. */
static const char *read_path(struct cw_engine_reader *reader, uint32_t node, bool directory)
{
    const char *path = cw_engine_path(reader, reader->in.doc->nodes[node].text);
    struct stat found;
    bool there = stat(path, &found) == 0;
    if (there && S_ISDIR(found.st_mode) == directory) {
        return path;
    }
    char shown[160];
    struct cw_view view = {path, (uint32_t)strlen(path)};
    cw_option_error(&reader->in, node, "\"%s\" %s; name %s, relative to this file",
                    cw_yaml_printable(view, shown, sizeof shown),
                    !there      ? "does not exist"
                    : directory ? "is not a directory"
                                : "is a directory",
                    directory ? "a directory" : "a program file");
    return NULL;
}

static void read_programs(struct cw_engine_reader *reader, uint32_t list)
{
    const struct cw_yaml *doc = reader->in.doc;
    for (uint32_t i = cw_yaml_first(doc, list); i != 0; i = doc->nodes[i].next) {
        CW_ASSERT(reader->file->program_count < CW_PROGRAMS_MAX);
        const char *path = read_path(reader, i, false);
        if (path != NULL) {
            reader->file->programs[reader->file->program_count++] = path;
        }
    }
}

static void read_event(struct cw_engine_reader *reader, uint32_t node, uint32_t type)
{
    struct cw_setting settings[CW_OPTIONS_MAX];
    cw_options_read(&reader->in, node, &event_names, settings);
    if (settings[KEY_SOURCE].good) {
        reader->file->names.of[type].source = cw_engine_keep(reader, settings[KEY_SOURCE].text);
    }
    if (settings[KEY_DETAIL_TYPE].good) {
        reader->file->names.of[type].type = cw_engine_keep(reader, settings[KEY_DETAIL_TYPE].text);
    }
}

/* Nobody could tell two types of the same name apart. */
static void check_names(const struct cw_engine_reader *reader, const struct cw_setting *settings)
{
    const struct cw_event_names *names = &reader->file->names;
    for (uint32_t i = 0; i < CW_EVENT_TYPE_COUNT; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (!cw_view_equal(names->of[i].source, names->of[j].source) ||
                !cw_view_equal(names->of[i].type, names->of[j].type)) {
                continue;
            }
            /* The defaults differ, so one of the two is written here: tell the later one. */
            uint32_t at = settings[i].key > settings[j].key ? i : j;
            uint32_t other = at == i ? j : i;
            char source[64];
            char type[64];
            cw_option_error(&reader->in, settings[at].key,
                            "%s and %s would both be called \"%s\" / \"%s\"; give each a name of "
                            "its own",
                            cw_event_type_name((enum cw_event_type)at),
                            cw_event_type_name((enum cw_event_type)other),
                            cw_yaml_printable(names->of[i].source, source, sizeof source),
                            cw_yaml_printable(names->of[i].type, type, sizeof type));
        }
    }
}

static void read_events(struct cw_engine_reader *reader, uint32_t node)
{
    struct cw_setting settings[CW_OPTIONS_MAX];
    cw_options_read(&reader->in, node, &event_types, settings);
    for (uint32_t i = 0; i < CW_EVENT_TYPE_COUNT; i++) {
        if (settings[i].good) {
            read_event(reader, settings[i].node, i);
        }
    }
    check_names(reader, settings);
}

static bool is_link(struct cw_view text)
{
    return (text.bytes > 8 && memcmp(text.data, "https://", 8) == 0) ||
           (text.bytes > 7 && memcmp(text.data, "http://", 7) == 0);
}

static bool read_grace(struct cw_view text, uint64_t *ms)
{
    if (cw_view_equal(text, CW_VIEW("0s"))) {
        *ms = 0;
        return true;
    }
    return cw_engine_duration(text, ms) && *ms <= GRACE_MS_MAX;
}

static void read_live(struct cw_engine_reader *reader, const struct cw_setting *settings)
{
    static const struct {
        enum engine_key key;
        enum cw_engine_section section;
    } sections[] = {{KEY_HTTP, CW_SECTION_HTTP}, /* first: see read_http */
                    {KEY_TCP, CW_SECTION_TCP},
                    {KEY_CREDENTIALS, CW_SECTION_CREDENTIALS},
                    {KEY_CHANNELS, CW_SECTION_CHANNELS},
                    {KEY_LINKS, CW_SECTION_LINKS},
                    {KEY_SNAPSHOTS, CW_SECTION_SNAPSHOTS}};

    struct cw_engine_live *live = &reader->file->live;
    for (uint32_t i = 0; i < CW_COUNTOF(sections); i++) {
        if (settings[sections[i].key].good) {
            cw_engine_live_read(reader, sections[i].section, settings[sections[i].key].node);
        }
    }
    if (settings[KEY_STATE].good) {
        live->state = cw_engine_path(reader, settings[KEY_STATE].text);
    }
    if (settings[KEY_MEMORY].good) {
        live->memory = cw_engine_path(reader, settings[KEY_MEMORY].text);
    }
    live->durability_os = settings[KEY_DURABILITY].word == 1;
    live->durability_none = settings[KEY_DURABILITY].word == 2;
    if (live->durability_none && settings[KEY_SNAPSHOTS].good) {
        cw_option_error(&reader->in, settings[KEY_SNAPSHOTS].node,
                        "with \"durability: none\" there is nothing that \"snapshots\" could keep");
    }
    live->checkpoint_bytes = (uint64_t)settings[KEY_CHECKPOINT_BYTES].number;
    if (settings[KEY_DOWNTIME].good &&
        !cw_engine_duration(settings[KEY_DOWNTIME].text, &live->downtime_ms_max)) {
        cw_option_error(&reader->in, settings[KEY_DOWNTIME].node,
                        "\"maxTrustedDowntime\" is a duration such as 7d, 36h, 30m or 90s");
    }
    if (settings[KEY_GRACE].good && !read_grace(settings[KEY_GRACE].text, &live->grace_ms)) {
        cw_option_error(&reader->in, settings[KEY_GRACE].node,
                        "\"startGrace\" is a duration of at most 1h, such as 90s or 5m, or 0s");
    }
    live->cores = settings[KEY_CORES].good ? (uint32_t)settings[KEY_CORES].number : 0;
    live->loop = (enum cw_loop_choice)settings[KEY_IO].word;
    live->dead_letter_bytes = (uint64_t)settings[KEY_DEAD_LETTERS].number;
    if (settings[KEY_CLOCK].good &&
        !cw_clock_mode_parse(cw_engine_keep(reader, settings[KEY_CLOCK].text).data, &live->clock,
                             &live->clock_factor)) {
        cw_option_error(&reader->in, settings[KEY_CLOCK].node,
                        "\"clock\" is wall, event or a factor from 1x to 1000000x");
    }
}

static void read_engine(struct cw_engine_reader *reader)
{
    struct cw_engine_file *file = reader->file;
    struct cw_setting settings[CW_OPTIONS_MAX];
    cw_options_read(&reader->in, 0, &engine_options, settings);
    if (settings[KEY_MODELS].good) {
        file->models = read_path(reader, settings[KEY_MODELS].node, true);
    }
    if (settings[KEY_TEMPLATES].good) {
        file->templates = read_path(reader, settings[KEY_TEMPLATES].node, true);
    }
    if (settings[KEY_PROGRAMS].good) {
        read_programs(reader, settings[KEY_PROGRAMS].node);
    }
    file->event_bytes_max = (uint32_t)settings[KEY_EVENT_BYTES_MAX].number;
    file->partitions = (uint32_t)settings[KEY_PARTITIONS].number;
    if (settings[KEY_PARTITIONS].good && (file->partitions & (file->partitions - 1)) != 0) {
        cw_option_error(&reader->in, settings[KEY_PARTITIONS].node,
                        "\"partitions\" must be a power of two, not %u; write %u", file->partitions,
                        1u << (31 - __builtin_clz(file->partitions)));
    }
    if (settings[KEY_SHOP_NAME].good) {
        file->shop_name = cw_engine_keep(reader, settings[KEY_SHOP_NAME].text);
    }
    if (settings[KEY_SHOP_URL].good && !is_link(settings[KEY_SHOP_URL].text)) {
        cw_option_error(&reader->in, settings[KEY_SHOP_URL].node,
                        "\"shopUrl\" must begin with https:// or http://; write a whole address");
    } else if (settings[KEY_SHOP_URL].good) {
        file->shop_url = cw_engine_keep(reader, settings[KEY_SHOP_URL].text);
    }
    read_live(reader, settings);
    if (settings[KEY_EVENTS].good) {
        read_events(reader, settings[KEY_EVENTS].node);
    }
}

/* ---- life ---- */

cw_err cw_engine_file_default(struct cw_engine_file *file, struct cw_fault *fault)
{
    *file = (struct cw_engine_file){
        .names = cw_event_names_default, .event_bytes_max = CW_EVENT_BYTES_MAX, .partitions = 256};
    cw_engine_live_default(&file->live);
    return cw_arena_open(&file->arena, 64u << 10, 16u << 20, fault);
}

cw_err cw_engine_file_parse(struct cw_engine_file *file, struct cw_view yaml, const char *path,
                            enum cw_secrets secrets, struct cw_problems *problems,
                            struct cw_fault *fault)
{
    cw_err err = cw_engine_file_default(file, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    uint32_t errors = problems->errors;
    struct cw_yaml *doc = NULL;
    err = cw_yaml_open(&doc, yaml, path, problems, fault);
    if (err == CW_ERR_OK) {
        struct cw_engine_reader reader = {
            .in = {.doc = doc, .file = path, .problems = problems, .tables = cw_engine_tables},
            .file = file,
            .secrets = secrets};
        read_engine(&reader);
        cw_yaml_close(doc);
    }
    if (err == CW_ERR_OK && problems->errors > errors) {
        err = cw_fail(fault, CW_ERR_INVALID, "%u error%s in the engine file",
                      problems->errors - errors, problems->errors - errors == 1 ? "" : "s");
    }
    return err;
}

cw_err cw_engine_file_read(struct cw_engine_file *file, const char *path, struct cw_fault *fault)
{
    if (path == NULL) {
        return cw_engine_file_default(file, fault);
    }
    struct cw_view yaml;
    cw_err err = cw_file_read(path, CW_ENGINE_FILE_MAX, &yaml, fault);
    if (err != CW_ERR_OK) {
        *file = (struct cw_engine_file){0};
        return err;
    }
    struct cw_problems problems = {0};
    err = cw_engine_file_parse(file, yaml, path, CW_SECRETS_NEEDED, &problems, fault);
    cw_problems_print(&problems, stderr);
    cw_problems_deinit(&problems);
    cw_file_free(yaml);
    return err;
}

void cw_engine_file_close(struct cw_engine_file *file)
{
    if (file->arena.first != NULL) {
        cw_arena_close(&file->arena);
    }
}

/* ---- with assets and programs ---- */

static int wrong(cw_err err, const struct cw_fault *fault)
{
    int code = cw_failure(fault);
    return err == CW_ERR_INVALID ? CW_EXIT_USAGE : code;
}

static int open_programs(struct cw_assets *assets, struct cw_programs **programs,
                         const struct cw_engine_file *engine, const struct cw_setup *setup)
{
    struct cw_fault fault;
    const char *models = setup->models != NULL ? setup->models : engine->models;
    const char *templates = setup->templates != NULL ? setup->templates : engine->templates;
    bool own = setup->program_count > 0;
    if (!own && engine->program_count == 0) {
        return cw_usage_error(setup->command,
                              "no program: %s names none, and neither does the "
                              "command line",
                              setup->config);
    }
    cw_err err = cw_assets_open(assets, models, templates, &fault);
    if (err != CW_ERR_OK) {
        return wrong(err, &fault);
    }
    err = cw_programs_read(programs, own ? setup->programs : engine->programs,
                           own ? setup->program_count : engine->program_count, assets, &fault);
    if (err != CW_ERR_OK) {
        cw_assets_close(assets);
    }
    /* What is wrong with programs is printed as problems already. */
    return err == CW_ERR_OK        ? CW_EXIT_OK
           : err == CW_ERR_INVALID ? CW_EXIT_USAGE
                                   : cw_failure(&fault);
}

int cw_setup_open(struct cw_engine_file *engine, struct cw_assets *assets,
                  struct cw_programs **programs, const struct cw_setup *setup)
{
    struct cw_fault fault;
    int code = cw_programs_not_engine(setup->command, setup->programs, setup->program_count);
    if (code != CW_EXIT_OK) {
        return code;
    }
    cw_err err = cw_engine_file_read(engine, setup->config, &fault);
    if (err == CW_ERR_OK) {
        code = open_programs(assets, programs, engine, setup);
    } else {
        (void)cw_failure(&fault);
        code = CW_EXIT_USAGE;
    }
    if (code != CW_EXIT_OK) {
        cw_engine_file_close(engine);
    }
    return code;
}

void cw_setup_close(struct cw_engine_file *engine, struct cw_assets *assets,
                    struct cw_programs *programs)
{
    cw_programs_close(programs);
    cw_assets_close(assets);
    cw_engine_file_close(engine);
}

/* ---- which kind of file ---- */

/* The value of a key of the document, 0 when it has none of that name. */
static uint32_t value_of(const struct cw_yaml *doc, const char *name)
{
    size_t bytes = strlen(name);
    for (uint32_t i = cw_yaml_first(doc, 0); i != 0; i = doc->nodes[doc->nodes[i].next].next) {
        if (doc->nodes[i].text.bytes == bytes &&
            memcmp(doc->nodes[i].text.data, name, bytes) == 0) {
            return doc->nodes[i].next;
        }
    }
    return 0;
}

bool cw_engine_file_is(struct cw_view yaml)
{
    struct cw_problems problems = {0};
    struct cw_fault fault;
    struct cw_yaml *doc = NULL;
    bool is = false;
    if (cw_yaml_open(&doc, yaml, "", &problems, &fault) == CW_ERR_OK) {
        bool program = doc->nodes[0].type != CW_YAML_MAPPING || value_of(doc, "programId") != 0 ||
                       value_of(doc, "eventSources") != 0;
        for (uint32_t i = 0; i < ENGINE_KEY_COUNT && !program && !is; i++) {
            uint32_t value = value_of(doc, engine_list[i].name);
            /* A program's channels are a list. */
            is = value != 0 && (i != KEY_CHANNELS || doc->nodes[value].type == CW_YAML_MAPPING);
        }
        cw_yaml_close(doc);
    }
    cw_problems_deinit(&problems);
    return is;
}

int cw_programs_not_engine(const char *command, const char *const *programs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct cw_fault fault;
        struct cw_view yaml;
        /* What cannot be read is told by whoever reads it as a program. */
        if (strcmp(programs[i], "-") == 0 ||
            cw_file_read(programs[i], CW_ENGINE_FILE_MAX, &yaml, &fault) != CW_ERR_OK) {
            continue;
        }
        bool is = cw_engine_file_is(yaml);
        cw_file_free(yaml);
        if (is) {
            return cw_usage_error(command,
                                  "%s is an engine file, not a program; type: cartwheel %s -c %s",
                                  programs[i], command, programs[i]);
        }
    }
    return CW_EXIT_OK;
}
