#include "pipeline/model.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <math.h>
#include <stdio.h>

/*
 * The expected bits come from this, an implementation of the format of its own:
 *
 *   def score(model, known):
 *       s = model["bias"]
 *       for f in model["features"]:
 *           if f["name"] == "category":
 *               s += f["weights"].get(known.get("category"), f.get("other", 0.0)); continue
 *           v = known.get(f["name"])
 *           if v is None: v = f.get("missing", 0.0)
 *           else: v = min(max(float(v), f.get("min", -inf)), f.get("max", inf))
 *           t = math.log1p(v) if f.get("transform") == "log1p" else v
 *           s += f["weight"] * (t - f.get("center", 0.0)) / f.get("scale", 1.0)
 *       return 1 / (1 + math.exp(-s))
 */

static struct cw_fault fault;

static struct cw_model *open_text(const char *text)
{
    struct cw_model *model = NULL;
    struct cw_view view = {text, (uint32_t)strlen(text)};
    fault = (struct cw_fault){0};
    return cw_model_open(&model, view, "m.json", &fault) == CW_ERR_OK ? model : NULL;
}

static struct cw_model *open_shipped(void)
{
    static char text[8192];
    FILE *file = fopen(CW_SOURCE_DIR "/tools/models/purchase-intent-v4.json", "rb");
    cr_assert(ne(ptr, file, NULL));
    size_t bytes = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[bytes] = '\0';
    struct cw_model *model = open_text(text);
    cr_assert(ne(ptr, model, NULL), "%s", fault.text);
    return model;
}

/* In the order of CW_FEATURES. */
static struct cw_features known(double history, double average, double abandonment,
                                double engagement, double value, double count, double sensitivity,
                                const char *category)
{
    return (struct cw_features){
        .numeric = {history, average, abandonment, engagement, value, count, sensitivity},
        .category = {category, category == NULL ? 0 : (uint32_t)strlen(category)}};
}

struct expectation {
    double history, average, abandonment, engagement, value, count, sensitivity;
    const char *category;
    double score;
};

Test(model, scores_as_another_implementation_does_to_the_bit)
{
    static const struct expectation cases[] = {
        {12, 85, 0.35, 0.75, 150, 3, 0.8, "Electronics", 0x1.8f65089a8e987p-1},
        {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NULL, 0x1.4e0d44186569dp-2},
        {NAN, 85, 0.35, 0.75, 150, 3, 0.8, "Electronics", 0x1.256664409c9e4p-1},
        {0, 40, 0.95, 0.05, 400, 2, 0.9, "Clothing", 0x1.a8804d6638310p-6},
        {40, 200, 0.15, 0.95, 60, 5, 0.1, "Grocery", 0x1.fa3578e2e2be6p-1},
        {1000, 1e6, 1, 0, 1e12, 1e6, 0, "Nothing", 0x1.6e71192d9cd55p-1},
        {NAN, NAN, NAN, NAN, 60, 1, NAN, NULL, 0x1.9ce27a05b89b7p-2},
        {NAN, NAN, NAN, NAN, 300, 4, NAN, "Books", 0x1.68741eab29175p-2},
    };
    struct cw_model *model = open_shipped();
    for (uint32_t i = 0; i < CW_COUNTOF(cases); i++) {
        const struct expectation *c = &cases[i];
        struct cw_features f = known(c->history, c->average, c->abandonment, c->engagement,
                                     c->value, c->count, c->sensitivity, c->category);
        double score = cw_model_score(model, &f);
        /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): bit for bit */
        cr_assert(eq(int, memcmp(&score, &c->score, sizeof score), 0), "case %u: %a, not %a", i,
                  score, c->score);
    }
    cw_model_close(model);
}

Test(model, gives_the_documents_example_its_score)
{
    struct cw_model *model = open_shipped();
    struct cw_features f = known(12, 85, 0.35, 0.75, 150, 3, 0.8, "Electronics");
    cr_assert(lt(dbl, fabs(cw_model_score(model, &f) - 0.78), 0.002));
    cr_assert(cw_view_equal(cw_model_name(model), CW_VIEW("purchase-intent-v4")));
    cr_assert(cw_view_equal(cw_model_version(model), CW_VIEW("4.0.0")));
    cw_model_close(model);
}

Test(model, has_directions_that_a_marketer_would_defend)
{
    struct cw_model *model = open_shipped();
    struct cw_features base = known(5, 100, 0.6, 0.4, 150, 3, 0.5, "Home");
    static const int sign[CW_FEATURE_COUNT] = {1, 1, -1, 1, -1, 1, -1};
    for (int i = 0; i < CW_FEATURE_COUNT; i++) {
        struct cw_features more = base;
        more.numeric[i] = more.numeric[i] < 1 ? more.numeric[i] + 0.2 : more.numeric[i] * 2;
        double change = cw_model_score(model, &more) - cw_model_score(model, &base);
        cr_assert(gt(dbl, change * sign[i], 0.005), "feature %d changes it by %g", i, change);
    }
    cw_model_close(model);
}

