/* What is wrong with a program file, where that is said, and what is said to do about it. */
#include "tests/pipeline/program_fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static struct fixture f;
static char *document;

static void setup(void)
{
    cr_assert(fixture_open(&f));
    document = read_source(DOCUMENT);
    cr_assert(ne(ptr, document, NULL));
}

static void teardown(void)
{
    fixture_close(&f);
    free(document);
}

TestSuite(program_problems, .init = setup, .fini = teardown);

#define TAIL    "candidateTTLDays: 7"
#define MORE    "candidateTTLDays: 7\n"
#define MARKETS "[\"US\", \"UK\", \"DE\", \"FR\", \"JP\", \"IN\", \"BR\", \"AU\"]"
#define PATTERN                                  \
    "      eventPattern:\n"                      \
    "        source: [\"ecommerce.cart\"]\n"     \
    "        detail-type: [\"CartAbandoned\"]\n" \
    "        detail:\n"                          \
    "          cartValue: [50, 999999]  # Min $50\n"
#define MESSAGE                                                           \
    "      message: \"Hi {customerName}! Your cart is waiting. Use code " \
    "{discountCode} for {discountPercent}% off. Shop now: {cartLink}\"\n"
#define DISCOUNT                                                  \
    "discountStrategy:\n  enabled: true\n  defaultDiscount: 10\n" \
    "  dynamicDiscounting: true\n  maxDiscount: 20\n"

struct broken {
    const char *find, *replace; /* one patch of the document */
    uint32_t line, column;
    const char *says[3]; /* each must stand in the one error's text */
};

