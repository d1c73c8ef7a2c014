#include "core/time.h"
#include "core/zone_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Loading: a walk over the directory, each file read whole and parsed with every count checked
 * against the bytes that are there (RFC 8536, RFC 9636). Nothing of a file is believed.
 */
enum {
    DEPTH_MAX = 4,
    ENTRIES_MAX = 16384, /* of the whole walk */
    PATH_BYTES = 1024,
    TYPES_MAX = 256,
    /* Rules are turned into table rows until 2060, so that the years that matter are found by one
       search whether the database was compiled "fat" or "slim". */
    RULE_ROWS_MAX = 256
};

#define RULE_ROWS_UNTIL_MS 2840140800000 /* 2060-01-01 */
#define RULE_ROWS_FROM_MS  0
#define NEVER_MS           (-AT_S_MAX * CW_SECOND_MS)
#define AT_S_MAX           (INT64_C(1) << 51) /* 71 million years; times 1000 it fits with room */

struct cw_zone_reader {
    const uint8_t *at, *end;
};

struct cw_tzif_counts {
    uint32_t utc, standard, leap, times, types, chars;
};

struct cw_tzif_rows {
    uint32_t count;
    int64_t at_ms[CW_ZONE_TRANSITIONS_MAX + RULE_ROWS_MAX];
    int32_t offset_ms[CW_ZONE_TRANSITIONS_MAX + RULE_ROWS_MAX];
    uint16_t step[CW_ZONE_STEPS + 1];
};

static uint64_t big_endian(const uint8_t *p, uint32_t bytes)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < bytes; i++) {
        value = value << 8 | p[i];
    }
    return value;
}

/* A name of three letters or more, or anything alphanumeric with signs between < and >. */
static bool read_name(struct cw_zone_reader *r)
{
    const uint8_t *start = r->at;
    bool quoted = r->at < r->end && *r->at == '<';
    r->at += quoted;
    for (; r->at < r->end; r->at++) {
        uint8_t c = *r->at;
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        bool other = (c >= '0' && c <= '9') || c == '+' || c == '-';
        if (!letter && !(quoted && other)) {
            break;
        }
    }
    if (!quoted) {
        return r->at - start >= 3;
    }
    if (r->at == r->end || *r->at != '>') {
        return false;
    }
    r->at++;
    return r->at - start >= 5;
}

static bool read_number(struct cw_zone_reader *r, uint32_t min, uint32_t max, uint32_t *value)
{
    const uint8_t *start = r->at;
    *value = 0;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9' && r->at - start < 3; r->at++) {
        *value = *value * 10 + (uint32_t)(*r->at - '0');
    }
    return r->at > start && *value >= min && *value <= max;
}

static bool read_char(struct cw_zone_reader *r, char c)
{
    bool is = r->at < r->end && *r->at == (uint8_t)c;
    r->at += is;
    return is;
}

/* [+-]hh[:mm[:ss]] */
static bool read_clock(struct cw_zone_reader *r, uint32_t hours_max, int32_t *ms)
{
    bool minus = read_char(r, '-');
    if (!minus) {
        (void)read_char(r, '+');
    }
    uint32_t part[3] = {0, 0, 0};
    if (!read_number(r, 0, hours_max, &part[0])) {
        return false;
    }
    for (uint32_t i = 1; i < 3 && read_char(r, ':'); i++) {
        if (!read_number(r, 0, 59, &part[i])) {
            return false;
        }
    }
    int32_t seconds = (int32_t)(part[0] * 3600 + part[1] * 60 + part[2]);
    *ms = (minus ? -seconds : seconds) * (int32_t)CW_SECOND_MS;
    return true;
}

static bool read_change(struct cw_zone_reader *r, struct cw_zone_change *change)
{
    *change = (struct cw_zone_change){.time_ms = (int32_t)(2 * CW_HOUR_MS)};
    uint32_t a = 0;
    uint32_t b = 0;
    uint32_t c = 0;
    if (!read_char(r, ',')) {
        return false;
    }
    if (read_char(r, 'M')) {
        change->day_kind = CW_ZONE_MONTH_DAY;
        if (!read_number(r, 1, 12, &a) || !read_char(r, '.') || !read_number(r, 1, 5, &b) ||
            !read_char(r, '.') || !read_number(r, 0, 6, &c)) {
            return false;
        }
        change->month = (uint8_t)a;
        change->week = (uint8_t)b;
        change->weekday = (uint8_t)c;
    } else {
        bool julian = read_char(r, 'J');
        change->day_kind = julian ? CW_ZONE_JULIAN : CW_ZONE_ZERO_DAY;
        if (!read_number(r, julian ? 1 : 0, 365, &a)) {
            return false;
        }
        change->day = (uint16_t)a;
    }
    return !read_char(r, '/') || read_clock(r, 167, &change->time_ms);
}

