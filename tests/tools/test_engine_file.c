/* The engine file: what it may say, and what is said about what it may not. */
#include "tools/engine_file.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/cartwheel-engine-XXXXXX";
static struct cw_problems problems;
static struct cw_engine_file file;

static void setup(void)
{
    cr_assert(ne(ptr, mkdtemp(folder), NULL));
    cr_assert(eq(int, chdir(folder), 0));
    cr_assert(eq(int, mkdir("conf", 0700), 0));
    cr_assert(eq(int, mkdir("conf/models", 0700), 0));
    FILE *program = fopen("conf/p.yaml", "wb");
    cr_assert(ne(ptr, program, NULL));
    (void)fclose(program);
}

static void teardown(void)
{
    char command[256];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert(eq(int, system(command), 0));
}

TestSuite(engine_file, .init = setup, .fini = teardown);

/* The text as its reader gets it: followed by zeroes. */
static struct cw_view padded(const char *text, char room[8192])
{
    size_t bytes = strlen(text);
    cr_assert(lt(sz, bytes + CW_JSON_PADDING, 8192));
    memset(room, 0, 8192);
    memcpy(room, text, bytes);
    return (struct cw_view){room, (uint32_t)bytes};
}

static cw_err parse(const char *text)
{
    char room[8192];
    struct cw_fault fault;
    return cw_engine_file_parse(&file, padded(text, room), "conf/engine.yaml", CW_SECRETS_NEEDED,
                                &problems, &fault);
}

static void forget(void)
{
    cw_problems_deinit(&problems);
    problems = (struct cw_problems){0};
    cw_engine_file_close(&file);
}

static const char *name_of(struct cw_view view)
{
    static char text[256];
    (void)snprintf(text, sizeof text, "%.*s", (int)view.bytes, view.data == NULL ? "" : view.data);
    return text;
}

Test(engine_file, what_it_says_holds_and_its_paths_are_its_own)
{
    cr_assert(eq(int,
                 parse("models: models\n"
                       "programs: [p.yaml]\n"
                       "eventBytesMax: 4096\n"
                       "partitions: 65536\n"
                       "shopName: Shop & Co\n"
                       "shopUrl: https://shop.example/\n"
                       "events:\n"
                       "  CartAbandoned: {source: my.cart, detailType: Left}\n"
                       "  OrderPlaced: {source: my.order}\n"
                       "  Opened: {detailType: mail.opened}\n"),
                 CW_ERR_OK));
    cr_expect(eq(str, (char *)(uintptr_t)file.models, "conf/models"));
    cr_expect(eq(ptr, (void *)(uintptr_t)file.templates, NULL));
    cr_expect(eq(u32, file.program_count, 1));
    cr_expect(eq(str, (char *)(uintptr_t)file.programs[0], "conf/p.yaml"));
    cr_expect(eq(u32, file.event_bytes_max, 4096));
    cr_expect(eq(u32, file.partitions, 65536));
    cr_expect(eq(str, (char *)(uintptr_t)name_of(file.shop_name), "Shop & Co"));
    cr_expect(eq(str, (char *)(uintptr_t)name_of(file.shop_url), "https://shop.example/"));
    const struct cw_event_names *names = &file.names;
    cr_expect(cw_view_equal(names->of[CW_EVENT_CART_ABANDONED].source, CW_VIEW("my.cart")));
    cr_expect(cw_view_equal(names->of[CW_EVENT_CART_ABANDONED].type, CW_VIEW("Left")));
    cr_expect(cw_view_equal(names->of[CW_EVENT_ORDER_PLACED].source, CW_VIEW("my.order")));
    cr_expect(cw_view_equal(names->of[CW_EVENT_ORDER_PLACED].type, CW_VIEW("OrderPlaced")));
    cr_expect(cw_view_equal(names->of[CW_EVENT_OPENED].source, CW_VIEW("messaging")));
    cr_expect(cw_view_equal(names->of[CW_EVENT_OPENED].type, CW_VIEW("mail.opened")));
    cr_expect(cw_view_equal(names->of[CW_EVENT_CLICKED].type, CW_VIEW("Clicked")));
    forget();
}

