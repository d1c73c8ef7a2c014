/* Known answers: requests captured from real clients, with the dummy secrets they were given. */
#include "core/time.h"
#include "io/credentials.h"
#include "io/sigv4.h"
#include "tests/io/wire.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define OURS   CW_SOURCE_DIR "/tests/data/wire/"
#define SHARED CW_SOURCE_DIR "/../shared/data/wire/"

static struct cw_credentials *credentials;
static struct cw_fault fault;
static struct wire wire;
static enum cw_role role;
static const char *reason;

static void open_credentials(void)
{
    cr_assert(eq(int, cw_credentials_open(&credentials, &fault), CW_ERR_OK));
}

static void close_credentials(void)
{
    cw_credentials_close(credentials);
}

TestSuite(credentials, .init = open_credentials, .fini = close_credentials);

static struct cw_view text_of(const char *text)
{
    return (struct cw_view){text, text == NULL ? 0 : (uint32_t)strlen(text)};
}

static cw_err add(enum cw_credential_type type, const char *id, const char *secret, enum cw_role as)
{
    return cw_credentials_add(credentials, type, text_of(id), text_of(secret), as, &fault);
}

static enum cw_check check_at(int64_t now_ms)
{
    role = CW_ROLE_ADMIN;
    reason = NULL;
    enum cw_check check = cw_credentials_check(credentials, &wire.request, now_ms, &role, &reason);
    cr_assert(ne(ptr, (void *)(uintptr_t)reason, NULL));
    cr_assert(eq(int, check == CW_CHECK_OK, role != CW_ROLE_NONE));
    cr_assert(eq(int, check == CW_CHECK_OK, reason[0] == '\0'));
    return check;
}

static int64_t signed_at(void)
{
    int64_t ms = 0;
    cr_assert(cw_sigv4_time(wire_find(&wire, "x-amz-date"), &ms));
    return ms;
}

static const struct capture {
    const char *name, *secret;
    bool ours;
} captures[] = {
    {"putevents-boto3.req", "secret", true},
    {"putevents-awscli.req", "s", true},
    {"putevents-aws-sdk-js-v3.req", "s", true},
    {"cloudwatch-putmetricdata-boto3.req", "secret", false},
    {"cloudwatch-putmetricdata-aws-sdk-js-v3.req", "s", false},
    {"sesv2-sendemail-boto3.req", "secret", false},
    {"sns-publish-sms-boto3.req", "secret", false},
};

static bool read_capture(const struct capture *capture)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s%s", capture->ours ? OURS : SHARED, capture->name);
    if (wire_read(&wire, path)) {
        return true;
    }
    cr_assert(not(capture->ours), "%s", path);
    cr_log_warn("skipped: there is no %s", path);
    return false;
}

Test(credentials, accepts_the_captured_requests_of_real_clients)
{
    cr_assert(eq(int, add(CW_CREDENTIAL_SIGV4, "AKIDEXAMPLE", "secret", CW_ROLE_INGEST), 0));
    cr_assert(eq(int, add(CW_CREDENTIAL_SIGV4, "AKIDEXAMPLE", "s", CW_ROLE_INGEST), 0));
    for (uint32_t i = 0; i < CW_COUNTOF(captures); i++) {
        if (read_capture(&captures[i])) {
            cr_expect(eq(int, check_at(signed_at()), CW_CHECK_OK), "%s: %s", captures[i].name,
                      reason);
            cr_expect(eq(int, role, CW_ROLE_INGEST));
        }
    }
}

Test(credentials, refuses_them_with_another_secret_or_key)
{
    cr_assert(eq(int, add(CW_CREDENTIAL_SIGV4, "AKIDEXAMPLE", "Secret", CW_ROLE_INGEST), 0));
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert(read_capture(&captures[i]));
        cr_expect(eq(int, check_at(signed_at()), CW_CHECK_SIGNATURE));
    }
    cw_credentials_close(credentials);
    open_credentials();
    cr_assert(eq(int, add(CW_CREDENTIAL_SIGV4, "AKIDEXAMPL", "secret", CW_ROLE_INGEST), 0));
    cr_assert(eq(int, add(CW_CREDENTIAL_API_KEY, "AKIDEXAMPLE", "secretsecret", CW_ROLE_INGEST),
                 CW_ERR_INVALID)); /* not in lower case */
    cr_assert(read_capture(&captures[0]));
    cr_expect(eq(int, check_at(signed_at()), CW_CHECK_UNKNOWN));
}

