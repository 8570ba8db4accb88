#include "cli/update.h"

#include "cli/listing.h"
#include "cli/setup.h"
#include "script/files.h"
#include "script/renewal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

enum { CATALOGUE_MAX = 32 << 20 };

static int failed(const char *path, int error) {
    fprintf(stderr, "perilune: %s: %s\n", path, strerror(error));
    return CLI_UNREACHABLE;
}

/* Whole or not at all: a gateway may be watching the folder. */
static int write_whole(const char *path, const char *draft, struct span text) {
    FILE *f = fopen(draft, "we");
    if (!f)
        return failed(draft, errno);
    bool written = fwrite(text.at, 1, text.len, f) == text.len;
    written = (fclose(f) == 0) && written;
    if (!written || rename(draft, path) < 0) {
        int error = errno;
        remove(draft);
        return failed(path, error);
    }
    return CLI_OK;
}

static int write_file(struct renewal *r, struct span dir, const struct renewal_file *f) {
    const char *path =
        arena_printf(&r->arena, "%.*s/%.*s.models.lua", SPAN_ARGS(dir), SPAN_ARGS(f->provider)).at;
    int done = write_whole(path, arena_printf(&r->arena, "%s.new", path).at, f->text);
    if (done == CLI_OK)
        printf("%s: %zu new, %zu changed\n", path, f->n_added, f->n_changed);
    return done;
}

/* What was made, or why nothing was. */
static int write_files(struct renewal *r, struct span dir) {
    if (r->why.at) {
        fprintf(stderr, "perilune: %.*s\n", SPAN_ARGS(r->why));
        return CLI_FINDINGS;
    }
    for (size_t i = 0; i < r->n_skipped; i++)
        fprintf(stderr, "perilune: there is no provider file \"%.*s\": its models were left out\n",
                SPAN_ARGS(r->skipped[i]));
    if (r->n_files == 0)
        printf("nothing is new\n");
    else if (mkdir(dir.at, 0755) < 0 && errno != EEXIST)
        return failed(dir.at, errno);
    for (size_t i = 0; i < r->n_files; i++) {
        int done = write_file(r, dir, &r->files[i]);
        if (done != CLI_OK)
            return done;
    }
    return CLI_OK;
}

static int from_file(const char *path, struct span dir) {
    struct renewal r;
    struct buf text = { 0 };
    int error = files_read(path, CATALOGUE_MAX, &text), done;
    if (error == 0) {
        renewal_of_catalogue(&r, dir.at, buf_span(&text));
        done = write_files(&r, dir);
        renewal_deinit(&r);
    } else {
        done = failed(path, -error);
    }
    buf_deinit(&text);
    return done;
}

static int from_providers(const struct snapshot *snap) {
    struct arena arena;
    struct renewal r;
    int done = CLI_UNREACHABLE;
    arena_init(&arena, 65536);
    struct pair *answers = arena_new_array(&arena, struct pair, snap->n_providers + 1);
    size_t n = listing_ask(snap, &arena, answers);
    if (n) {
        renewal_of_lists(&r, snap->config.providers_dir.at, answers, n);
        done = write_files(&r, snap->config.providers_dir);
        renewal_deinit(&r);
    }
    arena_deinit(&arena);
    return done;
}

int update_models(const struct cli_call *call) {
    bool asks = cli_option(call, "from-providers") != NULL;
    if (asks == (call->n_args == 2))
        return cli_complain(call->command, "update takes a FILE or --from-providers");
    struct snapshot *snap = setup_read(call, "http://127.0.0.1:1/v1");
    if (!snap)
        return CLI_BAD_CONFIG;
    int done = asks ? from_providers(snap) : from_file(call->args[1], snap->config.providers_dir);
    snapshot_unref(snap);
    return done;
}
