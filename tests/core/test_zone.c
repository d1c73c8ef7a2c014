#define _GNU_SOURCE 1
#include "core/time.h"
#include "core/zone_priv.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FOLDER "/usr/share/zoneinfo"

static struct cw_zones *zones;
static struct cw_fault fault;

static void open_zones(void)
{
    if (access(FOLDER, R_OK) != 0) {
        cr_skip("no " FOLDER);
    }
    cr_assert(eq(int, cw_zones_open(&zones, FOLDER, &fault), CW_ERR_OK), "%s", fault.text);
}

static void close_zones(void)
{
    cw_zones_close(zones);
}

TestSuite(zone, .init = open_zones, .fini = close_zones);

static struct cw_view view(const char *text)
{
    return (struct cw_view){.data = text, .bytes = (uint32_t)strlen(text)};
}

static uint32_t index_of(const char *name)
{
    uint32_t index = UINT32_MAX;
    cr_assert(cw_zones_find(zones, view(name), &index), "%s", name);
    return index;
}

static int64_t at(const char *text)
{
    int64_t ms = 0;
    cr_assert(cw_time_parse(view(text), &ms), "%s", text);
    return ms;
}

/* ---- a second opinion: the C library's reading of the same database ---- */

struct change {
    int64_t at_ms; /* INT64_MIN: from the beginning */
    int64_t offset_ms;
};

enum {
    CHANGES_MAX = 4096
};

static struct change changes[CHANGES_MAX];
static uint32_t change_count;

static int64_t libc_offset_ms(int64_t utc_s)
{
    time_t t = (time_t)utc_s;
    struct tm tm;
    cr_assert(localtime_r(&t, &tm) != NULL);
    return tm.tm_gmtoff * 1000;
}

/* Every change from 1970 to 2100, found by steps of a day and halving. */
static void collect(const char *name)
{
    static char tz[128];
    (void)snprintf(tz, sizeof tz, ":%s/%s", FOLDER, name);
    cr_assert(zero(int, setenv("TZ", tz, 1)));
    tzset();
    const int64_t from = -86400 * 30;
    const int64_t until = INT64_C(4102444800); /* 2100 */
    change_count = 0;
    changes[change_count++] =
        (struct change){.at_ms = INT64_MIN, .offset_ms = libc_offset_ms(from)};
    for (int64_t s = from; s < until; s += 86400) {
        int64_t now = libc_offset_ms(s + 86400);
        if (now == changes[change_count - 1].offset_ms) {
            continue;
        }
        int64_t low = s;
        int64_t high = s + 86400;
        while (high - low > 1) {
            int64_t middle = low + (high - low) / 2;
            *(libc_offset_ms(middle) == now ? &high : &low) = middle;
        }
        cr_assert(lt(u32, change_count, CHANGES_MAX));
        changes[change_count++] = (struct change){.at_ms = high * 1000, .offset_ms = now};
    }
}

static int64_t naive_offset(int64_t utc_ms)
{
    uint32_t i = 0;
    while (i + 1 < change_count && changes[i + 1].at_ms <= utc_ms) {
        i++;
    }
    return changes[i].offset_ms;
}

/* The header's words: the earliest instant that shows it, else the first after the gap. */
static int64_t naive_to_utc(int64_t local_ms)
{
    for (uint32_t i = 0; i < change_count; i++) {
        int64_t utc_ms = local_ms - changes[i].offset_ms;
        if (utc_ms >= changes[i].at_ms &&
            (i + 1 == change_count || utc_ms < changes[i + 1].at_ms)) {
            return utc_ms;
        }
    }
    for (uint32_t i = 1; i < change_count; i++) {
        if (changes[i].at_ms + changes[i].offset_ms > local_ms) {
            return changes[i].at_ms;
        }
    }
    cr_fatal("no gap holds %lld", (long long)local_ms);
    return 0;
}

static int64_t naive_next(int64_t utc_ms, uint32_t minute)
{
    int64_t best = INT64_MAX;
    int64_t today = (utc_ms + naive_offset(utc_ms)) / CW_DAY_MS;
    for (int64_t day = today - 3; day <= today + 3; day++) {
        int64_t t = naive_to_utc(day * CW_DAY_MS + minute * CW_MINUTE_MS);
        best = t > utc_ms && t < best ? t : best;
    }
    return best;
}

