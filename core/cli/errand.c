#include "cli/errand.h"

#include "base/utf8.h"
#include "cli/ask.h"
#include "cli/setup.h"

#include <stdio.h>

struct span errand_line(struct errand *e, struct span text) {
    char *line = arena_alloc(&e->arena, text.len + 1);
    return text.at ? (struct span){ line, utf8_line(text, line, text.len) } : SPAN_NONE;
}

struct span errand_member(struct errand *e, struct json_value object, const char *name) {
    return errand_line(e, json_text(json_get(object, name)));
}

static void print_error(struct errand *e) {
    struct json_value error = json_get(e->root, "error");
    struct span param = errand_member(e, error, "param");
    fprintf(stderr, "perilune %s: %.*s%s%.*s\n", e->call->command->name, SPAN_ARGS(param),
            param.len ? ": " : "", SPAN_ARGS(errand_member(e, error, "message")));
    ask_print_findings(json_get(e->root, "findings"));
    cli_print(stdout, json_text(json_get(e->root, "output")));
}

/* 0: nothing that can be read was answered, and why has been said. */
static int ask_it(struct errand *e, const char *method) {
    buf_add_char(&e->path, '\0');
    buf_clear(&e->answer);
    e->status = ask_with(e->config, method, e->path.at, buf_span(&e->body), &e->answer);
    buf_clear(&e->path);
    buf_clear(&e->body);
    bool read = e->status && json_parse(e->parser, buf_span(&e->answer), &e->root) == JSON_OK;
    return read ? e->status : 0;
}

static bool is_good(const struct errand *e) {
    return e->status >= 200 && e->status < 300;
}

int errand_send(struct errand *e, const char *method, bool *done) {
    *done = true;
    if (!ask_it(e, method))
        return CLI_UNREACHABLE;
    if (cli_option(e->call, "json"))
        printf("%.*s\n", SPAN_ARGS(buf_span(&e->answer)));
    else if (!is_good(e))
        print_error(e);
    else
        *done = false;
    return is_good(e) ? CLI_OK : CLI_FINDINGS;
}

int errand_fetch(struct errand *e) {
    if (!ask_it(e, "GET"))
        return CLI_UNREACHABLE;
    if (!is_good(e))
        print_error(e);
    return is_good(e) ? CLI_OK : CLI_FINDINGS;
}

void errand_path(struct errand *e, const char *before, const char *segment, const char *behind) {
    buf_add(&e->path, span_of(before));
    ask_escape(&e->path, segment);
    buf_add(&e->path, span_of(behind));
}

void errand_add_json(struct buf *body, const char *name, struct span json) {
    buf_printf(body, "%s\"%s\":%.*s", body->len > 1 ? "," : "", name, SPAN_ARGS(json));
}

void errand_add(struct buf *body, const char *name, struct span value) {
    if (!value.at)
        return;
    errand_add_json(body, name, SPAN(""));
    buf_add_json(body, value);
}

/* ---- verbs ---- */

static const struct verb *find(const struct verb *verbs, const struct cli_call *call) {
    for (const struct verb *v = verbs; v->name && call->n_args; v++)
        if (strcmp(v->name, call->args[0]) == 0)
            return v;
    return NULL;
}

/* One verb's usage, or that of all of them: "expected list, show NAME or put NAME FILE". */
static int complain(const struct cli_call *call, const struct verb *verb,
                    const struct verb *verbs) {
    struct buf text = { 0 };
    buf_printf(&text, "expected %s", verb ? verb->usage : verbs->usage);
    for (const struct verb *v = verbs + 1; !verb && v->name; v++)
        buf_printf(&text, "%s%s", v[1].name ? ", " : " or ", v->usage);
    buf_add_char(&text, '\0');
    int code = cli_complain(call->command, text.at);
    buf_deinit(&text);
    return code;
}

static int run(const struct cli_call *call, const struct verb *verb, const struct snapshot *place) {
    struct errand e = { .call = call, .config = &place->config, .parser = json_parser_new() };
    arena_init(&e.arena, 4096);
    int code = verb->main(&e);
    json_parser_free(e.parser);
    arena_deinit(&e.arena);
    buf_deinit(&e.path);
    buf_deinit(&e.body);
    buf_deinit(&e.answer);
    return code;
}

int errand_main(const struct cli_call *call, const struct verb *verbs) {
    const struct verb *verb = find(verbs, call);
    if (!verb || call->n_args - 1 < verb->least || call->n_args - 1 > verb->most)
        return complain(call, verb, verbs);
    struct snapshot *place = setup_place(call);
    int code = run(call, verb, place);
    snapshot_unref(place);
    return code;
}