/* A POSIX TZ string. Without daylight saving time only standard_ms is set. */
static bool read_rule(struct cw_zone_reader *r, struct cw_zone_rule *rule, bool *daylight)
{
    int32_t west_ms = 0;
    if (!read_name(r) || !read_clock(r, 24, &west_ms)) {
        return false;
    }
    *rule = (struct cw_zone_rule){.standard_ms = -west_ms};
    *daylight = r->at < r->end;
    if (!*daylight) {
        return true;
    }
    if (!read_name(r)) {
        return false;
    }
    rule->daylight_ms = rule->standard_ms + (int32_t)CW_HOUR_MS;
    if (r->at < r->end && *r->at != ',') {
        if (!read_clock(r, 24, &west_ms)) {
            return false;
        }
        rule->daylight_ms = -west_ms;
    }
    return read_change(r, &rule->start) && read_change(r, &rule->end) && r->at == r->end;
}

static bool read_header(struct cw_zone_reader *r, uint8_t *version, struct cw_tzif_counts *counts)
{
    enum {
        HEADER_BYTES = 44
    };

    if (r->end - r->at < HEADER_BYTES || memcmp(r->at, "TZif", 4) != 0) {
        return false;
    }
    const uint8_t *p = r->at;
    *version = p[4];
    *counts = (struct cw_tzif_counts){
        .utc = (uint32_t)big_endian(p + 20, 4),
        .standard = (uint32_t)big_endian(p + 24, 4),
        .leap = (uint32_t)big_endian(p + 28, 4),
        .times = (uint32_t)big_endian(p + 32, 4),
        .types = (uint32_t)big_endian(p + 36, 4),
        .chars = (uint32_t)big_endian(p + 40, 4),
    };
    r->at += HEADER_BYTES;
    return *version == 0 || *version >= '2';
}

/* The bytes of a data block; counts are 32 bits wide, so 64 cannot overflow. */
static uint64_t block_bytes(const struct cw_tzif_counts *counts, uint32_t time_bytes)
{
    return (uint64_t)counts->times * (time_bytes + 1) + (uint64_t)counts->types * 6 +
           counts->chars + (uint64_t)counts->leap * (time_bytes + 4) + counts->standard +
           counts->utc;
}

static void push_row(struct cw_tzif_rows *rows, int32_t before_ms, int64_t at_ms, int32_t offset_ms)
{
    if (rows->count > 0 && rows->at_ms[rows->count - 1] == at_ms) {
        rows->offset_ms[rows->count - 1] = offset_ms; /* of two at one instant the later stands */
        return;
    }
    int32_t last_ms = rows->count == 0 ? before_ms : rows->offset_ms[rows->count - 1];
    if (last_ms != offset_ms) { /* only the name or the "daylight" mark changed otherwise */
        rows->at_ms[rows->count] = at_ms;
        rows->offset_ms[rows->count] = offset_ms;
        rows->count++;
    }
}

/* The data block: changes and local time types. Names, leap seconds and marks do not concern us;
   a file with leap seconds counts another time than ours. */