static const int64_t near_ms[] = {-CW_DAY_MS,
                                  -3 * CW_HOUR_MS,
                                  -CW_HOUR_MS - 1,
                                  -CW_HOUR_MS,
                                  -1800000,
                                  -1,
                                  0,
                                  1,
                                  1799999,
                                  1800000,
                                  CW_HOUR_MS - 1,
                                  CW_HOUR_MS,
                                  CW_HOUR_MS + 1,
                                  2 * CW_HOUR_MS + 1,
                                  3 * CW_HOUR_MS,
                                  CW_DAY_MS};

static uint32_t check_zone(const char *name)
{
    uint32_t z = index_of(name);
    collect(name);
    for (uint32_t i = 1; i < change_count; i++) {
        for (uint32_t k = 0; k < CW_COUNTOF(near_ms); k++) {
            int64_t utc = changes[i].at_ms + near_ms[k];
            cr_assert(cw_zone_offset_ms(zones, z, utc) == naive_offset(utc), "%s at %lld", name,
                      (long long)utc);
            for (int side = -1; side <= 0; side++) {
                int64_t local = utc + changes[(int)i + side].offset_ms;
                int64_t got = cw_zone_to_utc(zones, z, local);
                cr_assert(got == naive_to_utc(local), "%s local %lld: %lld, not %lld", name,
                          (long long)local, (long long)got, (long long)naive_to_utc(local));
                int64_t of_day = ((local % CW_DAY_MS) + CW_DAY_MS) % CW_DAY_MS;
                uint32_t minute = (uint32_t)(of_day / CW_MINUTE_MS);
                for (int64_t back = 0; back <= 2 * CW_DAY_MS && utc > CW_DAY_MS * 10;
                     back += 31 * CW_HOUR_MS + 7 * CW_MINUTE_MS) {
                    int64_t next = cw_zone_next(zones, z, utc - back, minute);
                    int64_t want = naive_next(utc - back, minute);
                    cr_assert(next == want, "%s next of %lld at minute %u: %lld, not %lld", name,
                              (long long)(utc - back), minute, (long long)next, (long long)want);
                }
            }
        }
    }
    for (int64_t s = 0; s < INT64_C(4102444800); s += 86400 * 9 + 3333) {
        cr_assert(cw_zone_offset_ms(zones, z, s * 1000) == naive_offset(s * 1000), "%s at %lld s",
                  name, (long long)s);
    }
    return change_count - 1;
}

Test(zone, agrees_with_the_c_library_round_every_change_until_2100)
{
    static const char *const names[] = {
        "America/New_York",
        "Europe/London",
        "Europe/Berlin",
        "Europe/Paris",
        "Asia/Tokyo",
        "Asia/Kolkata",
        "America/Sao_Paulo",
        "Australia/Sydney",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Africa/El_Aaiun",
        "America/Nuuk",
        "America/Scoresbysund",
        "Antarctica/Troll",
        "Europe/Dublin",
        "Asia/Tehran",
        "Asia/Kathmandu",
        "Asia/Pyongyang",
        "Pacific/Apia",
        "Pacific/Kwajalein",
        "Pacific/Kiritimati",
        "Pacific/Chatham",
        "Asia/Gaza",
        "Asia/Jerusalem",
        "Africa/Cairo",
        "America/Santiago",
        "America/Caracas",
        "America/Havana",
        "Asia/Amman",
        "Asia/Manila",
        "Asia/Dhaka",
        "Europe/Istanbul",
        "Europe/Moscow",
        "Europe/Chisinau",
        "America/St_Johns",
        "Africa/Monrovia",
        "Antarctica/Casey",
        "America/Asuncion",
        "Asia/Almaty",
        "Etc/GMT+12",
        "Etc/GMT-14",
        "Pacific/Easter",
        "Africa/Juba",
        "Pacific/Norfolk",
        "America/Adak",
        "UTC",
    };
    uint32_t seen = 0;
    for (uint32_t i = 0; i < CW_COUNTOF(names); i++) {
        seen += check_zone(names[i]);
    }
    cr_assert(gt(u32, seen, 5000));
}

