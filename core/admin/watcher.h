/* watcher.h - hears when files change.
 *
 * Owns          a file-system event handle for each folder watched, and the timer that waits for a
 *               save to end.
 * Fed by        the kernel.
 * Feeds         one callback, once a burst of changes has been quiet for a moment.
 * Must not know what the files are.
 *
 *   watcher_init(&w, loop, on_change, owner);
 *   watcher_set(&w, &roots);             again after every change: folders come and go
 *   watcher_close(&w);
 *
 * Folders are watched, not files: editors replace a file, and a mounted configuration swaps a link.
 */
#ifndef PERILUNE_ADMIN_WATCHER_H
#define PERILUNE_ADMIN_WATCHER_H

#include "base/span.h"

#include <uv.h>

enum {
    WATCHER_FOLDERS = 64,
    WATCHER_QUIET_MS = 40,   /* after the last change of a burst */
    WATCHER_LONGEST_MS = 200 /* a burst that does not end is not waited for longer */
};

/* A folder to watch. */
struct watcher_root {
    const char *path;
    bool deep;        /* its sub-folders too */
    const char *only; /* react to this name alone; NULL: to any */
};

struct watcher;

struct watcher_folder {
    uv_fs_event_t event;
    struct watcher *watch;
    bool used, wanted;
    const char *only; /* borrowed from the root */
    char path[1024];
};

struct watcher {
    uv_loop_t *loop;
    uv_timer_t quiet;
    uint64_t first_ms; /* when the burst began; 0: there is none */
    void (*on_change)(void *owner);
    void *owner;
    struct watcher_folder folders[WATCHER_FOLDERS];
};

void watcher_init(struct watcher *w, uv_loop_t *loop, void (*on_change)(void *owner), void *owner);

/* Watches these and nothing else. Folders that do not exist are passed over; `only` names must
 * outlive the watch. */
void watcher_set(struct watcher *w, const struct watcher_root *roots, size_t n);

/* Closes every handle; the loop must run until they are closed. */
void watcher_close(struct watcher *w);

#endif
