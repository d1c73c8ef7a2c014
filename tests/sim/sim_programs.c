/* sim_programs: what the engine runs: three programs of different shapes, each in two versions. */
#include "tests/pipeline/program_fixture.h"
#include "tests/sim/sim.h"

/* The document's journey: capped, with a gap, discounts and a look at the stock. */
#define RESCUE(SUBJECT, CAP)                                                                   \
    "programId: rescue\n"                                                                      \
    "eventSources: [{config: {eventPattern: {source: [ecommerce.cart], detail-type: "          \
    "[CartAbandoned], detail: {cartValue: [10, 999999]}}}}]\n"                                 \
    "filterChain: [{filterId: t, type: trust, order: 1}, {filterId: e, type: eligibility, "    \
    "order: 2}, {filterId: c, type: business-rule, order: 3, parameters: {minCartValue: 20, "  \
    "maxRecoveryEmailsPerWeek: " CAP ", requireInStock: true}}]\n"                             \
    "channels: [{channelId: e, type: email, config: {delayMinutes: 60, templateId: "           \
    "cart-recovery-v3, subject: " SUBJECT "}}, {channelId: s, type: sms, config: {delayHours: " \
    "24, message: M}}, {channelId: p, type: push, config: {delayHours: 72, title: T, body: B " \
    "today}}]\n"                                                                               \
    "discountStrategy: {defaultDiscount: 10, dynamicDiscounting: true, maxDiscount: 20}\n"     \
    "deduplication: {enabled: true, ttlDays: 3, keyFormat: "                                   \
    "\"{customerId}:{cartId}:{programId}\"}\n"                                                 \
    "minGapMinutes: 30\n"

/* Several carts at once, quiet nights, codes of the customer's own. */
#define SECOND(SUBJECT)                                                                        \
    "programId: second\n"                                                                      \
    "eventSources: [{config: {eventPattern: {source: [ecommerce.cart]}}}]\n"                   \
    "filterChain: [{filterId: t, type: trust, parameters: {allowUnknown: true, "               \
    "requirePaymentMethod: false}}, {filterId: e, type: eligibility}]\n"                       \
    "channels: [{channelId: a, type: sms, config: {delayMinutes: 10, message: M}}, "           \
    "{channelId: b, type: email, config: {delayMinutes: 40, templateId: offer, subject: "      \
    SUBJECT "}}, {channelId: c, type: sms, config: {delayHours: 30, message: "                 \
    "\"{discountCode}\"}}]\n"                                                                  \
    "discountStrategy: {defaultDiscount: 5}\n"                                                 \
    "discountCodes: unique\n"                                                                  \
    "deduplication: {enabled: false}\n"                                                        \
    "candidateTTLDays: 2\n"                                                                    \
    "onNewCart: parallel\n"                                                                    \
    "onReabandon: update\n"                                                                    \
    "minGapMinutes: 90\n"                                                                      \
    "quietHours: {start: \"21:00\", end: \"08:30\"}\n"

/* Sessions that end, customers held out, mails that are sent again when nobody knows. */
#define THIRD(SUBJECT, CAP)                                                                  \
    "programId: third\n"                                                                     \
    "eventSources: [{config: {eventPattern: {source: [ecommerce.cart], detail-type: "        \
    "[CartAbandoned]}}}]\n"                                                                  \
    "filterChain: [{filterId: e, type: eligibility}, {filterId: m, type: business-rule, "    \
    "parameters: {maxRecoveryEmailsPerWeek: " CAP "}}]\n"                                    \
    "channels: [{channelId: a, type: push, config: {delayMinutes: 5, title: T, body: B}}, "  \
    "{channelId: b, type: email, onUnknown: resend, config: {delayHours: 3, templateId: "    \
    "cart-recovery-v3, subject: " SUBJECT "}}]\n"                                            \
    "holdoutPercent: 10\n"                                                                   \
    "onReabandon: restart\n"                                                                 \
    "minGapMinutes: 0\n"                                                                     \
    "candidateTTLDays: 6\n"                                                                  \
    "deduplication: {ttlDays: 5, keyFormat: \"{customerId}:{cartId}\"}\n"                    \
    "abandonmentDetection: {sessionTimeoutMinutes: 45}\n"

static const char *const texts[2][SIM_PROGRAMS] = {
    {RESCUE("S", "2"), SECOND("S"), THIRD("S", "3")},
    {RESCUE("Other", "3"), SECOND("Other"), THIRD("Other", "4")}};

const struct sim_program_facts sim_programs[SIM_PROGRAMS] = {
    {.id = "rescue",
     .email_cap = {2, 3},
     .touches = 3,
     .touch = {{CW_CHANNEL_EMAIL, CW_ON_UNKNOWN_DEFAULT},
               {CW_CHANNEL_SMS, CW_ON_UNKNOWN_DEFAULT},
               {CW_CHANNEL_PUSH, CW_ON_UNKNOWN_DEFAULT}}},
    {.id = "second",
     .touches = 3,
     .touch = {{CW_CHANNEL_SMS, CW_ON_UNKNOWN_DEFAULT},
               {CW_CHANNEL_EMAIL, CW_ON_UNKNOWN_DEFAULT},
               {CW_CHANNEL_SMS, CW_ON_UNKNOWN_DEFAULT}}},
    {.id = "third",
     .email_cap = {3, 4},
     .touches = 2,
     .touch = {{CW_CHANNEL_PUSH, CW_ON_UNKNOWN_DEFAULT},
               {CW_CHANNEL_EMAIL, CW_ON_UNKNOWN_RESEND}}}};

static struct fixture fixture;
static struct cw_zones *zones;

bool sim_prepare(void)
{
    return fixture_open(&fixture) &&
           cw_zones_open(&zones, "/usr/share/zoneinfo", &fixture.fault) == CW_ERR_OK;
}

const struct cw_zones *sim_zones(void)
{
    return zones;
}

struct cw_programs *sim_programs_load(uint32_t version, uint32_t count)
{
    struct cw_program_file files[SIM_PROGRAMS];
    for (uint32_t i = 0; i < count; i++) {
        const char *yaml = texts[version][i];
        files[i] = (struct cw_program_file){.path = "p.yaml",
                                            .yaml = {yaml, (uint32_t)strlen(yaml)}};
    }
    struct cw_programs *programs = NULL;
    struct cw_program_needs needs = fixture_needs(&fixture);
    if (cw_programs_load(&programs, files, count, &needs, &fixture.problems, &fixture.fault) !=
        CW_ERR_OK) {
        print_problems(&fixture);
        return NULL;
    }
    return programs;
}

bool sim_templates_open(struct cw_templates **templates)
{
    static const char *const files[] = {"cart-recovery-v3.html", "cart-recovery-v3.txt",
                                        "offer.html", "offer.txt"};
    static const char text[] = "Hi {{customerName}}{{#discount}} {{discountCode}}{{/discount}}";
    bool good = cw_templates_open(templates, &fixture.fault) == CW_ERR_OK;
    for (uint32_t i = 0; good && i < CW_COUNTOF(files); i++) {
        struct cw_view name = {files[i], (uint32_t)strlen(files[i])};
        good = cw_templates_add(*templates, name, CW_VIEW(text), &fixture.fault) == CW_ERR_OK;
    }
    return good;
}

uint32_t sim_program_find(struct cw_view id)
{
    uint32_t i = 0;
    while (i < SIM_PROGRAMS &&
           !cw_view_equal(id, (struct cw_view){sim_programs[i].id,
                                               (uint32_t)strlen(sim_programs[i].id)})) {
        i++;
    }
    return i;
}