Test(zone, agrees_with_the_c_library_in_every_zone_now_and_then)
{
    for (uint32_t z = 0; z < cw_zones_count(zones); z++) {
        char tz[300];
        struct cw_view name = cw_zones_name(zones, z);
        (void)snprintf(tz, sizeof tz, ":%s/%.*s", FOLDER, (int)name.bytes, name.data);
        cr_assert(zero(int, setenv("TZ", tz, 1)));
        tzset();
        for (int64_t s = 0; s < INT64_C(5364662400); s += 86400 * 29 + 1234) { /* 2140 */
            cr_assert(cw_zone_offset_ms(zones, z, s * 1000) == libc_offset_ms(s), "%s at %lld", tz,
                      (long long)s);
        }
    }
}

Test(zone, knows_every_name_and_no_other)
{
    uint32_t count = cw_zones_count(zones);
    cr_assert(gt(u32, count, 400));
    cr_assert(zero(u32, cw_zones_damaged(zones)));
    cr_assert(eq(u32, index_of("UTC"), CW_ZONE_UTC));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t found = UINT32_MAX;
        cr_assert(cw_zones_find(zones, cw_zones_name(zones, i), &found));
        cr_assert(eq(u32, found, i));
        cr_assert(zones->list[i].name.data[zones->list[i].name.bytes] == '\0');
    }
    static const char *const strangers[] = {
        "",
        "U",
        "utc",
        "America",
        "America/",
        "America/New_York ",
        "america/new_york",
        "posix/UTC",
        "right/UTC",
        "localtime",
        "posixrules",
        "zone.tab",
        "leapseconds",
        "../zoneinfo/UTC",
        "Zzz",
        "EST5EDT4",
        "/UTC",
    };
    for (uint32_t i = 0; i < CW_COUNTOF(strangers); i++) {
        uint32_t found = 4711;
        cr_assert(not(cw_zones_find(zones, view(strangers[i]), &found)), "%s", strangers[i]);
        cr_assert(eq(u32, found, 4711));
    }
    cr_assert(not(cw_zones_find(zones, (struct cw_view){0}, &(uint32_t){0})));
}

Test(zone, shares_what_links_share)
{
    cr_assert(zones->list[index_of("Asia/Kolkata")].zone ==
              zones->list[index_of("Asia/Calcutta")].zone);
    cr_assert(lt(sz, zones->arena.mapped_bytes, (size_t)3 << 19));
}

Test(zone, answers_the_products_questions)
{
    uint32_t york = index_of("America/New_York");
    /* 02:30 does not exist on 8 March 2026; 01:30 comes twice on 1 November. */
    cr_assert(eq(i64, cw_zone_to_utc(zones, york, at("2026-03-08T02:30:00Z")),
                 at("2026-03-08T07:00:00Z")));
    cr_assert(eq(i64, cw_zone_to_utc(zones, york, at("2026-11-01T01:30:00Z")),
                 at("2026-11-01T05:30:00Z")));
    /* Quiet until 08:00. */
    cr_assert(eq(i64, cw_zone_next(zones, york, at("2026-01-18T02:00:00Z"), 480),
                 at("2026-01-18T13:00:00Z")));
    cr_assert(eq(i64, cw_zone_next(zones, york, at("2026-01-18T13:00:00Z"), 480),
                 at("2026-01-19T13:00:00Z")));
    cr_assert(eq(i64, cw_zone_next(zones, york, at("2026-01-18T12:59:59.999Z"), 480),
                 at("2026-01-18T13:00:00Z")));
    /* A time that is skipped; then one that comes twice, from between its two comings. */
    cr_assert(eq(i64, cw_zone_next(zones, york, at("2026-03-08T06:59:59.999Z"), 150),
                 at("2026-03-08T07:00:00Z")));
    cr_assert(eq(i64, cw_zone_next(zones, york, at("2026-03-08T07:00:00Z"), 150),
                 at("2026-03-09T06:30:00Z")));
    cr_assert(eq(i64, cw_zone_next(zones, york, at("2026-11-01T05:45:00Z"), 90),
                 at("2026-11-02T06:30:00Z")));
    /* Samoa had no 30 December 2011. */
    uint32_t apia = index_of("Pacific/Apia");
    cr_assert(eq(i64, cw_zone_to_utc(zones, apia, at("2011-12-30T12:00:00Z")),
                 at("2011-12-30T10:00:00Z")));
    cr_assert(eq(i64, cw_zone_next(zones, apia, at("2011-12-29T20:00:00Z"), 720),
                 at("2011-12-29T22:00:00Z")));
    cr_assert(eq(i64, cw_zone_next(zones, apia, at("2011-12-29T22:00:00Z"), 720),
                 at("2011-12-30T10:00:00Z")));
    cr_assert(eq(i64, cw_zone_next(zones, apia, at("2011-12-30T10:00:00Z"), 720),
                 at("2011-12-30T22:00:00Z")));
    cr_assert(eq(i64, cw_zone_next(zones, CW_ZONE_UTC, 0, 0), CW_DAY_MS));
    cr_assert(eq(i64, cw_zone_next(zones, CW_ZONE_UTC, -1, 0), 0));
    cr_assert(eq(i64, cw_zone_offset_ms(zones, york, at("9999-07-01T00:00:00Z")), -4 * CW_HOUR_MS));
    cr_assert(eq(i64, cw_zone_to_utc(zones, york, at("9999-12-31T23:00:00Z")),
                 at("9999-12-31T23:00:00Z") + 5 * CW_HOUR_MS));
}

