/*
 * Of a password, an API key or a token only a keyed hash is kept: what a caller presents is hashed
 * with the same key, drawn anew at every start, and the hashes are compared. So the comparison
 * takes the same time whatever the lengths, and a copy of the memory gives no password away. A
 * SigV4 secret must be kept as it is.
 */
#include "io/credentials.h"

#include "core/time.h"
#include "io/sigv4.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/mman.h>

#define SKEW_MS          (5 * CW_MINUTE_MS)
#define SECRET_BYTES_MIN 8u /* of what is sent as it is, for roles above report */
#define BASIC_BYTES_MAX  (CW_SIGV4_PART_BYTES + 1 + CW_SIGV4_SECRET_MAX)

struct credential {
    enum cw_credential_type type;
    enum cw_role role;
    uint32_t id_bytes, secret_bytes;
    char id[CW_SIGV4_PART_BYTES];
    uint8_t hash[CW_SHA256_BYTES];
    char secret[CW_SIGV4_SECRET_MAX]; /* SIGV4 alone */
};

struct cw_credentials {
    uint8_t hash_key[CW_SHA256_BYTES];
    uint32_t count;
    struct credential list[CW_CREDENTIALS_MAX];
};

cw_err cw_credentials_open(struct cw_credentials **credentials, struct cw_fault *fault)
{
    struct cw_credentials *made =
        mmap(NULL, sizeof *made, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED) {
        fault->sys_errno = errno;
        return cw_fail(fault, CW_ERR_LIMIT, "no memory for credentials");
    }
    /* Neither is granted everywhere, and neither is needed to work. */
    (void)mlock(made, sizeof *made);
    (void)madvise(made, sizeof *made, MADV_DONTDUMP);
    if (RAND_bytes(made->hash_key, sizeof made->hash_key) != 1) {
        cw_credentials_close(made);
        return cw_fail(fault, CW_ERR_UNSUPPORTED, "the system has no random numbers");
    }
    *credentials = made;
    return CW_ERR_OK;
}

void cw_credentials_close(struct cw_credentials *credentials)
{
    if (credentials != NULL) {
        OPENSSL_cleanse(credentials, sizeof *credentials);
        (void)munmap(credentials, sizeof *credentials);
    }
}

uint32_t cw_credentials_count(const struct cw_credentials *credentials)
{
    return credentials->count;
}

static void hash(const struct cw_credentials *credentials, struct cw_view secret,
                 uint8_t out[CW_SHA256_BYTES])
{
    cw_hmac_sha256((struct cw_view){(const char *)credentials->hash_key, CW_SHA256_BYTES}, secret,
                   out);
}

/* ---- adding ---- */

static bool printable(struct cw_view text, const char *but)
{
    for (uint32_t i = 0; i < text.bytes; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~' || strchr(but, text.data[i]) != NULL) {
            return false;
        }
    }
    return true;
}

/* A header's name, in lower case. */
static bool header_name(struct cw_view text)
{
    for (uint32_t i = 0; i < text.bytes; i++) {
        char c = text.data[i];
        if (c >= 'A' && c <= 'Z') {
            return false;
        }
    }
    return printable(text, "\"(),/:;<=>?@[\\]{}");
}

static cw_err check_id(enum cw_credential_type type, struct cw_view id, struct cw_fault *fault)
{
    bool good = false;
    switch (type) {
    case CW_CREDENTIAL_SIGV4: good = printable(id, "/,\""); break;
    case CW_CREDENTIAL_API_KEY: good = header_name(id); break;
    case CW_CREDENTIAL_BASIC: good = memchr(id.data, ':', id.bytes) == NULL; break;
    case CW_CREDENTIAL_BEARER: good = true; break;
    }
    if (id.bytes == 0 || id.bytes > CW_SIGV4_PART_BYTES || !good) {
        return cw_fail(fault, CW_ERR_INVALID, "\"%.*s\" is no %s of 1 to %u characters",
                       (int)(id.bytes < 64 ? id.bytes : 64), id.data,
                       type == CW_CREDENTIAL_SIGV4     ? "access key id"
                       : type == CW_CREDENTIAL_API_KEY ? "header name (lower case)"
                       : type == CW_CREDENTIAL_BASIC   ? "user"
                                                       : "name",
                       CW_SIGV4_PART_BYTES);
    }
    return CW_ERR_OK;
}

