#include "route/explain.h"

#include "base/clock.h"
#include "base/ident.h"
#include "base/json.h"
#include "route/access.h"
#include "route/assumed.h"
#include "route/body.h"
#include "route/endpoint.h"
#include "route/figures.h"
#include "route/reach.h"
#include "script/policy.h"
#include "script/recorded.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 1 << 20 }; /* of a record */

/* A request as a worker would have it when it asks a policy. */
struct reading {
    struct http_message message;
    struct facts facts;
    struct access_wishes wishes;
    struct body body;
    struct span policy;
};

static bool has(struct json_value object, const char *name) {
    return json_type(json_get(object, name)) != JSON_ABSENT;
}

/* The endpoint whose requests have such members. */
static struct span endpoint_of(struct json_parser *parser, struct span body) {
    struct json_value root;
    if (json_parse(parser, body, &root) != JSON_OK || has(root, "messages"))
        return SPAN("/v1/chat/completions");
    if (has(root, "input"))
        return SPAN("/v1/responses");
    if (has(root, "prompt"))
        return SPAN("/v1/completions");
    return SPAN("/v1/chat/completions");
}

/* Who would decide; or who is asked instead: whether the key may choose that one is no question
 * then. */
static bool choose_policy(const struct snapshot *snap, const struct explain_question *q,
                          struct arena *arena, struct reading *r, struct api_error *error) {
    const struct key *key = r->facts.key;
    struct span wished = q->policy.at ? q->policy : r->wishes.policy;
    if (q->policy.at)
        r->facts.key = NULL;
    bool found = reach_policy(snap, &r->facts, wished, arena, &r->policy, error);
    r->facts.key = key;
    return found;
}

static bool read_question(const struct snapshot *snap, const struct explain_question *q,
                          struct json_parser *parser, struct arena *arena, struct reading *r,
                          struct api_error *error) {
    struct span path = q->endpoint.at ? q->endpoint : endpoint_of(parser, q->body);
    struct endpoint_match match = endpoint_match(SPAN("POST"), path, arena);
    if (match.endpoint->kind != ENDPOINT_GENERATE) {
        *error = api_error(ERROR_NOT_FOUND,
                           arena_printf(arena, "No policy decides at %.*s.", SPAN_ARGS(path)));
        return false;
    }
    r->message.headers = (struct pair *)q->headers;
    r->message.n_headers = q->n_headers;
    r->facts.id = SPAN("explain");
    r->facts.endpoint = match.endpoint->path;
    r->facts.dialect = match.endpoint->dialect;
    r->facts.now_ms = clock_wall_ms();
    r->facts.seed = 1;
    return assumed_asker(&snap->config, q->known, q->assume, q->n_assume, arena, &r->facts,
                         error) &&
           access_read(&r->message, &r->facts, &r->wishes, error) &&
           body_read(parser, q->body, &r->facts, arena, &r->body, error) &&
           access_grant(&r->facts, arena, error) && choose_policy(snap, q, arena, r, error) &&
           reach_names(snap, &r->facts, arena, error);
}

/* What is known of each target, by its index. */
struct known {
    struct policy_figure *figures;
    bool *there;
};

static struct known known_new(const struct snapshot *snap, struct arena *arena) {
    struct known k = { arena_new_array(arena, struct policy_figure, snap->n_targets + 1),
                       arena_new_array(arena, bool, snap->n_targets + 1) };
    return k;
}

static struct known known_now(const struct snapshot *snap, struct health *health,
                              struct arena *arena) {
    struct known k = known_new(snap, arena);
    for (size_t i = 0; health && i < snap->n_targets; i++) {
        k.figures[i] =
            figures_of(health_figure(health, snap->targets[i].id), (unsigned)i, clock_ms());
        k.there[i] = true;
    }
    return k;
}

/* Asks the policy in a state of its own, which is gone afterwards with all that was assumed. */
static bool explain_with(const struct snapshot *snap, const struct known *known,
                         struct vm_guard *guard, const struct explain_question *q,
                         const struct facts *facts, struct span policy, struct arena *arena,
                         struct explain_answer *answer, struct api_error *error) {
    size_t n_faults = 0;
    struct policy_state *state = policy_state_new(snap, guard, arena, NULL, &n_faults, 0);
    for (size_t i = 0; i < snap->n_targets; i++)
        if (known->there[i])
            policy_update(state, &known->figures[i], 1);
    enum vm_result result = policy_explain(state, guard, policy, facts, q->assume, q->n_assume,
                                           &answer->json, &answer->text);
    if (result != VM_OK)
        *error = api_error(ERROR_INVALID_REQUEST, arena_copy(arena, span_of(policy_error(state))));
    policy_state_free(state);
    return result == VM_OK;
}

