#include "core/time.h"

/*
 * Days and dates: a year is counted from 1 March, so that the leap day is a year's last day and
 * the months' lengths follow one straight line (Hinnant). The way back from days to a date uses
 * multiplications in place of two of the divisions (Neri and Schneider 2022, "Euclidean affine
 * functions and their application to calendar algorithms").
 *
 * Both directions count in eras of 400 years, 146,097 days. ERAS eras are added first, so that
 * every day an int64_t of milliseconds can name is positive and divisions need no floor.
 */
enum {
    ERA_DAYS = 146097,
    ERA_YEARS = 400,
    ERAS = 732000,        /* 292.8 million years, more than an int64_t of milliseconds reaches */
    EPOCH_MARCH = 719468, /* days from 0000-03-01 to 1970-01-01 */
    YEARS = ERAS * ERA_YEARS
};

#define ERAS_DAYS ((int64_t)ERAS * ERA_DAYS + EPOCH_MARCH)

#define YEAR_0_MS     (-62167219200000) /* 0000-01-01T00:00:00.000Z */
#define YEAR_10000_MS 253402300800000   /* 10000-01-01T00:00:00.000Z */

static int64_t days_from_civil(int64_t year, uint32_t month, uint32_t day)
{
    uint32_t early = month <= 2;
    uint64_t y = (uint64_t)(year + YEARS) - early;
    uint32_t m = month + 12 * early;         /* 3 March .. 14 February */
    uint64_t before = (979 * m - 2919) >> 5; /* days from 1 March to the month's 1st */
    uint64_t century = y / 100;
    return (int64_t)(y * 365 + y / 4 - century + century / 4 + before + day - 1) - ERAS_DAYS;
}

struct cw_date {
    int32_t year;
    uint32_t month, day;
};

static struct cw_date civil_from_days(int64_t days)
{
    uint64_t quarters = 4 * (uint64_t)(days + ERAS_DAYS) + 3;
    uint64_t century = quarters / ERA_DAYS;
    uint32_t day_of_century = (uint32_t)(quarters % ERA_DAYS) / 4;
    /* 2939745 / 2^32 is 4 / 1461, near enough for every day of a century. */
    uint64_t line = (uint64_t)2939745 * (4 * day_of_century + 3);
    uint32_t year_of_century = (uint32_t)(line >> 32);
    uint32_t day_of_year = (uint32_t)line / 2939745 / 4; /* from 1 March */
    uint32_t months = 2141 * day_of_year + 197913;
    uint32_t late = day_of_year >= 306; /* January and February belong to the next year */
    return (struct cw_date){
        .year = (int32_t)((int64_t)(100 * century + year_of_century) - YEARS + late),
        .month = (months >> 16) - 12 * late,
        .day = (months & 0xffff) / 2141 + 1,
    };
}

/* Days since 1970 and the rest, which is never negative. */
static int64_t split_day(int64_t ms, uint32_t *ms_of_day)
{
    int64_t days = ms / CW_DAY_MS;
    int64_t rest = ms % CW_DAY_MS;
    if (rest < 0) {
        days -= 1;
        rest += CW_DAY_MS;
    }
    *ms_of_day = (uint32_t)rest;
    return days;
}

struct cw_civil cw_civil_from_ms(int64_t ms)
{
    uint32_t rest;
    int64_t days = split_day(ms, &rest);
    struct cw_date date = civil_from_days(days);
    return (struct cw_civil){
        .year = date.year,
        .month = (uint8_t)date.month,
        .day = (uint8_t)date.day,
        .hour = (uint8_t)(rest / (uint32_t)CW_HOUR_MS),
        .minute = (uint8_t)(rest / (uint32_t)CW_MINUTE_MS % 60),
        .second = (uint8_t)(rest / (uint32_t)CW_SECOND_MS % 60),
        .weekday = (uint8_t)((uint64_t)(days + (int64_t)ERAS * ERA_DAYS + 4) % 7),
        .millisecond = (uint16_t)(rest % (uint32_t)CW_SECOND_MS),
    };
}

