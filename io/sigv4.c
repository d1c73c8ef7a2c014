/*
 * The canonical request is never put together in memory: it is written, through a small buffer,
 * into the hash.
 */
#include "io/sigv4.h"

#include "core/format.h"
#include "core/time.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>

#define SCHEME "AWS4-HMAC-SHA256"
#define LAST   "aws4_request"

/* ---- hashes ---- */

#define BLOCK_BYTES 64 /* of SHA-256, for HMAC (RFC 2104) */

/* Looking an algorithm up costs more than hashing a request, so it is done once. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256;

static void look_up(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    CW_ASSERT(sha256 != NULL);
}

static EVP_MD_CTX *open_context(void)
{
    int rc = pthread_once(&once, look_up);
    CW_ASSERT(rc == 0);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    CW_ASSERT(context != NULL);
    return context;
}

void cw_hex(const uint8_t *data, uint32_t bytes, char *out)
{
    for (uint32_t i = 0; i < bytes; i++) {
        *out++ = "0123456789abcdef"[data[i] >> 4];
        *out++ = "0123456789abcdef"[data[i] & 15];
    }
}

/* The hash of two pieces; out may be where they are. */
static void digest(EVP_MD_CTX *context, struct cw_view first, struct cw_view second,
                   uint8_t out[CW_SHA256_BYTES])
{
    unsigned bytes = 0;
    int rc = EVP_DigestInit_ex2(context, sha256, NULL) == 1 &&
             EVP_DigestUpdate(context, first.data, first.bytes) == 1 &&
             EVP_DigestUpdate(context, second.data, second.bytes) == 1 &&
             EVP_DigestFinal_ex(context, out, &bytes) == 1;
    CW_ASSERT(rc == 1 && bytes == CW_SHA256_BYTES);
}

void cw_sha256(struct cw_view data, uint8_t out[CW_SHA256_BYTES])
{
    EVP_MD_CTX *context = open_context();
    digest(context, data, CW_VIEW(""), out);
    EVP_MD_CTX_free(context);
}

/* HMAC as RFC 2104 says, from two hashes: the library's own takes twice as long, for it looks
   up and allocates at every call. out may be where the key is. */
static void hmac_with(EVP_MD_CTX *context, struct cw_view key, struct cw_view data,
                      uint8_t out[CW_SHA256_BYTES])
{
    uint8_t block[BLOCK_BYTES] = {0};
    uint8_t inner[CW_SHA256_BYTES];
    if (key.bytes > sizeof block) {
        digest(context, key, CW_VIEW(""), block);
    } else {
        memcpy(block, key.data, key.bytes);
    }
    for (uint32_t i = 0; i < sizeof block; i++) {
        block[i] ^= 0x36;
    }
    digest(context, (struct cw_view){(const char *)block, sizeof block}, data, inner);
    for (uint32_t i = 0; i < sizeof block; i++) {
        block[i] ^= 0x36 ^ 0x5c;
    }
    digest(context, (struct cw_view){(const char *)block, sizeof block},
           (struct cw_view){(const char *)inner, sizeof inner}, out);
    OPENSSL_cleanse(block, sizeof block);
    OPENSSL_cleanse(inner, sizeof inner);
}

void cw_hmac_sha256(struct cw_view key, struct cw_view data, uint8_t out[CW_SHA256_BYTES])
{
    EVP_MD_CTX *context = open_context();
    hmac_with(context, key, data, out);
    EVP_MD_CTX_free(context);
}

/* ---- reading ---- */

/* Takes what stands before the next such byte, and that byte, from rest; all when there is none.
   False when rest was empty. */
static bool cut(struct cw_view *rest, char at, struct cw_view *part)
{
    if (rest->bytes == 0) {
        return false;
    }
    const char *end = memchr(rest->data, at, rest->bytes);
    part->data = rest->data;
    part->bytes = end == NULL ? rest->bytes : (uint32_t)(end - rest->data);
    uint32_t taken = end == NULL ? part->bytes : part->bytes + 1;
    rest->data += taken;
    rest->bytes -= taken;
    return true;
}