static cw_err check_secret(enum cw_credential_type type, struct cw_view secret, enum cw_role role,
                           struct cw_fault *fault)
{
    uint32_t min = type != CW_CREDENTIAL_SIGV4 && role > CW_ROLE_REPORT ? SECRET_BYTES_MIN : 1;
    if (secret.bytes < min || secret.bytes > CW_SIGV4_SECRET_MAX) {
        return cw_fail(fault, CW_ERR_INVALID, "its secret has %u bytes, not %u to %u", secret.bytes,
                       min, CW_SIGV4_SECRET_MAX);
    }
    bool edge = secret.data[0] == ' ' || secret.data[secret.bytes - 1] == ' ';
    for (uint32_t i = 0; i < secret.bytes; i++) {
        /* It could never arrive in a header; most often it is the file's last line end. */
        if ((uint8_t)secret.data[i] < ' ' || secret.data[i] == 0x7f || edge) {
            return cw_fail(fault, CW_ERR_INVALID,
                           "its secret has a line end, another control character or a blank "
                           "around it");
        }
    }
    return CW_ERR_OK;
}

cw_err cw_credentials_add(struct cw_credentials *credentials, enum cw_credential_type type,
                          struct cw_view id, struct cw_view secret, enum cw_role role,
                          struct cw_fault *fault)
{
    if (type == CW_CREDENTIAL_API_KEY && id.bytes == 0) {
        id = CW_VIEW("x-api-key");
    }
    cw_err err = check_id(type, id, fault);
    if (err == CW_ERR_OK) {
        err = check_secret(type, secret, role, fault);
    }
    if (err != CW_ERR_OK) {
        return err;
    }
    if (role < CW_ROLE_REPORT || role > CW_ROLE_ADMIN) {
        return cw_fail(fault, CW_ERR_INVALID, "a credential has the role report, ingest or admin");
    }
    if (credentials->count == CW_CREDENTIALS_MAX) {
        return cw_fail(fault, CW_ERR_LIMIT, "more than %u credentials", CW_CREDENTIALS_MAX);
    }
    struct credential *made = &credentials->list[credentials->count];
    *made = (struct credential){.type = type, .role = role, .id_bytes = id.bytes};
    memcpy(made->id, id.data, id.bytes);
    hash(credentials, secret, made->hash);
    for (uint32_t i = 0; i < credentials->count; i++) {
        /* The same id again with another secret is how secrets are changed without a gap. */
        const struct credential *other = &credentials->list[i];
        if (other->type == type &&
            cw_view_equal((struct cw_view){other->id, other->id_bytes}, id) &&
            CRYPTO_memcmp(other->hash, made->hash, sizeof made->hash) == 0) {
            return cw_fail(fault, CW_ERR_INVALID, "\"%.*s\" is there twice with the same secret",
                           (int)id.bytes, id.data);
        }
    }
    if (type == CW_CREDENTIAL_SIGV4) {
        memcpy(made->secret, secret.data, secret.bytes);
        made->secret_bytes = secret.bytes;
    }
    credentials->count++;
    return CW_ERR_OK;
}

/* ---- checking ---- */

/* Counts the headers of a name; *value is the first one's. */
static uint32_t find_header(const struct cw_request *request, struct cw_view name,
                            struct cw_view *value)
{
    uint32_t count = 0;
    *value = (struct cw_view){NULL, 0};
    for (uint32_t i = 0; i < request->header_count; i++) {
        if (cw_view_equal(request->headers[i].name, name)) {
            *value = count == 0 ? request->headers[i].value : *value;
            count++;
        }
    }
    return count;
}

static bool begins(struct cw_view text, struct cw_view with)
{
    return text.bytes >= with.bytes && memcmp(text.data, with.data, with.bytes) == 0;
}