Test(zone, names_the_package_when_there_is_no_database)
{
    struct cw_zones *none = NULL;
    cr_assert(eq(int, cw_zones_open(&none, "/nowhere/zoneinfo", &fault), CW_ERR_IO));
    cr_assert(strstr(fault.text, "tzdata") != NULL);
    char folder[] = "/tmp/cw_zone_XXXXXX";
    cr_assert(mkdtemp(folder) != NULL);
    cr_assert(eq(int, cw_zones_open(&none, folder, &fault), CW_ERR_NOT_FOUND));
    cr_assert(strstr(fault.text, "tzdata") != NULL);
    cr_assert(none == NULL);
    cr_assert(zero(int, rmdir(folder)));
}

/* ---- files of our own making ---- */

static uint8_t file[1 << 16];
static size_t file_bytes;

static void put(uint64_t value, uint32_t bytes)
{
    for (uint32_t i = bytes; i-- > 0;) {
        file[file_bytes++] = (uint8_t)(value >> (8 * i));
    }
}

static void put_header(char version, uint32_t times, uint32_t types)
{
    memcpy(file + file_bytes, "TZif", 4);
    file_bytes += 4;
    put((uint8_t)version, 1);
    put(0, 15 - 8), put(0, 8); /* reserved */
    put(0, 4), put(0, 4), put(0, 4);
    put(times, 4), put(types, 4), put(4, 4);
}

static void put_block(uint32_t time_bytes, const struct change *list, uint32_t count, int64_t first)
{
    for (uint32_t i = 0; i < count; i++) {
        put((uint64_t)(list[i].at_ms / 1000), time_bytes);
    }
    for (uint32_t i = 0; i < count; i++) {
        put(i + 1, 1);
    }
    put((uint64_t)(first / 1000), 4), put(0, 2);
    for (uint32_t i = 0; i < count; i++) {
        put((uint64_t)(list[i].offset_ms / 1000), 4), put(0, 2);
    }
    put(0x58585800, 4); /* XXX */
}

/* version 0 has no second half and no footer. */
static void make_file(char version, const struct change *list, uint32_t count, int64_t first,
                      const char *footer)
{
    file_bytes = 0;
    if (version == 0) {
        put_header(0, count, count + 1);
        put_block(4, list, count, first);
        return;
    }
    put_header(version, 0, 1);
    put_block(4, NULL, 0, 0);
    put_header(version, count, count + 1);
    put_block(8, list, count, first);
    put('\n', 1);
    memcpy(file + file_bytes, footer, strlen(footer));
    file_bytes += strlen(footer);
    put('\n', 1);
}

