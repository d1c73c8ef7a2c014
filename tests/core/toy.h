/* toy: a source of numbered chunks and an app that writes down what it is given; for the tests of
   the shard, by hand and on threads. Every shard has its own. */
#ifndef CW_TESTS_CORE_TOY_H
#define CW_TESTS_CORE_TOY_H

#include "core/shard.h"
#include "tests/core/random.h"

#define TOY_CHUNKS_MAX 4096u

struct toy_content {
    uint64_t sequence;
    uint32_t from, to;
    uint64_t sum; /* of the numbers below, filled in by the sender */
    uint64_t numbers[8];
};

struct toy {
    uint32_t index, shards;
    bool ordered;
    uint64_t chunks;                  /* how many the source has */
    uint32_t later, full, background; /* so often of 100 */
    uint64_t random;
    uint64_t taken, given_back; /* chunks of the source */
    uint64_t source_turns;      /* while none could be taken */
    uint64_t decoded, ran, finished, turns, held_back, broken;
    uint32_t finish_turns;
    uint64_t next_run;
    uint8_t ran_chunk[TOY_CHUNKS_MAX];
};

static inline enum cw_poll toy_take(void *self, uint32_t shard, uint64_t sequence,
                                    struct cw_chunk *chunk)
{
    struct toy *toy = self;
    toy->broken += shard != toy->index || sequence % toy->shards != toy->index;
    toy->broken += toy->taken != toy->given_back;
    if (random_below(&toy->random, 100) < toy->later) {
        return CW_POLL_LATER;
    }
    if (sequence >= toy->chunks) {
        return CW_POLL_END;
    }
    toy->taken++;
    *chunk = (struct cw_chunk){.text = "toy", .bytes = 3, .sequence = sequence};
    return CW_POLL_READY;
}

static inline void toy_done(void *self, uint32_t shard, const struct cw_chunk *chunk)
{
    struct toy *toy = self;
    toy->broken += shard != toy->index || chunk->bytes != 3;
    toy->given_back++;
}

static inline void toy_source_turn(void *self)
{
    struct toy *toy = self;
    toy->broken += toy->taken != toy->given_back;
    toy->source_turns++;
}

static inline void toy_decode(void *self, const struct cw_chunk *chunk,
                              struct cw_batch *const *batches, uint32_t count)
{
    struct toy *toy = self;
    toy->decoded++;
    for (uint32_t to = 0; to < count; to++) {
        struct toy_content *content = cw_arena_alloc(&batches[to]->arena, sizeof *content, 8);
        *content = (struct toy_content){chunk->sequence, toy->index, to, 0, {0}};
        for (uint32_t i = 0; i < 8; i++) {
            content->numbers[i] = random_next(&toy->random);
            content->sum += content->numbers[i];
        }
        toy->broken += batches[to]->from != toy->index || batches[to]->to != to;
        batches[to]->content = content;
    }
}

static inline void toy_run(void *self, struct cw_batch *batch)
{
    struct toy *toy = self;
    const struct toy_content *content = batch->content;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < 8; i++) {
        sum += content->numbers[i];
    }
    toy->broken += sum != content->sum || content->to != toy->index;
    toy->broken += content->sequence != batch->sequence || toy->finished > 0;
    toy->broken += content->from != batch->sequence % toy->shards;
    toy->broken += toy->ordered && batch->sequence != toy->next_run;
    toy->next_run++;
    toy->ran++;
    toy->ran_chunk[batch->sequence % TOY_CHUNKS_MAX]++;
}

/* Takes a few turns, as an app with much left to do would. */
static inline bool toy_finish(void *self)
{
    struct toy *toy = self;
    if (toy->finish_turns++ < 3) {
        return false;
    }
    toy->finished++;
    toy->broken += toy->ran != toy->chunks;
    return true;
}

static inline bool toy_turn(void *self)
{
    struct toy *toy = self;
    toy->turns++;
    return random_below(&toy->random, 100) < toy->background;
}

static inline bool toy_full(void *self)
{
    struct toy *toy = self;
    bool full = random_below(&toy->random, 100) < toy->full;
    toy->held_back += full;
    return full;
}

static inline void toy_shard(struct toy *toy, struct cw_mesh *mesh, struct cw_shard *shard)
{
    *shard = (struct cw_shard){
        .index = toy->index,
        .ordered = toy->ordered,
        .mesh = mesh,
        .source = {.self = toy, .take = toy_take, .done = toy_done, .turn = toy_source_turn},
        .app = {.self = toy,
                .decode = toy_decode,
                .run = toy_run,
                .finish = toy_finish,
                .turn = toy_turn,
                .full = toy_full},
    };
    cw_shard_init(shard);
}

/* True when it has seen every chunk once and nothing was ever wrong. */
static inline bool toy_is_complete(const struct toy *toy)
{
    for (uint64_t i = 0; i < toy->chunks; i++) {
        if (toy->ran_chunk[i] != 1) {
            return false;
        }
    }
    uint64_t own = (toy->chunks + toy->shards - 1 - toy->index) / toy->shards;
    return toy->finished == 1 && toy->ran == toy->chunks && toy->decoded == own &&
           toy->taken == own && toy->given_back == own && toy->broken == 0;
}

#endif