static bool read_block(struct cw_zone_reader *r, const struct cw_tzif_counts *counts,
                       uint32_t time_bytes, struct cw_zone *zone, struct cw_tzif_rows *rows)
{
    if (counts->times > CW_ZONE_TRANSITIONS_MAX || counts->types == 0 ||
        counts->types > TYPES_MAX || counts->leap != 0 ||
        (uint64_t)(r->end - r->at) < block_bytes(counts, time_bytes)) {
        return false;
    }
    const uint8_t *times = r->at;
    const uint8_t *indexes = times + (size_t)counts->times * time_bytes;
    const uint8_t *types = indexes + counts->times;
    int32_t offset_ms[TYPES_MAX];
    for (uint32_t i = 0; i < counts->types; i++) {
        int32_t seconds = (int32_t)(uint32_t)big_endian(types + (size_t)i * 6, 4);
        if (seconds < -CW_ZONE_OFFSET_S_MAX || seconds > CW_ZONE_OFFSET_S_MAX) {
            return false;
        }
        offset_ms[i] = seconds * (int32_t)CW_SECOND_MS;
    }
    zone->first_ms = offset_ms[0];
    int64_t last_s = INT64_MIN;
    for (uint32_t i = 0; i < counts->times; i++) {
        uint64_t word = big_endian(times + (size_t)i * time_bytes, time_bytes);
        int64_t at_s = time_bytes == 8 ? (int64_t)word : (int32_t)(uint32_t)word;
        if ((i > 0 && at_s <= last_s) || at_s > AT_S_MAX || indexes[i] >= counts->types) {
            return false;
        }
        last_s = at_s;
        int32_t offset = offset_ms[indexes[i]];
        if (at_s < -AT_S_MAX) { /* some compilers write the beginning of the universe */
            zone->first_ms = offset;
            continue;
        }
        push_row(rows, zone->first_ms, at_s * CW_SECOND_MS, offset);
        zone->rule_from_ms = at_s * CW_SECOND_MS;
    }
    r->at += block_bytes(counts, time_bytes);
    return true;
}

/* "\n", a TZ string or nothing, "\n". */
static bool read_footer(struct cw_zone_reader *r, struct cw_zone *zone, struct cw_tzif_rows *rows)
{
    if (!read_char(r, '\n')) {
        return false;
    }
    const uint8_t *close = memchr(r->at, '\n', (size_t)(r->end - r->at));
    if (close == NULL) {
        return false;
    }
    if (close == r->at) {
        return true; /* the last offset stays */
    }
    struct cw_zone_reader text = {.at = r->at, .end = close};
    bool daylight = false;
    if (!read_rule(&text, &zone->rule, &daylight)) {
        return false;
    }
    if (daylight) {
        zone->has_rule = true;
    } else if (zone->rule_from_ms > NEVER_MS) {
        push_row(rows, zone->first_ms, zone->rule_from_ms, zone->rule.standard_ms);
    } else {
        zone->first_ms = zone->rule.standard_ms;
    }
    return true;
}

/* Moves the rule's next decades into the table. */
static void push_rule(struct cw_zone *zone, struct cw_tzif_rows *rows)
{
    if (!zone->has_rule || zone->rule_from_ms < RULE_ROWS_FROM_MS) {
        return; /* compilers write the changes of the past out */
    }
    struct cw_zone_span span = cw_zone_span_at(zone, zone->rule_from_ms);
    push_row(rows, zone->first_ms, span.start_ms, (int32_t)span.offset_ms);
    for (uint32_t i = 1; i < RULE_ROWS_MAX && span.end_ms < RULE_ROWS_UNTIL_MS; i++) {
        span = cw_zone_span_at(zone, span.end_ms);
        push_row(rows, zone->first_ms, span.start_ms, (int32_t)span.offset_ms);
    }
    zone->rule_from_ms = span.start_ms;
}

static void widen(struct cw_zone *zone, int32_t offset_ms)
{
    zone->offset_ms_min = offset_ms < zone->offset_ms_min ? offset_ms : zone->offset_ms_min;
    zone->offset_ms_max = offset_ms > zone->offset_ms_max ? offset_ms : zone->offset_ms_max;
}

static bool parse(struct cw_zone *zone, struct cw_tzif_rows *rows, const uint8_t *data,
                  size_t bytes)
{
    struct cw_zone_reader r = {.at = data, .end = data + bytes};
    struct cw_tzif_counts counts;
    uint8_t version = 0;
    *zone = (struct cw_zone){.rule_from_ms = NEVER_MS};
    rows->count = 0;
    if (!read_header(&r, &version, &counts)) {
        return false;
    }
    if (version != 0) { /* the first block has times of 32 bits, for readers of the old kind */
        uint64_t skip = block_bytes(&counts, 4);
        if ((uint64_t)(r.end - r.at) < skip) {
            return false;
        }
        r.at += skip;
        if (!read_header(&r, &version, &counts) || version == 0) {
            return false;
        }
    }
    if (!read_block(&r, &counts, version == 0 ? 4 : 8, zone, rows) ||
        (version != 0 && !read_footer(&r, zone, rows))) {
        return false;
    }
    push_rule(zone, rows);
    zone->offset_ms_min = zone->offset_ms_max = zone->first_ms;
    for (uint32_t i = 0; i < rows->count; i++) {
        widen(zone, rows->offset_ms[i]);
    }
    if (zone->has_rule) {
        widen(zone, zone->rule.standard_ms);
        widen(zone, zone->rule.daylight_ms);
    }
    return true;
}

