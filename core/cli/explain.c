/* explain.c - `perilune explain`: where a request would go, and why; nobody is called. */
#include "route/explain.h"
#include "base/json.h"
#include "cli/ask.h"
#include "cli/setup.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { HEADERS_MAX = 64, BODY_MAX = 4 << 20 };

/* What the command line says of the question. */
struct wanted {
    struct arena arena;
    struct buf body;
    struct pair headers[HEADERS_MAX];
    struct explain_question question;
    const char *record; /* where the request is looked up; NULL: it is there */
};

/* "Name: value" as a header of the request. */
static bool take_header(struct wanted *w, struct span line) {
    size_t colon = span_find(line, ':');
    if (!colon || colon == line.len || w->question.n_headers == HEADERS_MAX)
        return false;
    struct span name = span_trim(span_sub(line, 0, colon));
    char *lower = arena_alloc(&w->arena, name.len);
    for (size_t i = 0; i < name.len; i++)
        lower[i] = (char)tolower((unsigned char)name.at[i]);
    w->headers[w->question.n_headers++] =
        (struct pair){ { lower, name.len }, span_trim(span_sub(line, colon + 1, line.len)) };
    return true;
}

static struct span option_text(const struct cli_call *call, const char *name) {
    const char *value = cli_option(call, name);
    return value ? span_of(value) : SPAN_NONE;
}

/* False when the complaint has been printed. */
static bool read_headers(const struct cli_call *call, const char **values, struct wanted *w) {
    const char *tier = cli_option(call, "tier");
    size_t n = cli_option_values(call, "header", values);
    bool ok = !tier || take_header(w, arena_printf(&w->arena, "x-route-tier: %s", tier));
    for (size_t i = 0; ok && i < n; i++)
        ok = take_header(w, span_of(values[i]));
    if (!ok)
        cli_complain(call->command, "--header wants 'name: value', at most 64 of them");
    return ok;
}

static void read_assumptions(const struct cli_call *call, const char **values, struct wanted *w) {
    size_t n = cli_option_values(call, "assume", values);
    struct span *assume = arena_new_array(&w->arena, struct span, n + 1);
    for (size_t i = 0; i < n; i++)
        assume[i] = span_of(values[i]);
    w->question.assume = assume;
    w->question.n_assume = n;
}

/* A file, or what comes in. False when the complaint has been printed. */
static bool read_file(const char *path, struct buf *body) {
    FILE *from = strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");
    size_t n = 1;
    while (from && n && body->len <= BODY_MAX) {
        n = fread(buf_reserve(body, 65536), 1, 65536, from);
        body->len += n;
    }
    bool ok = from && !ferror(from) && body->len <= BODY_MAX;
    if (!ok)
        fprintf(stderr, "perilune: %s: %s\n", path,
                body->len > BODY_MAX ? "larger than 4 MB" : strerror(errno));
    if (from && from != stdin)
        fclose(from);
    return ok;
}

/* ---- asking the one that runs ---- */

static void add_member(struct buf *out, const char *name, struct span text) {
    if (text.at) {
        buf_printf(out, ",\"%s\":", name);
        buf_add_json(out, text);
    }
}

/* The question as POST /api/explain takes it. */
static void write_question(const struct explain_question *q, struct buf *out) {
    buf_add(out, SPAN("{\"request\":"));
    buf_add(out, q->body);
    add_member(out, "endpoint", q->endpoint);
    add_member(out, "policy", q->policy);
    buf_add(out, SPAN(",\"headers\":{"));
    for (size_t i = 0; i < q->n_headers; i++) {
        buf_add(out, i ? SPAN(",") : SPAN(""));
        buf_add_json(out, q->headers[i].name);
        buf_add_char(out, ':');
        buf_add_json(out, q->headers[i].value);
    }
    buf_add(out, SPAN("},\"assume\":["));
    for (size_t i = 0; i < q->n_assume; i++) {
        buf_add(out, i ? SPAN(",") : SPAN(""));
        buf_add_json(out, q->assume[i]);
    }
    buf_add(out, SPAN("]}"));
}

static void print(const struct cli_call *call, const struct explain_answer *answer) {
    if (cli_option(call, "json"))
        printf("%.*s\n", (int)answer->json.len, answer->json.at);
    else
        cli_print(stdout, buf_span(&answer->text));
}

