/* State that outlives the process: what goes on after a restart is what would have gone on. */
#include "tests/pipeline/persist_fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

enum {
    EVENTS = 600,
    MOMENTS = 8,
    SETS = 4
};

/* Programs that change, come and go. */
#define CHANGED_FIRST                                                                         \
    "programId: first\n"                                                                      \
    "eventSources: [{config: {eventPattern: {source: [ecommerce.cart]}}}]\n"                  \
    "filterChain: [{type: trust}, {type: eligibility}]\n"                                     \
    "channels: [{channelId: s, type: sms, config: {delayMinutes: 30, message: M}}, "          \
    "{channelId: x, type: email, config: {delayMinutes: 60, templateId: cart-recovery-v3, "   \
    "subject: S}}, {channelId: p, type: push, config: {delayHours: 72, title: T, body: B}}, " \
    "{channelId: e, type: email, config: {delayHours: 80, templateId: cart-recovery-v3, "     \
    "subject: S}}]\n"                                                                         \
    "deduplication: {enabled: true, ttlDays: 3, keyFormat: \"{cartId}-{customerId}\"}\n"      \
    "abandonmentDetection: {sessionTimeoutMinutes: 90}\n"

#define CHANGED_THIRD                                                                        \
    "programId: third\n"                                                                     \
    "eventSources: [{config: {eventPattern: {source: [ecommerce.cart]}}}]\n"                 \
    "filterChain: [{filterId: e, type: eligibility}]\n"                                      \
    "channels: [{channelId: a, type: push, config: {delayMinutes: 5, title: T, body: B}}]\n" \
    "deduplication: {ttlDays: 100, keyFormat: \"{customerId}\"}\n"                           \
    "abandonmentDetection: {sessionTimeoutMinutes: 10}\n"

#define ANOTHER                                                              \
    "programId: another\n"                                                   \
    "eventSources: [{config: {eventPattern: {source: [ecommerce.cart]}}}]\n" \
    "channels: [{channelId: a, type: sms, config: {delayMinutes: 7, message: M}}]\n"

static const char *const texts[SETS][5] = {
    {RANDOM_FIRST, RANDOM_SECOND, RANDOM_THIRD, RANDOM_FOURTH},
    {CHANGED_FIRST, RANDOM_THIRD, RANDOM_FOURTH},
    {ANOTHER, RANDOM_FIRST, RANDOM_SECOND, CHANGED_THIRD},
    {RANDOM_FIRST, RANDOM_SECOND, CHANGED_THIRD, RANDOM_FOURTH},
};

/* What happens at a moment, the same in both shops; `cores` only where it is restarted. */
struct moment {
    uint32_t event, set, cores, first;
    bool clean, pause;
    uint64_t sum;
    struct cw_text dump;
};

struct course {
    uint64_t seed;
    bool taken;    /* channels answer later */
    bool journals; /* rows come from what was noted of changes, else from the tables */
    bool kept;     /* rows stay in memory where cores and programs stay the same */
    uint32_t set, adopted;
    struct moment moments[MOMENTS];
    struct cw_text tape;
    uint64_t sum;
    struct cw_text dump;
    struct cw_fates fates;
};

static struct shop shop;
static struct cw_journal *journals[SHOP_CORES_MAX];
static struct saved saved;
static struct cw_programs *sets[SETS];
static struct kept kept;

static void open_all(void)
{
    const struct shop_options options = {.yamls = RANDOM_PROGRAMS};
    cr_assert(shop_open(&shop, &options), "%s", shop.f.fault.text);
    shop_stop(&shop);
    for (uint32_t i = 0; i < SETS; i++) {
        sets[i] = shop_programs(&shop, texts[i]);
        cr_assert(ne(ptr, (void *)sets[i], NULL));
    }
}

static void close_all(void)
{
    shop_close(&shop);
    cw_text_deinit(&saved.text);
    for (uint32_t i = 0; i < SETS; i++) {
        cw_programs_close(sets[i]);
    }
}

static void start(const struct course *course, uint32_t cores)
{
    const struct shop_options options = {.cores = cores, .live = course->taken};
    struct cw_programs *own = shop.programs;
    shop.programs = sets[0];
    cr_assert(shop_start(&shop, &options));
    shop.programs = own;
    cw_decoder_reprogram(shop.decoder, sets[0]);
    shop.answer = course->taken ? CW_SEND_TAKEN : CW_SEND_DONE;
    if (course->kept) {
        cr_assert(kept_place(&kept, &shop, 0), "%s", shop.f.fault.text);
    }
}

