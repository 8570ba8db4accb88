/* Configurations: a snapshot, or at least one finding that says why there is none. */
#include "fuzz/fuzz.h"

#include "script/config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/perilune-fuzz-XXXXXX";
static char path[sizeof dir + 16];

static void remove_dir(void) {
    (void)!unlink(path);
    (void)!rmdir(dir);
}

/* In a folder of its own: what a configuration names is looked for there. */
static void write_config(struct span text) {
    if (!path[0]) {
        fuzz_expect(mkdtemp(dir) != NULL);
        snprintf(path, sizeof path, "%s/perilune.lua", dir);
        atexit(remove_dir);
        setenv("SPEC_KEY", "sk-spec", 1);
    }
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    fuzz_expect(file >= 0 && write(file, text.at, text.len) == (ssize_t)text.len);
    close(file);
}

static void one(struct span text, const uint8_t *tail) {
    const struct config_options options = { .path = path };
    struct config_findings findings;
    unsigned errors = 0;
    write_config(text);
    config_findings_init(&findings);
    struct snapshot *snap = config_load(&options, NULL, &findings);
    for (size_t i = 0; i < findings.n; i++) {
        errors += !findings.list[i].warning;
        fuzz_expect(findings.list[i].message.len > 0);
    }
    fuzz_expect(snap || errors);
    snapshot_unref(snap);
    config_findings_deinit(&findings);
}

static const struct fuzz_folder folders[] = { { "fuzz/texts/config", ".lua", 0 }, { 0 } };
const struct fuzz_target fuzz_target = {
    .name = "config", .folders = folders, .tail = 0, .iterations = 150, .one = one
};
