/* init.c - `perilune init`: a folder to begin with. */
#include "cli/cli.h"
#include "cli/unpack.h"
#include "script/embed.h"

#include <errno.h>
#include <stdio.h>

/* What the policy is called in templates/; its name stands in its place, in paths and texts. */
#define STARTER "starter"

enum { POLICY_NAME_MAX = 64 };

static const struct template {
    const char *from, *to;
}
templates[] = {
    { "templates/perilune.lua", "perilune.lua" },
    { "templates/policies/" STARTER ".lua", "policies/" STARTER ".lua" },
    { "templates/spec/" STARTER ".lua", "spec/" STARTER "_spec.lua" },
    { "templates/busted.lua", ".busted" },
    { "templates/luacheckrc.lua", ".luacheckrc" },
    { "templates/luarc.json", ".luarc.json" },
    { "library/perilune.lua", "library/perilune.lua" },
};

/* `text` with the policy's name in the place of STARTER. */
static void add_named(struct buf *out, struct span text, const char *name) {
    struct span starter = SPAN(STARTER);
    while (text.len) {
        if (span_starts(text, starter)) {
            buf_printf(out, "%s", name);
            text = span_sub(text, starter.len, text.len);
        } else {
            buf_add_char(out, text.at[0]);
            text = span_sub(text, 1, text.len);
        }
    }
}

static bool write_template(const struct template *t, const char *folder, const char *name) {
    const struct embedded_file *file = embedded_find(span_of(t->from));
    struct buf path = { 0 }, text = { 0 };
    buf_printf(&path, "%s/", folder);
    add_named(&path, span_of(t->to), name);
    buf_add_char(&path, '\0');
    add_named(&text, file->text, name);
    enum unpacked result = unpack_file(path.at, buf_span(&text));
    if (result == UNPACK_FAILED)
        fprintf(stderr, "perilune init: %s: %s\n", path.at, strerror(errno));
    else
        printf("%s %s\n", result == UNPACK_WRITTEN ? "wrote" : "left ", path.at);
    buf_deinit(&path);
    buf_deinit(&text);
    return result != UNPACK_FAILED;
}

/* A file's name and a name in Lua texts at once. */
static bool is_policy_name(const char *name) {
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return len && len <= POLICY_NAME_MAX && !name[len];
}

/* What is typed up to a first answer. The provider that is written is made up: without the mock
 * nobody would answer for it. */
static void print_next(const char *folder) {
    printf("\nNext:\n\n");
    if (strcmp(folder, ".") != 0)
        printf("  cd %s\n", folder);
    printf("  perilune check\n"
           "  perilune test\n"
           "  perilune mock &   # answers for the provider in perilune.lua, which is made up\n"
           "  perilune run      # prints a request to try\n");
}

static int init_main(const struct cli_call *call) {
    const char *folder = call->n_args ? call->args[0] : ".";
    const char *name = cli_option(call, "policy");
    if (!name)
        name = STARTER;
    if (!is_policy_name(name))
        return cli_complain(call->command, "--policy wants a name of small letters, digits and _");
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++)
        if (!write_template(&templates[i], folder, name))
            return CLI_UNREACHABLE;
    print_next(folder);
    return CLI_OK;
}

const struct cli_command init_command = {
    .name = "init",
    .summary = "write a configuration, a policy and its spec to begin with",
    .arguments = "[FOLDER]",
    .max_args = 1,
    .options = { { "policy", 0, "NAME", "what the policy is called, instead of " STARTER } },
    .notes =
        "Writes perilune.lua, policies/NAME.lua, spec/NAME_spec.lua, and what busted, luacheck "
        "and\n"
        "editors want to know: .busted, .luacheckrc, .luarc.json and library/perilune.lua. A file\n"
        "that is there is left alone.\n",
    .examples = "perilune init\n"
                "perilune init gateway --policy frugal\n",
    .main = init_main,
};