/* What channels tell, by the message and attempt alone; of some nothing. */
static void tell_results(uint64_t *told)
{
    static const enum cw_posted outcomes[] = {CW_POSTED_SENT, CW_POSTED_SENT, CW_POSTED_REFUSED,
                                              CW_POSTED_LATER, CW_POSTED_UNKNOWN};

    for (; *told < shop.sends; ++*told) {
        const struct shop_post *post = &shop.posts[*told % SHOP_POSTS_MAX];
        uint64_t hash = cw_hash((struct cw_hash_key){post->attempt, 3}, post->key, 36);
        if (hash % 6 < CW_COUNTOF(outcomes)) {
            struct cw_post_result result = {.outcome = outcomes[hash % 6]};
            memcpy(result.key, post->key, sizeof result.key);
            uint32_t core = 0;
            cr_assert(eq(int, sscanf(post->key, "%4x", &core), 1));
            cw_pipeline_result(shop.pipelines[core % shop.cores], &result);
        }
    }
}

static void at_moment(const struct course *course, const struct moment *moment)
{
    int64_t until = course->taken ? shop.clock : shop.clock - 1;
    for (uint32_t i = 0; i < shop.cores; i++) {
        cw_pipeline_advance(shop.pipelines[i], until);
        if (moment->clean) {
            cw_pipeline_clean(shop.pipelines[i], UINT32_MAX);
        }
        if (moment->pause) {
            bool there = cw_pipeline_pause(shop.pipelines[i], CW_VIEW("first"), CW_CHANNEL_SMS,
                                           moment->event % 2 == 0);
            cr_assert(there, "each set has it");
        }
    }
}

static void settle(void)
{
    for (uint32_t i = 0; i < shop.cores; i++) {
        while (!cw_pipeline_settle_in_doubt(shop.pipelines[i], 3)) {
        }
    }
}

static void compare_dumps(const struct course *course, const struct cw_text *a,
                          const struct cw_text *b, const char *when)
{
    if (a->bytes == b->bytes && (a->bytes == 0 || memcmp(a->data, b->data, a->bytes) == 0)) {
        return;
    }
    size_t at = 0;
    while (at < a->bytes && at < b->bytes && a->data[at] == b->data[at]) {
        at++;
    }
    while (at > 0 && a->data[at - 1] != '\n') {
        at--;
    }
    cr_assert(false, "seed %llu, %s:\n%.1500s\nis now\n%.1500s", (unsigned long long)course->seed,
              when, a->data + at, b->data + at);
}

/* The pipelines end; their tables first, then what notes their changes. */
static void stop(const struct course *course, uint32_t cores)
{
    shop_stop(&shop);
    for (uint32_t i = 0; course->journals && i < cores; i++) {
        cw_journal_close(journals[i]);
    }
}

static void restart(struct course *course, const struct moment *moment)
{
    static struct cw_text now;
    struct shop_options options = {.cores = moment->cores, .live = course->taken};
    struct cw_programs *own = shop.programs;
    uint64_t sends = shop.sends;
    uint32_t cores = shop.cores;
    bool stays = course->kept && moment->cores == cores && moment->set == course->set;
    if (course->journals) {
        commit(&shop, journals, &saved);
    } else {
        save(&shop, &saved, moment->first);
    }
    if (course->kept) {
        kept_leave(&kept, &shop, stays);
    }
    stop(course, cores);
    shop.programs = sets[moment->set];
    course->set = moment->set;
    course->adopted += stays;
    bool good = stays ? adopt(&shop, &options, &kept, saved.clock)
                      : restore(&shop, &options, &saved, course->journals ? journals : NULL,
                                course->kept ? &kept : NULL);
    shop.programs = own;
    cw_decoder_reprogram(shop.decoder, sets[moment->set]);
    cr_assert(good, "seed %llu: %s", (unsigned long long)course->seed, shop.f.fault.text);
    cr_assert(eq(u64, shop.sends, sends));
    settle();
    cr_assert(shop_check(&shop), "seed %llu", (unsigned long long)course->seed);
    dump(&shop, &now);
    compare_dumps(course, &moment->dump, &now, "after a restart");
    cr_assert(eq(u64, shop.sum, moment->sum), "seed %llu", (unsigned long long)course->seed);
    if (course->journals && shop.cores != cores) { /* a new beginning, as by checkpoints */
        commit(&shop, journals, &saved);
        save(&shop, &saved, moment->first);
    }
}