static int refuse(struct span message) {
    fprintf(stderr, "perilune: ");
    cli_print(stderr, message);
    fprintf(stderr, "\n");
    return CLI_FINDINGS;
}

/* Prints what the admin side says: {"report","text"}, or {"error"}. */
static int print_reply(const struct cli_call *call, int status, struct span reply) {
    struct json_parser *parser = json_parser_new();
    struct json_member report = { .name = SPAN("report") };
    struct json_value root;
    int code = CLI_UNREACHABLE;
    if (json_parse(parser, reply, &root) != JSON_OK) {
        fprintf(stderr, "perilune: the admin side answered %d\n", status);
    } else if (status != 200) {
        code = refuse(json_text(json_get(json_get(root, "error"), "message")));
    } else if (!cli_option(call, "json")) {
        cli_print(stdout, json_text(json_get(root, "text")));
        code = CLI_OK;
    } else if (json_locate(parser, NULL, &report, 1) == JSON_OK && report.found) {
        struct span raw = span_sub(reply, report.value_at, report.value_end - report.value_at);
        printf("%.*s\n", SPAN_ARGS(raw));
        code = CLI_OK;
    }
    json_parser_free(parser);
    return code;
}

static int ask_live(const struct cli_call *call, const struct config *place,
                    const struct explain_question *q) {
    struct buf question = { 0 }, reply = { 0 };
    write_question(q, &question);
    int status = ask_with(place, "POST", "/api/explain", buf_span(&question), &reply);
    int code = status ? print_reply(call, status, buf_span(&reply)) : CLI_UNREACHABLE;
    buf_deinit(&question);
    buf_deinit(&reply);
    return code;
}

/* ---- working it out here ---- */

/* A request that was recorded goes with the figures of that moment, so that nobody needs to run. */
static bool explain_here(const struct cli_call *call, const struct snapshot *snap,
                         struct vm_guard *guard, struct wanted *w, struct explain_answer *answer,
                         struct api_error *error) {
    if (!w->record)
        return explain_ask(snap, NULL, guard, &w->question, &w->arena, answer, error);
    struct span id = span_of(call->args[0]);
    struct explain_found *found = explain_find(snap, w->record, id);
    bool ok = found && explain_found(found, snap, guard, &w->question, &w->arena, answer, error);
    if (!found)
        *error = api_error(ERROR_NOT_FOUND, arena_printf(&w->arena, "No request %.*s is in %s.",
                                                         SPAN_ARGS(id), w->record));
    explain_found_free(found);
    return ok;
}

static int work_out(const struct cli_call *call, const struct snapshot *snap, struct wanted *w) {
    struct vm_watchdog *watchdog = vm_watchdog_new();
    struct vm_guard *guard = watchdog ? vm_guard_open(watchdog) : NULL;
    struct explain_answer answer = { 0 };
    struct api_error error;
    int code = CLI_OK;
    if (!guard)
        code = CLI_UNREACHABLE;
    else if (explain_here(call, snap, guard, w, &answer, &error))
        print(call, &answer);
    else
        code = refuse(error.message);
    explain_answer_deinit(&answer);
    if (guard)
        vm_guard_close(guard);
    if (watchdog)
        vm_watchdog_free(watchdog);
    return code;
}

/* --policy FILE.lua: the configuration with that file in the policy's place. */
static struct snapshot *read_snapshot(const struct cli_call *call, struct wanted *w) {
    struct span path = w->question.policy;
    if (!span_ends(path, SPAN(".lua")))
        return setup_read(call, "http://127.0.0.1:1/v1");
    struct buf text = { 0 };
    struct snapshot *snap = NULL;
    if (read_file(path.at, &text)) {
        struct config_draft draft = { setup_policy_name(path.at), buf_span(&text) };
        snap = setup_read_with(call, "http://127.0.0.1:1/v1", &draft, false);
        w->question.policy = draft.name;
    }
    buf_deinit(&text);
    return snap;
}

/* An id stands for what the record has of it. */
static bool is_recorded(const struct cli_call *call) {
    const char *given = call->args[0];
    return explain_is_id(span_of(given)) && access(given, R_OK) != 0;
}