static struct cw_zones *load_file(const uint8_t *bytes, size_t count)
{
    struct cw_zones *own = NULL;
    cr_assert(eq(int, cw_zones_begin(&own, &fault), CW_ERR_OK));
    uint8_t *copy = malloc(count + 1); /* of exactly its size, for the sanitizer */
    memcpy(copy, bytes, count);
    copy = realloc(copy, count > 0 ? count : 1);
    (void)cw_zones_add(own, CW_VIEW("Own/Zone"), copy, count);
    free(copy);
    cw_zones_end(own);
    return own;
}

TestSuite(zone_file);

Test(zone_file, takes_the_footer_after_the_last_change)
{
    static const struct {
        const char *footer, *at;
        int64_t offset_minutes;
    } rows[] = {
        {"<+03>-3", "2030-01-01T00:00:00Z", 180},
        {"XST5", "2030-01-01T00:00:00Z", -300},
        {"XST-5:45:30", "2030-01-01T00:00:00Z", 345},
        {"EST5EDT,M3.2.0,M11.1.0", "2070-03-09T06:59:59.999Z", -300},
        {"EST5EDT,M3.2.0,M11.1.0", "2070-03-09T07:00:00Z", -240},
        {"EST5EDT,M3.2.0,M11.1.0", "2070-11-02T05:59:59.999Z", -240},
        {"EST5EDT,M3.2.0,M11.1.0", "2070-11-02T06:00:00Z", -300},
        /* RFC 8536: daylight saving time all year. */
        {"EST5EDT,0/0,J365/25", "2026-01-01T04:59:59.999Z", -240},
        {"EST5EDT,0/0,J365/25", "2026-01-01T05:00:00Z", -240},
        {"EST5EDT,0/0,J365/25", "2028-12-31T23:00:00Z", -240},
        /* The eve of the last Sunday in March, 22:00 by -2: RFC 8536's negative time. */
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T00:59:59.999Z", -120},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T01:00:00Z", -60},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-10-25T00:59:59.999Z", -60},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-10-25T01:00:00Z", -120},
        /* More than 24 hours: Thursday's 50th hour is Saturday 02:00. */
        {"EET-2EEST,M3.4.4/50,M10.4.4/50", "2026-03-27T23:59:59.999Z", 120},
        {"EET-2EEST,M3.4.4/50,M10.4.4/50", "2026-03-28T00:00:00Z", 180},
        /* Summer is standard, winter the other. */
        {"IST-1GMT0,M10.5.0,M3.5.0/1", "2026-07-01T00:00:00Z", 60},
        {"IST-1GMT0,M10.5.0,M3.5.0/1", "2026-12-01T00:00:00Z", 0},
        {"IST-1GMT0,M10.5.0,M3.5.0/1", "2026-03-29T00:59:59.999Z", 0},
        {"IST-1GMT0,M10.5.0,M3.5.0/1", "2026-03-29T01:00:00Z", 60},
        /* J60 is 1 March in every year; 60 is 29 February plus a day, but in a leap year. */
        {"AAA0BBB,J60/0,J300/0", "2028-02-29T23:59:59.999Z", 0},
        {"AAA0BBB,J60/0,J300/0", "2028-03-01T00:00:00Z", 60},
        {"AAA0BBB,J60/0,J300/0", "2027-03-01T00:00:00Z", 60},
        {"AAA0BBB,J60/0,J300/0", "2027-02-28T23:59:59.999Z", 0},
        {"AAA0BBB,59/0,300/0", "2028-02-28T23:59:59.999Z", 0},
        {"AAA0BBB,59/0,300/0", "2028-02-29T00:00:00Z", 60},
        {"AAA0BBB,59/0,300/0", "2027-03-01T00:00:00Z", 60},
        {"AAA0BBB-0:30,59/0,300/0", "2027-03-01T00:00:00Z", 30},
        /* A week beyond the year's edges. */
        {"AAA0BBB,J5/-167,J200/0", "2026-12-29T00:59:59.999Z", 0},
        {"AAA0BBB,J5/-167,J200/0", "2026-12-29T01:00:00Z", 60},
        {"AAA0BBB,J200/0,J362/167", "2027-01-03T21:59:59.999Z", 60},
        {"AAA0BBB,J200/0,J362/167", "2027-01-03T22:00:00Z", 0},
        {"", "2030-01-01T00:00:00Z", 600},
    };
    const struct change list[] = {{.at_ms = 0, .offset_ms = 36000000}};
    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        for (int version = '2'; version <= '4'; version++) {
            make_file((char)version, list, 1, 0, rows[i].footer);
            struct cw_zones *own = load_file(file, file_bytes);
            cr_assert(eq(u32, cw_zones_count(own), 2), "%s", rows[i].footer);
            int64_t got = cw_zone_offset_ms(own, 1, at(rows[i].at));
            got -= got % 60000; /* the row of 30 seconds */
            cr_assert(eq(i64, got, rows[i].offset_minutes * 60000), "%s at %s", rows[i].footer,
                      rows[i].at);
            cr_assert(eq(i64, cw_zone_offset_ms(own, 1, -1), 0));
            cw_zones_close(own);
        }
    }
}

