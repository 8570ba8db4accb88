/* projects.c - `perilune projects`: the projects of a running perilune, over its admin side. */
#include "cli/settings.h"
#include "cli/table.h"

static const struct setting settings[] = {
    SETTINGS_FIELDS,
    { "free-requests", "free_requests", SETTING_NUMBER },
    { "markup", "markup", SETTING_NUMBER },
    { "bodies", "bodies", SETTING_JSON },
    { 0 },
};

/* ---- showing ---- */

static const struct table_column columns[] = {
    { "NAME", false }, { "TIER", false },  { "POLICY", false }, { "LIMITS", false },
    { "FREE", true },  { "SPENT", false }, { "", false },
};

static void add_row(struct errand *e, struct table *t, struct json_value project) {
    int64_t granted = 0, left = 0;
    static const char *const texts[] = { "name", "tier", "policy" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        table_cell(t, "%.*s", SPAN_ARGS(json_text(json_get(project, texts[i]))));
    table_cell(t, "%.*s", SPAN_ARGS(settings_limits(e, project)));
    if (json_int(json_get(project, "free_requests"), &granted) && granted &&
        json_int(json_get(project, "free_left"), &left))
        table_cell(t, "%lld of %lld", (long long)left, (long long)granted);
    else
        table_cell(t, "%s", "");
    table_cell(t, "%.*s", SPAN_ARGS(settings_caps(e, json_get(project, "caps"))));
    table_cell(t, "%s", json_true(json_get(project, "managed_by_file")) ? "in perilune.lua" : "");
}

static int list(struct errand *e) {
    struct table t;
    struct buf out = { 0 };
    bool done;
    errand_path(e, "/api/projects", "", "");
    int code = errand_send(e, "GET", &done);
    if (done)
        return code;
    table_init(&t, columns, sizeof columns / sizeof *columns);
    for (struct json_iter it = json_iter(json_get(e->root, "projects")); json_next(&it);)
        add_row(e, &t, it.value);
    table_write(&t, &out);
    cli_print(stdout, buf_span(&out));
    table_deinit(&t);
    buf_deinit(&out);
    return code;
}

/* A call about the project that is named. */
static int send(struct errand *e, const char *method, bool *done) {
    errand_path(e, "/api/projects/", e->call->args[1], "");
    return errand_send(e, method, done);
}

static int show(struct errand *e) {
    bool done;
    int code = send(e, "GET", &done);
    if (!done)
        settings_show(e);
    return code;
}

/* ---- changing ---- */

static int put_with(struct errand *e, bool rest) {
    bool done;
    if (!settings_write(e, settings, rest))
        return CLI_USAGE;
    int code = send(e, "PUT", &done);
    if (!done)
        settings_show(e);
    return code;
}

static int put(struct errand *e) {
    return put_with(e, false);
}

/* What it is, with something else in it. */
static int change(struct errand *e) {
    errand_path(e, "/api/projects/", e->call->args[1], "");
    int code = errand_fetch(e);
    return code == CLI_OK ? put_with(e, true) : code;
}

/* ---- the command ---- */

static const struct verb verbs[] = {
    { "list", "list", 0, 0, list },
    { "show", "show NAME", 1, 1, show },
    { "put", "put NAME", 1, 1, put },
    { "change", "change NAME", 1, 1, change },
    { 0 },
};

static int projects_main(const struct cli_call *call) {
    return errand_main(call, verbs);
}

const struct cli_command projects_command = {
    .name = "projects",
    .summary = "list, make and change the projects of a running perilune",
    .arguments = "list|show|put|change [NAME]",
    .max_args = 2,
    .options = { CLI_OPTION_CONFIG,
                 CLI_OPTION_JSON,
                 SETTINGS_OPTIONS,
                 { "free-requests", 0, "N", "as many are not charged" },
                 { "markup", 0, "SHARE", "on the cost, in what is billed: 0.2 is a fifth" },
                 { "bodies", 0, "JSON", "what is kept of prompts and answers" } },
    .notes = "put makes the project, or puts it in the place of the one of its name: what is not "
             "named is\n"
             "not kept. change keeps it; none takes a setting out. What perilune.lua says is "
             "changed there.\n"
             "Exits with 1 when it is refused, and nothing has changed then.\n",
    .examples = "perilune projects put lab --tier free --monthly-usd 50 --free-requests 1000\n"
                "perilune projects change lab --monthly-usd 80\n",
    .main = projects_main,
};
