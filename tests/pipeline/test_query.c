/* The two indexes, against a sort of what the decisions said. */
#include "core/time.h"
#include "pipeline/decode.h"
#include "pipeline/pipeline.h"
#include "tests/pipeline/program_fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

enum {
    CUSTOMERS = 300,
    LINE_BYTES = 800
};

struct known {
    char customer[16];
    double score, value;
    int64_t at;
    bool in_flight;
};

static struct fixture fixture;
static struct cw_zones *zones;
static struct cw_decoder *decoder;
static struct cw_pipeline *pipeline;
static struct known known[CUSTOMERS];

/* Which of the known it is: the digits after the "C", and no byte behind the view. */
static struct known *by_name(struct cw_view name)
{
    uint32_t number = 0;
    for (uint32_t i = 1; i < name.bytes; i++) {
        number = number * 10 + (uint32_t)(name.data[i] - '0');
    }
    cr_assert(lt(u32, number, CUSTOMERS));
    return &known[number];
}

static void decide(void *self, const struct cw_decision *decision)
{
    (void)self;
    if (decision->customer.data == NULL) {
        return;
    }
    struct known *one = by_name(decision->customer);
    if (decision->kind == CW_DECISION_CANDIDATE) {
        one->score = decision->u.candidate.score;
        one->in_flight = true;
    } else if (decision->kind != CW_DECISION_TOUCH) {
        one->in_flight = false;
    }
}

static void tell(const char *source, const char *type, int64_t at, const char *detail)
{
    static char line[LINE_BYTES + CW_JSON_PADDING];
    char time[CW_TIME_BYTES + 1] = {0};
    cw_time_format(at, time);
    int bytes = snprintf(line, LINE_BYTES,
                         "{\"source\":\"%s\",\"detail-type\":\"%s\",\"time\":\"%s\",\"detail\":%s}",
                         source, type, time, detail);
    struct cw_event event;
    cw_decoder_reset(decoder);
    cw_decode(decoder, (struct cw_view){line, (uint32_t)bytes}, &event);
    cr_assert(ne(int, (int)event.type, (int)CW_EVENT_INVALID));
    event.clock = at;
    const struct cw_event *list[] = {&event};
    cw_pipeline_run(pipeline, list, 1);
}

static const int64_t start = INT64_C(1768694400000); /* 2026-01-18T00:00:00Z */

static void open_shop(void)
{
    struct cw_fault fault;
    char *yaml = read_source(DOCUMENT);
    cr_assert(yaml != NULL);
    fixture_open(&fixture);
    cr_assert(eq(int, fixture_load(&fixture, yaml), CW_ERR_OK));
    free(yaml);
    cr_assert(eq(int, cw_zones_open(&zones, "/usr/share/zoneinfo", &fault), CW_ERR_OK));
    struct cw_decoder_options decoding = {.programs = fixture.programs,
                                          .zones = zones,
                                          .partitions = 256,
                                          .event_bytes_max = CW_EVENT_BYTES_MAX};
    cr_assert(eq(int, cw_decoder_open(&decoder, &decoding, &fault), CW_ERR_OK));
    struct cw_pipeline_options options = {.programs = fixture.programs,
                                          .zones = zones,
                                          .port = {.decide = decide},
                                          .partitions = 256,
                                          .event_bytes_max = CW_EVENT_BYTES_MAX,
                                          .start_ms = start,
                                          .rows_max = 1 << 20,
                                          .bytes_max = 1 << 28};
    cr_assert(eq(int, cw_pipeline_open(&pipeline, &options, &fault), CW_ERR_OK));
    for (uint32_t i = 0; i < CUSTOMERS; i++) {
        char detail[512];
        struct known *one = &known[i];
        (void)snprintf(one->customer, sizeof one->customer, "C%03u", i);
        (void)snprintf(detail, sizeof detail,
                       "{\"customerId\":\"%s\",\"email\":\"a@example.com\",\"phone\":\"+15550100\","
                       "\"pushToken\":\"t\",\"paymentMethodOnFile\":true,\"purchaseHistory\":%u}",
                       one->customer, i * 7 % 40);
        tell("ecommerce.customer", "CustomerUpdated", start, detail);
        one->value = 50 + i * 37 % 900;
        one->at = start + CW_HOUR_MS + i * 10 * CW_MINUTE_MS; /* over two days */
    }
    for (uint32_t i = 0; i < CUSTOMERS; i++) {
        char detail[512];
        (void)snprintf(detail, sizeof detail,
                       "{\"customerId\":\"%s\",\"cartId\":\"K\",\"cartValue\":%g,\"items\":[]}",
                       known[i].customer, known[i].value);
        tell("ecommerce.cart", "CartAbandoned", known[i].at, detail);
        if (i % 5 == 4) { /* some end */
            (void)snprintf(detail, sizeof detail, "{\"customerId\":\"%s\",\"cartId\":\"K\"}",
                           known[i - 2].customer);
            tell("ecommerce.cart", "CartCleared", known[i].at, detail);
        }
    }
}