Test(credentials, allows_five_minutes_either_way)
{
    cr_assert(eq(int, add(CW_CREDENTIAL_SIGV4, "AKIDEXAMPLE", "secret", CW_ROLE_INGEST), 0));
    cr_assert(read_capture(&captures[0]));
    int64_t at = signed_at();
    cr_expect(eq(int, check_at(at + 5 * CW_MINUTE_MS), CW_CHECK_OK));
    cr_expect(eq(int, check_at(at - 5 * CW_MINUTE_MS), CW_CHECK_OK));
    cr_expect(eq(int, check_at(at + 5 * CW_MINUTE_MS + 1), CW_CHECK_SKEW));
    cr_expect(eq(int, check_at(at - 5 * CW_MINUTE_MS - 1), CW_CHECK_SKEW));
    cr_expect(eq(int, check_at(0), CW_CHECK_SKEW));
}

/* Flips each bit of these bytes of the request in turn. */
static uint32_t flip_all(struct cw_view view, int64_t now_ms, const char *what)
{
    uint32_t taken = 0;
    for (uint32_t i = 0; i < view.bytes; i++) {
        char *byte = &wire.text[view.data - wire.text] + i;
        for (uint32_t bit = 0; bit < 8; bit++) {
            *byte = (char)(*byte ^ (1 << bit));
            if (check_at(now_ms) == CW_CHECK_OK) {
                cr_log_error("%s: byte %u, bit %u", what, i, bit);
                taken++;
            }
            *byte = (char)(*byte ^ (1 << bit));
        }
    }
    return taken;
}

Test(credentials, refuses_a_request_with_any_signed_bit_flipped, .timeout = 60)
{
    cr_assert(eq(int, add(CW_CREDENTIAL_SIGV4, "AKIDEXAMPLE", "secret", CW_ROLE_INGEST), 0));
    cr_assert(eq(int, add(CW_CREDENTIAL_SIGV4, "AKIDEXAMPLE", "s", CW_ROLE_INGEST), 0));
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert(read_capture(&captures[i]));
        int64_t at = signed_at();
        struct cw_sigv4_auth auth;
        cr_assert(cw_sigv4_parse(wire_find(&wire, "authorization"), &auth));
        cr_expect(eq(u32, flip_all(wire.request.path, at, "path"), 0));
        cr_expect(eq(u32, flip_all(wire.request.body, at, "body"), 0));
        cr_expect(eq(u32, flip_all(wire_find(&wire, "authorization"), at, "authorization"), 0));
        for (uint32_t h = 0; h < wire.request.header_count; h++) {
            if (cw_sigv4_signs(auth.names, wire.headers[h].name)) {
                cr_expect(eq(u32, flip_all(wire.headers[h].name, at, "name"), 0));
                cr_expect(eq(u32, flip_all(wire.headers[h].value, at, "value"), 0));
            }
        }
        cr_expect(eq(int, check_at(at), CW_CHECK_OK)); /* all is as it was */
    }
}

Test(credentials, refuses_a_request_with_something_added)
{
    static const struct cw_header more[] = {
        {CW_VIEW("host"), CW_VIEW("127.0.0.1:18099")},
        {CW_VIEW("host"), CW_VIEW("")},
        {CW_VIEW("x-amz-target"), CW_VIEW("AWSEvents.DeleteAll")},
        {CW_VIEW("x-amz-anything"), CW_VIEW("1")},
        {CW_VIEW("x-amz-date"), CW_VIEW("20261122T093453Z")},
        {CW_VIEW("x-amz-content-sha256"), CW_VIEW("UNSIGNED-PAYLOAD")},
        {CW_VIEW("content-type"), CW_VIEW("text/plain")},
        {CW_VIEW("content-encoding"), CW_VIEW("gzip")},
        {CW_VIEW("ce-id"), CW_VIEW("1")},
        {CW_VIEW("authorization"), CW_VIEW("Basic eDp5")},
    };
    cr_assert(eq(int, add(CW_CREDENTIAL_SIGV4, "AKIDEXAMPLE", "secret", CW_ROLE_INGEST), 0));
    cr_assert(read_capture(&captures[0]));
    int64_t at = signed_at();
    for (uint32_t i = 0; i < CW_COUNTOF(more); i++) {
        wire.headers[wire.request.header_count++] = more[i];
        cr_expect(ne(int, check_at(at), CW_CHECK_OK), "%.*s", (int)more[i].name.bytes,
                  more[i].name.data);
        wire.request.header_count--;
    }
    cr_expect(eq(int, check_at(at), CW_CHECK_OK));
    wire.request.query = CW_VIEW("a=b");
    cr_expect(eq(int, check_at(at), CW_CHECK_SIGNATURE));
    wire.request.query = (struct cw_view){NULL, 0};
    wire.request.method = CW_METHOD_PUT;
    cr_expect(eq(int, check_at(at), CW_CHECK_SIGNATURE));
}

