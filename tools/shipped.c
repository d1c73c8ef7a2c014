/* shipped: files that are part of the program, embedded by the build (tools/cmake/embed.cmake). */
#include "tools/cli.h"

#include "tools/shipped_table.h"

#include <string.h>

struct cw_view cw_shipped(const char *name)
{
    for (uint32_t i = 0; i < CW_COUNTOF(shipped) - 1; i++) {
        if (strcmp(shipped[i].name, name) == 0) {
            return (struct cw_view){shipped[i].data, (uint32_t)(shipped[i].end - shipped[i].data)};
        }
    }
    return (struct cw_view){0};
}

const char *cw_shipped_name(uint32_t index)
{
    return index < CW_COUNTOF(shipped) - 1 ? shipped[index].name : NULL;
}
