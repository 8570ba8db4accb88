/* policy.c - `perilune policy`: the policies of a running perilune, over its admin side. */
#include "base/utf8.h"
#include "cli/ask.h"
#include "cli/errand.h"
#include "script/files.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { SOURCE_MAX = 1 << 20 };

static void set_path(struct errand *e, const char *behind) {
    errand_path(e, "/api/policies/", e->call->args[1], behind);
}

static bool is_utf8(struct span text) {
    for (size_t i = 0, len; i < text.len; i += len)
        if (!(len = utf8_length(span_sub(text, i, text.len))))
            return false;
    return true;
}

/* All of standard input, up to one byte more than a policy may have. */
static int read_input(struct buf *out) {
    ssize_t n;
    while (out->len <= SOURCE_MAX &&
           (n = read(STDIN_FILENO, buf_reserve(out, 65536), 65536)) != 0) {
        if (n < 0)
            return -errno;
        out->len += (size_t)n;
    }
    return out->len > SOURCE_MAX ? -EFBIG : 0;
}

/* The file named last, as a field of the body. False with the reason printed. */
static bool add_source(struct errand *e) {
    const char *path = e->call->args[2];
    struct buf text = { 0 };
    int error = strcmp(path, "-") == 0 ? read_input(&text) : files_read(path, SOURCE_MAX, &text);
    if (error)
        fprintf(stderr, "perilune policy: %s can not be read: %s\n", path, strerror(-error));
    else if (!is_utf8(buf_span(&text)))
        fprintf(stderr, "perilune policy: %s is not UTF-8\n", path), error = -1;
    else
        errand_add(&e->body, "source", text.at ? buf_span(&text) : SPAN(""));
    buf_deinit(&text);
    return error == 0;
}

/* ---- showing ---- */

static void print_assigned(struct errand *e, struct json_value assigned) {
    for (struct json_iter it = json_iter(assigned); json_next(&it);) {
        struct span name = errand_member(e, it.value, "name");
        printf("  %.*s%s%.*s", SPAN_ARGS(errand_member(e, it.value, "scope")), name.len ? "=" : "",
               SPAN_ARGS(name));
    }
}

static int list(struct errand *e) {
    bool done;
    buf_add(&e->path, SPAN("/api/policies"));
    int code = errand_send(e, "GET", &done);
    if (done)
        return code;
    for (struct json_iter it = json_iter(json_get(e->root, "policies")); json_next(&it);) {
        struct span version = errand_member(e, it.value, "version");
        printf("%-28.*s %.*s",
               SPAN_ARGS(version.len ? version : errand_member(e, it.value, "name")),
               SPAN_ARGS(errand_member(e, it.value, "path")));
        print_assigned(e, json_get(it.value, "assigned"));
        printf("%s%s\n", version.len ? "" : "  (does not load)",
               json_true(json_get(it.value, "quarantined")) ? "  (in quarantine)" : "");
    }
    return code;
}

/* As a policy file again: all that is not its source is a comment. */
static int show(struct errand *e) {
    bool done;
    set_path(e, "");
    int code = errand_send(e, "GET", &done);
    if (done)
        return code;
    printf("-- %.*s  %.*s%s\n", SPAN_ARGS(errand_member(e, e->root, "version")),
           SPAN_ARGS(errand_member(e, e->root, "path")),
           json_true(json_get(e->root, "is_live")) ? "" : "  (what follows is not live)");
    for (struct json_iter it = json_iter(json_get(e->root, "params")); json_next(&it);)
        printf("-- params.%.*s: %.*s  %.*s\n", SPAN_ARGS(errand_line(e, it.key)),
               SPAN_ARGS(errand_member(e, it.value, "type")),
               SPAN_ARGS(errand_member(e, it.value, "doc")));
    struct span source = json_text(json_get(e->root, "source"));
    if (isatty(STDOUT_FILENO))
        cli_print(stdout, source);
    else if (source.len)
        fwrite(source.at, 1, source.len, stdout); /* each byte as it is in the file */
    return code;
}

static int versions(struct errand *e) {
    bool done;
    set_path(e, "/versions");
    int code = errand_send(e, "GET", &done);
    if (done)
        return code;
    for (struct json_iter it = json_iter(json_get(e->root, "versions")); json_next(&it);)
        printf("%-28.*s %.*s  %s%.*s\n", SPAN_ARGS(errand_member(e, it.value, "version")),
               SPAN_ARGS(errand_member(e, it.value, "activated")),
               json_true(json_get(it.value, "live")) ? "(live) " : "",
               SPAN_ARGS(errand_member(e, it.value, "note")));
    return code;
}

