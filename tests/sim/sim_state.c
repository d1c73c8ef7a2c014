/*
 * sim_state: stable storage: a disk for each core of each epoch, and two manifest slots. The power
 * can fail at any operation of any disk, also while the state is read: then a copy is taken of what
 * a restart would find, and whoever is at work goes on with the original, to be thrown away.
 */
#include "tests/sim/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- copies ---- */

void sim_storage_free(struct sim_storage *storage)
{
    for (uint32_t i = 0; i < storage->count; i++) {
        cw_fault_disk_free(storage->dirs[i].disk);
    }
    storage->count = 0;
}

void sim_storage_after(struct sim *sim, struct sim_storage *to, const struct sim_storage *from,
                       bool power)
{
    *to = *from;
    for (uint32_t i = 0; i < from->count; i++) {
        const struct cw_fault_disk *disk = from->dirs[i].disk;
        to->dirs[i].disk =
            power ? cw_fault_disk_crash(disk, random_next(&sim->random)) : cw_fault_disk_kill(disk);
    }
}

void sim_storage_off(struct sim_storage *storage)
{
    for (uint32_t i = 0; i < storage->count; i++) {
        cw_fault_disk_off(storage->dirs[i].disk);
    }
}

/* Before each operation of a disk, and of the directory that holds them. */
static void operation(void *with, uint64_t index)
{
    struct sim *sim = with;
    (void)index;
    sim->ops++;
    if (sim->options.power != NULL) {
        sim_power_operation(sim);
    }
    if (sim->snapshot_at != 0 && sim->ops == sim->snapshot_at && sim->snapshot == NULL) {
        sim->snapshot = calloc(1, sizeof *sim->snapshot);
        CW_ASSERT(sim->snapshot != NULL);
        sim_storage_after(sim, sim->snapshot, &sim->storage, sim_chance(sim, 700));
    }
}

/* ---- cw_durable_files ---- */

static cw_err load(void *self, struct cw_manifest *manifest, bool *alike, struct cw_fault *fault)
{
    const struct sim *sim = self;
    cw_err worst = CW_ERR_NOT_FOUND;
    *alike = false;
    for (uint32_t i = 0; i < 2; i++) {
        struct cw_manifest found;
        struct cw_view text = {sim->storage.slots[i], sim->storage.slot_bytes[i]};
        if (text.bytes == 0) {
            continue;
        }
        cw_err err = cw_manifest_read(&found, text, fault);
        if (err != CW_ERR_OK) { /* as durable_files.c: which was the newer is not known */
            return err;
        }
        *alike = worst == CW_ERR_OK && cw_manifest_alike(manifest, &found);
        if (worst == CW_ERR_NOT_FOUND || found.generation > manifest->generation) {
            *manifest = found;
        }
        worst = CW_ERR_OK;
    }
    return worst == CW_ERR_OK ? worst : cw_fail(fault, worst, "no manifest");
}

static cw_err store(void *self, struct cw_manifest *manifest, struct cw_fault *fault)
{
    struct sim *sim = self;
    struct cw_text text = {0};
    (void)fault;
    manifest->generation++;
    uint32_t slot = manifest->generation % 2;
    cw_manifest_write(manifest, &text);
    CW_ASSERT(text.bytes <= CW_MANIFEST_BYTES_MAX);
    operation(sim, 0);
    if (sim_plant_slot(sim, slot)) {
        memcpy(sim->storage.slots[slot], text.data, text.bytes);
        sim->storage.slot_bytes[slot] = (uint32_t)text.bytes;
    }
    operation(sim, 0); /* renamed into place: the old one or the new one, never a part */
    cw_text_deinit(&text);
    return CW_ERR_OK;
}

static struct sim_dir *find(struct sim *sim, uint64_t epoch, uint32_t core)
{
    for (uint32_t i = 0; i < sim->storage.count; i++) {
        struct sim_dir *dir = &sim->storage.dirs[i];
        if (dir->epoch == epoch && dir->core == core) {
            return dir;
        }
    }
    return NULL;
}

static cw_err open_disk(void *self, uint64_t epoch, uint32_t core, enum cw_durable_use use,
                        struct cw_disk *disk, struct cw_fault *fault)
{
    struct sim *sim = self;
    struct sim_dir *dir = find(sim, epoch, core);
    if (dir == NULL && use != CW_DURABLE_MAKE) {
        return cw_fail(fault, CW_ERR_NOT_FOUND, "no directory of core %u", core);
    }
    if (dir == NULL) {
        struct cw_fault_disk_options options = {.seed = random_next(&sim->random),
                                                .delay_max = sim->swarm.disk_delay};
        CW_ASSERT(sim->storage.count < SIM_DIRS_MAX);
        dir = &sim->storage.dirs[sim->storage.count++];
        *dir = (struct sim_dir){.epoch = epoch, .core = core, .disk = cw_fault_disk_new(&options)};
    }
    cw_fault_disk_hook(dir->disk, operation, sim);
    *disk = cw_fault_disk_port(dir->disk);
    return CW_ERR_OK;
}