/* The whole tape; restarted at the moments, or never, which is what is right. */
static void play(struct course *course, bool restarts)
{
    uint32_t next = 0;
    uint64_t told = 0;
    const char *at = course->tape.data;
    const char *end = at + course->tape.bytes;
    start(course, 1);
    cw_text_clear(&saved.text);
    if (course->journals) {
        journal_all(&shop, journals);
    }
    for (uint32_t event = 0; at < end; event++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        (void)shop_feed(&shop, at, (size_t)(stop - at));
        at = stop + 1;
        cw_text_clear(&shop.lines);
        if (course->taken) {
            for (uint32_t i = 0; i < shop.cores; i++) {
                cw_pipeline_advance(shop.pipelines[i], shop.clock);
            }
            tell_results(&told);
        }
        if (next == MOMENTS || course->moments[next].event != event) {
            continue;
        }
        struct moment *moment = &course->moments[next++];
        at_moment(course, moment);
        if (course->taken) {
            tell_results(&told);
        }
        if (restarts) {
            restart(course, moment);
        } else {
            shop_reprogram(&shop, sets[moment->set]);
            settle();
            dump(&shop, &moment->dump);
            moment->sum = shop.sum;
        }
    }
    shop_finish(&shop);
    cr_assert(shop_check(&shop));
    struct cw_text last = {0};
    struct cw_fates fates = fates_of(&shop);
    dump(&shop, &last);
    if (restarts) {
        cr_assert(eq(u64, shop.sum, course->sum), "seed %llu", (unsigned long long)course->seed);
        compare_dumps(course, &course->dump, &last, "at the end");
        cr_assert(memcmp(&fates, &course->fates, sizeof fates) == 0, "seed %llu: counters",
                  (unsigned long long)course->seed);
    } else {
        course->sum = shop.sum;
        course->dump = last;
        course->fates = fates;
        last = (struct cw_text){0};
    }
    cw_text_deinit(&last);
    if (course->kept) {
        kept_leave(&kept, &shop, false);
    }
    stop(course, shop.cores);
}

static void make_tape(struct course *course)
{
    static const uint32_t steps[] = {1000, 600000, 20000000, 100000000};
    const struct course making = {.seed = course->seed, .taken = course->taken};
    start(&making, 1);
    shop.tape = &course->tape;
    shop.answer = CW_SEND_DONE;
    struct random_shop r = {.shop = &shop,
                            .random = course->seed,
                            .customers = 6,
                            .carts = 3,
                            .products = 5,
                            .step_ms = steps[course->seed % 4],
                            .long_strings = 300};
    for (uint32_t i = 0; i < EVENTS; i++) {
        random_event(&r);
    }
    shop.tape = NULL;
    shop_stop(&shop);
    uint32_t event = 0;
    for (uint32_t i = 0; i < MOMENTS; i++) {
        event += 1 + draw(&r, EVENTS / MOMENTS - 2);
        course->moments[i] = (struct moment){.event = event,
                                             .set = draw(&r, 2) == 0 ? 0 : draw(&r, SETS),
                                             .cores = 1 + draw(&r, 3),
                                             .first = draw(&r, CW_TABLE_NUMBER_COUNT),
                                             .clean = draw(&r, 2) == 0,
                                             .pause = draw(&r, 3) == 0};
        struct moment *moment = &course->moments[i];
        if (course->kept && draw(&r, 4) != 0) { /* as at the moment before */
            moment->set = i == 0 ? 0 : moment[-1].set;
            moment->cores = i == 0 ? 1 : moment[-1].cores;
        }
    }
}

static uint32_t run_course(uint64_t seed, bool taken, bool noted, bool stays)
{
    struct course course = {.seed = seed, .taken = taken, .journals = noted, .kept = stays};
    saved.batch = 1 + (uint32_t)seed * 7 % CW_LOAD_BATCH;
    make_tape(&course);
    play(&course, false);
    play(&course, true);
    for (uint32_t i = 0; i < MOMENTS; i++) {
        cw_text_deinit(&course.moments[i].dump);
    }
    cw_text_deinit(&course.tape);
    cw_text_deinit(&course.dump);
    return course.adopted;
}

Test(persist, what_goes_on_after_a_restart_is_what_would_have_gone_on)
{
    open_all();
    for (uint64_t seed = 1; seed <= 10; seed++) {
        (void)run_course(seed, false, seed % 2 == 0, false);
    }
    close_all();
}

