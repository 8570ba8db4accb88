/* models.c - `perilune models`: what can be asked for, with prices and limits. */
#include "route/models.h"
#include "base/ability.h"
#include "cli/setup.h"

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
    struct snapshot *snap = setup_read(call, "http://127.0.0.1:1/v1");
    if (!snap)
        return CLI_BAD_CONFIG;
    if (cli_option(call, "json")) {
        struct buf out = { 0 };
        models_write_list(snap, DIALECT_OPENAI_CHAT, &out);
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
    .options = { CLI_OPTION_CONFIG, CLI_OPTION_JSON },
    .notes = "Prices are US dollars a million tokens; '-' is unknown.\n",
    .main = models_main,
};
