#include "admin/save.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* "policies/.tier.lua.4711.new": hidden, so that no reader of the folder takes it for a policy. */
static void draft_name(struct span path, struct buf *out) {
    size_t slash = path.len;
    while (slash > 0 && path.at[slash - 1] != '/')
        slash--;
    buf_add(out, span_sub(path, 0, slash));
    buf_printf(out, ".%.*s.%ld.new", SPAN_ARGS(span_sub(path, slash, path.len)), (long)getpid());
    buf_add_char(out, '\0');
}

static int make_folder(const char *path) {
    struct buf folder = { 0 };
    struct span all = span_of(path);
    int error = 0;
    while (all.len > 0 && all.at[all.len - 1] != '/')
        all.len--;
    buf_add(&folder, span_sub(all, 0, all.len ? all.len - 1 : 0));
    buf_add_char(&folder, '\0');
    if (folder.len > 1 && mkdir(folder.at, 0755) < 0 && errno != EEXIST)
        error = -errno;
    buf_deinit(&folder);
    return error;
}

static int write_all(int fd, struct span text) {
    while (text.len) {
        ssize_t n = write(fd, text.at, text.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        text = span_sub(text, (size_t)n, text.len);
    }
    return 0;
}

/* A person's own permissions of the file stay. */
static int write_draft(const char *draft, const char *path, struct span text, unsigned mode) {
    struct stat old;
    bool there = stat(path, &old) == 0;
    int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int error = write_all(fd, text);
    if (!error && (fchmod(fd, there ? old.st_mode & 07777 : mode) < 0 || fsync(fd) < 0))
        error = -errno;
    if (close(fd) < 0 && !error)
        error = -errno;
    return error;
}

int save_file(const char *path, struct span text, unsigned mode) {
    struct buf draft = { 0 };
    int error = make_folder(path);
    draft_name(span_of(path), &draft);
    if (!error) {
        unlink(draft.at); /* of a process that was killed, and had our number */
        error = write_draft(draft.at, path, text, mode);
        if (!error && rename(draft.at, path) < 0)
            error = -errno;
        if (error)
            unlink(draft.at);
    }
    buf_deinit(&draft);
    return error;
}
