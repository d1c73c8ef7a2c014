/*
 * The shard and two lanes, a thread each: what is in the foreground waits for none of the
 * background, not even for an unlink of a large file, which may take a file system a second.
 * Between the shard and a lane are two rings of one producer and one consumer, and for each
 * direction one word that says whether the other side sleeps and has to be woken:
 *
 *     word    shard                                   lane
 *     bell    push to `posted`, then exchange it      exchange it for ASLEEP, then look into
 *             for AWAKE; was it ASLEEP: wake          `posted` once more, then sleep
 *     news    exchange it for NONE, then pop all      push to `finished`, then exchange it for
 *             of both lanes' `finished`               NEWS; was it WAITING: wake who is in
 *                                                     wait(), NONE: call wake()
 *
 * Each lane has its bell; the news are one word for both. All change the word by one atomic
 * exchange, so of two that meet one is the later one and sees all that the other did before: either
 * the sleeper sees the item, or the other sees that it sleeps. A poll that finds nothing costs one
 * load.
 */
#define _GNU_SOURCE 1 /* NOLINT(bugprone-reserved-identifier,readability-identifier-naming) */
#include "io/clock.h"
#include "io/disk_priv.h"

#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum bell {
    AWAKE,
    ASLEEP
};

enum news {
    NONE,
    NEWS,
    WAITING /* in wait() */
};

/* Returns when the word is not (any more) this value, or for no reason. */
static void sleep_while(_Atomic uint32_t *word, uint32_t value)
{
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void wake_sleeper(_Atomic uint32_t *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* ---- the shard's side ---- */

static bool is_name(const char *name)
{
    size_t bytes = strnlen(name, CW_DISK_NAME_BYTES);
    return bytes > 0 && bytes < CW_DISK_NAME_BYTES && strchr(name, '/') == NULL &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static bool is_aligned(const struct cw_disk_op *op, const void *memory)
{
    return op->bytes % CW_DISK_BLOCK == 0 && op->offset % CW_DISK_BLOCK == 0 &&
           (uintptr_t)memory % CW_DISK_BLOCK == 0 && (memory != NULL || op->bytes == 0);
}

/* Misuse dies where it happens, not on the other thread. */
static void check(const struct cw_disk_op *op)
{
    switch (op->kind) {
    case CW_DISK_OPEN:
    case CW_DISK_CREATE:
    case CW_DISK_REMOVE: CW_ASSERT(is_name(op->name)); break;
    case CW_DISK_RENAME: CW_ASSERT(is_name(op->name) && is_name(op->to)); break;
    case CW_DISK_READ: CW_ASSERT(is_aligned(op, op->into)); break;
    case CW_DISK_WRITE: CW_ASSERT(is_aligned(op, op->data)); break;
    case CW_DISK_CUT: CW_ASSERT(op->offset % CW_DISK_BLOCK == 0); break;
    case CW_DISK_CLOSE:
    case CW_DISK_SYNC_NAMES: break;
    default: CW_ASSERT(false); break;
    }
}

static void ring_bell(struct cw_disk_lane *lane)
{
    if (atomic_exchange(&lane->bell, AWAKE) == ASLEEP) {
        wake_sleeper(&lane->bell);
    }
}

void cw_disk_submit(void *self, struct cw_disk_op *op)
{
    struct cw_disk_store *store = self;
    struct cw_disk_slot *slot = store->free;
    CW_ASSERT(slot != NULL); /* more than CW_DISK_OPS_MAX */
    check(op);
    store->free = slot->next;
    store->under_way++;
    *slot = (struct cw_disk_slot){.op = op};
    op->done = false;
    struct cw_disk_lane *lane = &store->lanes[op->background];
    bool pushed = cw_ring_push(lane->posted, slot);
    CW_ASSERT(pushed);
    ring_bell(lane);
}

static void take_back(struct cw_disk_store *store, struct cw_disk_slot *slot)
{
    struct cw_disk_op *op = slot->op;
    struct cw_disk_counts *counts = &store->counts;
    counts->ops++;
    counts->errors += op->error != 0;
    if (op->kind == CW_DISK_READ) {
        counts->read_bytes += op->got;
    } else if (op->kind == CW_DISK_WRITE && op->error == 0) {
        counts->written_bytes += op->bytes;
    }
    if (slot->flush_ns > 0) {
        counts->flushes++;
        cw_histogram_add(&counts->flush_ns, slot->flush_ns);
    }
    slot->next = store->free;
    store->free = slot;
    store->under_way--;
    op->done = true;
}

bool cw_disk_poll(void *self)
{
    struct cw_disk_store *store = self;
    if (atomic_load_explicit(&store->news, memory_order_relaxed) != NEWS) {
        return false;
    }
    (void)atomic_exchange(&store->news, NONE);
    bool any = false;
    for (uint32_t i = 0; i < CW_DISK_LANES; i++) {
        void *slot;
        while (cw_ring_pop(store->lanes[i].finished, &slot)) { /* bounded: all that are under way */
            take_back(store, slot);
            any = true;
        }
    }
    return any;
}

void cw_disk_wait(void *self)
{
    struct cw_disk_store *store = self;
    CW_ASSERT(store->under_way > 0);
    while (!cw_disk_poll(store)) {
        uint32_t was = NONE;
        if (atomic_compare_exchange_strong(&store->news, &was, WAITING) || was == WAITING) {
            sleep_while(&store->news, WAITING);
        }
    }
}

void cw_disk_stop(struct cw_disk_store *store)
{
    atomic_store(&store->stopping, true);
    for (uint32_t i = 0; i < CW_DISK_LANES; i++) {
        ring_bell(&store->lanes[i]);
    }
}

/* ---- a lane's side ---- */

static void finish(struct cw_disk_lane *lane, struct cw_disk_slot *slot)
{
    struct cw_disk_store *store = lane->store;
    bool pushed = cw_ring_push(lane->finished, slot);
    CW_ASSERT(pushed);
    uint32_t was = atomic_exchange(&store->news, NEWS);
    if (was == WAITING) {
        wake_sleeper(&store->news);
    } else if (was == NONE && store->options.wake != NULL) {
        store->options.wake(store->options.self, store->options.shard);
    }
}

/* For whoever watches: nothing is ordered by it. */
static void note_work(struct cw_disk_lane *lane, uint64_t work)
{
    atomic_store_explicit(&lane->work, work, memory_order_relaxed);
}

void *cw_disk_run(void *self)
{
    struct cw_disk_lane *lane = self;
    struct cw_disk_store *store = lane->store;
    bool announced = false; /* that it is about to sleep */
    bool ended = false;
    while (!ended) {
        bool stopping = atomic_load(&store->stopping); /* before looking: nothing comes after it */
        void *posted;
        if (cw_ring_pop(lane->posted, &posted)) {
            struct cw_disk_slot *slot = posted;
            if (announced) { /* else the shard would make a system call for nothing */
                atomic_store_explicit(&lane->bell, AWAKE, memory_order_relaxed);
                announced = false;
            }
            note_work(lane, cw_clock_monotonic_ns() << CW_DISK_KIND_BITS | slot->op->kind);
            cw_disk_carry_out(&store->files, slot->op, &slot->flush_ns);
            note_work(lane, 0);
            finish(lane, slot);
        } else if (stopping) {
            ended = true;
        } else if (!announced) {
            (void)atomic_exchange(&lane->bell, ASLEEP);
            announced = true;
        } else {
            sleep_while(&lane->bell, ASLEEP);
            announced = false;
        }
    }
    return NULL;
}
