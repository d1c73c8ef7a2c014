/*
 * The input is a whole request. Nobody guesses the secrets, so none is accepted as it comes;
 * whatever can be signed is accepted signed, and is not any more after one bit of its body changed.
 */
#include "io/credentials.h"
#include "io/sigv4.h"
#include "tests/io/wire.h"

#define NOW_MS INT64_C(1795340093000) /* when the corpus's requests were signed */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cw_credentials *credentials;
static const struct cw_sigv4_signer signer = {CW_VIEW("AKIDEXAMPLE"), CW_VIEW("not to be guessed"),
                                              CW_VIEW("us-east-1"), CW_VIEW("events")};

static void open_credentials(void)
{
    struct cw_fault fault;

    static const struct {
        enum cw_credential_type type;
        struct cw_view id;
        struct cw_view secret;
    } rows[] = {
        {CW_CREDENTIAL_SIGV4, CW_VIEW("AKIDEXAMPLE"), CW_VIEW("not to be guessed")},
        {CW_CREDENTIAL_SIGV4, CW_VIEW("AKIDEXAMPLE"), CW_VIEW("nor is this")},
        {CW_CREDENTIAL_API_KEY, {NULL, 0}, CW_VIEW("a key not to be guessed")},
        {CW_CREDENTIAL_API_KEY, CW_VIEW("authorization"), CW_VIEW("a key not to be guessed")},
        {CW_CREDENTIAL_BASIC, CW_VIEW("ann"), CW_VIEW("a password not to be guessed")},
        {CW_CREDENTIAL_BEARER, CW_VIEW("shop"), CW_VIEW("a token not to be guessed")},
    };

    cw_err err = cw_credentials_open(&credentials, &fault);
    for (uint32_t i = 0; i < CW_COUNTOF(rows) && err == CW_ERR_OK; i++) {
        err = cw_credentials_add(credentials, rows[i].type, rows[i].id, rows[i].secret,
                                 CW_ROLE_INGEST, &fault);
    }
    CW_ASSERT(err == CW_ERR_OK);
}

static enum cw_check check(const struct cw_request *request)
{
    enum cw_role role = CW_ROLE_ADMIN;
    const char *reason = NULL;
    enum cw_check got = cw_credentials_check(credentials, request, NOW_MS, &role, &reason);
    CW_ASSERT(reason != NULL && (role == CW_ROLE_NONE) == (got != CW_CHECK_OK));
    return got;
}

/* True for the headers that the signer makes, or that say something of another body. */
static bool replaced(struct cw_view name)
{
    return cw_view_equal(name, CW_VIEW("authorization")) ||
           cw_view_equal(name, CW_VIEW("x-amz-date")) ||
           cw_view_equal(name, CW_VIEW("x-amz-content-sha256")) ||
           cw_view_equal(name, CW_VIEW("x-api-key")) || cw_view_equal(name, CW_VIEW("host"));
}

static bool plain_name(struct cw_view name)
{
    for (uint32_t i = 0; i < name.bytes; i++) {
        if (name.data[i] <= ' ' || name.data[i] > '~' || name.data[i] == ',' ||
            name.data[i] == ';') {
            return false;
        }
    }
    return name.bytes > 0 && name.bytes <= CW_SIGV4_PART_BYTES;
}

static void round_trip(struct wire *wire)
{
    struct cw_header headers[WIRE_HEADERS_MAX + 3];
    struct cw_request request = wire->request;
    request.headers = headers;
    request.header_count = 0;
    headers[request.header_count++] = (struct cw_header){CW_VIEW("host"), CW_VIEW("localhost")};
    for (uint32_t i = 0; i < wire->request.header_count; i++) {
        if (!plain_name(wire->headers[i].name)) {
            return; /* no server hands it over */
        }
        if (!replaced(wire->headers[i].name)) {
            headers[request.header_count++] = wire->headers[i];
        }
    }
    static struct cw_sigv4_signed out;
    if (!cw_sigv4_sign(&request, &signer, NOW_MS, &out)) {
        return;
    }
    headers[request.header_count++] =
        (struct cw_header){CW_VIEW("x-amz-date"), {out.date, (uint32_t)strlen(out.date)}};
    headers[request.header_count++] = (struct cw_header){
        CW_VIEW("authorization"), {out.authorization, (uint32_t)strlen(out.authorization)}};
    CW_ASSERT(check(&request) == CW_CHECK_OK);
    if (request.body.bytes > 0) {
        wire->text[request.body.data - wire->text] ^= 1;
        CW_ASSERT(check(&request) == CW_CHECK_SIGNATURE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct wire wire;
    if (credentials == NULL) {
        open_credentials();
    }
    if (wire_set(&wire, data, size)) {
        CW_ASSERT(check(&wire.request) != CW_CHECK_OK);
        round_trip(&wire);
    }
    return 0;
}
