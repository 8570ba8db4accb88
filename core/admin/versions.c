#include "admin/versions.h"

#include "admin/save.h"
#include "script/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LISTED_MAX = 1000, TEXT_MAX = 4 << 20 };

static struct span folder_of(struct span data_dir, struct span policy, struct arena *arena) {
    return arena_printf(arena, "%.*s/policies/%.*s", SPAN_ARGS(data_dir), SPAN_ARGS(policy));
}

static struct span file_of(struct span folder, struct span hash, const char *ending,
                           struct arena *arena) {
    return arena_printf(arena, "%.*s/%.*s%s", SPAN_ARGS(folder), SPAN_ARGS(hash), ending);
}

struct span versions_hash(struct span version) {
    size_t at = span_find(version, '@');
    return at < version.len ? span_sub(version, at + 1, version.len) : version;
}

static struct span read_text(struct span path, struct arena *arena) {
    struct buf text = { 0 };
    struct span found = SPAN_NONE;
    if (files_read(path.at, TEXT_MAX, &text) == 0)
        found = arena_copy(arena, text.at ? buf_span(&text) : SPAN(""));
    buf_deinit(&text);
    return found;
}

/* ---- listing ---- */

static int newest_first(const void *a, const void *b) {
    const struct version *one = a, *other = b;
    if (one->at_ms != other->at_ms)
        return one->at_ms < other->at_ms ? 1 : -1;
    return memcmp(one->hash.at, other->hash.at,
                  one->hash.len < other->hash.len ? one->hash.len : other->hash.len);
}

/* All there are, the newest first. */
static size_t list_all(struct span folder, struct arena *arena, struct version **out) {
    struct span *names;
    struct stat about;
    size_t n = files_list(folder.at, SPAN(".lua"), arena, &names, LISTED_MAX), kept = 0;
    *out = arena_new_array(arena, struct version, n + 1);
    for (size_t i = 0; i < n; i++) {
        struct span hash = span_sub(names[i], 0, names[i].len - strlen(".lua"));
        if (stat(file_of(folder, hash, ".lua", arena).at, &about) < 0)
            continue;
        (*out)[kept++] = (struct version){
            .hash = hash,
            .at_ms =
                (uint64_t)about.st_mtim.tv_sec * 1000 + (uint64_t)about.st_mtim.tv_nsec / 1000000,
        };
    }
    qsort(*out, kept, sizeof **out, newest_first);
    return kept;
}

size_t versions_list(struct span data_dir, struct span policy, struct arena *arena,
                     struct version out[VERSIONS_MAX]) {
    struct version *all;
    struct span folder = folder_of(data_dir, policy, arena);
    size_t n = list_all(folder, arena, &all);
    n = n < VERSIONS_MAX ? n : VERSIONS_MAX;
    for (size_t i = 0; i < n; i++) {
        out[i] = all[i];
        out[i].note = read_text(file_of(folder, all[i].hash, ".note", arena), arena);
    }
    return n;
}

/* A name that leads nowhere else. */
static bool is_hash(struct span hash) {
    for (size_t i = 0; i < hash.len; i++)
        if (!strchr("0123456789abcdef", hash.at[i]))
            return false;
    return hash.len > 0 && hash.len <= 64;
}

struct span versions_text(struct span data_dir, struct span policy, struct span version,
                          struct arena *arena) {
    struct span hash = versions_hash(version);
    if (!is_hash(hash))
        return SPAN_NONE;
    return read_text(file_of(folder_of(data_dir, policy, arena), hash, ".lua", arena), arena);
}

/* ---- keeping ---- */

static void remove_version(struct span folder, struct span hash, struct arena *arena) {
    unlink(file_of(folder, hash, ".lua", arena).at);
    unlink(file_of(folder, hash, ".note", arena).at);
}

static int set_time(struct span path, uint64_t now_ms) {
    struct timespec time = { .tv_sec = (time_t)(now_ms / 1000),
                             .tv_nsec = (long)(now_ms % 1000) * 1000000 };
    const struct timespec times[2] = { time, time };
    return utimensat(AT_FDCWD, path.at, times, 0) < 0 ? -errno : 0;
}

static int keep(struct span folder, struct span hash, struct span text, uint64_t now_ms,
                struct arena *arena) {
    struct version *all;
    size_t n = list_all(folder, arena, &all);
    if (n && span_eq(all[0].hash, hash))
        return 0;
    /* Two versions of one millisecond keep their order. */
    if (n && all[0].at_ms >= now_ms)
        now_ms = all[0].at_ms + 1;
    struct span path = file_of(folder, hash, ".lua", arena);
    int error = save_file(path.at, text, 0600);
    if (error || (error = set_time(path, now_ms)) < 0)
        return error;
    unlink(file_of(folder, hash, ".note", arena).at); /* it said why it was live before */
    n = list_all(folder, arena, &all);
    for (size_t i = VERSIONS_MAX; i < n; i++)
        remove_version(folder, all[i].hash, arena);
    return 0;
}

int versions_keep(struct span data_dir, const struct policy_source *policy, uint64_t now_ms) {
    struct arena arena;
    arena_init(&arena, 4096);
    struct span above = arena_printf(&arena, "%.*s/policies", SPAN_ARGS(data_dir));
    int error = mkdir(above.at, 0700) < 0 && errno != EEXIST ? -errno : 0;
    if (!error)
        error = keep(folder_of(data_dir, policy->name, &arena), versions_hash(policy->version),
                     policy->text, now_ms, &arena);
    arena_deinit(&arena);
    return error;
}

int versions_note(struct span data_dir, const struct policy_source *policy, struct span note) {
    struct arena arena;
    arena_init(&arena, 1024);
    struct span folder = folder_of(data_dir, policy->name, &arena);
    struct span path = file_of(folder, versions_hash(policy->version), ".note", &arena);
    int error = save_file(path.at, note, 0600);
    arena_deinit(&arena);
    return error;
}