#define HEAD                                                              \
    "{\"format\":\"cartwheel-model\",\"formatVersion\":1,\"name\":\"m\"," \
    "\"version\":\"1\",\"kind\":\"logistic\","

Test(model, fills_in_the_defaults_of_the_format)
{
    struct cw_model *model =
        open_text(HEAD "\"bias\":0,\"features\":[{\"name\":\"cart_value\",\"weight\":2}]}");
    cr_assert(ne(ptr, model, NULL), "%s", fault.text);
    struct cw_features f = known(NAN, NAN, NAN, NAN, NAN, NAN, NAN, NULL);
    cr_assert(eq(dbl, cw_model_score(model, &f), 0.5)); /* missing is 0 */
    f.numeric[CW_FEATURE_cart_value] = 0.5;
    cr_assert(eq(dbl, cw_model_score(model, &f), 1 / (1 + exp(-1.0))));
    cr_assert(cw_model_has_feature(model, CW_VIEW("cart_value")));
    cr_assert(not(cw_model_has_feature(model, CW_VIEW("category"))));
    const char *const *names = cw_model_feature_names(model);
    cr_assert(eq(str, (char *)(uintptr_t)names[0], "cart_value"));
    cr_assert(eq(ptr, (void *)(uintptr_t)names[1], NULL));
    cw_model_close(model);
}

Test(model, knows_every_category_and_treats_others_alike)
{
    char text[8192];
    size_t used = (size_t)snprintf(
        text, sizeof text,
        HEAD "\"bias\":0,\"features\":[{\"name\":\"category\",\"other\":-9,\"weights\":{");
    for (int i = 0; i < 64; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s\"category-%.*s%d\":%d",
                                 i == 0 ? "" : ",", i % 3, "xyz", i, i);
    }
    (void)snprintf(text + used, sizeof text - used, "}}]}");
    struct cw_model *model = open_text(text);
    cr_assert(ne(ptr, model, NULL), "%s", fault.text);
    for (int i = -1; i < 64; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "category-%.*s%d", i < 0 ? 0 : i % 3, "xyz", i);
        struct cw_features f = known(NAN, NAN, NAN, NAN, NAN, NAN, NAN, name);
        double expected = 1 / (1 + exp(i < 0 ? 9.0 : -(double)i));
        cr_assert(eq(dbl, cw_model_score(model, &f), expected), "%s", name);
    }
    struct cw_features none = known(NAN, NAN, NAN, NAN, NAN, NAN, NAN, NULL);
    struct cw_features empty = known(NAN, NAN, NAN, NAN, NAN, NAN, NAN, "");
    cr_assert(eq(dbl, cw_model_score(model, &none), 1 / (1 + exp(9.0))));
    cr_assert(eq(dbl, cw_model_score(model, &empty), 1 / (1 + exp(9.0))));
    cw_model_close(model);
}

Test(model, explains_parts_that_sum_to_the_score)
{
    struct cw_model *model = open_shipped();
    struct cw_features f = known(12, NAN, 0.35, 0.75, 150, 3, 0.8, "Electronics");
    struct cw_model_part parts[CW_MODEL_FEATURES_MAX];
    double sum = 0;
    uint32_t count = cw_model_explain(model, &f, parts, &sum);
    cr_assert(eq(u32, count, 8));
    for (uint32_t i = 0; i < count; i++) {
        sum += parts[i].contribution;
    }
    cr_assert(eq(dbl, 1 / (1 + exp(-sum)), cw_model_score(model, &f)));
    cr_assert(cw_view_equal(parts[1].name, CW_VIEW("avg_order_value")));
    cr_assert(parts[1].missing);
    cr_assert(eq(dbl, parts[1].value, 100));
    cr_assert(not(parts[0].missing));
    cr_assert(eq(dbl, parts[0].value, 12));
    cr_assert(not(parts[7].missing));
    cr_assert(eq(dbl, parts[7].contribution, -0.1));
    cw_model_close(model);
}

Test(model, tells_contents_apart)
{
    const char *feature = "\"features\":[{\"name\":\"cart_value\",\"weight\":2}]}";
    char a[512];
    char b[512];
    (void)snprintf(a, sizeof a, HEAD "\"bias\":0,%s", feature);
    (void)snprintf(b, sizeof b, HEAD "\"bias\":1,%s", feature);
    struct cw_model *one = open_text(a);
    struct cw_model *same = open_text(a);
    struct cw_model *other = open_text(b);
    cr_assert(eq(u64, cw_model_content(one), cw_model_content(same)));
    cr_assert(ne(u64, cw_model_content(one), cw_model_content(other)));
    cw_model_close(one);
    cw_model_close(same);
    cw_model_close(other);
}