/* Everything of a request that decides what it means must be signed. */
static bool all_signed(const struct cw_request *request, struct cw_view names)
{
    if (!cw_sigv4_signs(names, CW_VIEW("host"))) {
        return false;
    }
    for (uint32_t i = 0; i < request->header_count; i++) {
        struct cw_view name = request->headers[i].name;
        if ((begins(name, CW_VIEW("x-amz-")) || begins(name, CW_VIEW("ce-")) ||
             cw_view_equal(name, CW_VIEW("content-type")) ||
             cw_view_equal(name, CW_VIEW("content-encoding"))) &&
            !cw_sigv4_signs(names, name)) {
            return false;
        }
    }
    return true;
}

/* The hash of the body itself, in hex. A client may send it as a header; an unsigned or streamed
   body cannot be proven, so it is not taken. */
static bool body_hash(const struct cw_request *request, char out[CW_SIGV4_HEX])
{
    uint8_t digest[CW_SHA256_BYTES];
    cw_sha256(request->body, digest);
    cw_hex(digest, sizeof digest, out);
    struct cw_view told;
    uint32_t count = find_header(request, CW_VIEW("x-amz-content-sha256"), &told);
    return count == 0 || (count == 1 && cw_view_equal(told, (struct cw_view){out, CW_SIGV4_HEX}));
}

static bool known_key_id(const struct cw_credentials *credentials, struct cw_view id)
{
    for (uint32_t i = 0; i < credentials->count; i++) {
        const struct credential *known = &credentials->list[i];
        if (known->type == CW_CREDENTIAL_SIGV4 &&
            cw_view_equal((struct cw_view){known->id, known->id_bytes}, id)) {
            return true;
        }
    }
    return false;
}

static enum cw_check check_signature(const struct cw_credentials *credentials,
                                     const struct cw_sigv4_auth *auth, struct cw_view date,
                                     const char canonical[CW_SIGV4_HEX], enum cw_role *role,
                                     const char **reason)
{
    for (uint32_t i = 0; i < credentials->count; i++) {
        const struct credential *known = &credentials->list[i];
        if (known->type != CW_CREDENTIAL_SIGV4 ||
            !cw_view_equal((struct cw_view){known->id, known->id_bytes}, auth->key_id)) {
            continue;
        }
        char expected[CW_SIGV4_HEX];
        cw_sigv4_signature(auth, (struct cw_view){known->secret, known->secret_bytes}, date,
                           canonical, expected);
        if (CRYPTO_memcmp(expected, auth->signature.data, sizeof expected) == 0) {
            *role = known->role;
            return CW_CHECK_OK;
        }
    }
    *reason = "the signature does not match: check the secret access key, and that nothing between "
              "changes Host, the path, a header or the body";
    return CW_CHECK_SIGNATURE;
}

/* What costs nothing comes first: only a caller who knows a key id and tells the time has a body
   hashed. */
static enum cw_check check_sigv4(const struct cw_credentials *credentials,
                                 const struct cw_request *request, struct cw_view value,
                                 int64_t now_ms, enum cw_role *role, const char **reason)
{
    struct cw_sigv4_auth auth;
    struct cw_view date;
    int64_t signed_ms = 0;
    char hashed[CW_SIGV4_HEX];
    char canonical[CW_SIGV4_HEX];
    if (!cw_sigv4_parse(value, &auth)) {
        *reason = "Authorization is no AWS4-HMAC-SHA256 with Credential, SignedHeaders and "
                  "Signature";
        return CW_CHECK_MALFORMED;
    }
    if (find_header(request, CW_VIEW("x-amz-date"), &date) != 1 ||
        !cw_sigv4_time(date, &signed_ms) || memcmp(date.data, auth.day.data, 8) != 0) {
        *reason = "X-Amz-Date is not there once, like 20260118T164500Z, on the day of the "
                  "credential";
        return CW_CHECK_MALFORMED;
    }
    if (!known_key_id(credentials, auth.key_id)) {
        *reason = "the access key id is not known here";
        return CW_CHECK_UNKNOWN;
    }
    if (signed_ms > now_ms + SKEW_MS || signed_ms < now_ms - SKEW_MS) {
        *reason = "it was signed at a time more than 5 minutes off; set the clock";
        return CW_CHECK_SKEW;
    }
    if (!all_signed(request, auth.names)) {
        *reason = "SignedHeaders must name host, and every x-amz-, ce- and content-type header";
        return CW_CHECK_MALFORMED;
    }
    if (!body_hash(request, hashed)) {
        *reason = "X-Amz-Content-Sha256 is not the hash of the body; unsigned and streamed bodies "
                  "are not taken";
        return CW_CHECK_SIGNATURE;
    }
    if (!cw_sigv4_canonical(request, auth.names, (struct cw_view){hashed, CW_SIGV4_HEX},
                            canonical)) {
        *reason = "SignedHeaders names a header that is not there, or the query is too long";
        return CW_CHECK_MALFORMED;
    }
    return check_signature(credentials, &auth, date, canonical, role, reason);
}