int64_t cw_civil_to_ms(const struct cw_civil *civil)
{
    CW_ASSERT_HOT(civil->month >= 1 && civil->month <= 12 && civil->day >= 1);
    int64_t days = days_from_civil(civil->year, civil->month, civil->day);
    int64_t of_day = civil->hour * CW_HOUR_MS + civil->minute * CW_MINUTE_MS +
                     civil->second * CW_SECOND_MS + civil->millisecond;
    /* Unsigned: the first day an int64_t reaches begins before the first millisecond it does. */
    return (int64_t)((uint64_t)days * (uint64_t)CW_DAY_MS + (uint64_t)of_day);
}

static uint32_t days_in_month(uint32_t year, uint32_t month)
{
    if (CW_UNLIKELY(month == 2)) {
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        return leap ? 29 : 28;
    }
    return 30 + ((month ^ (month >> 3)) & 1); /* odd until July, even from August on */
}

/*
 * The fixed part is read as words of 8 bytes. XOR with a shape leaves 0 to 9 for each digit and 0
 * for each mark; adding the shape's slack (0x76 to a digit, 0x7f to a mark) sets the top bit of
 * every byte that is anything else. A carry into the next byte can only come from a byte whose own
 * top bit is set already.
 */
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte is the lowest");

#define SHAPE_DATE  0x2d30302d30303030u /* 0000-00- */
#define SLACK_DATE  0x7f76767f76767676u
#define SHAPE_TIME  0x30303a3030743030u /* 00t00:00 */
#define SLACK_TIME  0x76767f76767f7676u
#define SHAPE_REST  0x5a3030302e30303au /* :00.000Z */
#define SLACK_REST  0x7f7676767f76767fu
#define SHAPE_SHORT 0x5a30303au /* :00Z */
#define SLACK_SHORT 0x7f76767fu
#define LOWER_CASE  0x0000000000200000u /* of the T in the second word */
#define TOP_BITS    0x8080808080808080u