/* ---- checking and changing ---- */

static int check(struct errand *e) {
    bool done;
    set_path(e, "/check");
    buf_add_char(&e->body, '{');
    if (!add_source(e))
        return CLI_UNREACHABLE;
    buf_add_char(&e->body, '}');
    int code = errand_send(e, "POST", &done);
    struct json_value findings = json_get(e->root, "findings");
    if (!done)
        ask_print_findings(findings);
    if (!done && !json_count(findings))
        printf("no findings\n");
    return code ? code : json_count(findings) ? CLI_FINDINGS : CLI_OK;
}

static struct span option(const struct errand *e, const char *name) {
    return span_of(cli_option(e->call, name));
}

static void add_replay(struct errand *e) {
    struct buf replay = { 0 };
    bool wanted = cli_option(e->call, "replay") != NULL;
    buf_add_char(&replay, '{');
    errand_add(&replay, "log", option(e, "log"));
    errand_add(&replay, "max_cost_increase", option(e, "max-cost-increase"));
    errand_add(&replay, "max_latency_increase", option(e, "max-latency-increase"));
    errand_add(&replay, "max_changed", option(e, "max-changed"));
    if (wanted || replay.len > 1)
        buf_printf(&e->body, ",\"replay\":%.*s}", SPAN_ARGS(buf_span(&replay)));
    buf_deinit(&replay);
}

/* What is live when the call has come back. */
static int change(struct errand *e, const char *method) {
    bool done;
    errand_add(&e->body, "note", option(e, "note"));
    buf_add_char(&e->body, '}');
    int code = errand_send(e, method, &done);
    if (!done)
        printf("%.*s is served by all workers\n", SPAN_ARGS(errand_member(e, e->root, "version")));
    return code;
}

static int put(struct errand *e) {
    set_path(e, "");
    buf_add_char(&e->body, '{');
    if (!add_source(e))
        return CLI_UNREACHABLE;
    errand_add(&e->body, "if_version", option(e, "if-version"));
    if (cli_option(e->call, "no-specs"))
        buf_add(&e->body, SPAN(",\"specs\":false"));
    add_replay(e);
    return change(e, "PUT");
}

static int rollback(struct errand *e) {
    set_path(e, "/rollback");
    buf_add_char(&e->body, '{');
    if (e->call->n_args > 2)
        errand_add(&e->body, "version", span_of(e->call->args[2]));
    return change(e, "POST");
}

/* ---- the command ---- */

static const struct verb verbs[] = {
    { "list", "list", 0, 0, list },
    { "show", "show NAME", 1, 1, show },
    { "check", "check NAME FILE", 2, 2, check },
    { "put", "put NAME FILE", 2, 2, put },
    { "versions", "versions NAME", 1, 1, versions },
    { "rollback", "rollback NAME [VERSION]", 1, 2, rollback },
    { 0 },
};

static int policy_main(const struct cli_call *call) {
    return errand_main(call, verbs);
}

const struct cli_command policy_command = {
    .name = "policy",
    .summary = "list, check and change the policies of a running perilune",
    .arguments = "list|show|check|put|versions|rollback [NAME] [FILE|VERSION]",
    .max_args = 3,
    .options = { CLI_OPTION_CONFIG,
                 CLI_OPTION_JSON,
                 { "if-version", 0, "VERSION", "put only in the place of this one" },
                 { "note", 0, "TEXT", "why, for those who read the versions" },
                 { "no-specs", 0, NULL, "put without running spec/NAME_spec.lua" },
                 { "replay", 0, NULL, "try what is put on the recorded requests first" },
                 { "log", 0, "FILE", "the record to try it on" },
                 { "max-cost-increase", 0, "SHARE", "do not put what costs more, like 5%" },
                 { "max-latency-increase", 0, "SHARE", "or is predicted to take longer" },
                 { "max-changed", 0, "SHARE", "or decides more requests otherwise" } },
    .notes =
        "put checks FILE, runs its specs, tries it on recorded requests where that is asked\n"
        "for, writes it to the folder of policies and returns when all workers serve it.\n"
        "rollback makes a version live again, the one before when none is named, and goes first\n"
        "when another change is under way. FILE may be - for standard input. Exits with 1 when\n"
        "it is refused, and nothing has changed then.\n",
    .examples = "perilune policy list\n"
                "perilune policy put tier new.lua --note \"three steps are enough\"\n"
                "perilune policy rollback tier\n",
    .main = policy_main,
};
