#include "script/recorded.h"

#include "base/ability.h"

#include <math.h>

/* No request is larger, whatever a line says. */
#define TOKENS_MAX 1e12

static uint64_t whole(struct json_value v, double max) {
    double n = json_number(v, 0);
    return n > 0 ? (uint64_t)fmin(n, max) : 0;
}

/* Texts of a list, or the names of a set ({"eu":true}). */
static const struct span *texts(struct json_value v, struct arena *arena, size_t *n) {
    struct span *list = arena_new_array(arena, struct span, json_count(v) + 1);
    bool is_set = json_type(v) == JSON_OBJECT;
    for (struct json_iter it = json_iter(v); json_next(&it);) {
        struct span text = is_set ? it.key : json_text(it.value);
        if (text.at && (!is_set || json_true(it.value)))
            list[(*n)++] = text;
    }
    return list;
}

static void read_headers(struct json_value v, struct arena *arena, struct facts *facts) {
    if (json_type(v) != JSON_OBJECT)
        return;
    struct pair *headers = arena_new_array(arena, struct pair, json_count(v) + 1);
    for (struct json_iter it = json_iter(v); json_next(&it);)
        if (json_type(it.value) == JSON_STRING)
            headers[facts->n_headers++] = (struct pair){ it.key, json_text(it.value) };
    facts->headers = headers;
}

static void read_session(struct json_value v, struct arena *arena, struct facts *facts) {
    struct session_target *list = arena_new_array(arena, struct session_target, json_count(v) + 1);
    for (struct json_iter it = json_iter(v); json_next(&it);) {
        struct span id = json_text(json_get(it.value, "id"));
        if (id.at)
            list[facts->n_last_targets++] =
                (struct session_target){ id,
                                         whole(json_get(it.value, "cached_tokens"), TOKENS_MAX) };
    }
    facts->last_targets = list;
}

static uint32_t read_uses(struct json_value req, struct arena *arena) {
    size_t n = 0;
    const struct span *names = texts(json_get(req, "uses"), arena, &n);
    uint32_t uses = 0;
    for (size_t i = 0; i < n; i++)
        uses |= ability_of(names[i]);
    /* Who does not say so asks for an answer. */
    struct json_value chat = json_get(req, "chat");
    if (json_type(chat) != JSON_BOOL || json_true(chat))
        uses |= ABILITY_CHAT;
    return uses;
}

static void read_limits(struct json_value v, struct facts *facts) {
    double cost = json_number(json_get(v, "max_cost_usd"), HUGE_VAL);
    facts->max_cost_usd = cost >= 0 ? cost : HUGE_VAL;
    facts->max_latency_ms = (uint32_t)whole(json_get(v, "max_latency_ms"), UINT32_MAX);
    facts->deadline_ms = (uint32_t)whole(json_get(v, "deadline_ms"), UINT32_MAX);
}

/* Who asked then. Of a line that does not say it: nobody with a key, as where none are wanted. */
static void read_key(struct json_value v, struct arena *arena, struct facts *facts) {
    struct project *project = arena_new(arena, struct project);
    struct key *key = arena_new(arena, struct key);
    project->name = json_text(json_get(v, "project"));
    if (!project->name.at)
        project->name = SPAN("default");
    facts->project = project;
    key->id = json_text(json_get(v, "id"));
    if (!key->id.at)
        return;
    key->name = json_text(json_get(v, "name"));
    key->project = project->name;
    key->tags = texts(json_get(v, "tags"), arena, &key->n_tags);
    key->metadata = json_text(json_get(v, "metadata"));
    facts->key = key;
}

static void read_budget(struct json_value v, struct facts *facts) {
    double left = json_number(json_get(v, "left_usd"), HUGE_VAL);
    facts->budget_left = left >= 0 && left < 9e9 ? (int64_t)round(left * 1e9) : INT64_MAX;
    facts->budget_used = fmin(fmax(json_number(json_get(v, "used"), 0), 0), 1);
    facts->free_left = whole(json_get(v, "free_left"), 1e15);
}

static uint64_t read_seed(struct json_value v) {
    uint64_t seed;
    return span_uint(json_text(v), &seed) ? seed : whole(v, 9e15);
}

/* Unix time in seconds, to whole milliseconds. */
static uint64_t read_now(struct json_value v) {
    double now = json_number(v, 0);
    return now > 0 ? (uint64_t)(fmin(now, 1e11) * 1000 + 0.5) : 0;
}

/* The assignment that chose the policy, if there is such a one today. */
static unsigned read_assignment(struct json_value v, const struct snapshot *snap) {
    struct span scope = json_text(json_get(v, "scope"));
    if (!scope.at)
        return 0;
    const struct assignment *a =
        snapshot_assignment(snap, snapshot_scope_of(scope), json_text(json_get(v, "name")));
    return a ? (unsigned)(a - snap->config.assignments) + 1 : 0;
}

void recorded_facts(struct json_value line, const struct snapshot *snap, struct arena *arena,
                    struct facts *facts) {
    struct json_value req = json_get(line, "req"), tokens = json_get(req, "tokens"),
                      last = json_get(req, "last"), state = json_get(req, "signed");
    *facts = (struct facts){
        .id = json_text(json_get(line, "id")),
        .endpoint = json_text(json_get(req, "endpoint")),
        .dialect = dialect_of(json_text(json_get(req, "dialect"))),
        .model = json_text(json_get(req, "model")),
        .stream = json_true(json_get(req, "stream")),
        .strict = json_true(json_get(req, "strict")),
        .signed_by = dialect_of(json_text(json_get(state, "dialect"))),
        .signed_model = json_text(json_get(state, "model")),
        .tier = json_text(json_get(req, "tier")),
        .user = json_text(json_get(req, "user")),
        .session = json_text(json_get(req, "session")),
        .input_tokens = whole(json_get(tokens, "input"), TOKENS_MAX),
        .output_tokens = whole(json_get(tokens, "output"), TOKENS_MAX),
        .input_bytes = whole(json_get(req, "input_bytes"), TOKENS_MAX),
        .max_tokens = whole(json_get(req, "max_tokens"), TOKENS_MAX),
        .answers = whole(json_get(req, "answers"), 1e6),
        .uses = read_uses(req, arena),
        .tool_choice = json_text(json_get(req, "tool_choice")),
        .last_role = json_text(json_get(last, "role")),
        .tool_results = (unsigned)whole(json_get(last, "tool_results"), 1e9),
        .turns = (unsigned)whole(json_get(req, "turns"), 1e9),
        .assignment = read_assignment(json_get(line, "assignment"), snap),
        .now_ms = read_now(json_get(req, "now")),
        .seed = read_seed(json_get(req, "seed")),
    };
    if (!facts->model.at)
        facts->model = SPAN("auto");
    facts->models = texts(json_get(req, "models"), arena, &facts->n_models);
    facts->tags = texts(json_get(req, "tags"), arena, &facts->n_tags);
    facts->tool_names = texts(json_get(req, "tool_names"), arena, &facts->n_tool_names);
    read_headers(json_get(req, "headers"), arena, facts);
    read_session(json_get(req, "last_targets"), arena, facts);
    read_limits(json_get(req, "limits"), facts);
    read_key(json_get(req, "key"), arena, facts);
    read_budget(json_get(req, "budget"), facts);
}
