#include "io/address.h"

#include "io/clean.h"

enum {
    LOCAL_BYTES_MAX = 64,
    HOST_BYTES_MAX = 253,
    LABEL_BYTES_MAX = 63
};

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_atom(char c)
{
    return is_alphanumeric(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

const char *cw_host_problem(struct cw_view host)
{
    if (host.bytes == 0) {
        return "its host name is empty";
    }
    if (host.bytes > HOST_BYTES_MAX) {
        return "its host name is longer than 253 bytes";
    }
    uint32_t label = 0; /* where the present one begins */
    for (uint32_t i = 0; i <= host.bytes; i++) {
        char c = (char)(i < host.bytes ? host.data[i] : '.');
        if (c == '.') {
            if (i == label || i - label > LABEL_BYTES_MAX) {
                return "its host name has an empty part, or one longer than 63 bytes";
            }
            if (host.data[label] == '-' || host.data[i - 1] == '-') {
                return "a part of its host name begins or ends with a hyphen";
            }
            label = i + 1;
        } else if ((uint8_t)c >= 0x80u) {
            return "its host name is not ASCII; write it as xn--...";
        } else if (!is_alphanumeric(c) && c != '-') {
            return "its host name holds a character that host names do not have";
        }
    }
    return NULL;
}

static const char *local_problem(struct cw_view local)
{
    if (local.bytes == 0) {
        return "there is nothing before its @";
    }
    if (local.bytes > LOCAL_BYTES_MAX) {
        return "the part before its @ is longer than 64 bytes";
    }
    for (uint32_t i = 0; i < local.bytes; i++) {
        char c = local.data[i];
        if (c == '=' && i + 1 < local.bytes && local.data[i + 1] == '?') {
            return "it holds =?, which mail readers take for encoded text";
        }
        if ((uint8_t)c >= 0x80u) {
            return "the part before its @ is not ASCII, which would need SMTPUTF8";
        }
        bool dot = c == '.' && i > 0 && i + 1 < local.bytes && local.data[i - 1] != '.';
        if (!is_atom(c) && !dot) {
            return c == '.' ? "the part before its @ has a dot at an end, or two in a row"
                            : "it holds a character that addresses do not have";
        }
    }
    return NULL;
}

const char *cw_address_problem(struct cw_view address)
{
    if (address.data == NULL || address.bytes == 0) {
        return "it is empty";
    }
    if (address.bytes > CW_ADDRESS_BYTES_MAX) {
        return "it is longer than 254 bytes";
    }
    for (uint32_t i = 0; i < address.bytes; i++) {
        uint8_t c = (uint8_t)address.data[i];
        if (c < 0x20u || c == 0x7Fu) {
            return "it holds a control character";
        }
    }
    const char *sign = memchr(address.data, '@', address.bytes);
    if (sign == NULL) {
        return "it has no @";
    }
    uint32_t local_bytes = (uint32_t)(sign - address.data);
    const char *problem = local_problem((struct cw_view){address.data, local_bytes});
    if (problem != NULL) {
        return problem;
    }
    return cw_host_problem((struct cw_view){sign + 1, address.bytes - local_bytes - 1});
}

static struct cw_view trim(struct cw_view view)
{
    while (view.bytes > 0 && view.data[0] == ' ') {
        view.data++;
        view.bytes--;
    }
    while (view.bytes > 0 && view.data[view.bytes - 1] == ' ') {
        view.bytes--;
    }
    return view;
}

/* Copies the name, without the quotes and the backslashes in them. */
static const char *take_name(struct cw_view name, struct cw_mailbox *mailbox)
{
    bool quoted = name.bytes >= 2 && name.data[0] == '"' && name.data[name.bytes - 1] == '"';
    if (quoted) {
        name = (struct cw_view){name.data + 1, name.bytes - 2};
    }
    if (name.bytes > CW_MAILBOX_NAME_MAX) {
        return "its name is longer than 200 bytes";
    }
    for (uint32_t i = 0; i < name.bytes;) {
        uint32_t bytes = cw_clean_char(name.data + i, name.bytes - i);
        uint8_t c = (uint8_t)name.data[i];
        if (bytes == 0 || c < 0x20u || c == 0x7Fu) {
            return "its name holds a control character, or is not UTF-8";
        }
        if (!quoted && (c == '"' || c == '<' || c == '>')) {
            return "its name holds a quote or a bracket outside of quotes";
        }
        if (quoted && c == '"') {
            return "its name holds a quote without a backslash";
        }
        if (quoted && c == '\\' && i + 1 < name.bytes) {
            i++;
            bytes = cw_clean_char(name.data + i, name.bytes - i);
            if (bytes == 0 || (uint8_t)name.data[i] < 0x20u) {
                return "its name holds a control character, or is not UTF-8";
            }
        }
        memcpy(mailbox->name + mailbox->name_bytes, name.data + i, bytes);
        mailbox->name_bytes += bytes;
        i += bytes;
    }
    return NULL;
}

const char *cw_mailbox_parse(struct cw_view text, struct cw_mailbox *mailbox)
{
    *mailbox = (struct cw_mailbox){.address = text};
    if (text.data == NULL || text.bytes == 0) {
        return "it is empty";
    }
    struct cw_view whole = trim(text);
    if (whole.bytes == 0 || whole.data[whole.bytes - 1] != '>') {
        mailbox->address = whole;
        return cw_address_problem(whole);
    }
    uint32_t open = whole.bytes - 1;
    while (open > 0 && whole.data[open] != '<') {
        open--;
    }
    if (whole.data[open] != '<') {
        return "it has a > without a <";
    }
    mailbox->address = (struct cw_view){whole.data + open + 1, whole.bytes - open - 2};
    const char *problem = cw_address_problem(mailbox->address);
    if (problem != NULL) {
        return problem;
    }
    return take_name(trim((struct cw_view){whole.data, open}), mailbox);
}
