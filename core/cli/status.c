/* status.c - `perilune status`: what a running perilune serves. */
#include "base/json.h"
#include "cli/ask.h"
#include "cli/setup.h"

#include <stdio.h>

static int64_t number(struct json_value object, const char *name) {
    int64_t n = 0;
    json_int(json_get(object, name), &n);
    return n;
}

static void line(struct json_value root, const char *label, const char *name) {
    printf("%-11s %.*s\n", label, SPAN_ARGS(json_text(json_get(root, name))));
}

static void print_policies(struct json_value policies) {
    for (struct json_iter it = json_iter(policies); json_next(&it);)
        printf("  %-24.*s %.*s%s\n", SPAN_ARGS(json_text(json_get(it.value, "version"))),
               SPAN_ARGS(json_text(json_get(it.value, "path"))),
               json_true(json_get(it.value, "quarantined")) ? "  (in quarantine)" : "");
}

static void print_workers(struct json_value workers) {
    int64_t in_flight = 0, requests = 0, failed = 0, kills = 0;
    for (struct json_iter it = json_iter(workers); json_next(&it);) {
        in_flight += number(it.value, "in_flight");
        requests += number(it.value, "requests");
        failed += number(it.value, "failed");
        kills += number(it.value, "kills");
    }
    printf("%-11s %zu, %lld in flight, %lld requests, %lld failed, %lld policy calls stopped\n",
           "workers", json_count(workers), (long long)in_flight, (long long)requests,
           (long long)failed, (long long)kills);
}

/* What candidates would have decided. */
static void print_shadows(struct json_value shadows) {
    if (json_count(shadows))
        printf("shadows\n");
    for (struct json_iter it = json_iter(shadows); json_next(&it);) {
        struct json_value cost = json_get(it.value, "expected_cost");
        printf("  %.*s beside %.*s: %lld requests, %lld decided otherwise, %lld errors, %lld "
               "stopped, %lld passed over\n",
               SPAN_ARGS(json_text(json_get(it.value, "candidate"))),
               SPAN_ARGS(json_text(json_get(it.value, "live"))),
               (long long)number(it.value, "requests"), (long long)number(it.value, "changed"),
               (long long)number(it.value, "errors"), (long long)number(it.value, "timeouts"),
               (long long)number(it.value, "passed_over"));
        if (number(cost, "requests"))
            printf("    expected to cost $%.6f instead of $%.6f\n",
                   json_number(json_get(cost, "candidate_usd"), 0),
                   json_number(json_get(cost, "live_usd"), 0));
    }
}

static void print_status(struct json_value root) {
    struct json_value reload = json_get(root, "reload");
    line(root, "version", "version");
    line(root, "listen", "listen");
    line(root, "admin", "admin");
    line(root, "state", "data_dir");
    line(root, "started", "started");
    printf("%-11s %lld, read %.*s%s\n", "generation", (long long)number(root, "generation"),
           SPAN_ARGS(json_text(json_get(reload, "at"))),
           json_true(json_get(reload, "ok")) ? "" : " (wrong: the one before is served)");
    printf("%-11s %lld providers, %lld targets\n", "catalogue",
           (long long)number(root, "providers"), (long long)number(root, "targets"));
    print_workers(json_get(root, "workers"));
    printf("policies\n");
    print_policies(json_get(root, "policies"));
    print_shadows(json_get(root, "shadows"));
}

static int status_main(const struct cli_call *call) {
    struct snapshot *place = setup_place(call);
    struct buf body = { 0 };
    int status = ask(&place->config, "GET", "/api/status", &body);
    struct json_parser *parser = json_parser_new();
    struct json_value root;
    if (status == 200 && cli_option(call, "json"))
        printf("%.*s\n", (int)body.len, body.at);
    else if (status == 200 && json_parse(parser, buf_span(&body), &root) == JSON_OK)
        print_status(root);
    else if (status)
        fprintf(stderr, "perilune: the admin side answered %d\n", status);
    json_parser_free(parser);
    buf_deinit(&body);
    snapshot_unref(place);
    return status == 200 ? CLI_OK : CLI_UNREACHABLE;
}

const struct cli_command status_command = {
    .name = "status",
    .summary = "show what a running perilune serves",
    .options = { CLI_OPTION_CONFIG, CLI_OPTION_JSON },
    .examples = "perilune status\n"
                "perilune status --json\n",
    .main = status_main,
};