Test(zone_file, reads_the_old_version_and_clocks_that_jump_by_days)
{
    const struct change list[] = {{.at_ms = 1000000000000, .offset_ms = 90000000},
                                  {.at_ms = 1000003600000, .offset_ms = -90000000}};
    make_file(0, list, 2, 0, "");
    struct cw_zones *own = load_file(file, file_bytes);
    cr_assert(eq(u32, cw_zones_count(own), 2));
    /* Skipped by the first jump, shown by the clock after the second: it exists. */
    int64_t local = 1000000000000 + 43200000;
    cr_assert(eq(i64, cw_zone_to_utc(own, 1, local), local + 90000000));
    cr_assert(eq(i64, cw_zone_to_utc(own, 1, 1000000000000 + 90000000), 1000000000000));
    cr_assert(eq(i64, cw_zone_to_utc(own, 1, 999999999999), 999999999999));
    /* The clock went back over this one: the first time counts. */
    cr_assert(eq(i64, cw_zone_to_utc(own, 1, 999920000000), 999920000000));
    cw_zones_close(own);
}

Test(zone_file, refuses_what_is_not_well_formed)
{
    static const char *const footers[] = {
        "X",
        "XX5",
        "XST",
        "<X>5",
        "<XST5",
        "<X_T>5",
        "XST25",
        "XST5:60",
        "XST5:",
        "XST5X",
        "EST5EDT",
        "EST5EDT,",
        "EST5EDT,M3.2.0",
        "EST5EDT,M3.2.0,",
        "EST5EDT,M13.2.0,M11.1.0",
        "EST5EDT,M0.2.0,M11.1.0",
        "EST5EDT,M3.6.0,M11.1.0",
        "EST5EDT,M3.0.0,M11.1.0",
        "EST5EDT,M3.2.7,M11.1.0",
        "EST5EDT,M3.2.0/168,M11.1.0",
        "EST5EDT,M3.2.0/,M11.1.0",
        "EST5EDT,J0,J300",
        "EST5EDT,J366,J300",
        "EST5EDT,366,300",
        "EST5EDT,M3.2.0,M11.1.0,",
        "EST5EDT,M3.2.0,M11.1.0/2x",
        "EST5EDT,M3.2,M11.1.0",
        "EST--5",
        "EST0005",
        "EST5E,J1,J2",
    };
    const struct change list[] = {{.at_ms = 0, .offset_ms = 36000000}};
    for (uint32_t i = 0; i < CW_COUNTOF(footers); i++) {
        make_file('2', list, 1, 0, footers[i]);
        struct cw_zones *own = load_file(file, file_bytes);
        cr_assert(eq(u32, cw_zones_damaged(own), 1), "%s", footers[i]);
        cr_assert(eq(u32, cw_zones_count(own), 1));
        cw_zones_close(own);
    }
    const struct change wrong[][2] = {
        {{.at_ms = 5000, .offset_ms = 0}, {.at_ms = 5000, .offset_ms = 0}},
        {{.at_ms = 5000, .offset_ms = 0}, {.at_ms = 4000, .offset_ms = 0}},
        {{.at_ms = 5000, .offset_ms = 0}, {.at_ms = 6000, .offset_ms = 93600000}},
        {{.at_ms = 5000, .offset_ms = 0}, {.at_ms = 6000, .offset_ms = -93600000}},
    };
    for (uint32_t i = 0; i < CW_COUNTOF(wrong); i++) {
        make_file('2', wrong[i], 2, 0, "XST5");
        struct cw_zones *own = load_file(file, file_bytes);
        cr_assert(eq(u32, cw_zones_damaged(own), 1));
        cw_zones_close(own);
    }
}