static const struct broken table[] = {
    /* keys */
    {"programId: \"abandoned-cart-recovery\"\n", "", 1, 1, {"\"programId\" is missing", "add it"}},
    {"programId:",
     "programID:",
     1,
     1,
     {"unknown key \"programID\"", "did you mean \"programId\"?"}},
    {"chann", "chan", 45, 1, {"did you mean \"channels\"?"}},
    {"eventPattern:", "eventPatern:", 11, 7, {"an event source's config", "\"eventPattern\"?"}},
    {"    priority: 1\n",
     "    priority: 1\n    delayMinutes: 5\n",
     50,
     5,
     {"belongs in a channel's config"}},
    {"minCartValue", "minCartVal", 30, 7, {"did you mean \"minCartValue\"?"}},
    {"      requireInStock: true", "      colour: red", 43, 7, {"known are minCartValue"}},
    {TAIL, MORE TAIL, 85, 1, {"written twice", "line 84", "keep one"}},
    {"    order: 3",
     "    order: 3\n    parameters: {minCartValue: 3}",
     34,
     18,
     {"belongs in the parameters of a business-rule"}},
    {"channels:\n",
     "channels:\n  - hello\n",
     46,
     5,
     {"a channel must be a mapping", "the string \"hello\""}},
    /* types */
    {"\"abandoned-cart-recovery\"",
     "42",
     1,
     12,
     {"must be a string", "the number 42", "in quotes"}},
    {"\"abandoned-cart-recovery\"", "", 1, 11, {"nothing", "write a value"}},
    {"\"abandoned-cart-recovery\"", "\"\"", 1, 12, {"is empty"}},
    {"\"abandoned-cart-recovery\"", "\"a\\0b\"", 1, 12, {"control character"}},
    {"\"abandoned-cart-recovery\"", "[a]", 1, 12, {"must be a string", "a list"}},
    {"enabled: true\nm", "enabled: yes\nm", 3, 10, {"true or false", "\"yes\"", "write true"}},
    {"enabled: true\nm", "enabled: \"false\"\nm", 3, 10, {"the string \"false\"", "write false"}},
    {MARKETS, "US", 4, 15, {"a list of strings"}},
    {MARKETS, "[]", 4, 15, {"1 to 64 items, not 0"}},
    {"\"UK\"", "7", 4, 22, {"must be a string", "the number 7"}},
    {"\"UK\"", "\"US\"", 4, 22, {"\"US\" stands twice"}},
    {"minCartValue: 50",
     "minCartValue: \"50\"",
     30,
     21,
     {"must be a number", "the string \"50\"", "without quotes"}},
    {"minCartValue: 50",
     "minCartValue: 0x32",
     30,
     21,
     {"must be a number", "0x32", "plain number"}},
    {"delayMinutes: 60", "delayMinutes: {US: 60}", 52, 21, {"must be a number", "a mapping"}},
    {DISCOUNT, "discountStrategy: true\n", 73, 19, {"must be a mapping, not true"}},
    {"requireInStock: true", "requireInStock: 1", 43, 23, {"true or false", "the number 1"}},
    /* words */
    {"\"eventbridge\"",
     "kafka",
     8,
     11,
     {"\"type\" cannot be \"kafka\"", "known is only eventbridge"}},
    {"\"business-rule\"", "\"buisness-rule\"", 27, 11, {"did you mean \"business-rule\"?"}},
    {"type: \"sms\"", "type: \"SMS\"", 56, 11, {"did you mean \"sms\"?"}},
    {"type: \"sms\"", "type: \"carrier pigeon\"", 56, 11, {"known are email, sms, push"}},
    {TAIL, MORE "onReabandon: restrat", 85, 14, {"did you mean \"restart\"?"}},
    {TAIL, MORE "onNewCart: 1", 85, 12, {"must be a word", "supersede, parallel"}},
    {"  maxDiscount",
     "  strategy: expectedProfit\n  maxDiscount",
     77,
     13,
     {"not available in this version", "write rule"}},
    /* ranges */
    {TAIL, "candidateTTLDays: 366", 84, 19, {"above 0 and at most 365 days, not 366"}},
    {TAIL, MORE "holdoutPercent: 100.5", 85, 17, {"from 0 to 100 percent, not 100.5"}},
    {TAIL, MORE "codeValidHours: 0", 85, 17, {"above 0"}},
    {"  ttlDays: 7", "  ttlDays: -1", 81, 12, {"above 0 and at most 365 days, not -1"}},
    {"minCartValue: 50", "minCartValue: -0.5", 30, 21, {"from 0", "not -0.5"}},
    {"minCartValue: 50", "minCartValue: 1e999", 30, 21, {"1e999"}},
    {"PerWeek: 2", "PerWeek: 2.5", 38, 33, {"a whole number", "2.5"}},
    {"PerWeek: 2", "PerWeek: -2", 38, 33, {"a whole number", "-2"}},
    {"delayHours: 72", "delayHours: 8761", 68, 19, {"from 0 to 8760 hours"}},
    {"maxDiscount: 20", "maxDiscount: 101", 77, 16, {"from 0 to 100 percent"}},
    {"maxDiscount: 20", "maxDiscount: 20\n  discountStep: 0", 78, 17, {"above 0"}},
    {"priority: 1", "priority: 1\n    retries: 101", 50, 14, {"from 0 to 100"}},
    {"priority: 1", "priority: 1\n    ratePerSecond: 0", 50, 20, {"above 0"}},
    {"order: 2", "order: 1.5", 28, 12, {"a whole number"}},
    /* what depends on two keys */
    {"maxDiscount: 20",
     "maxDiscount: 5",
     77,
     16,
     {"\"maxDiscount\" 5 is less than \"defaultDiscount\" 10"}},
    {"defaultDiscount: 10\n  dynamicDiscounting: true\n  maxDiscount: 20",
     "maxDiscount: 5",
     75,
     16,
     {"(its default)"}},
    {"order: 2", "order: 1", 28, 12, {"order 1 is taken by the filter of line 25"}},
    {"\"cart-value\"", "\"trust\"", 26, 15, {"filterId \"trust\" is taken by item 1"}},
    {"channelId: \"sms\"",
     "channelId: \"email\"",
     55,
     16,
     {"channelId \"email\" is taken by item 1"}},
    {"    parameters:\n      minCartValue: 50\n", "", 26, 5, {"asks for nothing", "minCartValue"}},
    {"minCartValue: 50",
     "minCartValue: {US: 50, UX: 40}",
     30,
     30,
     {"\"UX\" is not among", "did you mean \"US\"?"}},
    {"delayMinutes: 60",
     "delayMinutes: 60\n      delayHours: 1",
     53,
     7,
     {"both given", "keep one"}},
    {"      delayMinutes: 60\n",
     "",
     50,
     5,
     {"needs a delay", "\"delayMinutes\" or \"delayHours\""}},
    {"delayHours: 72",
     "delayHours: 168",
     68,
     19,
     {"never be sent", "168 hours", "raise candidateTTLDays"}},
    {TAIL, "candidateTTLDays: 2", 68, 19, {"never be sent", "48 hours"}},
    {"      templateId: \"cart-recovery-v3\"\n", "", 50, 5, {"of type email needs \"templateId\""}},
    {MESSAGE, "", 59, 5, {"of type sms needs \"message\""}},
    {"      title: \"Last Chance!\"\n",
     "      title: \"Last Chance!\"\n      subject: s\n",
     70,
     7,
     {"\"subject\" is for channels of type email", "\"title\" and \"body\""}},
    {"priority: 3",
     "priority: 3\n    from: me",
     67,
     5,
     {"\"from\" is for channels of type email and sms"}},
    {"priority: 1\n    config:\n",
     "priority: 1\n    retries: 1\n    config:\n      retries: 2\n",
     52,
     7,
     {"stands in the channel and in its config"}},
    {"onlyIfNotConverted: true",
     "onlyIfNotConverted: false",
     62,
     27,
     {"a converted cart is never reminded"}},
    {"cart-recovery-v3",
     "cart-recovery-v2",
     51,
     19,
     {"no template", "did you mean \"cart-recovery-v3\"?"}},
    {"sagemaker://purchase-intent-v4",
     "model://purchase-intent-v5",
     19,
     15,
     {"no model \"purchase-intent-v5\"", "did you mean \"purchase-intent-v4\"?"}},
    {"sagemaker://", "https://", 19, 15, {"model://NAME or sagemaker://NAME"}},
    {"email_engagement",
     "email_engagment",
     20,
     50,
     {"no feature \"email_engagment\"", "did you mean \"email_engagement\"?"}},
    {"  - modelId: \"purchase",
     "  - modelId: x\n  - modelId: \"purchase",
     18,
     3,
     {"0 to 1 items, not 2"}},
    {"{customerId}:{cartId}", "{cartId}", 82, 14, {"must contain {customerId}", "per customer"}},
    {"{customerId}:", "{customerID}:", 82, 14, {"no field {customerID}", "\"customerId\"?"}},
    {"{customerId}:", "{customerId:", 82, 14, {"a brace without its partner"}},
    {"{customerId}:", "{customerId}:}", 82, 14, {"a brace without its partner"}},
    {TAIL, MORE "quietHours: {start: \"21:00\", end: \"21:00\"}", 85, 35, {"at the same time"}},
    {TAIL,
     MORE "quietHours: {start: \"24:00\", end: \"08:00\"}",
     85,
     21,
     {"a time of day", "\"HH:MM\""}},
    {TAIL, MORE "quietHours: {start: \"09:00\"}", 85, 13, {"\"end\" is missing in quietHours"}},
    {TAIL, MORE "abandonmentDetection: {}", 85, 23, {"\"sessionTimeoutMinutes\" is missing"}},
    {"      title:",
     "      variants: [{name: a, share: 0.5}, {name: b, share: 0.4}]\n      title:",
     69,
     7,
     {"sum to 0.9, not to 1"}},
    {"      title:",
     "      variants: [{name: a, share: 0.5}, {name: a, share: 0.5}]\n      title:",
     69,
     48,
     {"name \"a\" is taken by item 1"}},
    {"      title:",
     "      variants: [{name: a, share: 50}]\n      title:",
     69,
     35,
     {"above 0 and at most 1, not 50"}},
    {"      title:",
     "      variants: [{name: a, share: 1, delayHours: 169}]\n      title:",
     69,
     50,
     {"never be sent"}},
    /* patterns */
    {PATTERN, "      eventPattern: [x]\n", 11, 21, {"must be a mapping, not a list"}},
    {"      eventPattern:",
     "      awsEventPattern: {source: [x]}\n      eventPattern:",
     12,
     7,
     {"remove one"}},
    {PATTERN, "", 9, 5, {"\"eventPattern\" is missing"}},
    {"[\"CartAbandoned\"]", "[0x1F]", 13, 23, {"0x1F", "in quotes"}},
    {"[\"CartAbandoned\"]", "\"CartAbandoned\"", 13, 9, {"pattern", "detail-type"}},
    {"[50, 999999]", "[{numerc: [\">\", 5]}]", 15, 11, {"numeric"}},
    {"[50, 999999]  #", "[]  #", 15, 11, {"at detail.cartValue"}},
    {"[50, 999999]  #", "{}  #", 15, 11, {"at detail.cartValue"}},
    {"[50, 999999]  #",
     "[50, 999999]\n          $or: [{a: [1]}, {b: {c: 5}}]  #",
     16,
     32,
     {"at detail.$or[1].b.c"}},
    {"[50, 999999]  #", "[50, 999999]\n          a.b: {c: x}  #", 16, 17, {"at detail.a.b.c"}},
    {"        detail:\n          cartValue: [50, 999999]",
     "        detail: {}",
     14,
     9,
     {"at detail"}},
    /* texts */
    {"off inside", "off {insied}", 53, 67, {"insied"}},
    {"{customerName}", "{customername}", 61, 20, {"customerName"}},
    {"\"Last Chance!\"", "\"Last\\nChance!\"", 69, 14, {"a line break", "on one line"}},
    /* the language */
    {"programName", "programName: x\n\tfoo", 3, 1, {"not YAML", "instead of the tab"}},
    {"enabled: true\nm", "enabled: &on true\nm", 3, 10, {"anchors"}},
    {"enabled: true\nm", "enabled: !!bool true\nm", 3, 10, {"tags"}},
    {TAIL, MORE "minGapMinutes: *gap", 85, 16, {"aliases"}},
    {TAIL, MORE "<<: *gap", 85, 5, {"merge keys"}},
    {TAIL, MORE "---\nprogramId: b", 85, 1, {"one file holds one program"}},
};