Test(engine_file, without_a_key_the_defaults_hold)
{
    cr_assert(eq(int, parse("shopName: S\n"), CW_ERR_OK));
    cr_expect(eq(u32, file.event_bytes_max, CW_EVENT_BYTES_MAX));
    cr_expect(eq(u32, file.partitions, 256));
    cr_expect(eq(u32, file.program_count, 0));
    /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): views alone */
    cr_expect(eq(int, memcmp(&file.names, &cw_event_names_default, sizeof file.names), 0));
    forget();
}

Test(engine_file, says_how_long_sources_come_first_after_a_start)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } cases[] = {{"startGrace: 5m\n", 300000},
                 {"startGrace: 1h\n", 3600000},
                 {"startGrace: 0s\n", 0},
                 {"shopName: S\n", 60000}};

    for (uint32_t i = 0; i < CW_COUNTOF(cases); i++) {
        cr_assert(eq(int, parse(cases[i].text), CW_ERR_OK));
        cr_expect(eq(u64, file.live.grace_ms, cases[i].ms));
        forget();
    }
}

Test(engine_file, says_which_loop_sockets_are_on)
{
    cr_assert(eq(int, parse("shopName: S\n"), CW_ERR_OK));
    cr_expect(eq(int, file.live.loop, CW_LOOP_AUTO));
    forget();
    cr_assert(eq(int, parse("io: uring\n"), CW_ERR_OK));
    cr_expect(eq(int, file.live.loop, CW_LOOP_URING));
    forget();
    cr_assert(eq(int, parse("io: epoll\n"), CW_ERR_OK));
    cr_expect(eq(int, file.live.loop, CW_LOOP_EPOLL));
    forget();
}

Test(engine_file, events_that_trade_names_are_no_clash)
{
    cr_assert(eq(int,
                 parse("events:\n"
                       "  CartUpdated: {detailType: CartCleared}\n"
                       "  CartCleared: {detailType: CartUpdated}\n"),
                 CW_ERR_OK));
    forget();
}

struct broken {
    const char *text;
    uint32_t line, column;
    const char *says;
};

static const struct broken table[] = {
    {"partition: 4\n", 1, 1,
     "unknown key \"partition\" in the engine file; did you mean "
     "\"partitions\"?"},
    {"partitions: 100\n", 1, 13, "\"partitions\" must be a power of two, not 100; write 64"},
    {"partitions: 0\n", 1, 13, "\"partitions\" must be a whole number from 1 to 65536, not 0"},
    {"partitions: 131072\n", 1, 13, "from 1 to 65536"},
    {"partitions: \"4\"\n", 1, 13, "a whole number"},
    {"eventBytesMax: 4095\n", 1, 16, "from 4096 to 67108864 bytes"},
    {"eventBytesMax: 67108865\n", 1, 16, "from 4096 to 67108864 bytes"},
    {"eventBytesMax: 5000.5\n", 1, 16, "a whole number"},
    {"models: nowhere\n", 1, 9,
     "\"conf/nowhere\" does not exist; name a directory, relative to "
     "this file"},
    {"models: p.yaml\n", 1, 9, "\"conf/p.yaml\" is not a directory"},
    {"templates: [a]\n", 1, 12, "\"templates\" must be a string"},
    {"programs: p.yaml\n", 1, 11, "\"programs\" must be a list of strings"},
    {"programs: []\n", 1, 11, "1 to 64 items"},
    {"programs: [p.yaml, models]\n", 1, 20, "\"conf/models\" is a directory; name a program file"},
    {"programs: [p.yaml, p.yaml]\n", 1, 20, "stands twice"},
    {"shopUrl: ftp://x\n", 1, 10, "must begin with https:// or http://"},
    {"shopUrl: https://\n", 1, 10, "must begin with https:// or http://"},
    {"links: {baseUrl: \"https:///\"}\n", 1, 18, "must begin with https:// or http://"},
    {"shopName: \"\"\n", 1, 11, "is empty"},
    {"startGrace: 61m\n", 1, 13, "is a duration of at most 1h, such as 90s or 5m, or 0s"},
        {"startGrace: soon\n", 1, 13, "is a duration"},
        {"startGrace: 0m\n", 1, 13, "is a duration"},
        {"io: iouring\n", 1, 5, "\"uring\"?"},
    {"events: [CartAbandoned]\n", 1, 9, "\"events\" must be a mapping"},
    {"events: {CartAbandonned: {source: x}}\n", 1, 10, "did you mean \"CartAbandoned\"?"},
    {"events: {CartAbandoned: x}\n", 1, 25, "\"CartAbandoned\" must be a mapping"},
    {"events: {CartAbandoned: {source: x, detail-type: y}}\n", 1, 37, "\"detailType\"?"},
    {"events: {CartAbandoned: {source: 5}}\n", 1, 34, "\"source\" must be a string"},
    {"events:\n  CartUpdated: {detailType: CartAbandoned}\n", 2, 3,
     "CartUpdated and CartAbandoned would both be called \"ecommerce.cart\" / \"CartAbandoned\""},
    {"events:\n  Opened: {detailType: X}\n  Clicked: {detailType: X}\n", 3, 3,
     "Clicked and Opened would both be called \"messaging\" / \"X\""},
    {"programId: x\nmodels: models\n", 1, 1, "unknown key \"programId\" in the engine file"},
    {"source: x\n", 1, 1, "it belongs in an event's name"},
    {"models: &a models\n", 1, 9, "anchor"},
    {"[1]\n", 1, 1, "the engine file must be a mapping"},
};

