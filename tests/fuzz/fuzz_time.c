/* Any bytes: what parses is a time of the years 1970 to 9999, and writing and reading it again
   gives the same. */
#include "core/time.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096) {
        return 0;
    }
    int64_t ms = -1;
    if (!cw_time_parse((struct cw_view){.data = (const char *)data, .bytes = (uint32_t)size},
                       &ms)) {
        CW_ASSERT(ms == -1);
        return 0;
    }
    CW_ASSERT(ms >= 0 && ms < 253402300800000);
    char text[CW_TIME_BYTES];
    cw_time_format(ms, text);
    int64_t back = -1;
    CW_ASSERT(cw_time_parse((struct cw_view){.data = text, .bytes = CW_TIME_BYTES}, &back));
    CW_ASSERT(back == ms);
    struct cw_civil civil = cw_civil_from_ms(ms);
    CW_ASSERT(cw_civil_to_ms(&civil) == ms);
    return 0;
}