/* Of a scope or a list of names: nothing that could be read in two ways. */
static bool good_part(struct cw_view part)
{
    for (uint32_t i = 0; i < part.bytes; i++) {
        if (part.data[i] <= ' ' || part.data[i] > '~' || part.data[i] == ',') {
            return false;
        }
    }
    return part.bytes > 0 && part.bytes <= CW_SIGV4_PART_BYTES;
}

static bool parse_credential(struct cw_view text, struct cw_sigv4_auth *auth)
{
    struct cw_view last;
    if (!cut(&text, '/', &auth->key_id) || !good_part(auth->key_id)) {
        return false;
    }
    auth->scope = text;
    return cut(&text, '/', &auth->day) && auth->day.bytes == 8 && good_part(auth->day) &&
           cut(&text, '/', &auth->region) && good_part(auth->region) &&
           cut(&text, '/', &auth->service) && good_part(auth->service) && cut(&text, '/', &last) &&
           cw_view_equal(last, CW_VIEW(LAST)) && text.bytes == 0 &&
           auth->scope.data[auth->scope.bytes - 1] != '/';
}

static bool parse_names(struct cw_view text, struct cw_sigv4_auth *auth)
{
    auth->names = text;
    struct cw_view name;
    uint32_t count = 0;
    while (cut(&text, ';', &name)) {
        if (!good_part(name) || ++count > CW_SIGV4_HEADERS_MAX) {
            return false;
        }
    }
    return count > 0 && auth->names.bytes <= CW_SIGV4_NAMES_BYTES;
}

static bool parse_signature(struct cw_view text, struct cw_sigv4_auth *auth)
{
    auth->signature = text;
    for (uint32_t i = 0; i < text.bytes; i++) {
        char c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
    }
    return text.bytes == CW_SIGV4_HEX;
}

bool cw_sigv4_parse(struct cw_view value, struct cw_sigv4_auth *auth)
{
    static const struct {
        struct cw_view name;
        bool (*parse)(struct cw_view text, struct cw_sigv4_auth *auth);
    } parts[] = {
        {CW_VIEW("Credential"), parse_credential},
        {CW_VIEW("SignedHeaders"), parse_names},
        {CW_VIEW("Signature"), parse_signature},
    };

    *auth = (struct cw_sigv4_auth){.key_id = {NULL, 0}};
    struct cw_view scheme;
    if (!cut(&value, ' ', &scheme) || !cw_view_equal(scheme, CW_VIEW(SCHEME))) {
        return false;
    }
    uint32_t seen = 0;
    struct cw_view part;
    while (cut(&value, ',', &part)) {
        while (part.bytes > 0 && part.data[0] == ' ') {
            part.data++;
            part.bytes--;
        }
        struct cw_view name = {NULL, 0};
        (void)cut(&part, '=', &name);
        uint32_t i = 0;
        while (i < CW_COUNTOF(parts) && !cw_view_equal(name, parts[i].name)) {
            i++;
        }
        if (i == CW_COUNTOF(parts) || (seen & 1u << i) != 0 || !parts[i].parse(part, auth)) {
            return false;
        }
        seen |= 1u << i;
    }
    return seen == 7;
}

bool cw_sigv4_time(struct cw_view text, int64_t *ms)
{
    /* 20260118T164500Z as 2026-01-18T16:45:00Z */
    static const uint8_t order[] = {0, 1, 2,  3, 0,  4,  5, 0,  6,  7,
                                    8, 9, 10, 0, 11, 12, 0, 13, 14, 15};
    char long_form[] = "0000-00-00T00:00:00Z";
    if (text.bytes != 16 || text.data[8] != 'T' || text.data[15] != 'Z') {
        return false;
    }
    for (uint32_t i = 0; i < sizeof order; i++) {
        if (long_form[i] != '-' && long_form[i] != ':') {
            long_form[i] = text.data[order[i]];
        }
    }
    return cw_time_parse((struct cw_view){long_form, sizeof long_form - 1}, ms);
}

bool cw_sigv4_signs(struct cw_view names, struct cw_view name)
{
    struct cw_view part;
    while (cut(&names, ';', &part)) {
        if (cw_view_equal(part, name)) {
            return true;
        }
    }
    return false;
}

/* ---- the canonical request ---- */

struct sink {
    EVP_MD_CTX *context;
    uint32_t used;
    char buffer[512];
};

