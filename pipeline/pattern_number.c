/*
 * Numbers of documents. EventBridge compares numbers as binary64 as long as nothing is lost by it:
 * a spelling whose value is not that of its binary64's shortest decimal (9007199254740993,
 * 0.1000000000000000055) is in no numeric range and equals only itself, letter by letter.
 *
 * Up to 15 digits nothing is lost. Beyond, the shortest decimal of the binary64 d is this spelling
 * t (of n digits) exactly when t is the n-digit decimal nearest to d and neither of the two
 * decimals of n - 1 digits around t reads as d. All of that are comparisons of whole numbers once
 * d, t and their units are multiplied by the same powers of two and ten.
 */
#include "pipeline/pattern_priv.h"

#include <math.h>

enum {
    DIGITS_SAFE = 15,
    DIGITS_MAX = 17, /* no shortest decimal has more */
    EXPONENT_FAR = 100000,
    LIMBS = 44 /* 2^1076 * 10^18 and 2^56 * 10^341 take 1,190 bits at most */
};

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

#define ZEROS UINT64_C(0x3030303030303030)

static const uint64_t whole_powers[] = {
    1,
    10,
    100,
    1000,
    10000,
    100000,
    1000000,
    10000000,
    100000000,
    1000000000,
    UINT64_C(10000000000),
    UINT64_C(100000000000),
    UINT64_C(1000000000000),
    UINT64_C(10000000000000),
    UINT64_C(100000000000000),
    UINT64_C(1000000000000000),
    UINT64_C(10000000000000000),
};

/* Marks (0x80) the bytes of 8 characters, less '0' each, that are no digits. */
static inline uint64_t not_digits(uint64_t d)
{
    return ((d + UINT64_C(0x7676767676767676)) | d) & UINT64_C(0x8080808080808080);
}

/* The number that 8 digits are; each step joins neighbours. */
static inline uint64_t join(uint64_t d)
{
    d = d * 10 + (d >> 8);
    d = ((d & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x000f424000000064) +
         (d >> 16 & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x0000271000000001)) >>
        32;
    return d & 0xffffffffu;
}

static inline uint32_t digit_count(uint64_t value)
{
    uint32_t count = 0;
    for (; value >= 10000; value /= 10000) {
        count += 4;
    }
    return count + (value >= 1000) + (value >= 100) + (value >= 10) + (value >= 1);
}

/* The usual spellings, without a loop: up to 7 digits, up to 16 decimals, no exponent. A number in
   a document is never the last thing of it, so that what follows is known to be no digit. */
static inline bool read_short(struct cw_view raw, struct cw_pattern_number *n)
{
    n->minus = *raw.data == '-';
    const char *p = raw.data + n->minus;
    const char *end = raw.data + raw.bytes;
    uint64_t x = cw_pattern_load8(p) ^ ZEROS;
    uint64_t other = not_digits(x);
    if (other == 0) {
        return false;
    }
    uint32_t before = (uint32_t)__builtin_ctzll(other) / 8;
    n->whole = before == 0 ? 0 : join(x << (64 - before * 8));
    n->digits = before;
    p += before + 1;
    if (p > end) {
        n->digits = n->whole == 0 ? 0 : before;
        return true;
    }
    uint32_t after = (uint32_t)(end - p);
    if (p[-1] != '.' || after > 16 || before + after > 19) {
        return false;
    }
    uint64_t fraction;
    uint64_t first = cw_pattern_load8(p) ^ ZEROS;
    if (after <= 8) {
        first <<= 64 - after * 8;
        other = not_digits(first);
        fraction = join(first);
    } else {
        uint32_t twice = (16 - after) * 8; /* bits of digits that are in both eights */
        uint64_t last = (cw_pattern_load8(end - 8) ^ ZEROS) >> twice << twice;
        other = not_digits(first) | not_digits(last);
        fraction = join(first) * whole_powers[after - 8] + join(last);
    }
    n->digits = n->whole != 0 ? before + after : digit_count(fraction);
    n->whole = n->whole * whole_powers[after] + fraction;
    n->exponent = -(int32_t)after;
    return other == 0;
}

struct reader {
    const char *p, *end;
    struct cw_pattern_number n;
};

