#include "script/sources.h"

#include "base/crypto.h"
#include "script/embed.h"
#include "script/files.h"

#include <stdlib.h>

enum { FILES_MAX = 2000, TEXT_MAX = 1 << 20 };

struct reading {
    enum sources_kind kind;
    struct arena *arena;
    struct source_file *files;
    size_t n;
};

/* Names go into headers, versions and messages. */
static bool is_name(struct span name) {
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-' || c == '.'))
            return false;
    }
    return name.len > 0 && name.len <= 64 && !span_ends(name, SPAN("_spec"));
}

/* The place of a file, an old one of that name or a new one; NULL when there is no room. */
static struct source_file *place(struct reading *r, struct span name) {
    for (size_t i = 0; i < r->n; i++)
        if (span_eq(r->files[i].name, name))
            return &r->files[i];
    return r->n < FILES_MAX ? &r->files[r->n++] : NULL;
}

/* `base` is a file's name without its folder, "tier.lua"; `under` is "" or "lib/". */
static void put(struct reading *r, const char *under, struct span base, struct source_file file) {
    struct span name = span_sub(base, 0, base.len - strlen(".lua"));
    bool assignments = r->kind == SOURCES_POLICIES && !*under && span_eq(name, SPAN("routes"));
    if (!is_name(name) || assignments)
        return;
    file.name = arena_printf(r->arena, "%s%.*s", under, SPAN_ARGS(name));
    struct source_file *at = place(r, file.name);
    if (at)
        *at = file;
}

static void read_embedded(struct reading *r, const char *under, const char *folder) {
    struct span prefix = span_of(folder);
    for (size_t i = 0; i < embedded_count; i++) {
        const struct embedded_file *e = &embedded_files[i];
        struct span base = span_sub(e->path, prefix.len, e->path.len);
        if (!span_starts(e->path, prefix) || !span_ends(base, SPAN(".lua")) ||
            span_find(base, '/') < base.len)
            continue;
        struct span path = arena_printf(r->arena, "(shipped) %.*s", SPAN_ARGS(e->path));
        put(r, under, base, (struct source_file){ .path = path, .text = e->text });
    }
}

static void read_folder(struct reading *r, const char *under, const char *folder) {
    struct span *names;
    size_t n = files_list(folder, SPAN(".lua"), r->arena, &names, FILES_MAX);
    for (size_t i = 0; i < n; i++) {
        struct buf text = { 0 };
        struct source_file file = { .path = arena_printf(r->arena, "%s/%s", folder, names[i].at) };
        file.error = files_read(file.path.at, TEXT_MAX, &text);
        file.text = arena_copy(r->arena, file.error || !text.at ? SPAN("") : buf_span(&text));
        buf_deinit(&text);
        put(r, under, names[i], file);
    }
}

static int by_name(const void *a, const void *b) {
    const struct source_file *one = a, *other = b;
    return strcmp(one->name.at, other->name.at);
}

size_t sources_read(enum sources_kind kind, const char *dir, struct arena *arena,
                    struct source_file **files) {
    struct reading r = { .kind = kind,
                         .arena = arena,
                         .files = arena_new_array(arena, struct source_file, FILES_MAX) };
    bool policies = kind == SOURCES_POLICIES;
    read_embedded(&r, "", policies ? "policies/" : "providers/");
    if (policies)
        read_embedded(&r, "lib/", "policies/lib/");
    if (dir) {
        read_folder(&r, "", dir);
        if (policies)
            read_folder(&r, "lib/", arena_printf(arena, "%s/lib", dir).at);
    }
    qsort(r.files, r.n, sizeof *r.files, by_name);
    *files = r.files;
    return r.n;
}

struct span sources_version(const struct policy_source *source, struct arena *arena) {
    size_t n = 0;
    char hex[CRYPTO_SHA256_HEX];
    struct span *parts = arena_new_array(arena, struct span, 2 * (source->n_libs + 1));
    for (size_t i = 0; i <= source->n_libs; i++) {
        const struct policy_source *s = i ? &source->libs[i - 1] : source;
        /* The length in front of a text says where it ends, the name what it is required as. */
        parts[n++] = arena_printf(arena, "%.*s %zu\n", SPAN_ARGS(s->name), s->text.len);
        parts[n++] = s->text;
    }
    crypto_sha256_hex(parts, n, hex);
    return arena_printf(arena, "%.*s@%.8s", SPAN_ARGS(source->name), hex);
}