static void flush(struct sink *sink)
{
    int rc = EVP_DigestUpdate(sink->context, sink->buffer, sink->used);
    CW_ASSERT(rc == 1);
    sink->used = 0;
}

static void put_char(struct sink *sink, char c)
{
    if (sink->used == sizeof sink->buffer) {
        flush(sink);
    }
    sink->buffer[sink->used++] = c;
}

static void put(struct sink *sink, struct cw_view view)
{
    for (uint32_t i = 0; i < view.bytes; i++) {
        put_char(sink, view.data[i]);
    }
}

static bool unreserved(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static uint32_t encode(char c, char out[3])
{
    out[0] = c;
    if (unreserved(c)) {
        return 1;
    }
    out[0] = '%';
    out[1] = "0123456789ABCDEF"[(uint8_t)c >> 4];
    out[2] = "0123456789ABCDEF"[(uint8_t)c & 15];
    return 3;
}

static void put_path(struct sink *sink, struct cw_view path)
{
    char out[3];
    if (path.bytes == 0) {
        put_char(sink, '/');
    }
    for (uint32_t i = 0; i < path.bytes; i++) {
        if (path.data[i] == '/') {
            put_char(sink, '/');
        } else {
            put(sink, (struct cw_view){out, encode(path.data[i], out)});
        }
    }
}

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The next character of a query's name or value in its one spelling. */
static uint32_t next_spelt(struct cw_view raw, uint32_t *at, char out[3])
{
    char c = raw.data[*at];
    if (c == '%' && *at + 2 < raw.bytes && digit(raw.data[*at + 1]) >= 0 &&
        digit(raw.data[*at + 2]) >= 0) {
        c = (char)(digit(raw.data[*at + 1]) * 16 + digit(raw.data[*at + 2]));
        *at += 2;
    }
    *at += 1;
    return encode(c, out);
}

static void put_spelt(struct sink *sink, struct cw_view raw)
{
    char out[3];
    for (uint32_t at = 0; at < raw.bytes;) {
        uint32_t bytes = next_spelt(raw, &at, out);
        put(sink, (struct cw_view){out, bytes});
    }
}

static int compare_spelt(struct cw_view a, struct cw_view b)
{
    uint32_t at_a = 0;
    uint32_t at_b = 0;
    char one[3];
    char other[3];
    while (at_a < a.bytes && at_b < b.bytes) {
        /* Both spellings have three bytes, or differ in their first. */
        uint32_t bytes = next_spelt(a, &at_a, one);
        (void)next_spelt(b, &at_b, other);
        int order =
            one[0] != other[0] ? (uint8_t)one[0] - (uint8_t)other[0] : memcmp(one, other, bytes);
        if (order != 0) {
            return order;
        }
    }
    return (at_a < a.bytes) - (at_b < b.bytes);
}

struct param {
    struct cw_view name, value;
};

static int compare_params(const struct param *a, const struct param *b)
{
    int order = compare_spelt(a->name, b->name);
    return order != 0 ? order : compare_spelt(a->value, b->value);
}

static bool put_query(struct sink *sink, struct cw_view query)
{
    struct param params[CW_SIGV4_PARAMS_MAX];
    uint32_t count = 0;
    struct cw_view part;
    while (cut(&query, '&', &part)) {
        if (part.bytes == 0) {
            continue;
        }
        if (count == CW_SIGV4_PARAMS_MAX) {
            return false;
        }
        struct param param = {.name = {part.data, 0}};
        if (part.data[0] == '=') {
            part.data++;
            part.bytes--;
        } else {
            (void)cut(&part, '=', &param.name);
        }
        param.value = part;
        uint32_t i = count++;
        for (; i > 0 && compare_params(&param, &params[i - 1]) < 0; i--) {
            params[i] = params[i - 1];
        }
        params[i] = param;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) {
            put_char(sink, '&');
        }
        put_spelt(sink, params[i].name);
        put_char(sink, '=');
        put_spelt(sink, params[i].value);
    }
    return true;
}

/* Outer blanks go, inner ones are folded. False for a control character, which no client sends
   and which could be read as the end of a line. */
