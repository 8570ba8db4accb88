#include "cli/state.h"

#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool complain(const char *path) {
    fprintf(stderr, "perilune: %s: %s\n", path, strerror(errno));
    return false;
}

static bool make_folders(char *path) {
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int made = mkdir(path, 0755);
        *slash = '/';
        if (made < 0 && errno != EEXIST)
            return complain(path);
    }
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return complain(path);
    return true;
}

bool state_open(const struct config *config) {
    struct buf path = { 0 };
    buf_add(&path, config->data_dir);
    buf_add_char(&path, '\0');
    bool ok = make_folders(path.at);
    buf_deinit(&path);
    if (!ok)
        fprintf(stderr, "  hint: data_dir in perilune.lua, or XDG_STATE_HOME, names another folder "
                        "for its state\n");
    return ok;
}

static void join(const struct config *config, const char *name, const char *suffix,
                 struct buf *path) {
    buf_printf(path, "%.*s/%s%s", SPAN_ARGS(config->data_dir), name, suffix);
    buf_add_char(path, '\0');
}

bool state_read(const struct config *config, const char *name, struct buf *out) {
    struct buf path = { 0 };
    char bytes[4096];
    join(config, name, "", &path);
    int fd = open(path.at, O_RDONLY | O_CLOEXEC);
    buf_deinit(&path);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, bytes, sizeof bytes);
    close(fd);
    while (n > 0 && bytes[n - 1] == '\n')
        n--;
    if (n > 0)
        buf_append(out, bytes, (size_t)n);
    return n > 0;
}

bool state_write(const struct config *config, const char *name, struct span text) {
    struct buf path = { 0 }, draft = { 0 };
    join(config, name, "", &path);
    join(config, name, ".new", &draft);
    int fd = open(draft.at, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, text.at, text.len) == (ssize_t)text.len && fsync(fd) == 0;
    if (fd >= 0 && close(fd) < 0)
        ok = false;
    if (ok)
        ok = rename(draft.at, path.at) == 0;
    if (!ok)
        complain(path.at);
    buf_deinit(&path);
    buf_deinit(&draft);
    return ok;
}

bool state_secret(const struct config *config, const char *name, const char *prefix,
                  struct buf *out, bool *made) {
    unsigned char bytes[24];
    *made = false;
    if (state_read(config, name, out))
        return true;
    *made = true;
    random_system(bytes, sizeof bytes);
    buf_printf(out, "%s", prefix);
    for (size_t i = 0; i < sizeof bytes; i++)
        buf_printf(out, "%02x", bytes[i]);
    return state_write(config, name, buf_span(out));
}