static void ask_everything(const struct cw_zones *own)
{
    for (uint32_t z = 0; z < cw_zones_count(own); z++) {
        for (int64_t t = -CW_DAY_MS; t < 4102444800000; t += 400 * CW_DAY_MS + 1234567) {
            int64_t offset = cw_zone_offset_ms(own, z, t);
            cr_assert(offset > -26 * CW_HOUR_MS && offset < 26 * CW_HOUR_MS);
            cr_assert(le(i64, cw_zone_to_utc(own, z, t + offset), t));
            int64_t next = cw_zone_next(own, z, t, 77);
            cr_assert(next > t && next <= t + 4 * CW_DAY_MS);
        }
    }
}

Test(zone_file, survives_cuts_and_flips_of_every_byte)
{
    const struct change list[] = {{.at_ms = 0, .offset_ms = 3600000},
                                  {.at_ms = 1000000000000, .offset_ms = 7200000},
                                  {.at_ms = 1500000000000, .offset_ms = 3600000}};
    make_file('2', list, 3, 0, "CET-1CEST,M3.5.0,M10.5.0/3");
    for (size_t cut = 0; cut < file_bytes; cut++) {
        struct cw_zones *own = load_file(file, cut);
        cr_assert(eq(u32, cw_zones_damaged(own), 1), "cut to %zu", cut);
        cw_zones_close(own);
    }
    for (size_t i = 0; i < file_bytes; i++) {
        uint8_t before = file[i];
        static const uint8_t masks[] = {0xff, 0x80, 0x01, 0x40};
        for (uint32_t m = 0; m < CW_COUNTOF(masks); m++) {
            file[i] = before ^ masks[m];
            struct cw_zones *own = load_file(file, file_bytes);
            ask_everything(own);
            cw_zones_close(own);
        }
        file[i] = before;
    }
}

Test(zone_file, leaves_damaged_files_out_and_does_not_wait_for_pipes)
{
    char folder[] = "/tmp/cw_zone_XXXXXX";
    char path[128];
    cr_assert(mkdtemp(folder) != NULL);
    make_file('2', NULL, 0, 0, "<+03>-3");
    static const char *const names[] = {"Good", "Cut", "zone.tab", "leapseconds", "Empty", "UTC"};
    for (uint32_t i = 0; i < CW_COUNTOF(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        FILE *to = fopen(path, "wb");
        cr_assert(to != NULL);
        size_t bytes = i == 0 || i == 5 ? file_bytes : i == 4 ? 0 : file_bytes - 1;
        cr_assert(eq(sz, fwrite(file, 1, bytes, to), bytes));
        cr_assert(zero(int, fclose(to)));
    }
    (void)snprintf(path, sizeof path, "%s/Pipe", folder);
    cr_assert(zero(int, mkfifo(path, 0600)));
    (void)snprintf(path, sizeof path, "%s/Loop", folder);
    cr_assert(zero(int, symlink(folder, path)));
    struct cw_zones *own = NULL;
    cr_assert(eq(int, cw_zones_open(&own, folder, &fault), CW_ERR_OK));
    uint32_t index = 0;
    cr_assert(cw_zones_find(own, CW_VIEW("Good"), &index));
    cr_assert(eq(i64, cw_zone_offset_ms(own, index, 0), 3 * CW_HOUR_MS));
    cr_assert(cw_zones_find(own, CW_VIEW("Loop/Good"), &index));
    cr_assert(eq(i64, cw_zone_offset_ms(own, CW_ZONE_UTC, 0), 0));
    cr_assert(gt(u32, cw_zones_damaged(own), 3));
    cw_zones_close(own);
    char command[160];
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert(zero(int, system(command)));
}