/* Between the events every list, index, timer and counter is proved (shop_check). */
Test(persist, rows_that_stay_in_memory_go_on_as_those_that_are_read)
{
    if (cw_keep_kind("/dev/shm") == NULL) {
        return;
    }
    open_all();
    kept_open(&kept);
    uint32_t adopted = 0;
    for (uint64_t seed = 201; seed <= 212; seed++) {
        adopted += run_course(seed, seed % 2 == 0, false, true);
    }
    cr_assert(ge(u32, adopted, 20));
    kept_close(&kept);
    close_all();
}

Test(persist, so_it_is_with_messages_under_way)
{
    open_all();
    for (uint64_t seed = 101; seed <= 110; seed++) {
        (void)run_course(seed, true, seed % 2 == 0, false);
    }
    close_all();
}

/* How often the customer's id stands in the dump, as a key or in a row. */
static uint32_t traces(struct cw_text *lines, const char *id)
{
    char name[64] = {0};
    for (uint32_t i = 0; id[i] != '\0'; i++) {
        (void)snprintf(name + 2 * (size_t)i, 3, "%02x", (unsigned)(unsigned char)id[i]);
    }
    uint32_t count = 0;
    for (const char *at = cw_text_terminate(lines); (at = strstr(at, name)) != NULL; at++) {
        count++;
    }
    return count;
}

Test(persist, of_who_is_erased_only_the_erasing_event_stays_and_until_when)
{
    const struct cw_links links = {.key = {3, 4}, .base = CW_VIEW("https://l.example")};
    const struct shop_options options = {.yamls = RANDOM_PROGRAMS, .links = &links};
    cr_assert(shop_open(&shop, &options), "%s", shop.f.fault.text);
    shop_customer(&shop, "erasemenow");
    (void)shop_event(&shop, "ecommerce.cart", "CartUpdated", 1,
                     "\"customerId\":\"erasemenow\",\"cartId\":\"w\",\"cartValue\":9,\"items\":[]");
    for (int64_t day = 0; day < 4; day++) {
        (void)shop_abandon(&shop, day * CW_DAY_MS + 2, "erasemenow", "k", 100 + (double)day);
        shop_advance(&shop, day * CW_DAY_MS + CW_HOUR_MS);
    }
    struct cw_text lines = {0};
    dump(&shop, &lines);
    cr_assert(gt(u32, traces(&lines, "erasemenow"), 10));
    cr_assert(gt(u64, cw_table_count(shop.pipelines[0]->messages), 0));
    cr_assert(gt(u64, cw_table_count(shop.pipelines[0]->links), 0));
    const char *erased = "{\"source\":\"ecommerce.customer\",\"detail-type\":\"CustomerErased\","
                         "\"id\":\"7\",\"time\":\"2026-01-25T12:00:00Z\",\"detail\":"
                         "{\"customerId\":\"erasemenow\"}}";
    (void)shop_feed(&shop, erased, strlen(erased));
    dump(&shop, &lines);
    cr_assert(eq(u32, traces(&lines, "erasemenow"), 3),
              "an empty row, the event's id, and up to when all is gone");
    cr_assert(eq(u64, cw_table_count(shop.pipelines[0]->messages), 0));
    cr_assert(eq(u64, cw_table_count(shop.pipelines[0]->links), 0));
    shop_advance(&shop, 20 * CW_DAY_MS);
    cw_pipeline_clean(shop.pipelines[0], UINT32_MAX);
    dump(&shop, &lines);
    cr_assert(eq(u32, traces(&lines, "erasemenow"), 0), "when that is forgotten, nothing");
    cr_assert(shop_check(&shop));
    cw_text_deinit(&lines);
    shop_close(&shop);
}