static bool holds(const struct broken *row)
{
    const struct cw_problem *found = find_problem(&f, row->line, row->column, row->says[0]);
    for (int i = 0; i < 3 && found != NULL; i++) {
        if (row->says[i] != NULL && strstr(found->text, row->says[i]) == NULL) {
            found = NULL;
        }
    }
    return found != NULL && !found->remark;
}

Test(program_problems, each_is_told_once_at_its_place_with_a_remedy)
{
    uint32_t wrong = 0;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct broken *row = &table[i];
        char *text = patched(document, row->find, row->replace);
        cr_assert(ne(ptr, text, NULL), "row %zu: not in the document", i);
        cw_err err = fixture_load(&f, text);
        if (err != CW_ERR_INVALID || !holds(row) || f.problems.errors != 1) {
            (void)fprintf(stderr, "row %zu wants %u:%u %s\n", i, row->line, row->column,
                          row->says[0]);
            print_problems(&f);
            wrong++;
        }
        free(text);
    }
    cr_assert(eq(u32, wrong, 0));
}

Test(program_problems, all_of_a_file_are_told_in_the_order_of_its_lines)
{
    static const char *const patches[][2] = {
        {"enabled: true\nm", "enabled: 1\nm"},
        {"\"eventbridge\"", "eventbrige"},
        {"order: 2", "order: two"},
        {"type: \"sms\"", "type: sns"},
        {"maxDiscount: 20", "maxDiscount: 200"},
        {"  keyFormat", "  keyFromat"},
        {TAIL, "candidateTTLDays: 0"},
    };
    char *text = patched(document, "programName", "programNaem");
    for (size_t i = 0; i < sizeof patches / sizeof patches[0]; i++) {
        char *next = patched(text, patches[i][0], patches[i][1]);
        cr_assert(ne(ptr, next, NULL));
        free(text);
        text = next;
    }
    cr_assert(eq(int, fixture_load(&f, text), CW_ERR_INVALID));
    print_problems(&f);
    static const uint32_t lines[] = {2, 3, 8, 28, 56, 77, 82, 84};
    uint32_t errors = 0;
    for (uint32_t i = 0; i < f.problems.count; i++) {
        if (!f.problems.list[i].remark) {
            cr_assert(eq(u32, f.problems.list[i].line, lines[errors]));
            errors++;
        }
    }
    cr_assert(eq(u32, errors, 8));
    cr_assert(ne(ptr, strstr(f.fault.text, "8 errors"), NULL));
    cr_assert(eq(ptr, f.programs, NULL));
    free(text);
}

