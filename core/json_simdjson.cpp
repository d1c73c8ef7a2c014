/* A C face on simdjson's first stage, run time dispatched inside its shared library, and on the
   C++ library's exact conversions between decimal and binary64, which are free of locales. */
#include "core/json_priv.h"

#include <simdjson.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <memory>
#include <new>

struct cw_json_stage1 {
    std::unique_ptr<simdjson::internal::dom_parser_implementation> impl;
};

struct cw_json_stage1 *cw_json_stage1_open(uint32_t bytes_max)
{
    std::unique_ptr<cw_json_stage1> stage1(new (std::nothrow) cw_json_stage1);
    if (stage1 == nullptr) {
        return nullptr;
    }
    /* Its depth is for its own second stage, which is never run. */
    auto error = simdjson::get_active_implementation()->create_dom_parser_implementation(
        bytes_max, 1, stage1->impl);
    return error == simdjson::SUCCESS ? stage1.release() : nullptr;
}

void cw_json_stage1_close(struct cw_json_stage1 *stage1)
{
    delete stage1;
}

enum cw_json_stage1_status cw_json_stage1_run(struct cw_json_stage1 *stage1, const char *text,
                                              uint32_t bytes, const uint32_t **at, uint32_t *count)
{
    auto *impl = stage1->impl.get();
    auto error = impl->stage1(reinterpret_cast<const uint8_t *>(text), bytes,
                              simdjson::stage1_mode::regular);
    *at = impl->structural_indexes.get();
    *count = impl->n_structural_indexes;
    if (error == simdjson::SUCCESS) {
        return CW_JSON_STAGE1_OK;
    }
    if (error == simdjson::EMPTY) {
        return CW_JSON_STAGE1_EMPTY;
    }
    if (error == simdjson::UTF8_ERROR || error == simdjson::UNCLOSED_STRING ||
        error == simdjson::UNESCAPED_CHARS) {
        return CW_JSON_STAGE1_REFUSED;
    }
    return CW_JSON_STAGE1_BROKEN;
}

/* True when a number in JSON's grammar, not 0, is at least 1: from_chars says only "out of range",
   not to which side, and the sides are far apart. */
static bool is_large(const char *p, const char *end)
{
    int64_t exponent = 0;
    const char *mark = p;
    while (mark < end && *mark != 'e' && *mark != 'E') {
        mark++;
    }
    if (mark < end) {
        const char *digits = mark + 1;
        bool minus = *digits == '-';
        digits += *digits == '-' || *digits == '+';
        for (; digits < end && exponent < (int64_t{1} << 40); digits++) {
            exponent = exponent * 10 + (*digits - '0');
        }
        exponent = minus ? -exponent : exponent;
    }
    const char *point = p;
    while (point < mark && *point != '.') {
        point++;
    }
    const char *first = p;
    while (first < mark && (*first == '-' || *first == '0' || *first == '.')) {
        first++;
    }
    return exponent + (first < point ? point - first : point - first + 1) > 0;
}

double cw_json_decimal(const char *text, uint32_t bytes)
{
    double value = 0;
    auto result = std::from_chars(text, text + bytes, value);
    if (result.ec == std::errc::result_out_of_range) {
        value = is_large(text, text + bytes) ? std::numeric_limits<double>::infinity() : 0.0;
        value = text[0] == '-' ? -value : value;
    }
    return value;
}

uint32_t cw_json_shortest(double value, char out[32])
{
    auto result = std::to_chars(out, out + 32, value, std::chars_format::scientific);
    return static_cast<uint32_t>(result.ptr - out);
}
