#include "cli/unpack.h"

#include "base/crypto.h"
#include "script/embed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folders above `path`; it is changed meanwhile. */
static bool make_folders(char *path) {
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int made = mkdir(path, 0755);
        *slash = '/';
        if (made < 0 && errno != EEXIST)
            return false;
    }
    return true;
}

static bool write_all(int fd, struct span text) {
    while (text.len) {
        ssize_t n = write(fd, text.at, text.len);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            text = span_sub(text, (size_t)n, text.len);
    }
    return true;
}

enum unpacked unpack_file(const char *path, struct span text) {
    struct buf copy = { 0 };
    buf_printf(&copy, "%s", path);
    buf_add_char(&copy, '\0');
    bool made = make_folders(copy.at);
    buf_deinit(&copy);
    if (!made)
        return UNPACK_FAILED;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return errno == EEXIST ? UNPACK_THERE : UNPACK_FAILED;
    bool written = write_all(fd, text);
    return close(fd) == 0 && written ? UNPACK_WRITTEN : UNPACK_FAILED;
}

static bool complain(const char *path) {
    fprintf(stderr, "perilune: %s: %s\n", path, strerror(errno));
    return false;
}

/* Twelve digits tell two libraries of one machine apart. */
static void add_hash(struct buf *out) {
    struct span *parts = calloc(2 * embedded_count + 1, sizeof *parts);
    char hex[CRYPTO_SHA256_HEX];
    if (!parts)
        abort();
    for (size_t i = 0; i < embedded_count; i++) {
        parts[2 * i] = embedded_files[i].path;
        parts[2 * i + 1] = embedded_files[i].text;
    }
    crypto_sha256_hex(parts, 2 * embedded_count, hex);
    free(parts);
    buf_printf(out, "%.12s", hex);
}

static bool add_cache_folder(struct buf *out) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && *cache == '/')
        buf_printf(out, "%s/perilune/", cache);
    else if (home && *home)
        buf_printf(out, "%s/.cache/perilune/", home);
    else
        fprintf(stderr,
                "perilune: neither HOME nor XDG_CACHE_HOME is set: there is no place for the "
                "library\n");
    return out->len > 0;
}

static bool write_library(const char *root) {
    for (size_t i = 0; i < embedded_count; i++) {
        struct buf path = { 0 };
        buf_printf(&path, "%s/%.*s", root, SPAN_ARGS(embedded_files[i].path));
        buf_add_char(&path, '\0');
        bool ok = unpack_file(path.at, embedded_files[i].text) == UNPACK_WRITTEN;
        if (!ok)
            complain(path.at);
        buf_deinit(&path);
        if (!ok)
            return false;
    }
    return true;
}

/* Written beside its place and moved there whole, so that no other call finds half of it. */
static bool write_beside(const char *root) {
    struct buf draft = { 0 };
    buf_printf(&draft, "%s.%ld", root, (long)getpid());
    buf_add_char(&draft, '\0');
    bool ok = write_library(draft.at);
    if (ok && rename(draft.at, root) < 0 && errno != EEXIST && errno != ENOTEMPTY)
        ok = complain(root);
    buf_deinit(&draft);
    return ok;
}

bool unpack_library(struct buf *root) {
    struct stat there;
    if (!add_cache_folder(root))
        return false;
    add_hash(root);
    buf_add_char(root, '\0');
    return stat(root->at, &there) == 0 || write_beside(root->at);
}