bool explain_ask(const struct snapshot *snap, struct health *health, struct vm_guard *guard,
                 const struct explain_question *q, struct arena *arena,
                 struct explain_answer *answer, struct api_error *error) {
    struct json_parser *parser = json_parser_new();
    struct known known = known_now(snap, health, arena);
    struct reading r = { 0 };
    *answer = (struct explain_answer){ 0 };
    arena_init(&r.message.arena, 1024);
    bool ok = read_question(snap, q, parser, arena, &r, error) &&
              explain_with(snap, &known, guard, q, &r.facts, r.policy, arena, answer, error);
    arena_deinit(&r.message.arena);
    json_parser_free(parser);
    return ok;
}

/* --- recorded requests ------------------------------------------------------------------------ */

bool explain_is_id(struct span text) {
    bool ok = text.len == IDENT_SIZE - 1;
    for (size_t i = 0; i < text.len; i++)
        ok = ok &&
             ((text.at[i] >= '0' && text.at[i] <= '9') || (text.at[i] >= 'A' && text.at[i] <= 'Z'));
    return ok;
}

static void read_times(struct json_value times, double out[3]) {
    static const char *const names[] = { "p50", "p95", "p99" };
    for (size_t i = 0; i < 3; i++)
        out[i] = json_number(json_get(times, names[i]), -1);
}

static void read_figures(const struct snapshot *snap, struct json_value line, struct known *k) {
    const struct target *t = snapshot_target(snap, json_text(json_get(line, "target")));
    if (!t)
        return;
    struct policy_figure *f = &k->figures[t->index];
    k->there[t->index] = true;
    *f = (struct policy_figure){
        .target = t->index,
        .state = figures_state(json_text(json_get(line, "state"))),
        .error_rate = json_number(json_get(line, "error_rate"), -1),
        .in_flight = json_number(json_get(line, "in_flight"), -1),
        .headroom = json_number(json_get(line, "headroom"), -1),
        .tokens_per_s = json_number(json_get(line, "tokens_per_s"), -1),
    };
    read_times(json_get(line, "ttft_ms"), f->ttft_ms);
    read_times(json_get(line, "total_ms"), f->total_ms);
}

static bool holds(struct span line, struct span text) {
    return memmem(line.at, line.len, text.at, text.len) != NULL;
}

/* The next line of a record. Of one that is too long, which is none of ours, come pieces that are no
 * JSON. */
static bool next_line(FILE *file, char text[LINE_MAX_BYTES], struct span *line) {
    bool there = fgets(text, LINE_MAX_BYTES, file) != NULL;
    *line = there ? span_of(text) : SPAN_NONE;
    return there;
}

/* Reads until the line of that request. */
static bool find_request(FILE *file, struct span id, char text[LINE_MAX_BYTES],
                         struct json_parser *parser, struct json_value *root) {
    for (struct span line; next_line(file, text, &line);)
        if (holds(line, id) && json_parse(parser, line, root) == JSON_OK &&
            span_eq(json_text(json_get(*root, "kind")), SPAN("request")) &&
            span_eq(json_text(json_get(*root, "id")), id))
            return true;
    return false;
}

/* What the request's worker had told its policies when they decided: requests are written down when
 * they are over, so that lines of what they themselves brought about may stand before theirs. */
static void find_known(FILE *file, struct json_value request, const struct snapshot *snap,
                       char text[LINE_MAX_BYTES], struct known *k) {
    struct json_parser *parser = json_parser_new();
    struct json_value root;
    double worker = json_number(json_get(request, "worker"), 0);
    double at = json_number(json_get(request, "at"), HUGE_VAL);
    long end = ftell(file);
    rewind(file);
    for (struct span line; ftell(file) < end && next_line(file, text, &line);)
        if (holds(line, SPAN("\"figures\"")) && json_parse(parser, line, &root) == JSON_OK &&
            span_eq(json_text(json_get(root, "kind")), SPAN("figures")) &&
            json_number(json_get(root, "worker"), 0) == worker &&
            json_number(json_get(root, "at"), 0) <= at)
            read_figures(snap, root, k);
    json_parser_free(parser);
}

