/* keys.c - `perilune keys`: the keys of a running perilune, over its admin side. */
#include "base/clock.h"
#include "cli/moment.h"
#include "cli/settings.h"
#include "cli/table.h"

static const struct setting settings[] = {
    { "name", "name", SETTING_TEXT },
    { "project", "project", SETTING_TEXT },
    SETTINGS_FIELDS,
    { "model", "models", SETTING_LIST },
    { "may-choose", "policies", SETTING_LIST },
    { "grant", "grants", SETTING_LIST },
    { "strict", "strict", SETTING_FLAG },
    { "expires", "expires", SETTING_MOMENT },
    { "metadata", "metadata", SETTING_JSON },
    { 0 },
};

/* ---- showing ---- */

static const struct table_column columns[] = {
    { "ID", false },    { "NAME", false },    { "PROJECT", false },
    { "TIER", false },  { "LAST", false },    { "LIMITS", false },
    { "SPENT", false }, { "EXPIRES", false }, { "", false },
};

/* Both times are written alike, so that their texts are in the order of time. */
static bool has_expired(struct json_value key) {
    char now[25];
    struct span expires = json_text(json_get(key, "expires"));
    clock_rfc3339(clock_wall_ms(), now);
    return expires.len == strlen(now) && memcmp(expires.at, now, expires.len) <= 0;
}

/* What makes it no good, rather than where it is said. */
static const char *remark(struct json_value key) {
    if (json_true(json_get(key, "revoked")))
        return "revoked";
    if (has_expired(key))
        return "expired";
    return json_true(json_get(key, "managed_by_file")) ? "in perilune.lua" : "";
}