static void close_shop(void)
{
    cw_pipeline_close(pipeline);
    cw_decoder_close(decoder);
    cw_zones_close(zones);
    fixture_close(&fixture);
}

TestSuite(query, .init = open_shop, .fini = close_shop);

Test(query, by_score_gives_every_candidate_of_the_channel_once_and_best_first)
{
    struct cw_candidate_view list[CUSTOMERS];
    bool seen[CUSTOMERS] = {false};
    uint32_t count = 0;
    for (uint32_t channel = 0; channel < CW_CHANNEL_COUNT; channel++) {
        uint32_t got = cw_pipeline_by_score(pipeline, CW_VIEW("abandoned-cart-recovery"),
                                            (enum cw_channel)channel, list, CUSTOMERS);
        for (uint32_t i = 0; i < got; i++) {
            const struct known *one = by_name(list[i].customer);
            cr_assert(one->in_flight);
            cr_assert(not(seen[one - known]));
            seen[one - known] = true;
            cr_assert(epsilon_eq(dbl, list[i].score, one->score, 0));
            cr_assert(i == 0 || list[i - 1].score >= list[i].score);
        }
        count += got;
    }
    uint32_t in_flight = 0;
    for (uint32_t i = 0; i < CUSTOMERS; i++) {
        in_flight += known[i].in_flight;
    }
    cr_assert(gt(u32, in_flight, 100));
    cr_assert(eq(u32, count, in_flight));
}

Test(query, by_score_fills_no_more_than_its_room_with_the_best)
{
    struct cw_candidate_view all[CUSTOMERS];
    struct cw_candidate_view few[7];
    struct cw_view program = CW_VIEW("abandoned-cart-recovery");
    uint32_t got = cw_pipeline_by_score(pipeline, program, CW_CHANNEL_SMS, all, CUSTOMERS);
    cr_assert(gt(u32, got, 7));
    cr_assert(eq(u32, cw_pipeline_by_score(pipeline, program, CW_CHANNEL_SMS, few, 7), 7));
    for (uint32_t i = 0; i < 7; i++) {
        cr_assert(cw_view_equal(few[i].customer, all[i].customer));
    }
}

Test(query, by_value_gives_a_days_candidates_highest_first)
{
    struct cw_candidate_view list[CUSTOMERS];
    uint32_t count = 0;
    for (int64_t day = start; day < start + 4 * CW_DAY_MS; day += CW_DAY_MS) {
        uint32_t got = cw_pipeline_by_value(pipeline, CW_VIEW("abandoned-cart-recovery"),
                                            day + CW_HOUR_MS, list, CUSTOMERS);
        for (uint32_t i = 0; i < got; i++) {
            const struct known *one = by_name(list[i].customer);
            cr_assert(one->in_flight);
            cr_assert(one->at >= day && one->at < day + CW_DAY_MS);
            cr_assert(epsilon_eq(dbl, list[i].cart_value, one->value, 0));
            cr_assert(i == 0 || list[i - 1].cart_value >= list[i].cart_value);
        }
        count += got;
    }
    uint32_t in_flight = 0;
    for (uint32_t i = 0; i < CUSTOMERS; i++) {
        in_flight += known[i].in_flight;
    }
    cr_assert(eq(u32, count, in_flight));
}

Test(query, of_an_unknown_program_there_is_nothing)
{
    struct cw_candidate_view list[1];
    cr_assert(eq(u32, cw_pipeline_by_score(pipeline, CW_VIEW("no"), CW_CHANNEL_SMS, list, 1), 0));
    cr_assert(eq(u32, cw_pipeline_by_value(pipeline, CW_VIEW("no"), start, list, 1), 0));
}