/* False when the complaint has been printed, as below. */
static bool read_request(const struct cli_call *call, struct wanted *w) {
    bool ok = read_file(call->args[0], &w->body);
    w->question.body = buf_span(&w->body);
    return ok;
}

static bool find_request(const struct cli_call *call, const struct snapshot *snap,
                         struct wanted *w) {
    if (!is_recorded(call))
        return read_request(call, w);
    w->record = cli_option(call, "log");
    if (!w->record && snap->config.record.at)
        w->record = snap->config.record.at;
    if (!w->record)
        fprintf(stderr, "perilune: an id is looked up in a record: `record` is not set in the "
                        "configuration, and there is no --log\n");
    return w->record != NULL;
}

static int explain_offline(const struct cli_call *call, struct wanted *w) {
    struct snapshot *snap = read_snapshot(call, w);
    if (!snap)
        return CLI_BAD_CONFIG;
    int code = find_request(call, snap, w) ? work_out(call, snap, w) : CLI_UNREACHABLE;
    snapshot_unref(snap);
    return code;
}

/* Who runs has the live figures, and knows neither a policy nobody serves nor the record. */
static int explain(const struct cli_call *call, struct wanted *w) {
    if (cli_option(call, "offline") || is_recorded(call) ||
        span_ends(w->question.policy, SPAN(".lua")))
        return explain_offline(call, w);
    struct snapshot *place = setup_place(call);
    int code = CLI_UNREACHABLE;
    if (!ask_known(&place->config))
        code = explain_offline(call, w);
    else if (read_request(call, w))
        code = ask_live(call, &place->config, &w->question);
    snapshot_unref(place);
    return code;
}

static int explain_main(const struct cli_call *call) {
    struct wanted w = { 0 };
    int code = CLI_USAGE;
    if (!call->n_args)
        return cli_complain(call->command,
                            "which request? A file with its body, - for standard input, or an id");
    arena_init(&w.arena, 4096);
    w.question.headers = w.headers;
    w.question.endpoint = option_text(call, "endpoint");
    w.question.policy = option_text(call, "policy");
    const char **values = arena_new_array(&w.arena, const char *, call->n_given + 1);
    read_assumptions(call, values, &w);
    if (read_headers(call, values, &w))
        code = explain(call, &w);
    buf_deinit(&w.body);
    arena_deinit(&w.arena);
    return code;
}

const struct cli_command explain_command = {
    .name = "explain",
    .summary = "show where a request would go, and why",
    .arguments = "FILE|ID",
    .max_args = 1,
    .options = { CLI_OPTION_CONFIG,
                 CLI_OPTION_JSON,
                 { "policy", 'p', "NAME|FILE",
                   "ask this policy instead of the one that would decide" },
                 { "endpoint", 'e', "PATH", "where it is sent, like /v1/messages" },
                 { "header", 'H', "LINE", "a header it has, \"name: value\"; again for more" },
                 { "tier", 0, "NAME", "the same as --header \"x-route-tier: NAME\"" },
                 { "assume", 'a', "WHAT", "take for true, like openai=down; again for more" },
                 { "log", 0, "FILE", "the record an ID is in, instead of the configured one" },
                 { "offline", 0, NULL, "do not ask a running perilune for its live figures" } },
    .notes = "FILE holds the request's body as a client would send it; - reads standard input. An "
             "ID is\n"
             "that of a recorded request, with the figures of its moment. Every target is listed "
             "with its\n"
             "price, its live figures and what became of it: chosen, or the word of the policy "
             "that left\n"
             "it out.\n\n"
             "Assumptions are TARGET=down, TARGET=up and TARGET.FIGURE=VALUE, where TARGET is a "
             "target, a\n"
             "model or a provider, and FIGURE one of ttft_ms, tokens_per_s, error_rate, headroom,\n"
             "in_flight, state, price.input, price.output:\n\n"
             "  perilune explain request.json --assume openai=down --assume groq.ttft_ms=90\n\n"
             "Exits with 1 when the request or an assumption is wrong, or the policy fails.\n",
    .examples = "perilune explain request.json --tier free\n"
                "perilune explain request.json --policy policies/tier.lua --assume openai=down\n",
    .main = explain_main,
};