/* A run of digits; each moves the exponent by `shift`: 0 before the point, -1 behind it. */
static void read_digits(struct reader *r, int32_t shift)
{
    struct cw_pattern_number *n = &r->n;
    for (; r->p < r->end && (uint8_t)(*r->p - '0') < 10; r->p++) {
        uint32_t digit = (uint32_t)(*r->p - '0');
        if (n->digits < 19) {
            n->whole = n->whole * 10 + digit;
            n->digits += n->whole != 0;
            n->exponent += shift;
        } else {
            n->cut |= digit != 0;
            n->exponent += n->exponent < EXPONENT_FAR ? 1 + shift : 0;
        }
    }
}

static __attribute__((noinline)) struct cw_pattern_number read_long(struct cw_view raw)
{
    struct reader r = {.p = raw.data, .end = raw.data + raw.bytes};
    struct cw_pattern_number *n = &r.n;
    n->minus = *r.p == '-';
    r.p += n->minus;
    read_digits(&r, 0);
    if (r.p < r.end && *r.p == '.') {
        r.p++;
        read_digits(&r, -1);
    }
    if (r.p < r.end) { /* an e: there is nothing else */
        r.p++;
        bool minus = *r.p == '-';
        r.p += *r.p == '-' || *r.p == '+';
        int32_t exponent = 0;
        for (; r.p < r.end; r.p++) {
            exponent = exponent < EXPONENT_FAR ? exponent * 10 + (*r.p - '0') : exponent;
        }
        n->exponent += minus ? -exponent : exponent;
    }
    return *n;
}

struct cw_pattern_number cw_pattern_number_read(struct cw_view raw)
{
    struct cw_pattern_number n = {.value = 0};
    if (CW_UNLIKELY(!read_short(raw, &n))) {
        n = read_long(raw);
    }
    if (n.exponent >= -22 && n.exponent <= 22) {
        double value = (double)(int64_t)n.whole;
        if (n.whole >> 63 != 0) {
            value = (double)n.whole;
        }
        value = n.exponent < 0 ? value / powers[-n.exponent] : value * powers[n.exponent];
        n.value = n.minus ? -value : value;
        n.exact = n.whole <= UINT64_C(1) << 53 && !n.cut;
    } else {
        n.value = cw_json_number(raw);
        n.exact = true;
    }
    return n;
}

/* ---- Whole numbers of many digits ---- */

struct big {
    uint32_t limb[LIMBS];
};

