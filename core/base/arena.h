/* arena.h - memory that dies together.
 *
 * Owns          blocks of memory, freed all at once.
 * Fed by        whoever has a lifetime to express: a request, a snapshot.
 * Feeds         everything made for that lifetime.
 * Must not know what is kept in it.
 *
 *   struct arena a;
 *   arena_init(&a, 4096);
 *   struct step *s = arena_new(&a, struct step);
 *   arena_deinit(&a);            // frees all of it
 */
#ifndef PERILUNE_BASE_ARENA_H
#define PERILUNE_BASE_ARENA_H

#include "base/span.h"

#include <stdarg.h>

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    char *at;                   /* next free byte of the newest block */
    char *end;
    size_t block_size; /* of the next ordinary block */
};

/* An empty arena; nothing is allocated until the first use. `block_size` is a hint in bytes. */
void arena_init(struct arena *arena, size_t block_size);

/* Frees everything. The arena is empty and usable again afterwards. */
void arena_deinit(struct arena *arena);

/* Forgets everything; keeps one block of at most `keep` bytes for what comes next. */
void arena_reset(struct arena *arena, size_t keep);

/* `size` bytes, aligned for any type, not zeroed. Never NULL: running out of memory aborts. */
void *arena_alloc(struct arena *arena, size_t size);

/* The same, zeroed. `count * size` must not overflow (asserted). */
void *arena_zalloc(struct arena *arena, size_t count, size_t size);

#define arena_new(arena, type) ((type *)arena_zalloc((arena), 1, sizeof(type)))
#define arena_new_array(arena, type, count) ((type *)arena_zalloc((arena), (count), sizeof(type)))

/* A copy of `s`, NUL-terminated behind its end. SPAN_NONE stays SPAN_NONE. */
struct span arena_copy(struct arena *arena, struct span s);

/* The parts, one behind another, NUL-terminated behind their end. */
struct span arena_join(struct arena *arena, const struct span *parts, size_t n);

/* `n` in decimal, with zeros in front up to `least` digits, NUL-terminated behind its end. */
struct span arena_number(struct arena *arena, uint64_t n, unsigned least);

/* Formatted text, NUL-terminated behind its end: ten times the time of the two before. */
struct span arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct span arena_vprintf(struct arena *arena, const char *format, va_list args);

/* Bytes taken from the system, for figures. */
size_t arena_size(const struct arena *arena);

#endif