Test(program_problems, remarks_do_not_stop_a_program)
{
    static const struct broken remarks[] = {
        {"\"AU\"", "\"CA\"", 4, 58, {"\"CA\""}},
        {"\"AU\"", "\"us\"", 4, 58, {"did you mean \"US\"?"}},
        {"discountStrategy:\n  enabled: true",
         "discountStrategy:\n  enabled: false",
         53,
         16,
         {"no discountStrategy is enabled"}},
        {"defaultDiscount: 10\n  dynamicDiscounting: true\n  maxDiscount: 20",
         "defaultDiscount: 1\n  dynamicDiscounting: true\n  maxDiscount: 4",
         73,
         1,
         {"always 0"}},
    };
    for (size_t i = 0; i < sizeof remarks / sizeof remarks[0]; i++) {
        const struct broken *row = &remarks[i];
        char *text = patched(document, row->find, row->replace);
        cw_err err = fixture_load(&f, text);
        print_problems(&f);
        cr_assert(eq(int, err, CW_ERR_OK), "row %zu", i);
        const struct cw_problem *p = find_problem(&f, row->line, row->column, row->says[0]);
        cr_assert(p != NULL && p->remark, "row %zu", i);
        free(text);
    }
}

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint32_t next_random(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 11) % below);
}

/* Whatever one does to a file, it loads or says a line for each thing that is wrong. */
Test(program_problems, no_mutation_crashes_and_every_error_names_a_line)
{
    static const char *const pieces[] = {
        "{",     "}",     "[",        "]",      ":",     "-",  ",",          "\n",   " ",
        "\"",    "*a",    "&a ",      "!!x ",   "#",     "|",  "\t",         "\xff", "0",
        "-1",    "1e999", "null",     "true",   "{}",    "[]", "enabled: 1", "%",    "<<: ",
        "\\x00", "\x07",  "channels", "type: ", "- - -", "? ", "'",          ">-\n", "---\n",
    };
    size_t bytes = strlen(document);
    for (int round = 0; round < 3000; round++) {
        char *text = malloc(bytes + 256);
        memcpy(text, document, bytes + 1);
        size_t now = bytes;
        for (uint32_t i = 1 + next_random(4); i > 0; i--) {
            const char *piece = pieces[next_random(sizeof pieces / sizeof pieces[0])];
            size_t at = next_random((uint32_t)now);
            size_t cut = next_random(3) == 0 ? next_random(12) : 0;
            cut = cut > now - at ? now - at : cut;
            size_t add = strlen(piece);
            memmove(text + at + add, text + at + cut, now - at - cut + 1);
            memcpy(text + at, piece, add);
            now += add - cut;
        }
        cw_err err = fixture_load_bytes(&f, text, now);
        cr_assert(eq(int, err == CW_ERR_INVALID, f.problems.errors > 0));
        for (uint32_t i = 0; i < f.problems.count; i++) {
            cr_assert(gt(u32, f.problems.list[i].line, 0));
            cr_assert(gt(u32, f.problems.list[i].column, 0));
        }
        free(text);
    }
}

