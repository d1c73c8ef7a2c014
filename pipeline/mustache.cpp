#include "pipeline/mustache.h"

#include <cstdio>
#include <exception>
#include <kainjow/mustache.hpp>
#include <string>

namespace
{

/* Thrown out of the library when enough has been written: it has no other way to stop. */
struct too_long {
};

void escape_html(std::string &out, const std::string &text)
{
    for (const char c : text) {
        switch (c) {
        case '&': out += "&amp;"; break;
        case '<': out += "&lt;"; break;
        case '>': out += "&gt;"; break;
        case '"': out += "&quot;"; break;
        case '\'': out += "&#39;"; break; /* &apos; is not HTML 4, which mail clients may speak */
        default: out += c;
        }
    }
}

kainjow::mustache::data make_value(const cw_mustache_value &value)
{
    if (value.text == nullptr) {
        return kainjow::mustache::data{true};
    }
    return kainjow::mustache::data{std::string{value.text, value.bytes}};
}

kainjow::mustache::data make_object(const cw_mustache_values &values)
{
    kainjow::mustache::data object;
    for (size_t i = 0; i < values.count; i++) {
        object[values.list[i].name] = make_value(values.list[i]);
    }
    return object;
}

} // namespace

struct cw_mustache {
    kainjow::mustache::mustache parsed;
    bool html;
    size_t value_bytes; /* of this rendering so far, escaped */
    size_t bytes_max;

    cw_mustache(const std::string &text, bool is_html)
        : parsed{text}, html{is_html}, value_bytes{0}, bytes_max{0}
    {
        /* Values are counted here and not only in what is put: the library keeps a whole line
           before it hands it out, and a template may be one line. */
        parsed.set_custom_escape([this](const std::string &value) {
            std::string out;
            if (html) {
                out.reserve(value.size() + 16);
                escape_html(out, value);
            } else {
                out = value;
            }
            value_bytes += out.size();
            if (value_bytes > bytes_max) {
                throw too_long{};
            }
            return out;
        });
    }

    cw_mustache(const cw_mustache &) = delete;
    cw_mustache &operator=(const cw_mustache &) = delete;
};

extern "C" enum cw_mustache_result cw_mustache_open(struct cw_mustache **mustache, const char *text,
                                                    size_t bytes, bool html, char *why,
                                                    size_t why_bytes)
{
    try {
        auto *made = new cw_mustache{std::string{text, bytes}, html};
        if (!made->parsed.is_valid()) {
            (void)std::snprintf(why, why_bytes, "%s", made->parsed.error_message().c_str());
            delete made;
            return CW_MUSTACHE_INVALID;
        }
        *mustache = made;
        return CW_MUSTACHE_OK;
    } catch (...) {
        (void)std::snprintf(why, why_bytes, "no memory");
        return CW_MUSTACHE_MEMORY;
    }
}

extern "C" void cw_mustache_close(struct cw_mustache *mustache)
{
    delete mustache;
}

extern "C" enum cw_mustache_result cw_mustache_render(struct cw_mustache *mustache,
                                                      const struct cw_mustache_input *input,
                                                      size_t bytes_max, cw_mustache_put_fn *put,
                                                      void *self)
{
    try {
        kainjow::mustache::data values = make_object(input->values);
        if (input->rows_name != nullptr) {
            kainjow::mustache::list rows;
            rows.reserve(input->row_count);
            for (size_t i = 0; i < input->row_count; i++) {
                rows.push_back(make_object(input->rows[i]));
            }
            values[input->rows_name] = kainjow::mustache::data{rows};
        }
        size_t written = 0;
        mustache->value_bytes = 0;
        mustache->bytes_max = bytes_max;
        mustache->parsed.render(values, [&](const std::string &piece) {
            written += piece.size();
            if (written > bytes_max) {
                throw too_long{};
            }
            put(self, piece.data(), piece.size());
        });
        return CW_MUSTACHE_OK;
    } catch (const too_long &) {
        return CW_MUSTACHE_LIMIT;
    } catch (...) {
        return CW_MUSTACHE_MEMORY;
    }
}