static bool put_value(struct sink *sink, struct cw_view value)
{
    bool blank = false;
    bool begun = false;
    for (uint32_t i = 0; i < value.bytes; i++) {
        char c = value.data[i];
        if (c == ' ' || c == '\t') {
            blank = begun;
            continue;
        }
        if ((uint8_t)c < ' ' || c == 0x7f) {
            return false;
        }
        if (blank) {
            put_char(sink, ' ');
            blank = false;
        }
        put_char(sink, c);
        begun = true;
    }
    return true;
}

static bool put_header(struct sink *sink, const struct cw_request *request, struct cw_view name)
{
    bool found = false;
    put(sink, name);
    put_char(sink, ':');
    for (uint32_t i = 0; i < request->header_count; i++) {
        if (cw_view_equal(request->headers[i].name, name)) {
            if (found) {
                put_char(sink, ',');
            }
            if (!put_value(sink, request->headers[i].value)) {
                return false;
            }
            found = true;
        }
    }
    put_char(sink, '\n');
    return found;
}

static bool put_request(struct sink *sink, const struct cw_request *request, struct cw_view names,
                        struct cw_view body_hash)
{
    static const struct cw_view methods[CW_METHOD_COUNT] = {
        [CW_METHOD_GET] = CW_VIEW("GET"),       [CW_METHOD_HEAD] = CW_VIEW("HEAD"),
        [CW_METHOD_POST] = CW_VIEW("POST"),     [CW_METHOD_PUT] = CW_VIEW("PUT"),
        [CW_METHOD_DELETE] = CW_VIEW("DELETE"), [CW_METHOD_OPTIONS] = CW_VIEW("OPTIONS"),
    };
    put(sink, methods[request->method]);
    put_char(sink, '\n');
    put_path(sink, request->path);
    put_char(sink, '\n');
    if (!put_query(sink, request->query)) {
        return false;
    }
    put_char(sink, '\n');
    struct cw_view rest = names;
    struct cw_view name;
    while (cut(&rest, ';', &name)) {
        if (!put_header(sink, request, name)) {
            return false;
        }
    }
    put_char(sink, '\n');
    put(sink, names);
    put_char(sink, '\n');
    put(sink, body_hash);
    return true;
}

bool cw_sigv4_canonical(const struct cw_request *request, struct cw_view names,
                        struct cw_view body_hash, char out[CW_SIGV4_HEX])
{
    CW_ASSERT(request->method < CW_METHOD_COUNT);
    struct sink sink = {.context = open_context()};
    int rc = EVP_DigestInit_ex2(sink.context, sha256, NULL);
    CW_ASSERT(rc == 1);
    bool good = put_request(&sink, request, names, body_hash);
    if (good) {
        uint8_t hash[CW_SHA256_BYTES];
        unsigned bytes = 0;
        flush(&sink);
        rc = EVP_DigestFinal_ex(sink.context, hash, &bytes);
        CW_ASSERT(rc == 1 && bytes == sizeof hash);
        cw_hex(hash, sizeof hash, out);
    }
    EVP_MD_CTX_free(sink.context);
    return good;
}

void cw_sigv4_signature(const struct cw_sigv4_auth *auth, struct cw_view secret,
                        struct cw_view date, const char canonical[CW_SIGV4_HEX],
                        char out[CW_SIGV4_HEX])
{
    char first[4 + CW_SIGV4_SECRET_MAX] = "AWS4";
    char to_sign[3 * CW_SIGV4_PART_BYTES + 256];
    uint8_t key[CW_SHA256_BYTES];
    CW_ASSERT(secret.bytes > 0 && secret.bytes <= CW_SIGV4_SECRET_MAX);
    memcpy(first + 4, secret.data, secret.bytes);
    EVP_MD_CTX *context = open_context();
    const struct cw_view chain[] = {auth->region, auth->service, CW_VIEW(LAST)};
    hmac_with(context, (struct cw_view){first, 4 + secret.bytes}, auth->day, key);
    for (uint32_t i = 0; i < CW_COUNTOF(chain); i++) {
        hmac_with(context, (struct cw_view){(const char *)key, sizeof key}, chain[i], key);
    }
    uint32_t bytes =
        cw_format(to_sign, sizeof to_sign, SCHEME "\n%.*s\n%.*s\n%.*s", (int)date.bytes, date.data,
                  (int)auth->scope.bytes, auth->scope.data, (int)CW_SIGV4_HEX, canonical);
    uint8_t signature[CW_SHA256_BYTES];
    hmac_with(context, (struct cw_view){(const char *)key, sizeof key},
              (struct cw_view){to_sign, bytes}, signature);
    cw_hex(signature, sizeof signature, out);
    EVP_MD_CTX_free(context);
    OPENSSL_cleanse(first, sizeof first);
    OPENSSL_cleanse(key, sizeof key);
}