static void close_disk(void *self, const struct cw_disk *disk)
{
    (void)self;
    (void)disk; /* the machine's storage stays */
}

static cw_err keep_epoch(void *self, uint64_t epoch, struct cw_fault *fault)
{
    struct sim *sim = self;
    (void)fault;
    for (uint32_t i = sim->storage.count; i-- > 0;) {
        if (sim->storage.dirs[i].epoch != epoch) {
            operation(sim, 0);
            if (sim->failing == sim->storage.dirs[i].disk) {
                sim->failed |= cw_fault_disk_failed(sim->failing) > 0;
                sim->failing = NULL;
            }
            cw_fault_disk_free(sim->storage.dirs[i].disk);
            sim->storage.dirs[i] = sim->storage.dirs[--sim->storage.count];
        }
    }
    return CW_ERR_OK;
}

struct cw_durable_files sim_files(struct sim *sim)
{
    return (struct cw_durable_files){.self = sim,
                                     .load = load,
                                     .store = store,
                                     .open = open_disk,
                                     .close = close_disk,
                                     .keep = keep_epoch};
}

/* ---- faults ---- */

void sim_storage_space(struct sim *sim, bool full)
{
    for (uint32_t i = 0; i < sim->storage.count; i++) {
        struct cw_fault_disk *disk = sim->storage.dirs[i].disk;
        uint64_t room = (uint64_t)sim_draw(sim, 4) * CW_DISK_BLOCK;
        cw_fault_disk_space(disk, full ? cw_fault_disk_used(disk) + room + 1 : 0);
    }
}

/* Names of what may be damaged. */
struct names {
    char at[128][CW_DISK_NAME_BYTES];
    uint32_t count;
};

static void add_name(void *with, const char *name, uint64_t bytes)
{
    struct names *names = with;
    if (bytes > 0 && names->count < CW_COUNTOF(names->at)) {
        (void)snprintf(names->at[names->count++], CW_DISK_NAME_BYTES, "%s", name);
    }
}

static void damage_file(struct sim *sim, struct cw_fault_disk *disk, const char *name)
{
    uint64_t size = 0;
    uint8_t *bytes = cw_fault_disk_bytes(disk, name, &size);
    CW_ASSERT(bytes != NULL && size > 0);
    uint32_t at = sim_draw(sim, (uint32_t)size);
    switch (sim_draw(sim, 3)) {
    case 0: bytes[at] ^= (uint8_t)(1u << sim_draw(sim, 8)); break;
    case 1: { /* a sector is zeroes */
        uint64_t from = at & ~(uint64_t)511;
        memset(bytes + from, 0, size - from < 512 ? size - from : 512);
        break;
    }
    default: { /* a block is another one's */
        uint64_t from = at & ~(uint64_t)(CW_DISK_BLOCK - 1);
        uint64_t other = sim_draw(sim, (uint32_t)size) & ~(uint64_t)(CW_DISK_BLOCK - 1);
        uint64_t longest = size - (from > other ? from : other);
        memmove(bytes + from, bytes + other, longest < CW_DISK_BLOCK ? longest : CW_DISK_BLOCK);
        break;
    }
    }
    cw_fault_disk_touched(disk, name);
}

bool sim_storage_damage(struct sim *sim)
{
    if (sim_chance(sim, 80)) {
        uint32_t slot = sim_draw(sim, 2);
        if (sim->storage.slot_bytes[slot] > 0) {
            sim->storage.slots[slot][sim_draw(sim, sim->storage.slot_bytes[slot])] ^= 1;
            return true;
        }
    }
    if (sim->storage.count == 0) {
        return false;
    }
    struct cw_fault_disk *disk = sim->storage.dirs[sim_draw(sim, sim->storage.count)].disk;
    struct cw_disk port = cw_fault_disk_port(disk);
    struct names names = {.count = 0};
    (void)port.list(port.self, add_name, &names);
    if (names.count == 0) {
        return false;
    }
    const char *name = names.at[sim_draw(sim, names.count)];
    sim_say(sim, "damage to %s", name);
    damage_file(sim, disk, name);
    return true;
}

uint32_t sim_storage_lie(struct sim *sim)
{
    if (sim->storage.count == 0) {
        return 0;
    }
    struct cw_fault_disk *disk = sim->storage.dirs[sim_draw(sim, sim->storage.count)].disk;
    bool lost = sim_chance(sim, 500);
    cw_fault_disk_lie(disk, lost ? CW_FAULT_LOST : CW_FAULT_MISDIRECTED,
                      cw_fault_disk_count(disk) + sim_draw(sim, 20));
    return lost ? 1 : 2;
}