static uint64_t load8(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static uint32_t load4(const char *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* Two digits, each a byte of 0 to 9, as one number. */
static uint32_t pair(uint64_t tens, uint32_t byte)
{
    return (uint32_t)(tens >> (8 * byte)) & 0xff;
}

/* Each byte becomes ten times itself and the next: a number wherever two digits begin. */
static uint64_t pairs(uint64_t digits)
{
    return digits * 10 + (digits >> 8);
}

/* Two digits at p; what is wrong shows in *bad as a bit above the low four. */
static uint32_t digits2(const char *p, uint32_t *bad)
{
    uint32_t tens = (uint32_t)(uint8_t)p[0] - '0';
    uint32_t ones = (uint32_t)(uint8_t)p[1] - '0';
    *bad |= tens | ones | (tens + 6) | (ones + 6);
    return tens * 10 + ones;
}

static bool is_digit(char c)
{
    return (uint32_t)(uint8_t)c - '0' <= 9;
}

/* A fraction's digits after the point, cut to milliseconds; returns how many there are. */
static uint32_t read_fraction(const char *p, const char *end, uint32_t *ms)
{
    static const uint32_t scale[4] = {0, 100, 10, 1};
    uint32_t count = 0;
    uint32_t value = 0;
    for (; p + count < end && is_digit(p[count]); count++) {
        value = count < 3 ? value * 10 + (uint32_t)(p[count] - '0') : value;
    }
    *ms = value * scale[count < 3 ? count : 3];
    return count;
}

/* What follows the seconds in other than the common forms: a fraction of any length, then Z or an
   offset. */
static bool read_tail(const char *p, const char *end, uint32_t *fraction_ms, int64_t *offset_ms)
{
    *fraction_ms = 0;
    *offset_ms = 0;
    if (p < end && *p == '.') {
        uint32_t count = read_fraction(p + 1, end, fraction_ms);
        if (count == 0) {
            return false;
        }
        p += 1 + count;
    }
    if (p == end) {
        return false;
    }
    if (*p == 'Z' || *p == 'z') {
        return p + 1 == end;
    }
    if (end - p != 6 || (*p != '+' && *p != '-') || p[3] != ':') {
        return false;
    }
    uint32_t bad = 0;
    uint32_t hours = digits2(p + 1, &bad);
    uint32_t minutes = digits2(p + 4, &bad);
    if (bad > 15 || hours > 23 || minutes > 59) {
        return false;
    }
    int64_t offset = hours * CW_HOUR_MS + minutes * CW_MINUTE_MS;
    *offset_ms = *p == '-' ? -offset : offset;
    return true;
}

/* The seconds and all that follows them; false when they are malformed, ranges apart. */
static bool read_rest(struct cw_view text, uint32_t *second, uint32_t *fraction_ms,
                      int64_t *offset_ms)
{
    const char *p = text.data + 16;
    if (text.bytes == 24) {
        uint64_t rest = load8(p) ^ SHAPE_REST;
        if (CW_LIKELY(((rest | (rest + SLACK_REST)) & TOP_BITS) == 0)) {
            uint64_t two = pairs(rest);
            *second = pair(two, 1);
            *fraction_ms = pair(two, 4) * 10 + pair(rest, 6);
            return true;
        }
    }
    uint32_t rest = load4(p) ^ SHAPE_SHORT;
    uint32_t wrong = (rest | (rest + SLACK_SHORT)) & (uint32_t)TOP_BITS;
    *second = pair(pairs(rest & 0xffffff), 1);
    if (wrong == 0) {
        return text.bytes == 20;
    }
    return (wrong & 0xffffff) == 0 &&
           read_tail(p + 3, text.data + text.bytes, fraction_ms, offset_ms);
}

bool cw_time_parse(struct cw_view text, int64_t *ms)
{
    if (text.bytes < 20) {
        return false;
    }
    uint64_t date = load8(text.data) ^ SHAPE_DATE;
    uint64_t time = (load8(text.data + 8) | LOWER_CASE) ^ SHAPE_TIME;
    uint64_t wrong = date | (date + SLACK_DATE) | time | (time + SLACK_TIME);
    uint32_t second = 0;
    uint32_t fraction_ms = 0;
    int64_t offset_ms = 0;
    if ((wrong & TOP_BITS) != 0 || !read_rest(text, &second, &fraction_ms, &offset_ms)) {
        return false;
    }
    date = pairs(date);
    time = pairs(time);
    uint32_t year = pair(date, 0) * 100 + pair(date, 2);
    uint32_t month = pair(date, 5);
    uint32_t day = pair(time, 0);
    uint32_t hour = pair(time, 3);
    uint32_t minute = pair(time, 6);
    if ((month - 1 > 11) | (hour > 23) | (minute > 59) | (second > 60)) {
        return false;
    }
    if (day - 1 >= 28 && (day == 0 || day > days_in_month(year, month))) {
        return false;
    }
    uint32_t of_day = (hour * 60 + minute) * 60 + second;
    int64_t at = days_from_civil(year, month, day) * CW_DAY_MS + of_day * CW_SECOND_MS +
                 fraction_ms - offset_ms;
    if ((uint64_t)at >= (uint64_t)YEAR_10000_MS) { /* negative ones too */
        return false;
    }
    *ms = at;
    return true;
}

static void put2(char *out, uint32_t value)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    memcpy(out, pairs + (size_t)value * 2, 2);
}

void cw_time_format(int64_t ms, char out[CW_TIME_BYTES])
{
    CW_ASSERT(ms >= YEAR_0_MS && ms < YEAR_10000_MS);
    uint32_t rest;
    struct cw_date date = civil_from_days(split_day(ms, &rest));
    uint32_t seconds = rest / (uint32_t)CW_SECOND_MS;
    uint32_t millis = rest % (uint32_t)CW_SECOND_MS;
    uint32_t minutes = seconds / 60;
    uint32_t year = (uint32_t)date.year;
    put2(out, year / 100);
    put2(out + 2, year % 100);
    put2(out + 5, date.month);
    put2(out + 8, date.day);
    put2(out + 11, minutes / 60);
    put2(out + 14, minutes % 60);
    put2(out + 17, seconds % 60);
    put2(out + 20, millis / 10);
    out[22] = (char)('0' + millis % 10);
    out[4] = out[7] = '-';
    out[10] = 'T';
    out[13] = out[16] = ':';
    out[19] = '.';
    out[23] = 'Z';
}
