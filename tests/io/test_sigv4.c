/* The known answers are those of AWS's own published test suite for Signature Version 4. */
#include "io/sigv4.h"
#include "tests/io/wire.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static const struct cw_sigv4_signer signer = {
    .key_id = CW_VIEW("AKIDEXAMPLE"),
    .secret = CW_VIEW("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
    .region = CW_VIEW("us-east-1"),
    .service = CW_VIEW("service"),
};

#define NOW_MS INT64_C(1440938160000) /* 2015-08-30T12:36:00Z */

static const struct answer {
    const char *name;
    enum cw_method method;
    struct cw_view path, query, body;
    struct cw_header more[3];
    const char *names, *signature;
} answers[] = {
    {"get-vanilla",
     CW_METHOD_GET,
     CW_VIEW("/"),
     {NULL, 0},
     {NULL, 0},
     {{{NULL, 0}, {NULL, 0}}},
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"post-vanilla",
     CW_METHOD_POST,
     CW_VIEW("/"),
     {NULL, 0},
     {NULL, 0},
     {{{NULL, 0}, {NULL, 0}}},
     "host;x-amz-date",
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"get-vanilla-query-order-key-case",
     CW_METHOD_GET,
     CW_VIEW("/"),
     CW_VIEW("Param2=value2&Param1=value1"),
     {NULL, 0},
     {{{NULL, 0}, {NULL, 0}}},
     "host;x-amz-date",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"get-header-value-trim",
     CW_METHOD_GET,
     CW_VIEW("/"),
     {NULL, 0},
     {NULL, 0},
     {{CW_VIEW("my-header1"), CW_VIEW("value1")},
      {CW_VIEW("my-header2"), CW_VIEW("\"a   b   c\"")}},
     "host;my-header1;my-header2;x-amz-date",
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"get-header-key-duplicate",
     CW_METHOD_GET,
     CW_VIEW("/"),
     {NULL, 0},
     {NULL, 0},
     {{CW_VIEW("my-header1"), CW_VIEW("value2")},
      {CW_VIEW("my-header1"), CW_VIEW("value2")},
      {CW_VIEW("my-header1"), CW_VIEW("value1")}},
     "host;my-header1;x-amz-date",
     "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
    {"post-x-www-form-urlencoded",
     CW_METHOD_POST,
     CW_VIEW("/"),
     {NULL, 0},
     CW_VIEW("Param1=value1"),
     {{CW_VIEW("content-type"), CW_VIEW("application/x-www-form-urlencoded")}},
     "content-type;host;x-amz-date",
     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
};

static void show(const struct answer *a)
{
    struct cw_header headers[4] = {{CW_VIEW("host"), CW_VIEW("example.amazonaws.com")}};
    struct cw_request request = {.method = a->method,
                                 .path = a->path,
                                 .query = a->query,
                                 .body = a->body,
                                 .headers = headers,
                                 .header_count = 1};
    for (uint32_t i = 0; i < 3 && a->more[i].name.data != NULL; i++) {
        headers[request.header_count++] = a->more[i];
    }
    struct cw_sigv4_signed got;
    cr_assert(cw_sigv4_sign(&request, &signer, NOW_MS, &got));
    char expected[1024];
    (void)snprintf(expected, sizeof expected,
                   "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/"
                   "aws4_request, SignedHeaders=%s, Signature=%s",
                   a->names, a->signature);
    cr_expect(eq(str, got.authorization, expected), "%s", a->name);
    cr_assert(eq(str, got.date, "20150830T123600Z"));
}

Test(sigv4, signs_the_published_examples_as_published)
{
    for (uint32_t i = 0; i < CW_COUNTOF(answers); i++) {
        show(&answers[i]);
    }
}

static void expect_canonical_of_query(const char *one, const char *other, bool same)
{
    struct cw_header headers[] = {{CW_VIEW("host"), CW_VIEW("h")}};
    struct cw_request a = {.method = CW_METHOD_GET,
                           .path = CW_VIEW("/"),
                           .query = {one, (uint32_t)strlen(one)},
                           .headers = headers,
                           .header_count = 1};
    struct cw_request b = a;
    b.query = (struct cw_view){other, (uint32_t)strlen(other)};
    char hash_a[CW_SIGV4_HEX];
    char hash_b[CW_SIGV4_HEX];
    cr_assert(cw_sigv4_canonical(&a, CW_VIEW("host"), CW_VIEW("x"), hash_a));
    cr_assert(cw_sigv4_canonical(&b, CW_VIEW("host"), CW_VIEW("x"), hash_b));
    cr_expect(eq(int, memcmp(hash_a, hash_b, sizeof hash_a) == 0, same), "%s, %s", one, other);
}

Test(sigv4, knows_a_query_in_every_spelling)
{
    expect_canonical_of_query("a=1&b=2", "b=2&a=1", true);
    expect_canonical_of_query("a=2&a=1", "a=1&a=2", true);
    expect_canonical_of_query("a", "a=", true);
    expect_canonical_of_query("a=%7e%2f", "%61=~%2F", true);
    expect_canonical_of_query("a=%2", "a=%252", true);
    expect_canonical_of_query("a=1=2", "a=1%3D2", true);
    expect_canonical_of_query("=x", "%3Dx", false);
    expect_canonical_of_query("a=1&b", "a=1%26b", false);
    expect_canonical_of_query("a=+", "a=%20", false);
    expect_canonical_of_query("ab=1", "a=b1", false);
}

Test(sigv4, encodes_a_path_once_more_than_it_was_sent)
{
    struct cw_header headers[] = {{CW_VIEW("host"), CW_VIEW("h")}};
    struct cw_request request = {.method = CW_METHOD_PUT,
                                 .path = CW_VIEW("/a%20b/~c"),
                                 .headers = headers,
                                 .header_count = 1};
    static const char canonical[] = "PUT\n/a%2520b/~c\n\nhost:h\n\nhost\nx";
    uint8_t digest[CW_SHA256_BYTES];
    char expected[CW_SIGV4_HEX];
    char got[CW_SIGV4_HEX];
    cw_sha256((struct cw_view){canonical, sizeof canonical - 1}, digest);
    cw_hex(digest, sizeof digest, expected);
    cr_assert(cw_sigv4_canonical(&request, CW_VIEW("host"), CW_VIEW("x"), got));
    cr_assert(eq(int, memcmp(got, expected, sizeof got), 0));
}

Test(sigv4, reads_only_a_whole_authorization)
{
#define SIGNATURE "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    static const char *const good[] = {
        "AWS4-HMAC-SHA256 Credential=A/20150830/r/s/aws4_request, SignedHeaders=host, "
        "Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 Signature=" SIGNATURE
        ",SignedHeaders=host;x-amz-date,Credential=A/20150830/r/s/aws4_request",
    };
    static const char *const bad[] = {
        "",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 ",
        "AWS4-HMAC-SHA1 Credential=A/20150830/r/s/aws4_request, SignedHeaders=host, "
        "Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 Credential=A/20150830/r/s, SignedHeaders=host, Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 Credential=A/20150830/r/s/aws4_request/, SignedHeaders=host, "
        "Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 Credential=A/20150830//s/aws4_request, SignedHeaders=host, "
        "Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 Credential=A/2015083/r/s/aws4_request, SignedHeaders=host, "
        "Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 Credential=A/20150830/r/s/aws4_request, SignedHeaders=, "
        "Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 Credential=A/20150830/r/s/aws4_request, SignedHeaders=a;;b, "
        "Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 Credential=A/20150830/r/s/aws4_request, SignedHeaders=host, "
        "Signature=" SIGNATURE "0",
        "AWS4-HMAC-SHA256 Credential=A/20150830/r/s/aws4_request, SignedHeaders=host, "
        "Signature=" SIGNATURE ", Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 Credential=A/20150830/r/s/aws4_request, SignedHeaders=host, "
        "Signature=" SIGNATURE ", More=1",
    };
    struct cw_sigv4_auth auth;
    for (uint32_t i = 0; i < CW_COUNTOF(good); i++) {
        cr_expect(cw_sigv4_parse((struct cw_view){good[i], (uint32_t)strlen(good[i])}, &auth));
        cr_expect(cw_view_equal(auth.scope, CW_VIEW("20150830/r/s/aws4_request")));
    }
    for (uint32_t i = 0; i < CW_COUNTOF(bad); i++) {
        cr_expect(not(cw_sigv4_parse((struct cw_view){bad[i], (uint32_t)strlen(bad[i])}, &auth)),
                  "%s", bad[i]);
    }
}

Test(sigv4, signs_nothing_that_it_cannot)
{
    static char long_name[CW_SIGV4_NAMES_BYTES];
    memset(long_name, 'a', sizeof long_name);
    struct cw_header headers[CW_SIGV4_HEADERS_MAX] = {
        {CW_VIEW("host"), CW_VIEW("h")}, {{long_name, sizeof long_name}, CW_VIEW("x")}};
    struct cw_request request = {.path = CW_VIEW("/"), .headers = headers, .header_count = 2};
    struct cw_sigv4_signed out;
    cr_assert(not(cw_sigv4_sign(&request, &signer, NOW_MS, &out)));
    request.header_count = CW_SIGV4_HEADERS_MAX;
    cr_assert(not(cw_sigv4_sign(&request, &signer, NOW_MS, &out)));
    request.header_count = 1;
    headers[0].value = CW_VIEW("a\nb");
    cr_assert(not(cw_sigv4_sign(&request, &signer, NOW_MS, &out)));
    headers[0].value = CW_VIEW("h");
    struct cw_sigv4_signer wrong = signer;
    wrong.region = CW_VIEW("eu/west");
    cr_assert(cw_sigv4_sign(&request, &signer, NOW_MS, &out));
    wrong.secret.bytes = 0;
    cr_assert(not(cw_sigv4_sign(&request, &wrong, NOW_MS, &out)));
}

Test(sigv4, reads_times)
{
    int64_t ms = 0;
    cr_assert(cw_sigv4_time(CW_VIEW("20150830T123600Z"), &ms));
    cr_assert(eq(i64, ms, NOW_MS));
    cr_assert(not(cw_sigv4_time(CW_VIEW("20150230T123600Z"), &ms)));
    cr_assert(not(cw_sigv4_time(CW_VIEW("20150830T123600"), &ms)));
    cr_assert(not(cw_sigv4_time(CW_VIEW("20150830 123600Z"), &ms)));
    cr_assert(not(cw_sigv4_time(CW_VIEW("2015083OT123600Z"), &ms)));
}

Test(sigv4, hashes_with_a_key_as_rfc_4231_says)
{
    static char ones[131];
    memset(ones, 0xaa, sizeof ones);

    static const struct {
        struct cw_view key, data;
        const char *expected;
    } cases[] = {
        {CW_VIEW("Jefe"), CW_VIEW("what do ya want for nothing?"),
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {{ones, 131},
         CW_VIEW("Test Using Larger Than Block-Size Key - Hash Key First"),
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    };

    for (uint32_t i = 0; i < CW_COUNTOF(cases); i++) {
        uint8_t digest[CW_SHA256_BYTES];
        char got[CW_SIGV4_HEX + 1] = "";
        cw_hmac_sha256(cases[i].key, cases[i].data, digest);
        cw_hex(digest, sizeof digest, got);
        cr_expect(eq(str, got, (char *)(uintptr_t)cases[i].expected));
    }
}
