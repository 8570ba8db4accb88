#include "script/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bool files_join(char *out, size_t size, const char *dir, const char *name) {
    int n = snprintf(out, size, "%s/%s", dir, name);
    return n > 0 && (size_t)n < size;
}

/* Until the end, also when the file grows meanwhile. */
static int read_all(int fd, size_t max, struct buf *out) {
    size_t start = out->len;
    for (;;) {
        char *at = buf_reserve(out, 16384);
        ssize_t n = read(fd, at, 16384);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        out->len += (size_t)n;
        if (out->len - start > max)
            return -EFBIG;
    }
}

int files_read(const char *path, size_t max, struct buf *out) {
    struct stat about;
    int error;
    /* O_NONBLOCK: a pipe in place of a file must not hang us. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &about) != 0)
        error = -errno;
    else if (!S_ISREG(about.st_mode))
        error = S_ISDIR(about.st_mode) ? -EISDIR : -EINVAL;
    else
        error = read_all(fd, max, out);
    close(fd);
    return error;
}

static bool is_listed(struct span name, struct span suffix) {
    char c = name.at[0];
    bool visible = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return visible && name.len > suffix.len && span_ends(name, suffix);
}

static int by_name(const void *a, const void *b) {
    const struct span *one = a, *other = b;
    return strcmp(one->at, other->at);
}

size_t files_list(const char *dir, struct span suffix, struct arena *arena, struct span **names,
                  size_t max) {
    size_t n = 0;
    struct dirent *entry;
    *names = NULL;
    DIR *d = opendir(dir);
    if (!d)
        return 0;
    *names = arena_new_array(arena, struct span, max);
    while (n < max && (entry = readdir(d)))
        if (is_listed(span_of(entry->d_name), suffix))
            (*names)[n++] = arena_copy(arena, span_of(entry->d_name));
    closedir(d);
    if (n)
        qsort(*names, n, sizeof **names, by_name);
    return n;
}