static void set_headers(const char *one, const char *value, const char *other, const char *second)
{
    wire.headers[0] = (struct cw_header){text_of(one), text_of(value)};
    wire.headers[1] = (struct cw_header){text_of(other), text_of(second)};
    wire.request = (struct cw_request){.method = CW_METHOD_POST,
                                       .path = CW_VIEW("/v1/events"),
                                       .headers = wire.headers,
                                       .header_count = other == NULL ? 1 : 2};
}

Test(credentials, knows_keys_users_and_tokens)
{
    static const struct row {
        const char *name, *value;
        enum cw_check check;
        enum cw_role role;
    } rows[] = {
        {"accept", "*/*", CW_CHECK_NONE, CW_ROLE_NONE},
        {"x-api-key", "ingest-key", CW_CHECK_OK, CW_ROLE_INGEST},
        {"x-api-key", "next-ingest-key", CW_CHECK_OK, CW_ROLE_INGEST},
        {"x-api-key", "r", CW_CHECK_OK, CW_ROLE_REPORT},
        {"x-api-key", "ingest-kez", CW_CHECK_UNKNOWN, 0},
        {"x-api-key", "ingest-ke", CW_CHECK_UNKNOWN, 0},
        {"x-api-key", "ingest-key ", CW_CHECK_UNKNOWN, 0},
        {"x-api-key", "shop-token-1", CW_CHECK_UNKNOWN, 0},
        {"x-api-key", "", CW_CHECK_UNKNOWN, 0},
        {"x-shop", "shop-key-1", CW_CHECK_OK, CW_ROLE_INGEST},
        {"x-shop", "ingest-key", CW_CHECK_UNKNOWN, 0},
        {"authorization", "whole-header", CW_CHECK_OK, CW_ROLE_INGEST},
        {"authorization", "whole-heade", CW_CHECK_MALFORMED, 0},
        /* ann:correct horse */
        {"authorization", "Basic YW5uOmNvcnJlY3QgaG9yc2U=", CW_CHECK_OK, CW_ROLE_ADMIN},
        {"authorization", "bAsIc   YW5uOmNvcnJlY3QgaG9yc2U=", CW_CHECK_OK, CW_ROLE_ADMIN},
        {"authorization", "Basic YW5uOmNvcnJlY3QgaG9yc2V=", CW_CHECK_MALFORMED, 0}, /* loose bits */
        {"authorization", "Basic YW5uOmNvcnJlY3QgaG9yc2U", CW_CHECK_MALFORMED, 0},
        {"authorization", "Basic YW5u", CW_CHECK_MALFORMED, 0}, /* no colon */
        {"authorization", "Basic", CW_CHECK_MALFORMED, 0},
        {"authorization", "Basic ====", CW_CHECK_MALFORMED, 0},
        {"authorization", "Basic YW5u?mNv", CW_CHECK_MALFORMED, 0},
        {"authorization", "Basic YW5uOmNvcnJlY3QgaG9yc2F=", CW_CHECK_MALFORMED, 0},
        {"authorization", "Basic YW5uOng=", CW_CHECK_SIGNATURE, 0}, /* ann:x */
        {"authorization", "Basic YW5uOg==", CW_CHECK_SIGNATURE, 0}, /* ann: */
        {"authorization", "Basic Ym9iOng=", CW_CHECK_UNKNOWN, 0},   /* bob:x */
        {"authorization", "Bearer shop-token-1", CW_CHECK_OK, CW_ROLE_INGEST},
        {"authorization", "bearer shop-token-1", CW_CHECK_OK, CW_ROLE_INGEST},
        {"authorization", "Bearer shop-token-2", CW_CHECK_UNKNOWN, 0},
        {"authorization", "Bearer ", CW_CHECK_UNKNOWN, 0},
        {"authorization", "Bearershop-token-1", CW_CHECK_MALFORMED, 0},
        {"authorization", "Digest x", CW_CHECK_MALFORMED, 0},
        {"authorization", "", CW_CHECK_MALFORMED, 0},
    };

    cr_assert(eq(int, add(CW_CREDENTIAL_API_KEY, NULL, "ingest-key", CW_ROLE_INGEST), 0));
    cr_assert(
        eq(int, add(CW_CREDENTIAL_API_KEY, "x-api-key", "next-ingest-key", CW_ROLE_INGEST), 0));
    cr_assert(eq(int, add(CW_CREDENTIAL_API_KEY, "x-api-key", "r", CW_ROLE_REPORT), 0));
    cr_assert(eq(int, add(CW_CREDENTIAL_API_KEY, "x-shop", "shop-key-1", CW_ROLE_INGEST), 0));
    cr_assert(
        eq(int, add(CW_CREDENTIAL_API_KEY, "authorization", "whole-header", CW_ROLE_INGEST), 0));
    cr_assert(eq(int, add(CW_CREDENTIAL_BASIC, "ann", "correct horse", CW_ROLE_ADMIN), 0));
    cr_assert(eq(int, add(CW_CREDENTIAL_BEARER, "shop", "shop-token-1", CW_ROLE_INGEST), 0));
    cr_assert(eq(u32, cw_credentials_count(credentials), 7));
    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        set_headers(rows[i].name, rows[i].value, NULL, NULL);
        cr_expect(eq(int, check_at(0), rows[i].check), "%s: %s", rows[i].name, rows[i].value);
        cr_expect(eq(int, role, rows[i].role), "%s: %s", rows[i].name, rows[i].value);
    }
}

