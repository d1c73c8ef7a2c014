/* format: printf into a caller's buffer, cut to its size, for code that must not see stdio. */
#ifndef CW_CORE_FORMAT_H
#define CW_CORE_FORMAT_H

#include "core/base.h"

#include <stdarg.h>

/* Both return the bytes written without the NUL, always less than room. */
uint32_t cw_format(char *out, uint32_t room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
uint32_t cw_formatv(char *out, uint32_t room, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

#endif
