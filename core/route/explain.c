#include "route/explain.h"

#include "base/clock.h"
#include "base/json.h"
#include "route/access.h"
#include "route/body.h"
#include "route/endpoint.h"
#include "route/reach.h"
#include "script/policy.h"

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
    if (!access_read(&r->message, &r->facts, &r->wishes, error) ||
        !body_read(parser, q->body, &r->facts, arena, &r->body, error))
        return false;
    struct span wished = q->policy.at ? q->policy : r->wishes.policy;
    return reach_policy(snap, &r->facts, wished, arena, &r->policy, error) &&
           reach_names(snap, &r->facts, arena, error);
}

static const char *const states[] = {
    [BREAKER_IS_CLOSED] = "closed",
    [BREAKER_IS_OPEN] = "open",
    [BREAKER_IS_HALF_OPEN] = "half_open",
};

static struct policy_figure figure_of(struct health_figure *f, size_t target) {
    struct health_view v;
    health_read(f, &v, clock_ms());
    struct policy_figure figure = {
        .target = (unsigned)target,
        .state = states[v.state],
        .error_rate = v.error_rate,
        .in_flight = v.in_flight,
        .headroom = v.headroom,
        .tokens_per_s = v.tokens_per_s,
    };
    memcpy(figure.ttft_ms, v.first_ms, sizeof figure.ttft_ms);
    memcpy(figure.total_ms, v.total_ms, sizeof figure.total_ms);
    return figure;
}

static void tell_figures(const struct snapshot *snap, struct health *health,
                         struct policy_state *state) {
    for (size_t i = 0; i < snap->n_targets; i++) {
        struct policy_figure figure = figure_of(health_figure(health, snap->targets[i].id), i);
        policy_update(state, &figure, 1);
    }
}

static bool explain_read(const struct snapshot *snap, struct health *health, struct vm_guard *guard,
                         const struct explain_question *q, const struct reading *r,
                         struct arena *arena, struct explain_answer *answer,
                         struct api_error *error) {
    size_t n_faults = 0;
    struct policy_fault faults[1];
    struct policy_state *state = policy_state_new(snap, guard, arena, faults, &n_faults, 0);
    if (health)
        tell_figures(snap, health, state);
    enum vm_result result = policy_explain(state, guard, r->policy, &r->facts, q->assume,
                                           q->n_assume, &answer->json, &answer->text);
    if (result != VM_OK)
        *error = api_error(ERROR_INVALID_REQUEST, arena_copy(arena, span_of(policy_error(state))));
    policy_state_free(state);
    return result == VM_OK;
}

bool explain_ask(const struct snapshot *snap, struct health *health, struct vm_guard *guard,
                 const struct explain_question *q, struct arena *arena,
                 struct explain_answer *answer, struct api_error *error) {
    struct json_parser *parser = json_parser_new();
    struct reading r = { 0 };
    *answer = (struct explain_answer){ 0 };
    arena_init(&r.message.arena, 1024);
    bool ok = read_question(snap, q, parser, arena, &r, error) &&
              explain_read(snap, health, guard, q, &r, arena, answer, error);
    arena_deinit(&r.message.arena);
    json_parser_free(parser);
    return ok;
}

void explain_answer_deinit(struct explain_answer *answer) {
    buf_deinit(&answer->json);
    buf_deinit(&answer->text);
}
