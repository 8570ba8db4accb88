#include "admin/stage.h"

#include "admin/save.h"
#include "base/buf.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_LEN = 1400 };

/* Links everything in `from` into `to`, but for what is called `but`. A folder that is not there has
 * nothing in it. */
static int link_all(const char *from, const char *to, const char *but) {
    struct dirent *entry;
    int error = 0;
    DIR *d = opendir(from);
    while (d && !error && (entry = readdir(d))) {
        char source[PATH_LEN], target[PATH_LEN];
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, but) == 0)
            continue;
        int long_source = snprintf(source, sizeof source, "%s/%s", from, entry->d_name);
        int long_target = snprintf(target, sizeof target, "%s/%s", to, entry->d_name);
        if (long_source >= PATH_LEN || long_target >= PATH_LEN)
            error = -ENAMETOOLONG;
        else if (symlink(source, target) < 0)
            error = -errno;
    }
    if (d)
        closedir(d);
    return error;
}

static int make_dir(struct stage *s, struct span state) {
    int len = snprintf(s->dir, sizeof s->dir, "%.*s/stage-XXXXXX", SPAN_ARGS(state));
    if (len >= (int)sizeof s->dir || !mkdtemp(s->dir)) {
        s->dir[0] = '\0';
        return len >= (int)sizeof s->dir ? -ENAMETOOLONG : -errno;
    }
    return 0;
}

/* The folder of policies as one gets to it from the configuration's ("" for that one itself), so that
 * specs which name its files find them; what lies elsewhere goes by its last name. */
static int find_name(struct stage *s, const struct stage_plan *plan) {
    struct span folder = span_of(plan->folder), part,
                rest = span_sub(plan->policies, folder.len, plan->policies.len),
                last = span_of(strrchr(plan->policies.at, '/') + 1);
    bool inside = span_starts(plan->policies, folder) && (!rest.len || *rest.at == '/');
    struct buf below = { 0 };
    while (inside && span_split(&rest, '/', &part)) {
        if (!part.len || span_eq(part, SPAN(".")))
            continue;
        inside = !span_eq(part, SPAN(".."));
        buf_printf(&below, "%s%.*s", below.len ? "/" : "", SPAN_ARGS(part));
    }
    int len = snprintf(s->policies, sizeof s->policies, "%.*s",
                       SPAN_ARGS(inside ? buf_span(&below) : last));
    buf_deinit(&below);
    return len < (int)sizeof s->policies ? 0 : -ENAMETOOLONG;
}

static int go_down(char path[PATH_LEN], const char *name) {
    size_t len = strlen(path);
    return snprintf(path + len, PATH_LEN - len, "/%s", name) < (int)(PATH_LEN - len)
               ? 0
               : -ENAMETOOLONG;
}

/* Folders of our own down to that of the policies, with links to all that stands beside each. */
static int make_folders(const struct stage *s, const char *folder, char to[PATH_LEN]) {
    struct span rest = span_of(s->policies), part;
    char from[PATH_LEN], name[sizeof s->policies];
    int error = 0;
    snprintf(from, sizeof from, "%s", folder);
    snprintf(to, PATH_LEN, "%s", s->dir);
    while (!error && rest.len && span_split(&rest, '/', &part)) {
        span_copy(part, name, sizeof name);
        if ((error = link_all(from, to, name)) < 0 || (error = go_down(from, name)) < 0 ||
            (error = go_down(to, name)) < 0)
            break;
        error = mkdir(to, 0700) < 0 ? -errno : 0;
    }
    return error;
}

static int fill(struct stage *s, const struct stage_plan *plan) {
    char policies[PATH_LEN], own[PATH_LEN], base[80];
    span_copy(plan->policies, own, sizeof own);
    snprintf(base, sizeof base, "%.*s.lua", SPAN_ARGS(plan->name));
    int error = find_name(s, plan);
    if (error || (error = make_folders(s, plan->folder, policies)) < 0 ||
        (error = link_all(own, policies, base)) < 0)
        return error;
    int len = snprintf(s->file, sizeof s->file, "%s/%s", policies, base);
    return len < (int)sizeof s->file ? save_file(s->file, plan->source, 0600) : -ENAMETOOLONG;
}

int stage_open(struct stage *s, const struct stage_plan *plan) {
    int error = make_dir(s, plan->state);
    if (!error && (error = fill(s, plan)) < 0)
        stage_close(s);
    return error;
}

/* Links go, and not what they lead to. */
static void empty(const char *dir) {
    struct dirent *entry;
    DIR *d = opendir(dir);
    while (d && (entry = readdir(d))) {
        char path[PATH_LEN];
        bool itself = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        if (!itself && snprintf(path, sizeof path, "%s/%s", dir, entry->d_name) < PATH_LEN)
            unlink(path);
    }
    if (d)
        closedir(d);
}

void stage_close(struct stage *s) {
    char path[PATH_LEN];
    if (!s->dir[0])
        return;
    snprintf(path, sizeof path, "%s%s%s", s->dir, s->policies[0] ? "/" : "", s->policies);
    for (bool top = false; !top; *strrchr(path, '/') = '\0') {
        top = strlen(path) == strlen(s->dir);
        empty(path);
        rmdir(path);
    }
    s->dir[0] = '\0';
}

const char *stage_policy(const struct stage *s) {
    return s->file;
}

bool stage_has(const struct stage *s, const char *path) {
    char full[PATH_LEN];
    return snprintf(full, sizeof full, "%s/%s", s->dir, path) < PATH_LEN && access(full, R_OK) == 0;
}
