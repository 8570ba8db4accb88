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

int errand_send(struct errand *e, const char *method, bool *done) {
    buf_add_char(&e->path, '\0');
    buf_clear(&e->answer);
    e->status = ask_with(e->config, method, e->path.at, buf_span(&e->body), &e->answer);
    bool read = e->status && json_parse(e->parser, buf_span(&e->answer), &e->root) == JSON_OK;
    buf_clear(&e->path);
    buf_clear(&e->body);
    *done = true;
    if (!read)
        return CLI_UNREACHABLE;
    bool good = e->status >= 200 && e->status < 300;
    if (cli_option(e->call, "json"))
        printf("%.*s\n", SPAN_ARGS(buf_span(&e->answer)));
    else if (!good)
        print_error(e);
    else
        *done = false;
    return good ? CLI_OK : CLI_FINDINGS;
}

/* What could mean something else in a path is escaped. */
void errand_path(struct errand *e, const char *before, const char *segment, const char *behind) {
    buf_add(&e->path, span_of(before));
    for (const char *c = segment; *c; c++)
        if ((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || strchr("_-", *c))
            buf_add_char(&e->path, *c);
        else
            buf_printf(&e->path, "%%%02X", (unsigned char)*c);
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
