/* Addresses as event patterns know them. */
#include "pipeline/pattern_priv.h"

static bool read_v4(struct cw_view text, struct cw_pattern_ip *ip)
{
    uint64_t address = 0;
    uint32_t parts = 0;
    const char *p = text.data;
    const char *end = p + text.bytes;
    while (p < end) {
        uint32_t part = 0;
        const char *from = p;
        for (; p < end && p - from < 3 && (uint8_t)(*p - '0') < 10; p++) {
            part = part * 10 + (uint32_t)(*p - '0');
        }
        if (p == from || part > 255 || ++parts > 4) {
            return false;
        }
        address = address << 8 | part;
        if (p < end && (*p++ != '.' || p == end)) {
            return false;
        }
    }
    *ip = (struct cw_pattern_ip){.low = address};
    return parts == 4;
}

static int hex_digit(char c)
{
    if ((uint8_t)(c - '0') < 10) {
        return c - '0';
    }
    char low = (char)(c | 0x20);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

/* groups of 16 bits; before number gap stand as many zeros as are missing. */
static struct cw_pattern_ip address_of(const uint16_t *groups, uint32_t count, uint32_t gap)
{
    uint64_t halves[2] = {0, 0};
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i < gap ? i : i + 8 - count;
        halves[at / 4] |= (uint64_t)groups[i] << (48 - at % 4 * 16);
    }
    if (halves[0] == 0 && halves[1] >> 32 == 0xffff) {
        return (struct cw_pattern_ip){.low = halves[1] & 0xffffffffu};
    }
    return (struct cw_pattern_ip){.high = halves[0], .low = halves[1], .v6 = true};
}

static bool read_v6(struct cw_view text, struct cw_pattern_ip *ip)
{
    uint16_t groups[8] = {0};
    uint32_t count = 0;
    uint32_t gap = 9; /* no :: yet */
    const char *p = text.data;
    const char *end = p + text.bytes;
    if (text.bytes >= 2 && p[0] == ':' && p[1] == ':') {
        gap = 0;
        p += 2;
    }
    while (p < end) {
        uint32_t group = 0;
        const char *from = p;
        for (; p < end && p - from < 4 && hex_digit(*p) >= 0; p++) {
            group = group << 4 | (uint32_t)hex_digit(*p);
        }
        if (p == from || count == 8) {
            return false;
        }
        groups[count++] = (uint16_t)group;
        if (p == end) {
            break;
        }
        if (*p++ != ':' || p == end) {
            return false;
        }
        if (*p == ':') {
            if (gap != 9) {
                return false;
            }
            gap = count;
            p++;
        }
    }
    if (gap == 9 ? count != 8 : count == 8) {
        return false;
    }
    *ip = address_of(groups, count, gap);
    return true;
}

bool cw_pattern_ip_read(struct cw_view text, struct cw_pattern_ip *ip)
{
    if (text.bytes < 2 || text.bytes > 39) {
        return false;
    }
    bool colon = memchr(text.data, ':', text.bytes < 5 ? text.bytes : 5) != NULL;
    return colon ? read_v6(text, ip) : read_v4(text, ip);
}

int cw_pattern_ip_compare(const struct cw_pattern_ip *a, const struct cw_pattern_ip *b)
{
    if (a->v6 != b->v6) {
        return a->v6 ? 1 : -1;
    }
    if (a->high != b->high) {
        return a->high < b->high ? -1 : 1;
    }
    return (a->low > b->low) - (a->low < b->low);
}
