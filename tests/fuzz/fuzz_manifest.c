/* Any bytes are read or refused; what is read is written the same again. The fuzzer's bytes come
   with their right hash too, so that it gets past it. */
#include "core/manifest.h"

#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(struct cw_view text)
{
    struct cw_fault fault;
    struct cw_manifest manifest;
    if (cw_manifest_read(&manifest, text, &fault) != CW_ERR_OK) {
        return;
    }
    CW_ASSERT(manifest.cores >= 1 && manifest.partitions >= 1);
    struct cw_text again = {0};
    struct cw_manifest reread;
    cw_manifest_write(&manifest, &again);
    cw_err err = cw_manifest_read(
        &reread, (struct cw_view){again.data, (uint32_t)again.bytes}, &fault);
    CW_ASSERT(err == CW_ERR_OK && reread.generation == manifest.generation &&
              reread.epoch == manifest.epoch && reread.cores == manifest.cores &&
              reread.clean == manifest.clean && reread.held == manifest.held);
    cw_text_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > CW_MANIFEST_BYTES_MAX) {
        return 0;
    }
    look((struct cw_view){(const char *)data, (uint32_t)size});
    struct cw_text text = {0};
    cw_text_put(&text, data, size);
    cw_text_printf(&text, "hash %016llx\n", (unsigned long long)XXH3_64bits(data, size));
    look((struct cw_view){text.data, (uint32_t)text.bytes});
    cw_text_deinit(&text);
    return 0;
}
