#include "script/push.h"

#include "base/ability.h"
#include "base/binding.h"
#include "script/luaspan.h"
#include "script/policy.h"

#include <math.h>
#include <stddef.h>

/* The setters below write into the table on top of the stack; what is absent is not written. */

static void set_span(lua_State *L, const char *name, struct span s) {
    if (!s.at)
        return;
    lua_pushlstring(L, s.at, s.len);
    lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, double value) {
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

static void set_positive(lua_State *L, const char *name, double value) {
    if (value > 0)
        set_number(L, name, value);
}

static void set_bool(lua_State *L, const char *name, bool value) {
    lua_pushboolean(L, value);
    lua_setfield(L, -2, name);
}

static void push_list(lua_State *L, const struct span *list, size_t n) {
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        luaspan_push(L, list[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

static void push_set(lua_State *L, const struct span *list, size_t n) {
    lua_createtable(L, 0, (int)n);
    for (size_t i = 0; i < n; i++) {
        luaspan_push(L, list[i]);
        lua_pushboolean(L, true);
        lua_rawset(L, -3);
    }
}

static void set_set(lua_State *L, const char *name, const struct span *list, size_t n) {
    if (n == 0)
        return;
    push_set(L, list, n);
    lua_setfield(L, -2, name);
}

static void push_abilities(lua_State *L, uint32_t bits) {
    lua_createtable(L, 0, bits ? ABILITY_COUNT : 0);
    for (unsigned i = 0; bits >> i; i++)
        if (bits & (UINT32_C(1) << i))
            set_bool(L, ability_name(i), true);
}

/* ---- the catalogue ---- */

static void set_price(lua_State *L, const char *name, int64_t nano_per_million) {
    if (nano_per_million != PRICE_UNKNOWN)
        set_number(L, name, (double)nano_per_million / 1e9);
}

static void set_prices(lua_State *L, const struct price *price) {
    set_price(L, "input", price->input);
    set_price(L, "output", price->output);
    set_price(L, "cached", price->cached);
    set_price(L, "cache_write", price->cache_write);
}

/* What a rule does not state is absent. */
static void push_price_rule(lua_State *L, const struct price_rule *rule) {
    lua_createtable(L, 0, 8);
    set_prices(L, &rule->price);
    if (rule->above_input >= 0)
        set_number(L, "above", (double)rule->above_input);
    set_positive(L, "until_s", (double)rule->until_s);
    set_positive(L, "days", rule->days);
    if (rule->from_min >= 0) {
        set_number(L, "from_min", rule->from_min);
        set_number(L, "to_min", rule->to_min);
    }
}

static void push_prices(lua_State *L, const struct target *t) {
    lua_createtable(L, 0, 5);
    set_prices(L, &t->price);
    if (!t->n_rules)
        return;
    lua_createtable(L, (int)t->n_rules, 0);
    for (size_t i = 0; i < t->n_rules; i++) {
        push_price_rule(L, &t->rules[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "rules");
}

static void push_target(lua_State *L, const struct target *t) {
    lua_createtable(L, 0, 12);
    set_span(L, "id", t->id);
    set_span(L, "provider", t->provider->name);
    set_span(L, "model", t->model);
    set_span(L, "upstream", t->upstream);
    push_prices(L, t);
    lua_setfield(L, -2, "price");
    set_positive(L, "context", t->context);
    set_positive(L, "max_output", t->max_output);
    push_abilities(L, t->abilities);
    lua_setfield(L, -2, "abilities");
    if (!isnan(t->quality))
        set_number(L, "quality", t->quality);
    set_number(L, "weight", t->weight);
    set_set(L, "tags", t->tags, t->n_tags);
}

static void set_chains(lua_State *L, const char *name, const struct named_chain *chains, size_t n) {
    lua_createtable(L, 0, (int)n);
    for (size_t i = 0; i < n; i++) {
        luaspan_push(L, chains[i].name);
        push_list(L, chains[i].targets, chains[i].n_targets);
        lua_rawset(L, -3);
    }
    lua_setfield(L, -2, name);
}

/* A list of those with params; a place without is false. */
static void set_assignments(lua_State *L, const struct config *config) {
    lua_createtable(L, (int)config->n_assignments, 0);
    for (size_t i = 0; i < config->n_assignments; i++) {
        const struct assignment *a = &config->assignments[i];
        if (a->params.at) {
            lua_createtable(L, 0, 3);
            set_span(L, "policy",
                     span_eq(a->policy, SPAN("auto")) ? config->auto_policy : a->policy);
            set_span(L, "scope", span_of(snapshot_scope_name(a->scope)));
            set_span(L, "name", a->name);
            set_span(L, "params", a->params);
        } else {
            lua_pushboolean(L, false);
        }
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "assignments");
}

/* In the order of their bits, so that a request's are one number. */
static void set_ability_names(lua_State *L) {
    lua_createtable(L, ABILITY_COUNT, 0);
    for (unsigned i = 0; i < ABILITY_COUNT; i++) {
        lua_pushstring(L, ability_name(i));
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "abilities");
}

void push_setup(lua_State *L, const struct snapshot *snap) {
    const struct config *config = &snap->config;
    lua_createtable(L, 0, 12);
    lua_createtable(L, (int)snap->n_targets, 0);
    for (size_t i = 0; i < snap->n_targets; i++) {
        push_target(L, &snap->targets[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "targets");
    lua_createtable(L, (int)snap->n_providers, 0);
    for (size_t i = 0; i < snap->n_providers; i++) {
        luaspan_push(L, snap->providers[i].name);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "providers");
    set_chains(L, "chains", snap->chains, snap->n_chains);
    set_chains(L, "aliases", snap->aliases, snap->n_aliases);
    lua_createtable(L, 0, (int)config->n_policy_params);
    for (size_t i = 0; i < config->n_policy_params; i++) {
        luaspan_push(L, config->policy_params[i].name);
        luaspan_push(L, config->policy_params[i].value);
        lua_rawset(L, -3);
    }
    lua_setfield(L, -2, "params");
    if (config->clamp)
        set_number(L, "clamp_least", config->clamp_least);
    set_span(L, "auto", config->auto_policy);
    set_assignments(L, config);
    set_ability_names(L);
}

static void push_source_alone(lua_State *L, const struct policy_source *source) {
    lua_createtable(L, 0, 5);
    set_span(L, "name", source->name);
    set_span(L, "version", source->version);
    set_span(L, "path", source->path);
    set_span(L, "text", source->text);
}

void push_source(lua_State *L, const struct policy_source *source) {
    push_source_alone(L, source);
    lua_createtable(L, (int)source->n_libs, 0);
    for (size_t i = 0; i < source->n_libs; i++) {
        push_source_alone(L, &source->libs[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "libs");
}

/* ---- a request ---- */

/* Without a cap there is no end to it. */
static double budget_left_usd(const struct facts *facts) {
    return facts->budget_left == INT64_MAX ? HUGE_VAL : (double)facts->budget_left / 1e9;
}

/* The most tokens it can come to, as far as that is surely set aside under a cap: one a byte, and
 * all the answers may have; without a word of the client the latter is what a model can. */
static double most_input(const struct facts *facts) {
    return (double)(facts->input_bytes > facts->input_tokens ? facts->input_bytes
                                                             : facts->input_tokens);
}

static double most_output(const struct facts *facts) {
    if (!facts->max_tokens && facts->output_tokens)
        return HUGE_VAL;
    return (double)facts->max_tokens * (double)(facts->answers ? facts->answers : 1);
}

static void push_now(lua_State *L, const struct facts *facts) {
    lua_pushnumber(L, (double)facts->now_ms / 1000);
}

static void push_seed(lua_State *L, const struct facts *facts) {
    /* A double holds 53 bits. */
    lua_pushnumber(L, (double)(facts->seed >> 11));
}

/* The models a key is kept to; nil: all. */
static void push_usable(lua_State *L, const struct facts *facts) {
    if (facts->key && facts->key->n_models)
        push_list(L, facts->key->models, facts->key->n_models);
    else
        lua_pushnil(L);
}

void push_request(lua_State *L, const struct facts *facts) {
    luaspan_push(L, facts->model);
    lua_pushnumber(L, (double)facts->input_tokens);
    lua_pushnumber(L, (double)facts->output_tokens);
    lua_pushnumber(L, facts->uses);
    lua_pushnumber(L, facts->max_cost_usd);
    lua_pushnumber(L, budget_left_usd(facts));
    lua_pushnumber(L, facts->max_latency_ms);
    lua_pushboolean(L, facts->strict);
    lua_pushboolean(L, facts->n_models > 0);
    lua_pushboolean(L, facts->n_last_targets > 0);
    push_seed(L, facts);
    push_now(L, facts);
    push_usable(L, facts);
    lua_pushnumber(L, most_input(facts));
    lua_pushnumber(L, most_output(facts));
}

/* Who asks. Its metadata stays a text here. */
static void push_key(lua_State *L, const struct facts *facts) {
    const struct key *key = facts->key;
    lua_createtable(L, 0, 5);
    if (facts->project)
        set_span(L, "project", facts->project->name);
    push_set(L, key ? key->tags : NULL, key ? key->n_tags : 0);
    lua_setfield(L, -2, "tags");
    if (!key)
        return;
    set_span(L, "id", key->id);
    set_span(L, "name", key->name);
    set_span(L, "meta", key->metadata);
}

static void push_budget(lua_State *L, const struct facts *facts) {
    lua_createtable(L, 0, 3);
    set_number(L, "left_usd", budget_left_usd(facts));
    set_number(L, "used", facts->budget_used);
    set_number(L, "free_left", (double)facts->free_left);
}

static void push_models(lua_State *L, const struct facts *facts) {
    if (facts->n_models)
        push_list(L, facts->models, facts->n_models);
    else
        lua_pushnil(L);
}

static void push_stream(lua_State *L, const struct facts *facts) {
    lua_pushboolean(L, facts->stream);
}

static void push_strict(lua_State *L, const struct facts *facts) {
    lua_pushboolean(L, facts->strict);
}

static void push_tokens(lua_State *L, const struct facts *facts) {
    lua_createtable(L, 0, 2);
    set_number(L, "input", (double)facts->input_tokens);
    set_number(L, "output", (double)facts->output_tokens);
}

/* That a model answers at all goes without saying: able() asks for it, policies need not see it. */
static void push_uses(lua_State *L, const struct facts *facts) {
    push_abilities(L, facts->uses & ~(uint32_t)ABILITY_CHAT);
}

static void push_limits(lua_State *L, const struct facts *facts) {
    lua_createtable(L, 0, 3);
    if (isfinite(facts->max_cost_usd))
        set_number(L, "max_cost_usd", facts->max_cost_usd);
    set_positive(L, "max_latency_ms", facts->max_latency_ms);
    set_positive(L, "deadline_ms", facts->deadline_ms);
}

/* Which targets the session knows: the newest, and what is expected in whose cache. */
static void push_last_target(lua_State *L, const struct facts *facts) {
    luaspan_push(L, facts->n_last_targets ? facts->last_targets[0].id : SPAN_NONE);
}

static void push_cached(lua_State *L, const struct facts *facts) {
    lua_createtable(L, 0, (int)facts->n_last_targets);
    for (size_t i = 0; i < facts->n_last_targets; i++) {
        luaspan_push(L, facts->last_targets[i].id);
        lua_pushnumber(L, (double)facts->last_targets[i].cached_tokens);
        lua_rawset(L, -3);
    }
}

static void push_headers(lua_State *L, const struct facts *facts) {
    lua_createtable(L, 0, (int)facts->n_headers);
    for (size_t i = 0; i < facts->n_headers; i++) {
        luaspan_push(L, facts->headers[i].name);
        luaspan_push(L, facts->headers[i].value);
        lua_rawset(L, -3);
    }
}

static void push_last(lua_State *L, const struct facts *facts) {
    lua_createtable(L, 0, 2);
    set_span(L, "role", facts->last_role);
    set_number(L, "tool_results", facts->tool_results);
}

static void push_tags(lua_State *L, const struct facts *facts) {
    push_set(L, facts->tags, facts->n_tags);
}

static void push_tool_names(lua_State *L, const struct facts *facts) {
    push_list(L, facts->tool_names, facts->n_tool_names);
}

static void push_max_tokens(lua_State *L, const struct facts *facts) {
    if (facts->max_tokens)
        lua_pushnumber(L, (double)facts->max_tokens);
    else
        lua_pushnil(L);
}

static void push_turns(lua_State *L, const struct facts *facts) {
    lua_pushnumber(L, facts->turns);
}

static void push_dialect(lua_State *L, const struct facts *facts) {
    lua_pushstring(L, dialect_name(facts->dialect));
}

#define FIELD(name)                                                                                \
    { name, sizeof name - 1 }
/* The fields of a request: a text of the facts, or what a function pushes. */
static const struct field {
    struct span name;
    size_t text; /* offset of a struct span in struct facts, */
    void (*push)(lua_State *L, const struct facts *facts); /* unless this makes it */
    bool is_text;
} request_fields[] = {
    { FIELD("tier"), offsetof(struct facts, tier), NULL, false },
    { FIELD("headers"), 0, push_headers, false },
    { FIELD("key"), 0, push_key, false },
    { FIELD("budget"), 0, push_budget, false },
    { FIELD("tokens"), 0, push_tokens, false },
    { FIELD("uses"), 0, push_uses, false },
    { FIELD("limits"), 0, push_limits, false },
    { FIELD("text"), offsetof(struct facts, text), NULL, true },
    { FIELD("system"), offsetof(struct facts, system), NULL, true },
    { FIELD("session"), offsetof(struct facts, session), NULL, false },
    { FIELD("user"), offsetof(struct facts, user), NULL, false },
    { FIELD("models"), 0, push_models, false },
    { FIELD("stream"), 0, push_stream, false },
    { FIELD("strict"), 0, push_strict, false },
    { FIELD("last_target"), 0, push_last_target, false },
    { FIELD("cached"), 0, push_cached, false },
    { FIELD("tags"), 0, push_tags, false },
    { FIELD("tool_names"), 0, push_tool_names, false },
    { FIELD("tool_choice"), offsetof(struct facts, tool_choice), NULL, false },
    { FIELD("last"), 0, push_last, false },
    { FIELD("turns"), 0, push_turns, false },
    { FIELD("max_tokens"), 0, push_max_tokens, false },
    { FIELD("now"), 0, push_now, false },
    { FIELD("seed"), 0, push_seed, false },
    { FIELD("endpoint"), offsetof(struct facts, endpoint), NULL, false },
    { FIELD("dialect"), 0, push_dialect, false },
    { FIELD("id"), offsetof(struct facts, id), NULL, false },
};
#undef FIELD

void push_request_field(lua_State *L, const struct snapshot *snap, const struct facts *facts,
                        struct span name, bool *is_text) {
    if (span_eq(name, SPAN("bound_to"))) {
        luaspan_push(L, binding_provider(snap, facts));
        return;
    }
    for (size_t i = 0; i < sizeof request_fields / sizeof *request_fields; i++) {
        const struct field *field = &request_fields[i];
        if (!span_eq(name, field->name))
            continue;
        if (field->push)
            field->push(L, facts);
        else
            luaspan_push(L, *(const struct span *)((const char *)facts + field->text));
        if (field->is_text)
            *is_text = true;
        return;
    }
    lua_pushnil(L);
}

/* ---- live figures ---- */

/* Unknown is false, so that what was known is taken back. */
static void set_figure(lua_State *L, const char *name, double value) {
    if (value >= 0)
        lua_pushnumber(L, value);
    else
        lua_pushboolean(L, false);
    lua_setfield(L, -2, name);
}

/* Pushes the table that stands in a field of the one on top, made when there is none. */
static void open_table(lua_State *L, const char *name, int fields) {
    lua_getfield(L, -1, name);
    if (lua_istable(L, -1))
        return;
    lua_pop(L, 1);
    lua_createtable(L, 0, fields);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, name);
}

static void set_percentiles(lua_State *L, const char *name, const double ms[3]) {
    open_table(L, name, 3);
    set_figure(L, "p50", ms[0]);
    set_figure(L, "p95", ms[1]);
    set_figure(L, "p99", ms[2]);
    lua_pop(L, 1);
}

static void set_figures(lua_State *L, const struct policy_figure *f) {
    set_number(L, "index", f->target + 1.0);
    lua_pushstring(L, f->state);
    lua_setfield(L, -2, "state");
    set_figure(L, "error_rate", f->error_rate);
    set_figure(L, "in_flight", f->in_flight);
    set_figure(L, "headroom", f->headroom);
    set_figure(L, "tokens_per_s", f->tokens_per_s);
    set_percentiles(L, "ttft_ms", f->ttft_ms);
    set_percentiles(L, "total_ms", f->total_ms);
}

void push_figures(lua_State *L, const struct policy_figure *figures, size_t n) {
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            lua_createtable(L, 0, 8);
            lua_pushvalue(L, -1);
            lua_rawseti(L, -3, (int)i + 1);
        }
        set_figures(L, &figures[i]);
        lua_pop(L, 1);
    }
}

/* ---- a failed attempt ---- */

void push_failure(lua_State *L, const struct policy_failure *failure) {
    lua_createtable(L, 0, 9);
    set_span(L, "class", span_of(failure_name(failure->class)));
    if (failure->target)
        set_span(L, "target", failure->target->id);
    set_positive(L, "status", failure->status);
    if (failure->retry_after_ms >= 0)
        set_number(L, "retry_after_ms", (double)failure->retry_after_ms);
    set_span(L, "message", failure->message);
    set_number(L, "attempt", failure->attempt);
    set_number(L, "elapsed_ms", failure->elapsed_ms);
    set_number(L, "left_ms", failure->left_ms);
    set_number(L, "spent_usd", failure->spent_usd);
}

static void set_params(lua_State *L, const struct step *step) {
    if (step->n_params == 0)
        return;
    luaspan_push_pairs(L, step->params, step->n_params);
    lua_setfield(L, -2, "params");
}

static void push_step(lua_State *L, const struct step *step) {
    lua_createtable(L, 0, 9);
    if (step->target->index == TARGET_AD_HOC)
        set_span(L, "id", step->target->id);
    else
        set_number(L, "index", step->target->index + 1.0);
    set_positive(L, "timeout_ms", step->timeout_ms);
    set_positive(L, "first_token_ms", step->first_token_ms);
    set_positive(L, "idle_ms", step->idle_ms);
    if (step->retries >= 0)
        set_number(L, "retries", step->retries);
    set_positive(L, "when", step->when);
    if (step->max_cost != NANOUSD_NONE)
        set_number(L, "max_cost_usd", (double)step->max_cost / 1e9);
    set_positive(L, "max_latency_ms", step->max_latency_ms);
    set_params(L, step);
}

void push_rest(lua_State *L, const struct step *rest, size_t n) {
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        push_step(L, &rest[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
}