/* ---- signing ---- */

/* The names of all headers, each once, sorted, by semicolons. */
static bool list_names(const struct cw_request *request, char out[CW_SIGV4_NAMES_BYTES],
                       struct cw_view *names)
{
    struct cw_view last = {"", 0};
    uint32_t used = 0;
    for (;;) { /* as often as there are different names */
        struct cw_view next = {NULL, 0};
        for (uint32_t i = 0; i < request->header_count; i++) {
            struct cw_view name = request->headers[i].name;
            if (cw_view_compare(name, last) > 0 &&
                (next.data == NULL || cw_view_compare(name, next) < 0)) {
                next = name;
            }
        }
        if (next.data == NULL) {
            *names = (struct cw_view){out, used};
            return used > 0;
        }
        if (used + 1 + next.bytes > CW_SIGV4_NAMES_BYTES) {
            return false;
        }
        if (used > 0) {
            out[used++] = ';';
        }
        memcpy(out + used, next.data, next.bytes);
        used += next.bytes;
        last = next;
    }
}

bool cw_sigv4_sign(const struct cw_request *request, const struct cw_sigv4_signer *signer,
                   int64_t now_ms, struct cw_sigv4_signed *out)
{
    struct cw_header headers[CW_SIGV4_HEADERS_MAX];
    if (request->header_count >= CW_SIGV4_HEADERS_MAX || !good_part(signer->key_id) ||
        !good_part(signer->region) || !good_part(signer->service) || signer->secret.bytes == 0 ||
        signer->secret.bytes > CW_SIGV4_SECRET_MAX) {
        return false;
    }
    struct cw_civil civil = cw_civil_from_ms(now_ms);
    (void)cw_format(out->date, sizeof out->date, "%04d%02u%02uT%02u%02u%02uZ", civil.year,
                    civil.month, civil.day, civil.hour, civil.minute, civil.second);
    struct cw_view date = {out->date, 16};
    struct cw_request all = *request;
    if (request->header_count > 0) {
        memcpy(headers, request->headers, request->header_count * sizeof headers[0]);
    }
    headers[all.header_count++] = (struct cw_header){CW_VIEW("x-amz-date"), date};
    all.headers = headers;

    char scope[3 * CW_SIGV4_PART_BYTES];
    uint32_t bytes =
        cw_format(scope, sizeof scope, "%.8s/%.*s/%.*s/" LAST, out->date, (int)signer->region.bytes,
                  signer->region.data, (int)signer->service.bytes, signer->service.data);
    struct cw_sigv4_auth auth = {.day = {out->date, 8},
                                 .region = signer->region,
                                 .service = signer->service,
                                 .scope = {scope, bytes}};
    uint8_t hash[CW_SHA256_BYTES];
    char body_hash[CW_SIGV4_HEX];
    char canonical[CW_SIGV4_HEX];
    char signature[CW_SIGV4_HEX];
    char names[CW_SIGV4_NAMES_BYTES];
    cw_sha256(request->body, hash);
    cw_hex(hash, sizeof hash, body_hash);
    if (!list_names(&all, names, &auth.names) ||
        !cw_sigv4_canonical(&all, auth.names, (struct cw_view){body_hash, CW_SIGV4_HEX},
                            canonical)) {
        return false;
    }
    cw_sigv4_signature(&auth, signer->secret, date, canonical, signature);
    (void)cw_format(out->authorization, sizeof out->authorization,
                    SCHEME " Credential=%.*s/%.*s, SignedHeaders=%.*s, Signature=%.*s",
                    (int)signer->key_id.bytes, signer->key_id.data, (int)bytes, scope,
                    (int)auth.names.bytes, auth.names.data, (int)CW_SIGV4_HEX, signature);
    return true;
}