/* A repetition, and what comes late: after a start on other cores, too. */
Test(persist, what_was_told_before_an_erasure_does_not_come_back_after_a_start)
{
    struct shop_options options = {.yamls = RANDOM_PROGRAMS, .live = true};
    struct saved saved = {0};
    char id[16];
    cr_assert(shop_open(&shop, &options), "%s", shop.f.fault.text);
    for (uint32_t i = 0; i < 8; i++) {
        (void)snprintf(id, sizeof id, "c%u", i);
        shop_customer(&shop, id);
        (void)shop_event(&shop, "ecommerce.customer", "CustomerErased", 5, "\"customerId\":\"%s\"",
                         id);
    }
    save(&shop, &saved, 0);
    shop_stop(&shop);
    options.cores = 3;
    cr_assert(restore(&shop, &options, &saved, NULL, NULL), "%s", shop.f.fault.text);
    for (uint32_t i = 0; i < 8; i++) {
        (void)snprintf(id, sizeof id, "c%u", i);
        shop_customer(&shop, id);
        (void)shop_abandon(&shop, 5, id, "k", 100);
    }
    cr_assert(eq(u64, shop.decided, 0), "it changes nothing");
    cr_assert(eq(u64, fates_of(&shop).events[CW_EVENT_FATE_REPEATED], 16));
    (void)shop_abandon(&shop, 6, "c0", "k", 100);
    cr_assert(gt(u64, shop.decided, 0), "what is told later counts");
    cr_assert(shop_check(&shop));
    cw_text_deinit(&saved.text);
    shop_close(&shop);
}

Test(persist, a_row_belongs_to_its_customers_partition)
{
    open_all();
    start(&(struct course){0}, 1);
    struct random_shop r = {.shop = &shop,
                            .random = 5,
                            .customers = 6,
                            .carts = 3,
                            .products = 5,
                            .step_ms = 600000,
                            .long_strings = 30};
    for (uint32_t i = 0; i < 500; i++) {
        random_event(&r);
    }
    save(&shop, &saved, 0);
    struct cw_record record;
    uint32_t owned[CW_TABLE_NUMBER_COUNT] = {0};
    uint32_t of_all[CW_TABLE_NUMBER_COUNT] = {0};
    for (size_t at = 0; saved_next(&saved, &at, &record);) {
        uint32_t partition;
        uint32_t removed = 256;
        bool found = cw_persist_owner(&record, 256, &partition);
        owned[record.table] += found;
        of_all[record.table] += !found;
        record.kind = CW_RECORD_REMOVE;
        record.value.bytes = 0;
        if (cw_persist_owner(&record, 256, &removed)) {
            cr_assert(found && removed == partition, "a removal goes where its row went");
        }
    }
    cr_assert(eq(u32, owned[CW_TABLE_products], 0));
    cr_assert(eq(u32, owned[CW_TABLE_meta], 0));
    cr_assert(gt(u32, of_all[CW_TABLE_products], 0));
    cr_assert(gt(u32, of_all[CW_TABLE_meta], 0));

    const enum cw_table_number customers[] = {CW_TABLE_customers,  CW_TABLE_carts,
                                              CW_TABLE_candidates, CW_TABLE_dedup,
                                              CW_TABLE_scores,     CW_TABLE_messages};

    for (uint32_t i = 0; i < CW_COUNTOF(customers); i++) {
        cr_assert(gt(u32, owned[customers[i]], 0));
        cr_assert(eq(u32, of_all[customers[i]], 0));
    }
    shop_stop(&shop);
    close_all();
}

Test(persist, rows_that_contradict_each_other_are_refused)
{
    open_all();
    start(&(struct course){0}, 1);
    shop_customer(&shop, "c");
    (void)shop_abandon(&shop, 1, "c", "k", 100);
    save(&shop, &saved, 0);
    const struct shop_options options = {.cores = 1};
    struct cw_record record;
    uint32_t refused = 0;
    uint32_t taken = 0;
    for (size_t skip = 0, next = 0; saved_next(&saved, &next, &record); skip = next) {
        struct saved less = {.cores = 1, .clock = saved.clock};
        cw_text_put(&less.text, saved.text.data, skip);
        cw_text_put(&less.text, saved.text.data + next, saved.text.bytes - next);
        shop_stop(&shop);
        bool good = restore(&shop, &options, &less, NULL, NULL);
        bool needed = record.table == CW_TABLE_customers || record.table == CW_TABLE_candidates ||
                      (record.table == CW_TABLE_meta && record.key.data[0] != CW_META_PROGRAM &&
                       record.key.data[0] != CW_META_RETIRED);
        cr_assert(good == !needed, "table %u", record.table);
        refused += !good;
        taken += good;
        cw_text_deinit(&less.text);
    }
    cr_assert(ge(u32, refused, 4));
    cr_assert(ge(u32, taken, 3));
    shop_stop(&shop);
    close_all();
}

static bool same_row(const struct cw_record *a, const struct cw_record *b)
{
    return a->table == b->table && cw_view_equal(a->key, b->key);
}

/*
 * What a log could say that leads from nothing to `after`: rows as they were before, as they
 * became, and removals between, close together, so that a batch has several records of one row.
 */