Test(credentials, takes_one_that_holds_of_several_but_no_header_twice)
{
    cr_assert(eq(int, add(CW_CREDENTIAL_API_KEY, NULL, "ingest-key", CW_ROLE_INGEST), 0));
    cr_assert(eq(int, add(CW_CREDENTIAL_BEARER, "shop", "shop-token-1", CW_ROLE_ADMIN), 0));
    set_headers("x-api-key", "ingest-key", "authorization", "Bearer wrong");
    cr_expect(eq(int, check_at(0), CW_CHECK_OK));
    cr_expect(eq(int, role, CW_ROLE_INGEST));
    set_headers("x-api-key", "wrong", "authorization", "Bearer shop-token-1");
    cr_expect(eq(int, check_at(0), CW_CHECK_OK));
    cr_expect(eq(int, role, CW_ROLE_ADMIN));
    set_headers("x-api-key", "wrong", "authorization", "Bearer wrong");
    cr_expect(eq(int, check_at(0), CW_CHECK_UNKNOWN));
    set_headers("x-api-key", "ingest-key", "x-api-key", "ingest-key");
    cr_expect(eq(int, check_at(0), CW_CHECK_MALFORMED));
    set_headers("authorization", "Bearer shop-token-1", "authorization", "Bearer shop-token-1");
    cr_expect(eq(int, check_at(0), CW_CHECK_MALFORMED));
}

