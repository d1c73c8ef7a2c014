#include "core/format.h"

#include <stdio.h>

uint32_t cw_formatv(char *out, uint32_t room, const char *format, va_list args)
{
    CW_ASSERT(room > 0);
    int bytes = vsnprintf(out, room, format, args);
    CW_ASSERT(bytes >= 0);
    return (uint32_t)bytes < room ? (uint32_t)bytes : room - 1;
}

uint32_t cw_format(char *out, uint32_t room, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    uint32_t bytes = cw_formatv(out, room, format, args);
    va_end(args);
    return bytes;
}
