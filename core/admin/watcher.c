#include "admin/watcher.h"

#include "base/log.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

static void on_quiet(uv_timer_t *timer) {
    struct watcher *w = timer->data;
    w->first_ms = 0;
    w->on_change(w->owner);
}

static void on_event(uv_fs_event_t *event, const char *name, int events, int status) {
    struct watcher_folder *f = event->data;
    struct watcher *w = f->watch;
    uint64_t now = uv_now(w->loop);
    if (f->only && name && strcmp(f->only, name) != 0)
        return;
    if (!w->first_ms)
        w->first_ms = now;
    uint64_t left =
        w->first_ms + WATCHER_LONGEST_MS > now ? w->first_ms + WATCHER_LONGEST_MS - now : 0;
    uv_timer_start(&w->quiet, on_quiet, left < WATCHER_QUIET_MS ? left : WATCHER_QUIET_MS, 0);
}

void watcher_init(struct watcher *w, uv_loop_t *loop, void (*on_change)(void *owner), void *owner) {
    *w = (struct watcher){ .loop = loop, .on_change = on_change, .owner = owner };
    uv_timer_init(loop, &w->quiet);
    w->quiet.data = w;
}

static struct watcher_folder *find(struct watcher *w, const char *path, const char *only) {
    for (size_t i = 0; i < WATCHER_FOLDERS; i++) {
        struct watcher_folder *f = &w->folders[i];
        if (f->used && strcmp(f->path, path) == 0 && (f->only == only || !f->only))
            return f;
    }
    return NULL;
}

/* A slot whose handle is closed. */
static struct watcher_folder *unused(struct watcher *w) {
    for (size_t i = 0; i < WATCHER_FOLDERS; i++)
        if (!w->folders[i].used)
            return &w->folders[i];
    return NULL;
}

static void want(struct watcher *w, const char *path, const char *only) {
    struct watcher_folder *f = find(w, path, only);
    if (f) {
        f->wanted = true;
        return;
    }
    f = unused(w);
    if (!f) {
        log_warn("too many folders to watch: %s is not; use `perilune reload`", path);
        return;
    }
    *f = (struct watcher_folder){ .watch = w, .used = true, .wanted = true, .only = only };
    snprintf(f->path, sizeof f->path, "%s", path);
    uv_fs_event_init(w->loop, &f->event);
    f->event.data = f;
    int error = uv_fs_event_start(&f->event, on_event, path, 0);
    if (error < 0)
        log_warn("%s can not be watched (%s): use `perilune reload`", path, uv_strerror(error));
}

static bool is_folder(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

static void want_deep(struct watcher *w, const char *path, const char *only, unsigned levels) {
    char below[1024];
    struct dirent *entry;
    DIR *dir;
    want(w, path, only);
    if (!levels || !(dir = opendir(path)))
        return;
    while ((entry = readdir(dir))) {
        int len = snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.' && len < (int)sizeof below && is_folder(below))
            want_deep(w, below, only, levels - 1);
    }
    closedir(dir);
}

static void on_closed(uv_handle_t *handle) {
    ((struct watcher_folder *)handle->data)->used = false;
}

static void drop(struct watcher_folder *f) {
    if (f->used && !uv_is_closing((uv_handle_t *)&f->event))
        uv_close((uv_handle_t *)&f->event, on_closed);
}

void watcher_set(struct watcher *w, const struct watcher_root *roots, size_t n) {
    enum { LEVELS = 4 };
    for (size_t i = 0; i < WATCHER_FOLDERS; i++)
        w->folders[i].wanted = false;
    for (size_t i = 0; i < n; i++)
        if (is_folder(roots[i].path))
            want_deep(w, roots[i].path, roots[i].only, roots[i].deep ? LEVELS : 0);
    for (size_t i = 0; i < WATCHER_FOLDERS; i++)
        if (!w->folders[i].wanted)
            drop(&w->folders[i]);
}

void watcher_close(struct watcher *w) {
    for (size_t i = 0; i < WATCHER_FOLDERS; i++)
        drop(&w->folders[i]);
    uv_close((uv_handle_t *)&w->quiet, NULL);
}
