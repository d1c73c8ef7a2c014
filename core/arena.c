#include "core/arena.h"

#include <string.h>
#include <sys/mman.h>

struct cw_arena_chunk {
    struct cw_arena_chunk *next;
    size_t size_bytes; /* with this header */
    size_t used_bytes;
    size_t dirty_bytes; /* the most that was ever used before a reset */ /* with this header */
    uint8_t pad[CW_CACHE_LINE - sizeof(void *) - 3 * sizeof(size_t)];
};

static_assert(sizeof(struct cw_arena_chunk) == CW_CACHE_LINE, "pieces start on a cache line");

enum {
    PAGE_BYTES = 4096
};

static size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) & ~(unit - 1);
}

static size_t chunk_bytes_for(const struct cw_arena *arena, size_t size_bytes)
{
    size_t need = round_up(size_bytes + sizeof(struct cw_arena_chunk) + CW_CACHE_LINE, PAGE_BYTES);
    return need > arena->chunk_bytes ? need : arena->chunk_bytes;
}

static struct cw_arena_chunk *map_chunk(size_t size_bytes)
{
    void *base = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
        return NULL;
    }
    struct cw_arena_chunk *chunk = base;
    chunk->size_bytes = size_bytes;
    chunk->used_bytes = sizeof *chunk;
    return chunk;
}

cw_err cw_arena_open(struct cw_arena *arena, size_t chunk_bytes, size_t bytes_max,
                     struct cw_fault *fault)
{
    CW_ASSERT(chunk_bytes > 0 && chunk_bytes <= bytes_max);
    size_t first_bytes = round_up(chunk_bytes, PAGE_BYTES);
    struct cw_arena_chunk *chunk = map_chunk(first_bytes);
    if (chunk == NULL) {
        return cw_fail(fault, CW_ERR_IO, "mmap of %zu bytes", first_bytes);
    }
    *arena = (struct cw_arena){.first = chunk,
                               .last = chunk,
                               .current = chunk,
                               .chunk_bytes = first_bytes,
                               .bytes_max = round_up(bytes_max, PAGE_BYTES),
                               .mapped_bytes = first_bytes};
    return CW_ERR_OK;
}

void cw_arena_close(struct cw_arena *arena)
{
    struct cw_arena_chunk *chunk = arena->first;
    while (chunk != NULL) {
        struct cw_arena_chunk *next = chunk->next;
        (void)munmap(chunk, chunk->size_bytes);
        chunk = next;
    }
    *arena = (struct cw_arena){0};
}

void cw_arena_seal(struct cw_arena *arena)
{
    CW_ASSERT(!arena->sealed);
    arena->sealed = true;
}

void cw_arena_reset(struct cw_arena *arena)
{
    CW_ASSERT(!arena->sealed);
    for (struct cw_arena_chunk *chunk = arena->first; chunk != NULL; chunk = chunk->next) {
        if (chunk->used_bytes > chunk->dirty_bytes) {
            chunk->dirty_bytes = chunk->used_bytes;
        }
        chunk->used_bytes = sizeof *chunk;
        if (chunk == arena->current) {
            break; /* the later ones were never touched since the last reset */
        }
    }
    arena->current = arena->first;
}

bool cw_arena_room(const struct cw_arena *arena, size_t size_bytes)
{
    const struct cw_arena_chunk *chunk = arena->current;
    if (chunk->size_bytes - chunk->used_bytes >= size_bytes + CW_CACHE_LINE) {
        return true;
    }
    for (chunk = chunk->next; chunk != NULL; chunk = chunk->next) {
        if (chunk->size_bytes - sizeof *chunk >= size_bytes + CW_CACHE_LINE) {
            return true;
        }
    }
    return size_bytes < arena->bytes_max &&
           arena->mapped_bytes + chunk_bytes_for(arena, size_bytes) <= arena->bytes_max;
}

void *cw_arena_alloc(struct cw_arena *arena, size_t size_bytes, size_t align_bytes)
{
    CW_ASSERT(!arena->sealed);
    CW_ASSERT((align_bytes & (align_bytes - 1)) == 0 && align_bytes <= CW_CACHE_LINE);
    struct cw_arena_chunk *chunk = arena->current;
    for (;;) { /* bounded by the number of chunks */
        size_t start = round_up(chunk->used_bytes, align_bytes);
        if (start <= chunk->size_bytes && size_bytes <= chunk->size_bytes - start) {
            chunk->used_bytes = start + size_bytes;
            arena->current = chunk;
            return (uint8_t *)chunk + start;
        }
        if (chunk->next == NULL) {
            break;
        }
        chunk = chunk->next;
    }
    size_t fresh_bytes = chunk_bytes_for(arena, size_bytes);
    CW_ASSERT(arena->mapped_bytes + fresh_bytes <= arena->bytes_max);
    struct cw_arena_chunk *fresh = map_chunk(fresh_bytes);
    CW_ASSERT(fresh != NULL);
    arena->mapped_bytes += fresh_bytes;
    arena->last->next = fresh;
    arena->last = fresh;
    arena->current = fresh;
    size_t start = round_up(fresh->used_bytes, align_bytes);
    fresh->used_bytes = start + size_bytes;
    return (uint8_t *)fresh + start;
}

/* What was never handed out is as it was mapped, zero: large tables get their pages with use. */
void *cw_arena_zalloc(struct cw_arena *arena, size_t size_bytes, size_t align_bytes)
{
    uint8_t *piece = cw_arena_alloc(arena, size_bytes, align_bytes);
    const struct cw_arena_chunk *chunk = arena->current;
    size_t start = (size_t)(piece - (const uint8_t *)chunk);
    size_t used = chunk->dirty_bytes > start ? chunk->dirty_bytes - start : 0;
    memset(piece, 0, used < size_bytes ? used : size_bytes);
    return piece;
}

struct cw_view cw_arena_copy(struct cw_arena *arena, struct cw_view view)
{
    if (view.data == NULL) {
        return view;
    }
    char *copy = cw_arena_alloc(arena, (size_t)view.bytes + 1, 1);
    memcpy(copy, view.data, view.bytes);
    copy[view.bytes] = '\0';
    return (struct cw_view){.data = copy, .bytes = view.bytes};
}