static void weave(struct random_shop *r, const struct saved *before, const struct saved *after,
                  struct saved *woven, uint32_t counts[CW_TABLE_NUMBER_COUNT])
{
    struct cw_record next;
    for (size_t at = 0; saved_next(after, &at, &next);) {
        struct cw_record old;
        for (size_t from = 0; saved_next(before, &from, &old);) {
            if (!same_row(&old, &next)) {
                continue;
            }
            saved_put(woven, &old);
            counts[old.table]++;
            if (draw(r, 2) == 0) {
                struct cw_record removal = {
                    .kind = CW_RECORD_REMOVE, .table = old.table, .key = old.key};
                saved_put(woven, &removal);
                saved_put(woven, &removal);
            }
            if (draw(r, 2) == 0) {
                saved_put(woven, &old);
            }
        }
        saved_put(woven, &next);
    }
}

Test(persist, batches_load_what_one_record_after_the_other_does)
{
    static const uint32_t batches[] = {1, 2, 7, CW_LOAD_BATCH - 1, CW_LOAD_BATCH};
    const struct cw_links links = {.key = {3, 4}, .base = CW_VIEW("https://l.example")};
    const struct shop_options options = {.yamls = RANDOM_PROGRAMS, .links = &links};
    cr_assert(shop_open(&shop, &options), "%s", shop.f.fault.text);
    shop.answer = CW_SEND_DONE;
    struct random_shop r = {.shop = &shop,
                            .random = 9,
                            .customers = 20,
                            .carts = 3,
                            .products = 5,
                            .step_ms = 600000,
                            .long_strings = 300};
    for (uint32_t i = 0; i < 300; i++) {
        random_event(&r);
    }
    struct saved before = {0};
    save(&shop, &before, 0);
    for (uint32_t i = 0; i < 300; i++) {
        random_event(&r);
    }
    struct saved after = {0};
    save(&shop, &after, 3);
    struct cw_text right = {0};
    dump(&shop, &right);
    struct saved woven = {.cores = 1, .clock = after.clock};
    uint32_t counts[CW_TABLE_NUMBER_COUNT] = {0};
    weave(&r, &before, &after, &woven, counts);
    for (uint32_t i = 0; i < CW_TABLE_NUMBER_COUNT; i++) {
        cr_assert(gt(u32, counts[i], 0), "table %u has rows that come twice", i);
    }
    for (uint32_t i = 0; i < CW_COUNTOF(batches); i++) {
        struct cw_text now = {0};
        woven.batch = batches[i];
        shop_stop(&shop);
        cr_assert(restore(&shop, &options, &woven, NULL, NULL), "%s", shop.f.fault.text);
        dump(&shop, &now);
        compare_dumps(&(struct course){.seed = batches[i]}, &right, &now, "in batches");
        cr_assert(shop_check(&shop));
        cw_text_deinit(&now);
    }
    cw_text_deinit(&right);
    cw_text_deinit(&before.text);
    cw_text_deinit(&after.text);
    cw_text_deinit(&woven.text);
    shop_close(&shop);
}

/* The records in front of one that is refused are there, the others are not. */
Test(persist, a_batch_is_refused_from_its_first_bad_record_on)
{
    open_all();
    start(&(struct course){0}, 1);
    shop_customer(&shop, "c");
    shop_customer(&shop, "d");
    save(&shop, &saved, 0);
    struct cw_record batch[3];
    size_t at = 0;
    cr_assert(saved_next(&saved, &at, &batch[0]) && saved_next(&saved, &at, &batch[2]));
    cr_assert(batch[0].table == CW_TABLE_customers && batch[2].table == CW_TABLE_customers);
    for (uint32_t wrong = 0; wrong < 4; wrong++) {
        batch[1] = batch[0];
        switch (wrong) {
        case 0: batch[1].table = CW_TABLE_NUMBER_COUNT; break;
        case 1: batch[1].key.bytes = 0; break;
        case 2: batch[1].kind = (enum cw_record_kind)3; break;
        default: batch[1].value.bytes--; break;
        }
        shop_stop(&shop);
        start(&(struct course){0}, 1);
        cw_err err = cw_pipeline_load_batch(shop.pipelines[0], batch, 3, &shop.f.fault);
        cr_assert(eq(int, (int)err, CW_ERR_CORRUPT));
        cr_assert(eq(u64, cw_table_count(shop.pipelines[0]->customers), 1));
    }
    shop_stop(&shop);
    close_all();
}
