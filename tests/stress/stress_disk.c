/* A shard that keeps as many operations under way as it may, waits for them in every way there is,
   and is checked against what the operations have to leave behind: every one is done once, those of
   the foreground in order, and no write of the background overtakes one of its own file. */
#include "io/disk.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    SHARDS = 2,
    ROUNDS = 3000,
    FILES = 2
};

struct shard {
    struct cw_disk_store *store;
    struct cw_disk disk;
    int event;
    uint32_t index, submitted, done, random;
    int32_t files[FILES];
    struct cw_disk_op ops[CW_DISK_OPS_MAX];
    bool busy[CW_DISK_OPS_MAX];
    char *blocks; /* one an operation, then one to read into */
};

static struct shard shards[SHARDS];

static void wake(void *self, uint32_t shard)
{
    CW_ASSERT(self == shards);
    int rc = eventfd_write(shards[shard].event, 1);
    CW_ASSERT(rc == 0);
}

static uint32_t draw(struct shard *shard, uint32_t below)
{
    shard->random = shard->random * 1664525u + 1013904223u;
    return (shard->random >> 16) % below;
}

/* What is complete is given back; returns how many there were. */
static uint32_t collect(struct shard *shard)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < CW_DISK_OPS_MAX; i++) {
        if (shard->busy[i] && shard->ops[i].done) {
            CW_ASSERT(shard->ops[i].error == 0);
            shard->busy[i] = false;
            count++;
        }
    }
    shard->done += count;
    return count;
}

/* File 0 is the foreground's, file 1 the background's; each write says its number, and so the last
   one submitted is what the file holds in the end. */
static void submit(struct shard *shard, uint32_t slot)
{
    struct cw_disk_op *op = &shard->ops[slot];
    bool background = draw(shard, 2) == 0;
    char *block = shard->blocks + (size_t)slot * CW_DISK_BLOCK;
    memcpy(block, &shard->submitted, sizeof shard->submitted);
    *op = (struct cw_disk_op){.kind = CW_DISK_WRITE,
                              .background = background,
                              .file = shard->files[background],
                              .bytes = CW_DISK_BLOCK,
                              .data = block,
                              .sync = draw(shard, 16) == 0};
    shard->busy[slot] = true;
    shard->submitted++;
    shard->disk.submit(shard->disk.self, op);
}

static void wait_somehow(struct shard *shard)
{
    switch (draw(shard, 3)) {
    case 0: shard->disk.wait(shard->disk.self); break;
    case 1:
        while (!shard->disk.poll(shard->disk.self)) {
            (void)sched_yield();
        }
        break;
    default:
        while (!shard->disk.poll(shard->disk.self)) {
            struct pollfd fd = {.fd = shard->event, .events = POLLIN};
            int rc = poll(&fd, 1, 30000);
            CW_ASSERT(rc == 1);
            eventfd_t value;
            rc = eventfd_read(shard->event, &value);
            CW_ASSERT(rc == 0);
        }
        break;
    }
}

static void run(struct shard *shard)
{
    uint32_t last[2] = {0, 0};
    while (shard->submitted < ROUNDS) {
        uint32_t slot = draw(shard, CW_DISK_OPS_MAX);
        if (!shard->busy[slot] && draw(shard, 8) != 0) {
            uint32_t number = shard->submitted;
            submit(shard, slot);
            last[shard->ops[slot].background] = number;
        } else if (shard->submitted > shard->done) {
            wait_somehow(shard);
            uint32_t got = collect(shard);
            CW_ASSERT(got > 0);
        }
    }
    while (shard->done < shard->submitted) {
        wait_somehow(shard);
        (void)collect(shard);
    }
    char *into = shard->blocks + (size_t)CW_DISK_OPS_MAX * CW_DISK_BLOCK;
    for (uint32_t i = 0; i < 2; i++) {
        struct cw_disk_op op = {
            .kind = CW_DISK_READ, .file = shard->files[i], .bytes = CW_DISK_BLOCK, .into = into};
        int error = cw_disk_do(&shard->disk, &op);
        CW_ASSERT(error == 0 && op.got == CW_DISK_BLOCK);
        CW_ASSERT(memcmp(into, &last[i], sizeof last[i]) == 0);
    }
    CW_ASSERT(cw_disk_counts(shard->store)->ops == ROUNDS + 2 + 2);
}

static void *run_shard(void *arg)
{
    run(arg);
    return NULL;
}

static void make(struct shard *shard, uint32_t index, const char *directory)
{
    struct cw_fault fault;
    struct cw_disk_options options = {.directory = directory,
                                      .wake = wake,
                                      .self = shards,
                                      .shard = index,
                                      .direct = index % 2 == 0};
    shard->index = index;
    shard->random = index + 1;
    shard->event = eventfd(0, EFD_CLOEXEC);
    shard->blocks = aligned_alloc(CW_DISK_BLOCK, (CW_DISK_OPS_MAX + 1) * (size_t)CW_DISK_BLOCK);
    CW_ASSERT(shard->event >= 0 && shard->blocks != NULL);
    memset(shard->blocks, 0, (CW_DISK_OPS_MAX + 1) * (size_t)CW_DISK_BLOCK);
    cw_err err = cw_disk_open(&shard->store, &options, &fault);
    CW_ASSERT(err == CW_ERR_OK);
    shard->disk = cw_disk_port(shard->store);
    for (uint32_t i = 0; i < 2; i++) {
        struct cw_disk_op op = {.kind = CW_DISK_CREATE};
        (void)snprintf(op.name, sizeof op.name, "%u-%u", index, i);
        int error = cw_disk_do(&shard->disk, &op);
        CW_ASSERT(error == 0);
        shard->files[i] = op.file;
    }
}

static void unmake(struct shard *shard)
{
    for (uint32_t i = 0; i < 2; i++) {
        struct cw_disk_op op = {.kind = CW_DISK_REMOVE};
        (void)snprintf(op.name, sizeof op.name, "%u-%u", shard->index, i);
        int error = cw_disk_do(&shard->disk, &op);
        CW_ASSERT(error == 0);
    }
    cw_disk_close(shard->store);
    (void)close(shard->event);
    free(shard->blocks);
}

int main(void)
{
    char directory[] = "stress-disk-XXXXXX";
    pthread_t threads[SHARDS];
    if (mkdtemp(directory) == NULL) {
        return EXIT_FAILURE;
    }
    for (uint32_t i = 0; i < SHARDS; i++) {
        make(&shards[i], i, directory);
        if (pthread_create(&threads[i], NULL, run_shard, &shards[i]) != 0) {
            return EXIT_FAILURE;
        }
    }
    for (uint32_t i = 0; i < SHARDS; i++) {
        (void)pthread_join(threads[i], NULL);
        unmake(&shards[i]);
    }
    (void)printf("disk: %d operations on each of %d stores\n", ROUNDS, SHARDS);
    return rmdir(directory) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
