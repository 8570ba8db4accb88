/* watch.h - hears when files change.
 *
 * Owns          a file-system event handle for each folder watched, and the timer that waits for a save to end.
 * Fed by        the kernel.
 * Feeds         one callback, once a burst of changes has been quiet for a moment.
 * Must not know what the files are.
 *
 *   watch_init(&w, loop, on_change, owner);
 *   watch_set(&w, &roots);             again after every change: folders come and go
 *   watch_close(&w);
 *
 * Folders are watched, not files: editors replace a file, and a mounted configuration swaps a link.
 */
#ifndef PERILUNE_ADMIN_WATCH_H
#define PERILUNE_ADMIN_WATCH_H

#include "base/span.h"

#include <uv.h>

enum {
    WATCH_FOLDERS = 64,
    WATCH_QUIET_MS = 40, /* after the last change of a burst */
    WATCH_LONGEST_MS = 200 /* a burst that does not end is not waited for longer */
};

/* A folder to watch. */
struct watch_root {
    const char *path;
    bool deep;        /* its sub-folders too */
    const char *only; /* react to this name alone; NULL: to any */
};

struct watch;

struct watch_folder {
    uv_fs_event_t event;
    struct watch *watch;
    bool used, wanted;
    const char *only; /* borrowed from the root */
    char path[1024];
};

struct watch {
    uv_loop_t *loop;
    uv_timer_t quiet;
    uint64_t first_ms; /* when the burst began; 0: there is none */
    void (*on_change)(void *owner);
    void *owner;
    struct watch_folder folders[WATCH_FOLDERS];
};

void watch_init(struct watch *w, uv_loop_t *loop, void (*on_change)(void *owner), void *owner);

/* Watches these and nothing else. Folders that do not exist are passed over; `only` names must outlive the watch. */
void watch_set(struct watch *w, const struct watch_root *roots, size_t n);

/* Closes every handle; the loop must run until they are closed. */
void watch_close(struct watch *w);

#endif