Test(engine_file, what_is_wrong_is_told_where_it_is_written)
{
    for (size_t i = 0; i < CW_COUNTOF(table); i++) {
        cr_expect(eq(int, parse(table[i].text), CW_ERR_INVALID), "%s", table[i].text);
        cr_expect(eq(u32, problems.errors, 1), "%s", table[i].text);
        if (problems.count > 0) {
            const struct cw_problem *found = &problems.list[0];
            cr_expect(ne(ptr, strstr(found->text, table[i].says), NULL), "%s: %s", table[i].text,
                      found->text);
            cr_expect(eq(u32, found->line, table[i].line), "%s", table[i].text);
            cr_expect(eq(u32, found->column, table[i].column), "%s", table[i].text);
        }
        forget();
    }
}

Test(engine_file, all_that_is_wrong_is_told_at_once)
{
    cr_assert(eq(int,
                 parse("modles: models\npartitions: 3\nevents:\n  Opend: {}\n  Opened: {x: 1}\n"),
                 CW_ERR_INVALID));
    cr_expect(eq(u32, problems.errors, 4));
    forget();
}

Test(engine_file, a_file_is_known_by_its_keys)
{
    char room[8192];
    cr_expect(cw_engine_file_is(padded("models: x\n", room)));
    cr_expect(cw_engine_file_is(padded("partitons: 2\nevents: {}\n", room)));
    cr_expect(not(cw_engine_file_is(padded("programId: x\nmodels: y\n", room))));
    cr_expect(not(cw_engine_file_is(padded("eventSources: []\nprograms: []\n", room))));
    cr_expect(not(cw_engine_file_is(padded("channels: []\n", room))));
    cr_expect(not(cw_engine_file_is(padded("[models]\n", room))));
    cr_expect(not(cw_engine_file_is(padded("", room))));
    cr_expect(not(cw_engine_file_is(padded("models: [\n", room))));
}

Test(engine_file, every_key_has_help_and_a_type)
{
    for (const struct cw_options *const *one = cw_engine_tables; *one != NULL; one++) {
        for (uint32_t i = 0; i < (*one)->count; i++) {
            char text[CW_OPTION_HINT_BYTES];
            cr_expect(gt(sz, strlen((*one)->list[i].help), 0));
            cr_expect(gt(sz, strlen(cw_option_describe(&(*one)->list[i], text)), 0));
        }
    }
}
