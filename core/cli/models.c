/* models.c - `perilune models`: what can be asked for, with prices and limits. */
#include "route/models.h"
#include "base/ability.h"
#include "cli/setup.h"
#include "cli/update.h"

#include <stdio.h>

static void print_price(int64_t nano_per_million) {
    if (nano_per_million == PRICE_UNKNOWN)
        printf(" %9s", "-");
    else
        printf(" %9.3f", (double)nano_per_million / 1e9);
}

static void print_size(uint32_t tokens) {
    if (tokens)
        printf(" %9u", tokens);
    else
        printf(" %9s", "-");
}

static void print_target(const struct target *t, int width) {
    printf("%-*.*s", width, SPAN_ARGS(t->id));
    print_price(t->price.input);
    print_price(t->price.output);
    print_size(t->context);
    print_size(t->max_output);
    printf(" ");
    for (unsigned i = 0; i < ABILITY_COUNT; i++)
        if (t->abilities & (UINT32_C(1) << i))
            printf(" %s", ability_name(i));
    printf("\n");
}

static void print_table(const struct snapshot *snap) {
    int width = 6;
    for (size_t i = 0; i < snap->n_targets; i++)
        if ((int)snap->targets[i].id.len > width)
            width = (int)snap->targets[i].id.len;
    printf("%-*s %9s %9s %9s %9s  %s\n", width, "target", "$in/M", "$out/M", "context", "output",
           "abilities");
    for (size_t i = 0; i < snap->n_targets; i++)
        print_target(&snap->targets[i], width);
}

static int models_main(const struct cli_call *call) {
    if (call->n_args && strcmp(call->args[0], "update") == 0)
        return update_models(call);
    if (call->n_args || cli_option(call, "from-providers"))
        return cli_complain(call->command, "the one thing to do with models is to update them");
    struct snapshot *snap = setup_read(call, "http://127.0.0.1:1/v1");
    if (!snap)
        return CLI_BAD_CONFIG;
    if (cli_option(call, "json")) {
        struct buf out = { 0 };
        models_write_list(snap, NULL, DIALECT_OPENAI_CHAT, &out);
        printf("%.*s\n", (int)out.len, out.at);
        buf_deinit(&out);
    } else {
        print_table(snap);
    }
    snapshot_unref(snap);
    return CLI_OK;
}

const struct cli_command models_command = {
    .name = "models",
    .summary = "list the targets on offer, with prices and limits",
    .arguments = "[update [FILE]]",
    .max_args = 2,
    .options = { CLI_OPTION_CONFIG,
                 CLI_OPTION_JSON,
                 { "from-providers", 0, NULL, "update: ask the configured providers" } },
    .notes =
        "Prices are US dollars a million tokens; '-' is unknown.\n\n"
        "`update FILE` takes models, prices and limits from a catalogue in JSON; `update\n"
        "--from-providers` adds what the configured providers list, without prices. Both write\n"
        "NAME.models.lua into the providers folder, where a running perilune takes it up.\n",
    .examples = "perilune models\n"
                "perilune models --json\n"
                "perilune models update --from-providers\n",
    .main = models_main,
};
