#include "script/heap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE_SIZE = 8192,
    STEP = 16,                      /* between the sizes of cells */
    CELL_MAX = STEP * HEAP_CLASSES, /* larger ones are blocks */
    SPARE_MAX = 32                  /* empty pages that are not given back at once */
};

/* In front of what Lua gets lies a pointer: the page of the cell, NULL for a block. */
struct cell {
    struct heap_page *page;
    struct cell *next; /* while it is free; else Lua's first bytes */
};
#define CELL_HEAD offsetof(struct cell, next)

struct heap_page {
    struct heap_page *before, *after;           /* among all pages, or the spare ones */
    struct heap_page *open_before, *open_after; /* among those of its class that have room */
    struct cell *free;
    unsigned class;
    unsigned live;      /* cells in use */
    unsigned untouched; /* cells that never were, at the end */
};

struct heap_block {
    struct heap_block *before, *after;
    size_t size;            /* all of it */
    struct heap_page *page; /* NULL; must be last */
};

static size_t cell_size(unsigned class) {
    return (size_t)(class + 1) * STEP;
}

static unsigned cells_in_page(unsigned class) {
    return (unsigned)((PAGE_SIZE - sizeof(struct heap_page)) / cell_size(class));
}

/* ---- the system ---- */

static bool may_take(struct heap *h, size_t size) {
    if (size <= h->cap && h->taken <= h->cap - size)
        return true;
    h->refused = true;
    return false;
}

static void *take(struct heap *h, size_t size) {
    if (!may_take(h, size))
        return NULL;
    void *memory = malloc(size);
    if (!memory)
        abort();
    h->taken += size;
    return memory;
}

static void give_back(struct heap *h, void *memory, size_t size) {
    h->taken -= size;
    free(memory);
}

/* ---- pages ---- */

static void list_add(struct heap_page **list, struct heap_page *p) {
    p->before = NULL;
    p->after = *list;
    if (*list)
        (*list)->before = p;
    *list = p;
}

static void list_remove(struct heap_page **list, struct heap_page *p) {
    if (p->before)
        p->before->after = p->after;
    else
        *list = p->after;
    if (p->after)
        p->after->before = p->before;
}

static void open_add(struct heap *h, struct heap_page *p) {
    p->open_before = NULL;
    p->open_after = h->open[p->class];
    if (p->open_after)
        p->open_after->open_before = p;
    h->open[p->class] = p;
}

static void open_remove(struct heap *h, struct heap_page *p) {
    if (p->open_before)
        p->open_before->open_after = p->open_after;
    else
        h->open[p->class] = p->open_after;
    if (p->open_after)
        p->open_after->open_before = p->open_before;
}

static struct heap_page *page_new(struct heap *h, unsigned class) {
    struct heap_page *p = h->spare;
    if (p) {
        list_remove(&h->spare, p);
        h->n_spare--;
    } else if (!(p = take(h, PAGE_SIZE))) {
        return NULL;
    }
    p->class = class;
    p->free = NULL;
    p->live = 0;
    p->untouched = cells_in_page(class);
    list_add(&h->pages, p);
    open_add(h, p);
    return p;
}

static void page_free(struct heap *h, struct heap_page *p) {
    open_remove(h, p);
    list_remove(&h->pages, p);
    if (h->n_spare < SPARE_MAX) {
        list_add(&h->spare, p);
        h->n_spare++;
    } else {
        give_back(h, p, PAGE_SIZE);
    }
}

/* ---- cells ---- */

static void *cell_new(struct heap *h, unsigned class) {
    struct heap_page *p = h->open[class];
    if (!p && !(p = page_new(h, class)))
        return NULL;
    struct cell *c = p->free;
    if (c) {
        p->free = c->next;
    } else {
        c = (struct cell *)((char *)p + PAGE_SIZE - p->untouched * cell_size(class));
        c->page = p;
        p->untouched--;
    }
    p->live++;
    if (!p->free && !p->untouched)
        open_remove(h, p);
    return (char *)c + CELL_HEAD;
}

static void cell_free(struct heap *h, struct cell *c) {
    struct heap_page *p = c->page;
    bool was_full = !p->free && !p->untouched;
    c->next = p->free;
    p->free = c;
    p->live--;
    if (was_full)
        open_add(h, p);
    if (p->live == 0)
        page_free(h, p);
}

/* ---- blocks ---- */

static void block_link(struct heap *h, struct heap_block *b) {
    b->before = NULL;
    b->after = h->blocks;
    if (b->after)
        b->after->before = b;
    h->blocks = b;
}

static void block_unlink(struct heap *h, struct heap_block *b) {
    if (b->before)
        b->before->after = b->after;
    else
        h->blocks = b->after;
    if (b->after)
        b->after->before = b->before;
}

static void *block_new(struct heap *h, size_t size) {
    if (size > SIZE_MAX - sizeof(struct heap_block)) {
        h->refused = true;
        return NULL;
    }
    struct heap_block *b = take(h, size + sizeof *b);
    if (!b)
        return NULL;
    b->size = size + sizeof *b;
    b->page = NULL;
    block_link(h, b);
    return b + 1;
}

static void block_free(struct heap *h, struct heap_block *b) {
    block_unlink(h, b);
    give_back(h, b, b->size);
}

static void *block_resize(struct heap *h, struct heap_block *b, size_t size) {
    size_t whole = size + sizeof *b;
    if (whole > b->size && !may_take(h, whole - b->size))
        return NULL;
    block_unlink(h, b);
    h->taken = h->taken - b->size + whole;
    b = realloc(b, whole);
    if (!b)
        abort();
    b->size = whole;
    block_link(h, b);
    return b + 1;
}

/* ---- what Lua calls ---- */

static bool is_small(size_t size) {
    return size <= CELL_MAX - CELL_HEAD;
}

static unsigned class_of(size_t size) {
    return (unsigned)((size + CELL_HEAD - 1) / STEP);
}

static void *make(struct heap *h, size_t size) {
    return is_small(size) ? cell_new(h, class_of(size)) : block_new(h, size);
}

static struct cell *cell_of(void *memory) {
    return (struct cell *)((char *)memory - CELL_HEAD);
}

static void drop(struct heap *h, void *memory) {
    struct cell *c = cell_of(memory);
    if (c->page)
        cell_free(h, c);
    else
        block_free(h, (struct heap_block *)memory - 1);
}

static void *resize(struct heap *h, void *old, size_t old_size, size_t size) {
    struct heap_page *page = cell_of(old)->page;
    if (page && is_small(size) && page->class == class_of(size))
        return old;
    if (!page && !is_small(size))
        return block_resize(h, (struct heap_block *)old - 1, size);
    void *moved = make(h, size);
    if (moved) {
        memcpy(moved, old, old_size < size ? old_size : size);
        drop(h, old);
    }
    return moved;
}

void *heap_allocate(void *heap, void *old, size_t old_size, size_t size) {
    struct heap *h = heap;
    if (!old)
        return size ? make(h, size) : NULL;
    if (size)
        return resize(h, old, old_size, size);
    drop(h, old);
    return NULL;
}

void heap_init(struct heap *h, size_t cap) {
    *h = (struct heap){ .cap = cap };
}

static void free_pages(struct heap_page *p) {
    while (p) {
        struct heap_page *after = p->after;
        free(p);
        p = after;
    }
}

void heap_deinit(struct heap *h) {
    free_pages(h->pages);
    free_pages(h->spare);
    while (h->blocks) {
        struct heap_block *after = h->blocks->after;
        free(h->blocks);
        h->blocks = after;
    }
    heap_init(h, h->cap);
}
