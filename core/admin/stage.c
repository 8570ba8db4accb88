#include "admin/stage.h"

#include "admin/save.h"

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

static int fill(struct stage *s, const struct stage_plan *plan) {
    char policies[PATH_LEN], own[PATH_LEN], base[80];
    span_copy(plan->policies, own, sizeof own);
    snprintf(base, sizeof base, "%.*s.lua", SPAN_ARGS(plan->name));
    snprintf(s->policies, sizeof s->policies, "%s", strrchr(own, '/') + 1);
    snprintf(policies, sizeof policies, "%s/%s", s->dir, s->policies);
    int len = snprintf(s->file, sizeof s->file, "%s/%s", policies, base);
    if (len >= (int)sizeof s->file)
        return -ENAMETOOLONG;
    int error = link_all(plan->folder, s->dir, s->policies);
    if (!error && mkdir(policies, 0700) < 0)
        error = -errno;
    if (!error)
        error = link_all(own, policies, base);
    return error ? error : save_file(s->file, plan->source, 0600);
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
    char policies[PATH_LEN];
    if (!s->dir[0])
        return;
    snprintf(policies, sizeof policies, "%s/%s", s->dir, s->policies);
    empty(policies);
    rmdir(policies);
    empty(s->dir);
    rmdir(s->dir);
    s->dir[0] = '\0';
}

const char *stage_policy(const struct stage *s) {
    return s->file;
}

bool stage_has(const struct stage *s, const char *path) {
    char full[PATH_LEN];
    return snprintf(full, sizeof full, "%s/%s", s->dir, path) < PATH_LEN && access(full, R_OK) == 0;
}