static void fill_steps(struct cw_tzif_rows *rows)
{
    uint32_t before = 0;
    for (uint32_t i = 0; i <= CW_ZONE_STEPS; i++) {
        int64_t begin_ms = (int64_t)i << CW_ZONE_STEP_BITS;
        while (before < rows->count && rows->at_ms[before] < begin_ms) {
            before++;
        }
        rows->step[i] = (uint16_t)before;
    }
}

static void push_entry(struct cw_zones *zones, struct cw_view name, const struct cw_zone *zone)
{
    zones->list[zones->count] =
        (struct cw_zone_entry){.name = cw_arena_copy(&zones->arena, name), .zone = zone};
    zones->count++;
}

static bool has_room(const struct cw_zones *zones, size_t bytes)
{
    return zones->count < CW_ZONES_MAX && cw_arena_room(&zones->arena, bytes);
}

static const void *keep(struct cw_zones *zones, const void *data, size_t bytes)
{
    void *copy = cw_arena_alloc(&zones->arena, bytes, 8);
    memcpy(copy, data, bytes);
    return copy;
}

const struct cw_zone *cw_zones_add(struct cw_zones *zones, struct cw_view name, const uint8_t *data,
                                   size_t bytes)
{
    struct cw_zone zone;
    struct cw_tzif_rows *rows = malloc(sizeof *rows);
    CW_ASSERT(rows != NULL);
    struct cw_zone *kept = NULL;
    if (parse(&zone, rows, data, bytes) && has_room(zones, sizeof *rows + name.bytes + 4096)) {
        fill_steps(rows);
        zone.at_ms = keep(zones, rows->at_ms, rows->count * sizeof *zone.at_ms);
        zone.offset_ms = keep(zones, rows->offset_ms, rows->count * sizeof *zone.offset_ms);
        zone.step = keep(zones, rows->step, sizeof rows->step);
        zone.count = rows->count;
        kept = cw_arena_alloc(&zones->arena, sizeof *kept, CW_CACHE_LINE);
        *kept = zone;
        push_entry(zones, name, kept);
    } else {
        zones->damaged++;
    }
    free(rows);
    return kept;
}