/* The end of a word is where typing slips: each key of the document loses or doubles a letter. */
Test(program_problems, every_slip_in_a_key_is_told_on_its_line)
{
    uint32_t line = 1;
    for (const char *p = document; *p != '\0'; p++) {
        line += *p == '\n';
        const char *colon = strchr(p, ':');
        bool starts = p == document || p[-1] == ' ' || p[-1] == '\n';
        size_t word = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
        bool in_pattern = line >= 12 && line <= 15;
        if (!starts || word < 4 || colon != p + word || in_pattern) {
            continue;
        }
        for (int slip = 0; slip < 2; slip++) {
            size_t at = (size_t)(p - document) + word / 2;
            char *text = malloc(strlen(document) + 2);
            (void)snprintf(text, strlen(document) + 2, "%.*s%s%s", (int)at, document,
                           slip == 0 ? "" : "q", document + at + (slip == 0 ? 1 : 0));
            cr_assert(eq(int, fixture_load(&f, text), CW_ERR_INVALID));
            bool told = false;
            char meant[64];
            (void)snprintf(meant, sizeof meant, "did you mean \"%.*s\"?", (int)word, p);
            for (uint32_t i = 0; i < f.problems.count; i++) {
                told = told || (f.problems.list[i].line == line &&
                                strstr(f.problems.list[i].text, meant) != NULL);
            }
            if (!told) {
                (void)fprintf(stderr, "line %u, %s\n", line, meant);
                print_problems(&f);
            }
            cr_assert(told);
            free(text);
        }
    }
}
