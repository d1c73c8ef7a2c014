#include "core/text.h"
#include "core/time.h"

void cw_text_json_time(struct cw_text *text, int64_t ms)
{
    char *to = cw_text_room(text, CW_TIME_BYTES + 2);
    to[0] = '"';
    cw_time_format(ms, to + 1);
    to[CW_TIME_BYTES + 1] = '"';
    text->bytes += CW_TIME_BYTES + 2;
}