cw_err cw_zones_begin(struct cw_zones **zones, struct cw_fault *fault)
{
    struct cw_arena arena;
    cw_err err = cw_arena_open(&arena, (size_t)256 << 10, (size_t)64 << 20, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    struct cw_zones *z = cw_arena_zalloc(&arena, sizeof *z, CW_CACHE_LINE);
    z->list = cw_arena_alloc(&arena, CW_ZONES_MAX * sizeof *z->list, CW_CACHE_LINE);
    struct cw_zone *utc = cw_arena_zalloc(&arena, sizeof *utc, CW_CACHE_LINE);
    utc->step = cw_arena_zalloc(&arena, (CW_ZONE_STEPS + 1) * sizeof *utc->step, 8);
    z->arena = arena;
    push_entry(z, CW_VIEW("UTC"), utc);
    *zones = z;
    return CW_ERR_OK;
}

static int by_name(const void *a, const void *b)
{
    const struct cw_zone_entry *left = a;
    const struct cw_zone_entry *right = b;
    return cw_view_compare(left->name, right->name);
}

void cw_zones_end(struct cw_zones *zones)
{
    qsort(zones->list + 1, zones->count - 1, sizeof zones->list[0], by_name);
    for (uint32_t i = 2; i < zones->count; i++) {
        CW_ASSERT(by_name(&zones->list[i - 1], &zones->list[i]) < 0);
    }
    cw_arena_seal(&zones->arena);
}

struct cw_zone_seen {
    dev_t device;
    ino_t inode;
    const struct cw_zone *zone;
};

struct cw_zone_walk {
    struct cw_zones *zones;
    uint32_t entries;
    uint32_t seen_count;
    struct cw_zone_seen seen[CW_ZONES_MAX];
    uint8_t data[CW_ZONE_FILE_BYTES_MAX + 1];
};

/* What lies beside the zones: copies of all zones with and without leap seconds, this host's own
   zone, tables and notes. */
static bool is_zone_name(const char *name, bool top)
{
    static const char *const others[] = {"posix",       "right",    "posixrules", "localtime",
                                         "leapseconds", "SECURITY", "UTC"};
    if (strchr(name, '.') != NULL || name[0] == '+') {
        return false;
    }
    for (size_t i = 0; top && i < CW_COUNTOF(others); i++) {
        if (strcmp(name, others[i]) == 0) {
            return false;
        }
    }
    return true;
}

/* True when something of that file is in the database afterwards. */
static void load_file(struct cw_zone_walk *walk, int file, const struct stat *info,
                      struct cw_view name)
{
    struct cw_zones *zones = walk->zones;
    for (uint32_t i = 0; i < walk->seen_count; i++) {
        const struct cw_zone_seen *seen = &walk->seen[i];
        if (seen->device == info->st_dev && seen->inode == info->st_ino) {
            if (has_room(zones, name.bytes + 4096)) {
                push_entry(zones, name, seen->zone);
            } else {
                zones->damaged++;
            }
            return;
        }
    }
    size_t bytes = 0;
    for (;;) { /* as long as bytes come, at most sizeof data */
        ssize_t got = read(file, walk->data + bytes, sizeof walk->data - bytes);
        if (got <= 0) {
            break;
        }
        bytes += (size_t)got;
    }
    const struct cw_zone *zone =
        cw_zones_add(zones, name, walk->data, bytes < sizeof walk->data ? bytes : 0);
    if (zone != NULL) {
        walk->seen[walk->seen_count++] =
            (struct cw_zone_seen){.device = info->st_dev, .inode = info->st_ino, .zone = zone};
    }
}

/* folder is the walk's to close; prefix is "" or ends in a slash. */
static void load_folder(struct cw_zone_walk *walk, int folder, const char *prefix, uint32_t depth)
{
    DIR *dir = fdopendir(folder);
    if (dir == NULL) {
        (void)close(folder);
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): our own stream */
        char name[PATH_BYTES];
        int length = snprintf(name, sizeof name, "%s%s", prefix, entry->d_name);
        if (!is_zone_name(entry->d_name, depth == 0) || length <= 0 || length > 250 ||
            walk->entries == ENTRIES_MAX) {
            continue;
        }
        walk->entries++;
        /* NONBLOCK: a pipe with a zone's name must not hold us. */
        int file = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        struct stat info;
        bool known = file >= 0 && fstat(file, &info) == 0;
        if (known && S_ISDIR(info.st_mode) && depth + 1 < DEPTH_MAX) {
            (void)snprintf(name + length, sizeof name - (size_t)length, "/");
            load_folder(walk, file, name, depth + 1);
            continue;
        }
        if (known && S_ISREG(info.st_mode)) {
            load_file(walk, file, &info, (struct cw_view){.data = name, .bytes = (uint32_t)length});
        } else {
            walk->zones->damaged++; /* a link to nothing, a file we may not read */
        }
        if (file >= 0) {
            (void)close(file);
        }
    }
    (void)closedir(dir);
}

cw_err cw_zones_open(struct cw_zones **zones, const char *directory, struct cw_fault *fault)
{
    int folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return cw_fail(fault, CW_ERR_IO,
                       "no time zones: cannot open the directory %s; install the package tzdata",
                       directory);
    }
    struct cw_zones *z = NULL;
    cw_err err = cw_zones_begin(&z, fault);
    if (err != CW_ERR_OK) {
        (void)close(folder);
        return err;
    }
    struct cw_zone_walk *walk = calloc(1, sizeof *walk);
    CW_ASSERT(walk != NULL);
    walk->zones = z;
    load_folder(walk, folder, "", 0);
    free(walk);
    if (z->count == 1) {
        cw_zones_close(z);
        return cw_fail(fault, CW_ERR_NOT_FOUND,
                       "no time zones: nothing in %s is one; install the package tzdata",
                       directory);
    }
    cw_zones_end(z);
    *zones = z;
    return CW_ERR_OK;
}

void cw_zones_close(struct cw_zones *zones)
{
    struct cw_arena arena = zones->arena; /* the database lies in its own arena */
    cw_arena_close(&arena);
}
