/* test.c - `perilune test`: the user's specs, run by busted in plain LuaJIT with the library that
 * serves. */
#include "cli/cli.h"
#include "cli/unpack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { OPTION_WORDS = 8 };

/* The user's own LUA_PATH stays behind the library; an empty part stands for the usual folders. */
static void set_path(const char *root) {
    const char *own = getenv("LUA_PATH");
    struct buf path = { 0 };
    buf_printf(&path, "%s/lua/?.lua;%s/lua/?/init.lua;%s", root, root, own && *own ? own : ";");
    buf_add_char(&path, '\0');
    setenv("LUA_PATH", path.at, 1);
    buf_deinit(&path);
}

static const char **words_of(const struct cli_call *call, const char *script) {
    static const char *const flags[] = { "json", "coverage" };
    static const char *const values[] = { "filter", "fail-under" };
    const char **words = calloc(call->n_args + OPTION_WORDS + 1, sizeof *words);
    size_t n = 0;
    if (!words)
        abort();
    words[n++] = "luajit";
    words[n++] = script;
    for (size_t i = 0; i < 2; i++)
        if (cli_option(call, flags[i]))
            words[n++] = i ? "--coverage" : "--json";
    for (size_t i = 0; i < 2; i++)
        if (cli_option(call, values[i])) {
            words[n++] = i ? "--fail-under" : "--filter";
            words[n++] = cli_option(call, values[i]);
        }
    for (size_t i = 0; i < call->n_args; i++)
        words[n++] = call->args[i];
    return words;
}

static int test_main(const struct cli_call *call) {
    uint64_t least;
    struct buf root = { 0 }, script = { 0 };
    if (!cli_number(call, "fail-under", 0, 100, &least))
        return CLI_USAGE;
    if (unpack_library(&root)) {
        set_path(root.at);
        buf_printf(&script, "%s/lua/perilune/spec/main.lua", root.at);
        buf_add_char(&script, '\0');
        const char **words = words_of(call, script.at);
        execvp("luajit", (char *const *)words);
        fprintf(stderr,
                "perilune test: luajit: %s; it is installed by: sudo apt-get install "
                "luajit lua-busted lua-cjson\n",
                strerror(errno));
        free(words);
    }
    buf_deinit(&script);
    buf_deinit(&root);
    return CLI_UNREACHABLE;
}

const struct cli_command test_command = {
    .name = "test",
    .summary = "run the specs of your policies",
    .arguments = "[FILE|FOLDER]...",
    .max_args = 64,
    .options = { { "filter", 0, "PATTERN", "run the specs whose names match this Lua pattern" },
                 { "coverage", 0, NULL, "print the lines of policies that have not run" },
                 { "fail-under", 0, "PERCENT", "fail when fewer of them have run" },
                 CLI_OPTION_JSON },
    .notes =
        "Runs *_spec.lua in the folder spec, or in what is named, with the library this binary\n"
        "serves with: `require \"perilune.spec\"`. It needs no gateway; it needs luajit and\n"
        "lua-busted. Exits with 0 when all hold, 1 when one does not, none ran or too few lines\n"
        "have run, 3 when busted or a file is missing.\n",
    .examples = "perilune test\n"
                "perilune test spec/tier_spec.lua --coverage\n"
                "perilune test --coverage --fail-under 90\n",
    .main = test_main,
};
