/* heap.h - the memory of one Lua state: fast for its many small objects, capped, and given back
 * whole without asking Lua.
 *
 * Owns          pages of equal small cells, and larger blocks one by one.
 * Fed by        Lua, through heap_allocate().
 * Feeds         vm, with how much there is and whether some was refused.
 * Must not know what Lua keeps in it.
 *
 *   heap_init(&h, 16 << 20);
 *   L = lua_newstate(heap_allocate, &h);
 *   heap_deinit(&h);                  // all of it, whatever state L is in
 */
#ifndef PERILUNE_SCRIPT_HEAP_H
#define PERILUNE_SCRIPT_HEAP_H

#include <stdbool.h>
#include <stddef.h>

enum { HEAP_CLASSES = 32 };

struct heap_page;
struct heap_block;

struct heap {
    size_t taken;                         /* bytes taken from the system */
    size_t cap;                           /* never more than these */
    bool refused;                         /* something was, since the owner set this to false */
    struct heap_page *open[HEAP_CLASSES]; /* pages with room, by the size of their cells */
    struct heap_page *pages;              /* all of them */
    struct heap_page *spare;              /* empty ones, kept for the next need */
    size_t n_spare;
    struct heap_block *blocks;
};

void heap_init(struct heap *h, size_t cap);
void heap_deinit(struct heap *h);

/* A lua_Alloc; `heap` is the struct. NULL when the cap is reached; running out of real memory
 * aborts. */
void *heap_allocate(void *heap, void *old, size_t old_size, size_t size);

#endif