static void multiply(struct big *b, uint32_t by)
{
    uint64_t carry = 0;
    for (uint32_t i = 0; i < LIMBS; i++) {
        carry += (uint64_t)b->limb[i] * by;
        b->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    CW_ASSERT_HOT(carry == 0);
}

static struct big power(int32_t twos, int32_t tens)
{
    struct big b = {.limb = {1}};
    for (; twos >= 31; twos -= 31) {
        multiply(&b, 1u << 31);
    }
    multiply(&b, 1u << (twos > 0 ? twos : 0));
    for (; tens >= 9; tens -= 9) {
        multiply(&b, 1000000000);
    }
    for (; tens > 0; tens--) {
        multiply(&b, 10);
    }
    return b;
}

static struct big times(const struct big *b, uint64_t by)
{
    struct big low = *b;
    struct big high = *b;
    multiply(&low, (uint32_t)by);
    multiply(&high, (uint32_t)(by >> 32));
    uint64_t carry = 0;
    for (uint32_t i = 0; i < LIMBS; i++) {
        carry += (uint64_t)low.limb[i] + (i > 0 ? high.limb[i - 1] : 0);
        low.limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    return low;
}

static int compare(const struct big *a, const struct big *b)
{
    for (uint32_t i = LIMBS; i-- > 0;) {
        if (a->limb[i] != b->limb[i]) {
            return a->limb[i] < b->limb[i] ? -1 : 1;
        }
    }
    return 0;
}

/* How twice the distance of a and b compares with the limit. */
static int compare_twice_distance(const struct big *a, const struct big *b, const struct big *limit)
{
    bool swap = compare(a, b) < 0;
    const struct big *more = swap ? b : a;
    const struct big *less = swap ? a : b;
    struct big d;
    int64_t borrow = 0;
    for (uint32_t i = 0; i < LIMBS; i++) {
        borrow += (int64_t)more->limb[i] - (int64_t)less->limb[i];
        d.limb[i] = (uint32_t)borrow;
        borrow >>= 32;
    }
    multiply(&d, 2);
    return compare(&d, limit);
}

/* value = mantissa * 2^twos; the spelling is whole * 10^tens, whole no multiple of ten. */
static bool is_shortest(uint64_t mantissa, int32_t twos, uint64_t whole, int32_t tens)
{
    /* All times 2, so that the gap below a power of two, half as wide, is whole too. */
    struct big unit = power((twos < 0 ? -twos : 0) + 1, tens > 0 ? tens : 0);
    struct big gap = power((twos > 0 ? twos : 0) + 1, tens < 0 ? -tens : 0);
    bool narrow = mantissa == UINT64_C(1) << 52 && twos > -1074;
    struct big gap_below = narrow ? power(twos > 0 ? twos : 0, tens < 0 ? -tens : 0) : gap;
    struct big value = times(&gap, mantissa);
    struct big spelled = times(&unit, whole);
    if (compare_twice_distance(&value, &spelled, &unit) > 0) {
        return false;
    }
    struct big below = times(&unit, whole / 10 * 10);
    struct big above = times(&unit, whole / 10 * 10 + 10);
    int ties_away = (mantissa & 1) == 0 ? 0 : -1; /* a tie reads as the even one */
    return compare_twice_distance(&value, &below, &gap_below) > ties_away &&
           compare_twice_distance(&value, &above, &gap) > ties_away;
}

/* The same in 128 bits, for values from about 1e-9 to 1e15 with up to 21 decimals. */
static bool is_shortest_small(uint64_t mantissa, int32_t twos, uint64_t whole, int32_t tens)
{
    __int128 unit = (__int128)1 << (-twos + 1);
    uint32_t low = -tens > 16 ? 16 : (uint32_t)-tens;
    __int128 gap =
        (__int128)(2 * whole_powers[low]) * (__int128)whole_powers[(uint32_t)-tens - low];
    __int128 gap_below = mantissa == UINT64_C(1) << 52 ? gap / 2 : gap;
    __int128 value = gap * (__int128)mantissa;
    __int128 off = value - unit * (__int128)whole;
    __int128 below = value - unit * (__int128)(whole / 10 * 10);
    __int128 above = 10 * unit - below;
    int even = (mantissa & 1) == 0;
    return 2 * (off < 0 ? -off : off) <= unit && 2 * below >= gap_below + even &&
           2 * above >= gap + even;
}

bool cw_pattern_number_too_long(const struct cw_pattern_number *number)
{
    return number->cut || (number->digits == DIGITS_MAX + 1 && number->whole % 10 != 0) ||
           (number->digits == DIGITS_MAX + 2 && number->whole % 100 != 0);
}

bool cw_pattern_number_held(const struct cw_pattern_number *number)
{
    double value = fabs(number->value);
    uint64_t whole = number->whole;
    uint32_t digits = number->digits;
    int32_t tens = number->exponent;
    CW_ASSERT_HOT(number->exact);
    if (whole == 0 && !number->cut) {
        return true;
    }
    if (value == 0 || isinf(value) || number->cut) {
        return false;
    }
    while (digits > DIGITS_SAFE && whole % 10 == 0) {
        whole /= 10;
        tens++;
        digits--;
    }
    if (digits <= DIGITS_SAFE && value > 1e-300) {
        return true;
    }
    while (whole % 10 == 0) {
        whole /= 10;
        tens++;
        digits--;
    }
    if (digits > DIGITS_MAX) {
        return false;
    }
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint64_t mantissa = bits & ((UINT64_C(1) << 52) - 1);
    int32_t twos = (int32_t)(bits >> 52);
    mantissa |= twos > 0 ? UINT64_C(1) << 52 : 0;
    twos = (twos > 0 ? twos : 1) - 1075;
    if (tens <= 0 && tens >= -20 && twos <= 0 && twos >= -60) {
        return is_shortest_small(mantissa, twos, whole, tens);
    }
    return is_shortest(mantissa, twos, whole, tens);
}