static void add_row(struct errand *e, struct table *t, struct json_value key) {
    static const char *const texts[] = { "id", "name", "project", "tier", "last" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        table_cell(t, "%.*s", SPAN_ARGS(json_text(json_get(key, texts[i]))));
    table_cell(t, "%.*s", SPAN_ARGS(settings_limits(e, key)));
    table_cell(t, "%.*s", SPAN_ARGS(settings_caps(e, json_get(key, "caps"))));
    table_cell(t, "%.*s", SPAN_ARGS(json_text(json_get(key, "expires"))));
    table_cell(t, "%s", remark(key));
}

static int list(struct errand *e) {
    const char *project = cli_option(e->call, "project");
    struct table t;
    struct buf out = { 0 };
    bool done;
    errand_path(e, project ? "/api/keys?project=" : "/api/keys", project ? project : "", "");
    int code = errand_send(e, "GET", &done);
    if (done)
        return code;
    table_init(&t, columns, sizeof columns / sizeof *columns);
    for (struct json_iter it = json_iter(json_get(e->root, "keys")); json_next(&it);)
        add_row(e, &t, it.value);
    table_write(&t, &out);
    cli_print(stdout, buf_span(&out));
    table_deinit(&t);
    buf_deinit(&out);
    return code;
}

static int show(struct errand *e) {
    bool done;
    errand_path(e, "/api/keys/", e->call->args[1], "");
    int code = errand_send(e, "GET", &done);
    if (!done)
        settings_show(e);
    return code;
}

/* ---- making and changing ---- */

/* The secret alone goes to standard output, so that it can be piped to where it is kept. */
static void print_secret(struct errand *e, const char *what) {
    fprintf(stderr, "%s %.*s of project %.*s; its secret, which is not shown again:\n", what,
            SPAN_ARGS(errand_member(e, e->root, "id")),
            SPAN_ARGS(errand_member(e, e->root, "project")));
    printf("%.*s\n", SPAN_ARGS(errand_member(e, e->root, "secret")));
}

static int make(struct errand *e) {
    bool done;
    if (!settings_write(e, settings, false))
        return CLI_USAGE;
    errand_path(e, "/api/keys", "", "");
    int code = errand_send(e, "POST", &done);
    if (!done)
        print_secret(e, "made");
    return code;
}

static int change(struct errand *e) {
    bool done;
    if (!settings_write(e, settings, false))
        return CLI_USAGE;
    if (e->body.len == 2)
        return cli_complain(e->call->command, "nothing to change: name what, like --rpm 60");
    errand_path(e, "/api/keys/", e->call->args[1], "");
    int code = errand_send(e, "PATCH", &done);
    if (!done)
        settings_show(e);
    return code;
}

static int revoke(struct errand *e) {
    bool done;
    errand_path(e, "/api/keys/", e->call->args[1], "");
    int code = errand_send(e, "DELETE", &done);
    if (!done)
        printf("%.*s is revoked\n", SPAN_ARGS(errand_member(e, e->root, "id")));
    return code;
}

/* Whole seconds from now; false with the complaint printed. */
static bool read_overlap(struct errand *e, uint64_t *seconds) {
    const char *text = cli_option(e->call, "overlap");
    uint64_t now_us = clock_wall_ms() * 1000, until_us = now_us;
    bool good = !text ||
                (moment_read(span_of(text), MOMENT_UNTIL, now_us, &until_us) && until_us >= now_us);
    *seconds = good ? (until_us - now_us) / 1000000 : 0;
    if (!good)
        cli_complain(e->call->command, "--overlap wants a time ahead, like 24h");
    return good;
}

static int rotate(struct errand *e) {
    uint64_t overlap;
    bool done;
    if (!read_overlap(e, &overlap))
        return CLI_USAGE;
    buf_printf(&e->body, "{\"overlap_s\":%llu}", (unsigned long long)overlap);
    errand_path(e, "/api/keys/", e->call->args[1], "/rotate");
    int code = errand_send(e, "POST", &done);
    if (!done)
        print_secret(e, "rotated");
    return code;
}

/* ---- the command ---- */

static const struct verb verbs[] = {
    { "list", "list", 0, 0, list },
    { "show", "show ID", 1, 1, show },
    { "make", "make", 0, 0, make },
    { "change", "change ID", 1, 1, change },
    { "rotate", "rotate ID", 1, 1, rotate },
    { "revoke", "revoke ID", 1, 1, revoke },
    { 0 },
};

static int keys_main(const struct cli_call *call) {
    return errand_main(call, verbs);
}

const struct cli_command keys_command = {
    .name = "keys",
    .summary = "make, list, change, rotate and revoke the keys of a running perilune",
    .arguments = "list|show|make|change|rotate|revoke [ID]",
    .max_args = 2,
    .options = { CLI_OPTION_CONFIG,
                 CLI_OPTION_JSON,
                 { "project", 0, "NAME", "the project it belongs to; list: only of this one" },
                 { "name", 0, "TEXT", "what people call it" },
                 SETTINGS_OPTIONS,
                 { "model", 0, "NAME", "a model or target it may reach; again for more" },
                 { "grant", 0, "policy|tier|models",
                   "what it may choose by header; again for more" },
                 { "may-choose", 0, "NAME", "a policy it may choose; again for more" },
                 { "strict", 0, "yes|no", "keep to the model the client names" },
                 { "expires", 0, "TIME", "2027-01-01, a time of RFC 3339, or 90d" },
                 { "metadata", 0, "JSON", "an object that policies read" },
                 { "overlap", 0, "TIME", "rotate: how long the old secret stays good, like 24h" } },
    .notes = "make and rotate print the secret alone on standard output, once: it is kept nowhere. "
             "change\n"
             "changes what is named; none takes a setting out. What perilune.lua says is changed "
             "there.\n"
             "Exits with 1 when it is refused, and nothing has changed then.\n",
    .examples = "perilune keys make --project shop --name CI --grant policy --rpm 60 --daily-usd 5 "
                "--expires 2027-01-01\n"
                "perilune keys list --project shop\n"
                "perilune keys change key_01M82SXECG7RD23GN1WEGVTVNM --daily-usd none\n"
                "perilune keys rotate key_01M82SXECG7RD23GN1WEGVTVNM --overlap 24h\n",
    .main = keys_main,
};
