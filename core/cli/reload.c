/* reload.c - `perilune reload`: read everything again, and return when all workers serve it. */
#include "cli/ask.h"
#include "cli/setup.h"

#include <stdio.h>

/* A warning is no reason to fail: what was read is served. */
static bool has_error(struct json_value findings) {
    for (struct json_iter it = json_iter(findings); json_next(&it);)
        if (!json_true(json_get(it.value, "warning")))
            return true;
    return false;
}

static int report(struct span body, int status) {
    struct json_parser *parser = json_parser_new();
    struct json_value root;
    int64_t generation = 0;
    bool read = json_parse(parser, body, &root) == JSON_OK;
    struct json_value findings = read ? json_get(root, "findings") : (struct json_value){ 0 };
    ask_print_findings(findings);
    if (read && status == 200 && json_int(json_get(root, "generation"), &generation))
        printf("generation %lld is served by all workers\n", (long long)generation);
    else
        printf("nothing has changed\n");
    int code = status != 200 ? CLI_BAD_CONFIG : has_error(findings) ? CLI_FINDINGS : CLI_OK;
    json_parser_free(parser);
    return code;
}

static int reload_main(const struct cli_call *call) {
    struct snapshot *place = setup_place(call);
    struct buf body = { 0 };
    int status = ask(&place->config, "POST", "/api/reload", &body);
    int code = CLI_UNREACHABLE;
    if (status && cli_option(call, "json")) {
        printf("%.*s\n", (int)body.len, body.at);
        code = status == 200 ? CLI_OK : CLI_BAD_CONFIG;
    } else if (status) {
        code = report(buf_span(&body), status);
    }
    buf_deinit(&body);
    snapshot_unref(place);
    return code;
}

const struct cli_command reload_command = {
    .name = "reload",
    .summary = "make a running perilune read its files again",
    .options = { CLI_OPTION_CONFIG, CLI_OPTION_JSON },
    .notes =
        "Returns when all workers serve what was read. A policy that does not load stays out, and\n"
        "its last good version keeps serving. SIGHUP does the same, and so does saving a file.\n",
    .examples = "perilune reload\n",
    .main = reload_main,
};
