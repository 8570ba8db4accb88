/* Configurations: a snapshot, or at least one finding that says why there is none. */
#include "fuzz/fuzz.h"

#include "script/config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/perilune-fuzz-XXXXXX";

static void remove_dir(void) {
    (void)!unlink("perilune.lua");
    (void)!chdir("/");
    (void)!rmdir(dir);
}

/* Everything happens in a folder of its own: what a configuration names is looked for there. */
static void write_config(struct span text) {
    static bool made;
    if (!made) {
        fuzz_expect(mkdtemp(dir) && chdir(dir) == 0);
        made = true;
        atexit(remove_dir);
        setenv("SPEC_KEY", "sk-spec", 1);
    }
    int file = open("perilune.lua", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    fuzz_expect(file >= 0 && write(file, text.at, text.len) == (ssize_t)text.len);
    close(file);
}

static void one(struct span text, const uint8_t *tail) {
    struct config_options options = { .path = "perilune.lua" };
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