#define CART(members) "[{\"name\":\"cart_value\",\"weight\":1" members "}]}"

Test(model, refuses_what_it_does_not_understand_and_says_where)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "m.json:1:1: not JSON: "},
        {"{\"format\":", "m.json:1:"},
        {"[]", "m.json:1:1: a model file is one JSON object"},
        {"{}", "m.json:1:1: the model has no \"format\"; it must be \"cartwheel-model\""},
        {"{\"format\":\"x\"}", "m.json:1:11: \"format\" is \"x\"; it must be \"cartwheel-model\""},
        {"{\"format\":\"cartwheel-model\",\"formatVersion\":2}",
         "\"formatVersion\" is 2; it must be 1, the version that this program reads"},
        {"{\"format\":\"cartwheel-model\",\"formatVersion\":1,\n\"kind\":\"trees\",\"trees\":[]}",
         "m.json:2:8: \"kind\" is \"trees\"; it must be a kind that exists: \"logistic\""},
        {HEAD "\"features\":" CART(""), "the model has no \"bias\"; add it"},
        {HEAD "\"bias\":\"0\",\"features\":" CART(""), "\"bias\" is \"0\"; it must be a number"},
        {HEAD "\"bias\":1e999,\"features\":" CART(""), "\"bias\" is 1e999; it must be a number"},
        {HEAD "\"bias\":0,\"bias\":0,\"features\":" CART(""), "\"bias\" stands here a second time"},
        {HEAD "\"bais\":0,\"features\":" CART(""), "unknown key \"bais\"; did you mean \"bias\"?"},
        {HEAD "\"bias\":0,\"features\":[]}", "must be a list of at least one feature"},
        {HEAD "\"bias\":0,\"features\":{}}", "must be a list of at least one feature"},
        {HEAD "\"bias\":0,\"features\":[7]}", "\"features\" is 7; it must be a list of objects"},
        {HEAD "\"bias\":0,\"features\":[{\"weight\":1}]}", "a feature has no \"name\"; add it"},
        {HEAD "\"bias\":0,\"features\":[{\"name\":3}]}", "\"name\" is 3; it must be a string"},
        {HEAD "\"bias\":0,\"features\":[{\"name\":\"cart_vale\",\"weight\":1}]}",
         "unknown feature \"cart_vale\"; did you mean \"cart_value\"?"},
        {HEAD "\"bias\":0,\"features\":[{\"name\":\"cart_value\"}]}",
         "cart_value has no \"weight\"; add it"},
        {HEAD "\"bias\":0,\"features\":[{\"name\":\"cart_value\",\"weight\":1},"
              "{\"name\":\"cart_value\",\"weight\":1}]}",
         "feature \"cart_value\" stands here a second time; keep one"},
        {HEAD "\"bias\":0,\"features\":" CART(",\"wight\":1"), "did you mean \"weight\"?"},
        {HEAD "\"bias\":0,\"features\":" CART(",\"scale\":0"), "\"scale\" must be at least 1e-9"},
        {HEAD "\"bias\":0,\"features\":" CART(",\"min\":3,\"max\":2"), "\"min\" is above \"max\""},
        {HEAD "\"bias\":0,\"features\":" CART(",\"transform\":\"log\""),
         "\"transform\" is \"log\"; it must be \"identity\" or \"log1p\""},
        {HEAD "\"bias\":0,\"features\":" CART(",\"transform\":\"log1p\",\"min\":-1"),
         "log1p is for values above -1"},
        {HEAD "\"bias\":0,\"features\":" CART(",\"transform\":\"log1p\",\"missing\":-2"),
         "log1p is for values above -1"},
        {HEAD "\"bias\":0,\"features\":" CART(",\"max\":null"), "\"max\" is null"},
        {HEAD "\"bias\":0,\"features\":[{\"name\":\"category\",\"weights\":[]}]}",
         "\"weights\" is []; it must be an object of numbers by category"},
        {HEAD "\"bias\":0,\"features\":[{\"name\":\"category\",\"weights\":{\"A\":true}}]}",
         "\"a category's weight\" is true"},
        {HEAD "\"bias\":0,\"features\":[{\"name\":\"category\",\"weights\":{\"A\":1,\"\\u0041\":2}}"
              "]}",
         "category \"A\" stands here a second time"},
        {HEAD "\"bias\":0,\"features\":[{\"name\":\"category\",\"weights\":{\"\":1}}]}",
         "a name has 1 to 128 bytes"},
    };

    for (uint32_t i = 0; i < CW_COUNTOF(cases); i++) {
        cr_assert(eq(ptr, open_text(cases[i].text), NULL), "%s", cases[i].text);
        cr_assert(ne(ptr, strstr(fault.text, cases[i].message), NULL), "%s: said \"%s\"",
                  cases[i].text, fault.text);
    }
}