/* The credential of that type and id (NULL data: any) whose secret this is, or NULL. Looks at all
   of them, so that the time does not tell which it was. *any: there is one with the id. */
static const struct credential *find_secret(const struct cw_credentials *credentials,
                                            enum cw_credential_type type, struct cw_view id,
                                            struct cw_view secret, bool *any)
{
    const struct credential *found = NULL;
    uint8_t hashed[CW_SHA256_BYTES];
    hash(credentials, secret, hashed);
    *any = false;
    for (uint32_t i = 0; i < credentials->count; i++) {
        const struct credential *known = &credentials->list[i];
        bool same = CRYPTO_memcmp(known->hash, hashed, sizeof hashed) == 0;
        bool meant =
            known->type == type &&
            (id.data == NULL || cw_view_equal((struct cw_view){known->id, known->id_bytes}, id));
        *any = *any || meant;
        found = meant && same ? known : found;
    }
    return found;
}

/* Strict base64 (RFC 4648 section 4); what is meant, at most `room` bytes. False otherwise. */
static bool decode_base64(struct cw_view text, char *out, uint32_t room, uint32_t *bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t held = 0;
    uint32_t bits = 0;
    uint32_t used = 0;
    uint32_t padding = 0;
    while (padding < 2 && text.bytes > padding && text.data[text.bytes - 1 - padding] == '=') {
        padding++;
    }
    for (uint32_t i = 0; i < text.bytes - padding; i++) {
        const char *digit = text.data[i] == '\0' ? NULL : strchr(digits, text.data[i]);
        if (digit == NULL) {
            return false;
        }
        held = (held << 6 | (uint32_t)(digit - digits)) & 0xffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            if (used == room) {
                return false;
            }
            out[used++] = (char)(held >> bits);
        }
    }
    *bytes = used;
    return text.bytes % 4 == 0 && bits == 2 * padding && (held & ((1u << bits) - 1)) == 0;
}

static enum cw_check check_basic(const struct cw_credentials *credentials, struct cw_view value,
                                 enum cw_role *role, const char **reason)
{
    char plain[BASIC_BYTES_MAX];
    uint32_t bytes = 0;
    enum cw_check check = CW_CHECK_MALFORMED;
    *reason = "Authorization: Basic is not followed by user:password in base64";
    const char *colon = NULL;
    if (decode_base64(value, plain, sizeof plain, &bytes)) {
        colon = memchr(plain, ':', bytes);
    }
    if (colon != NULL) {
        uint32_t user = (uint32_t)(colon - plain);
        bool any = false;
        const struct credential *found =
            find_secret(credentials, CW_CREDENTIAL_BASIC, (struct cw_view){plain, user},
                        (struct cw_view){colon + 1, bytes - user - 1}, &any);
        *reason = any ? "the password is wrong" : "the user is not known here";
        check = any ? CW_CHECK_SIGNATURE : CW_CHECK_UNKNOWN;
        if (found != NULL) {
            *role = found->role;
            check = CW_CHECK_OK;
        }
    }
    OPENSSL_cleanse(plain, sizeof plain);
    return check;
}

static enum cw_check check_bearer(const struct cw_credentials *credentials, struct cw_view value,
                                  enum cw_role *role, const char **reason)
{
    bool any = false;
    const struct credential *found =
        find_secret(credentials, CW_CREDENTIAL_BEARER, (struct cw_view){NULL, 0}, value, &any);
    *reason = "the bearer token is not known here";
    if (found == NULL) {
        return CW_CHECK_UNKNOWN;
    }
    *role = found->role;
    return CW_CHECK_OK;
}

