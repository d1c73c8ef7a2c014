/*
 * memory_disk: a disk that is memory, answers at once and holds one checkpoint, so that a bench
 * sees what the reader and the writer cost and nothing of any device.
 *
 * Life:    open -> disk -> close. Memory: bytes_max, mapped and touched. Threads: one.
 */
#ifndef CW_BENCH_MEMORY_DISK_H
#define CW_BENCH_MEMORY_DISK_H

#include "core/disk.h"
#include "core/table.h"

struct cw_memory_disk {
    char *file;
    uint64_t bytes, bytes_max;
    bool there; /* the checkpoint has its name */
};

void cw_memory_disk_open(struct cw_memory_disk *disk, uint64_t bytes_max);
void cw_memory_disk_close(struct cw_memory_disk *disk);
struct cw_disk cw_memory_disk_port(struct cw_memory_disk *disk);

/* Memory as the benches want it: huge pages, all touched. */
char *cw_memory_disk_map(uint64_t bytes);

/* Writes one checkpoint of those tables, so many rows a slice. */
void cw_memory_disk_checkpoint(struct cw_memory_disk *disk, struct cw_table *const *tables,
                               uint32_t table_count, uint32_t slice_rows);

#endif