/* Who decided, by name, or whom the question names instead. False: nobody here is called so. */
static bool find_policy(const struct snapshot *snap, const struct explain_question *q,
                        struct json_value line, struct arena *arena, struct span *policy,
                        struct api_error *error) {
    struct span version = json_text(json_get(line, "policy"));
    struct span decided = span_sub(version, 0, span_find(version, '@'));
    *policy = arena_copy(arena, q->policy.at ? q->policy : decided);
    bool found = snapshot_policy(snap, *policy) != NULL;
    if (!found)
        *error =
            api_error(ERROR_NOT_FOUND,
                      arena_printf(arena, "There is no policy \"%.*s\" here; name another one.",
                                   SPAN_ARGS(*policy)));
    return found;
}

struct explain_found {
    struct arena arena;
    struct json_parser *parser;
    struct json_value line; /* in the parser's document */
    struct known known;
};

struct explain_found *explain_find(const struct snapshot *snap, const char *path, struct span id) {
    struct explain_found *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    arena_init(&f->arena, 4096);
    f->parser = json_parser_new();
    f->known = known_new(snap, &f->arena);
    char *text = malloc(LINE_MAX_BYTES);
    if (!text)
        abort();
    FILE *file = fopen(path, "rbe");
    bool found = file && find_request(file, id, text, f->parser, &f->line);
    if (found)
        find_known(file, f->line, snap, text, &f->known);
    if (file)
        fclose(file);
    free(text);
    if (found)
        return f;
    explain_found_free(f);
    return NULL;
}

void explain_found_free(struct explain_found *f) {
    if (!f)
        return;
    json_parser_free(f->parser);
    arena_deinit(&f->arena);
    free(f);
}

/* --- beside what was decided then --- */

static double steps_of(struct json_value line) {
    return json_number(json_get(line, "steps"), (double)json_count(json_get(line, "chain")));
}

/* Whether the report comes to the recorded chain, as far as that was kept, or to its refusal. */
static bool is_same(struct json_value report, struct json_value line) {
    struct json_value steps = json_get(json_get(report, "chain"), "steps");
    struct json_iter now = json_iter(steps), then = json_iter(json_get(line, "chain"));
    double refused = json_number(json_get(json_get(report, "refused"), "status"), 0);
    bool same = (double)json_count(steps) == steps_of(line) &&
                refused == json_number(json_get(line, "refused"), 0);
    while (same && json_next(&then) && json_next(&now))
        same = span_eq(json_text(json_get(now.value, "target")), json_text(then.value));
    return same;
}

static void say_other(struct buf *text, struct json_value line) {
    size_t n = 0;
    buf_add(text, SPAN("recorded was another decision: "));
    for (struct json_iter it = json_iter(json_get(line, "chain")); json_next(&it); n++)
        buf_printf(text, "%s%.*s", n ? ", " : "", SPAN_ARGS(json_text(it.value)));
    if (json_number(json_get(line, "refused"), 0) > 0)
        buf_printf(text, "a refusal, %.0f", json_number(json_get(line, "refused"), 0));
    else if (n == 0)
        buf_add(text, SPAN("nothing to try"));
    if (json_true(json_get(line, "read_text")))
        buf_add(text, SPAN("; the policy read the text, which is not recorded"));
    if (json_true(json_get(line, "read_headers")))
        buf_add(text, SPAN("; the policy read a header that is not recorded"));
    buf_add_char(text, '\n');
}

/* What was decided then, in both forms; a line may be without it. */
static void compare(struct explain_answer *answer, struct json_value line) {
    struct json_parser *parser = json_parser_new();
    struct json_value report;
    bool known = json_type(json_get(line, "chain")) == JSON_ARRAY;
    if (known && json_parse(parser, buf_span(&answer->json), &report) == JSON_OK) {
        bool same = is_same(report, line);
        answer->json.len--; /* its brace */
        buf_printf(&answer->json, ",\"as_recorded\":%s}", same ? "true" : "false");
        if (!same)
            say_other(&answer->text, line);
    }
    json_parser_free(parser);
}

bool explain_found(const struct explain_found *f, const struct snapshot *snap,
                   struct vm_guard *guard, const struct explain_question *q, struct arena *arena,
                   struct explain_answer *answer, struct api_error *error) {
    struct facts facts;
    struct span policy;
    *answer = (struct explain_answer){ 0 };
    recorded_facts(f->line, snap, arena, &facts);
    if (!assumed_over(&snap->config, q->known, q->assume, q->n_assume, arena, &facts, error) ||
        !find_policy(snap, q, f->line, arena, &policy, error) ||
        !explain_with(snap, &f->known, guard, q, &facts, policy, arena, answer, error))
        return false;
    compare(answer, f->line);
    return true;
}

void explain_answer_deinit(struct explain_answer *answer) {
    buf_deinit(&answer->json);
    buf_deinit(&answer->text);
}