Test(credentials, refuses_what_could_not_be_used_or_is_too_weak)
{
    static char longer[CW_SIGV4_SECRET_MAX + 2];
    memset(longer, 'x', CW_SIGV4_SECRET_MAX + 1);

    static const struct row {
        enum cw_credential_type type;
        const char *id, *secret;
        enum cw_role role;
        const char *says;
    } rows[] = {
        {CW_CREDENTIAL_API_KEY, "", "1234567", CW_ROLE_INGEST, "7 bytes, not 8 to"},
        {CW_CREDENTIAL_BASIC, "ann", "1234567", CW_ROLE_ADMIN, "7 bytes, not 8 to"},
        {CW_CREDENTIAL_BEARER, "shop", "1234567", CW_ROLE_INGEST, "7 bytes, not 8 to"},
        {CW_CREDENTIAL_API_KEY, "", "", CW_ROLE_REPORT, "0 bytes, not 1 to"},
        {CW_CREDENTIAL_SIGV4, "AKID", "", CW_ROLE_INGEST, "0 bytes"},
        {CW_CREDENTIAL_SIGV4, "AKID", longer, CW_ROLE_INGEST, "1025 bytes"},
        {CW_CREDENTIAL_API_KEY, "", "12345678\n", CW_ROLE_INGEST, "line end"},
        {CW_CREDENTIAL_API_KEY, "", " 12345678", CW_ROLE_INGEST, "blank"},
        {CW_CREDENTIAL_SIGV4, "AK/ID", "secret", CW_ROLE_INGEST, "access key id"},
        {CW_CREDENTIAL_SIGV4, "", "secret", CW_ROLE_INGEST, "access key id"},
        {CW_CREDENTIAL_API_KEY, "X-Key", "12345678", CW_ROLE_INGEST, "header name"},
        {CW_CREDENTIAL_API_KEY, "x key", "12345678", CW_ROLE_INGEST, "header name"},
        {CW_CREDENTIAL_BASIC, "a:b", "12345678", CW_ROLE_INGEST, "user"},
        {CW_CREDENTIAL_BEARER, "", "12345678", CW_ROLE_INGEST, "name"},
        {CW_CREDENTIAL_BEARER, "x", "12345678", CW_ROLE_NONE, "role"},
    };

    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        cr_expect(
            eq(int, add(rows[i].type, rows[i].id, rows[i].secret, rows[i].role), CW_ERR_INVALID));
        cr_expect(ne(ptr, strstr(fault.text, rows[i].says), NULL), "%u: %s", i, fault.text);
        cr_expect(eq(ptr, strstr(fault.text, "1234567"), NULL));
    }
    cr_expect(eq(int, add(CW_CREDENTIAL_BASIC, "ann", "1", CW_ROLE_REPORT), CW_ERR_OK));
    cr_expect(eq(int, add(CW_CREDENTIAL_BASIC, "ann", "1", CW_ROLE_REPORT), CW_ERR_INVALID));
    cr_expect(eq(int, add(CW_CREDENTIAL_BASIC, "ann", "2", CW_ROLE_REPORT), CW_ERR_OK));
}

Test(credentials, holds_as_many_as_it_says)
{
    char secret[32];
    for (uint32_t i = 0; i < CW_CREDENTIALS_MAX; i++) {
        (void)snprintf(secret, sizeof secret, "secret number %u", i);
        cr_assert(eq(int, add(CW_CREDENTIAL_API_KEY, NULL, secret, CW_ROLE_INGEST), CW_ERR_OK));
    }
    cr_assert(
        eq(int, add(CW_CREDENTIAL_BEARER, "more", "one too many", CW_ROLE_INGEST), CW_ERR_LIMIT));
    set_headers("x-api-key", secret, NULL, NULL);
    cr_assert(eq(int, check_at(0), CW_CHECK_OK));
}

Test(credentials, accepts_what_the_signer_signs)
{
    cr_assert(eq(int, add(CW_CREDENTIAL_SIGV4, "AKID", "round trip", CW_ROLE_INGEST), 0));
    struct cw_sigv4_signer signer = {CW_VIEW("AKID"), CW_VIEW("round trip"),
                                     CW_VIEW("eu-central-1"), CW_VIEW("events")};
    static const char *const queries[] = {NULL, "b=2&a=%20x&a=", "q=%zz&&=1&+=%2b"};
    int64_t now = INT64_C(1768754700000);
    for (uint32_t i = 0; i < CW_COUNTOF(queries); i++) {
        set_headers("host", "localhost:8080", "x-amz-target", "AWSEvents.  PutEvents");
        wire.request.query = text_of(queries[i]);
        wire.request.path = CW_VIEW("/a b%20/..//ü");
        wire.request.body = CW_VIEW("{\"Entries\":[]}");
        struct cw_sigv4_signed out;
        cr_assert(cw_sigv4_sign(&wire.request, &signer, now, &out));
        wire.headers[2] = (struct cw_header){CW_VIEW("x-amz-date"), text_of(out.date)};
        wire.headers[3] = (struct cw_header){CW_VIEW("authorization"), text_of(out.authorization)};
        wire.request.header_count = 4;
        cr_expect(eq(int, check_at(now), CW_CHECK_OK), "%s", reason);
        wire.request.body = CW_VIEW("{\"Entries\":{}}");
        cr_expect(eq(int, check_at(now), CW_CHECK_SIGNATURE));
    }
}
