#include "base/arena.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct arena_block {
    struct arena_block *next;
    size_t size;
    max_align_t data[];
};

enum { ALIGN = _Alignof(max_align_t), BLOCK_MAX = 1 << 20, DIGITS = 20 };

void arena_init(struct arena *arena, size_t block_size) {
    *arena = (struct arena){ .block_size = block_size < 256 ? 256 : block_size };
}

void arena_deinit(struct arena *arena) {
    for (struct arena_block *b = arena->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    arena->blocks = NULL;
    arena->at = arena->end = NULL;
}

void arena_reset(struct arena *arena, size_t keep) {
    struct arena_block *kept = arena->blocks;
    if (!kept || kept->size > keep) {
        arena_deinit(arena);
        return;
    }
    arena->blocks = kept->next;
    arena_deinit(arena);
    kept->next = NULL;
    arena->blocks = kept;
    arena->at = (char *)kept->data;
    arena->end = arena->at + kept->size;
}

static struct arena_block *block_new(size_t size) {
    struct arena_block *b = malloc(sizeof *b + size);
    if (!b)
        abort();
    b->size = size;
    return b;
}

void *arena_alloc(struct arena *arena, size_t size) {
    assert(size <= SIZE_MAX - ALIGN);
    size = size ? (size + ALIGN - 1) / ALIGN * ALIGN : ALIGN; /* nothing has a place, too */
    if (size <= (size_t)(arena->end - arena->at)) {
        void *p = arena->at;
        arena->at += size;
        return p;
    }
    if (size > arena->block_size / 4 && arena->blocks) {
        /* A block of its own, behind the one in use, whose rest stays usable. */
        struct arena_block *b = block_new(size);
        b->next = arena->blocks->next;
        arena->blocks->next = b;
        return b->data;
    }
    struct arena_block *b = block_new(size > arena->block_size ? size : arena->block_size);
    b->next = arena->blocks;
    arena->blocks = b;
    arena->at = (char *)b->data + size;
    arena->end = (char *)b->data + b->size;
    if (arena->block_size < BLOCK_MAX)
        arena->block_size *= 2;
    return b->data;
}

void *arena_zalloc(struct arena *arena, size_t count, size_t size) {
    assert(size == 0 || count <= SIZE_MAX / 2 / size);
    void *p = arena_alloc(arena, count * size);
    return memset(p, 0, count * size);
}

struct span arena_copy(struct arena *arena, struct span s) {
    if (!s.at)
        return SPAN_NONE;
    char *copy = arena_alloc(arena, s.len + 1);
    if (s.len)
        memcpy(copy, s.at, s.len);
    copy[s.len] = '\0';
    return (struct span){ copy, s.len };
}

struct span arena_join(struct arena *arena, const struct span *parts, size_t n) {
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += parts[i].len;
    char *text = arena_alloc(arena, len + 1), *at = text;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].len)
            memcpy(at, parts[i].at, parts[i].len);
        at += parts[i].len;
    }
    *at = '\0';
    return (struct span){ text, len };
}

struct span arena_number(struct arena *arena, uint64_t n, unsigned least) {
    assert(least <= DIGITS);
    char *text = arena_alloc(arena, DIGITS + 1), *end = text + DIGITS, *at = end;
    *end = '\0';
    do {
        *--at = (char)('0' + n % 10);
        n /= 10;
    } while (n || (size_t)(end - at) < least);
    return (struct span){ at, (size_t)(end - at) };
}

struct span arena_vprintf(struct arena *arena, const char *format, va_list args) {
    /* Mostly it fits into the rest of the block: then it is written once, in its place. */
    size_t room = (size_t)(arena->end - arena->at);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(arena->at, room, format, args);
    assert(len >= 0);
    bool fits = (size_t)len < room;
    char *text = arena_alloc(arena, (size_t)len + 1);
    if (!fits)
        vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return (struct span){ text, (size_t)len };
}

struct span arena_printf(struct arena *arena, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct span s = arena_vprintf(arena, format, args);
    va_end(args);
    return s;
}

size_t arena_size(const struct arena *arena) {
    size_t sum = 0;
    for (const struct arena_block *b = arena->blocks; b; b = b->next)
        sum += sizeof *b + b->size;
    return sum;
}