/* True when text begins with the scheme (in any case) and a blank; then *rest is what follows. */
static bool is_scheme(struct cw_view text, const char *scheme, struct cw_view *rest)
{
    uint32_t at = 0;
    for (; scheme[at] != '\0'; at++) {
        if (at == text.bytes || (text.data[at] | 0x20) != scheme[at]) {
            return false;
        }
    }
    if (at == text.bytes || text.data[at] != ' ') {
        return false;
    }
    while (at < text.bytes && text.data[at] == ' ') {
        at++;
    }
    *rest = (struct cw_view){text.data + at, text.bytes - at};
    return true;
}

static enum cw_check check_authorization(const struct cw_credentials *credentials,
                                         const struct cw_request *request, int64_t now_ms,
                                         enum cw_role *role, const char **reason)
{
    struct cw_view value;
    struct cw_view rest;
    uint32_t count = find_header(request, CW_VIEW("authorization"), &value);
    if (count == 0) {
        return CW_CHECK_NONE;
    }
    if (count > 1) {
        *reason = "Authorization is there more than once";
        return CW_CHECK_MALFORMED;
    }
    if (begins(value, CW_VIEW("AWS4-"))) {
        return check_sigv4(credentials, request, value, now_ms, role, reason);
    }
    if (is_scheme(value, "basic", &rest)) {
        return check_basic(credentials, rest, role, reason);
    }
    if (is_scheme(value, "bearer", &rest)) {
        return check_bearer(credentials, rest, role, reason);
    }
    *reason = "Authorization is none of AWS4-HMAC-SHA256, Basic and Bearer";
    return CW_CHECK_MALFORMED;
}

/* True when an earlier API key comes in the same header. */
static bool seen_before(const struct cw_credentials *credentials, uint32_t index)
{
    const struct credential *one = &credentials->list[index];
    for (uint32_t i = 0; i < index; i++) {
        const struct credential *other = &credentials->list[i];
        if (other->type == one->type && cw_view_equal((struct cw_view){other->id, other->id_bytes},
                                                      (struct cw_view){one->id, one->id_bytes})) {
            return true;
        }
    }
    return false;
}

static enum cw_check check_api_keys(const struct cw_credentials *credentials,
                                    const struct cw_request *request, enum cw_role *role,
                                    const char **reason)
{
    enum cw_check check = CW_CHECK_NONE;
    for (uint32_t i = 0; i < credentials->count; i++) {
        const struct credential *known = &credentials->list[i];
        if (known->type != CW_CREDENTIAL_API_KEY || seen_before(credentials, i)) {
            continue;
        }
        struct cw_view name = {known->id, known->id_bytes};
        struct cw_view value;
        uint32_t count = find_header(request, name, &value);
        bool any = false;
        if (count == 1) {
            const struct credential *found =
                find_secret(credentials, CW_CREDENTIAL_API_KEY, name, value, &any);
            if (found != NULL) {
                *role = found->role;
                return CW_CHECK_OK;
            }
            check = check == CW_CHECK_NONE ? CW_CHECK_UNKNOWN : check;
            *reason = "the API key is not known here";
        } else if (count > 1) {
            *reason = "the header with the API key is there more than once";
            return CW_CHECK_MALFORMED;
        }
    }
    return check;
}

enum cw_check cw_credentials_check(const struct cw_credentials *credentials,
                                   const struct cw_request *request, int64_t now_ms,
                                   enum cw_role *role, const char **reason)
{
    const char *key_reason = "";
    *role = CW_ROLE_NONE;
    *reason = "the request brings no credentials";
    enum cw_check check = check_authorization(credentials, request, now_ms, role, reason);
    if (check == CW_CHECK_OK) {
        *reason = "";
        return check;
    }
    enum cw_check key = check_api_keys(credentials, request, role, &key_reason);
    if (key == CW_CHECK_OK || check == CW_CHECK_NONE) {
        *reason = key == CW_CHECK_NONE ? *reason : key_reason;
        return key;
    }
    return check;
}
