#include "script/normal.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

struct reader {
    lua_State *L;
    struct arena *arena;
};

static int wrong(struct reader *r, const char *name, const char *expected) {
    return luaL_error(r->L, "the configuration's %s is no %s but a %s", name, expected,
                      luaL_typename(r->L, -1));
}

/* The readers below look at a field of the table on top of the stack and leave the stack as it
 * was. */

static struct span text_here(struct reader *r, const char *name) {
    struct span s = SPAN_NONE;
    if (lua_type(r->L, -1) != LUA_TSTRING)
        wrong(r, name, "text");
    s.at = lua_tolstring(r->L, -1, &s.len);
    return arena_copy(r->arena, s);
}

static struct span text(struct reader *r, const char *name) {
    lua_getfield(r->L, -1, name);
    struct span s = lua_isnil(r->L, -1) ? SPAN_NONE : text_here(r, name);
    lua_pop(r->L, 1);
    return s;
}

/* `absent` where there is none. */
static double number(struct reader *r, const char *name, double absent) {
    double value = absent;
    lua_getfield(r->L, -1, name);
    if (lua_type(r->L, -1) == LUA_TNUMBER)
        value = lua_tonumber(r->L, -1);
    else if (!lua_isnil(r->L, -1))
        wrong(r, name, "number");
    lua_pop(r->L, 1);
    return value;
}

static uint32_t whole(struct reader *r, const char *name) {
    double value = number(r, name, 0);
    if (!(value >= 0 && value <= UINT32_MAX))
        luaL_error(r->L, "the configuration's %s is out of range", name);
    return (uint32_t)value;
}

static size_t size(struct reader *r, const char *name) {
    double value = number(r, name, 0);
    if (!(value >= 0 && value <= 1e15))
        luaL_error(r->L, "the configuration's %s is out of range", name);
    return (size_t)value;
}

static bool flag(struct reader *r, const char *name) {
    lua_getfield(r->L, -1, name);
    bool value = lua_toboolean(r->L, -1);
    lua_pop(r->L, 1);
    return value;
}

/* Reads each element of the list `name` by `read`, which finds it on top of the stack, into an
 * array of elements of `element` bytes. */
static void *list(struct reader *r, const char *name, size_t element,
                  void (*read)(struct reader *r, void *out), size_t *count) {
    lua_getfield(r->L, -1, name);
    if (!lua_istable(r->L, -1))
        wrong(r, name, "list");
    size_t n = lua_objlen(r->L, -1);
    char *out = arena_zalloc(r->arena, n + 1, element);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(r->L, -1, (int)i + 1);
        read(r, out + i * element);
        lua_pop(r->L, 1);
    }
    lua_pop(r->L, 1);
    *count = n;
    return out;
}

static void read_text(struct reader *r, void *out) {
    *(struct span *)out = text_here(r, "element of a list");
}

static void read_pair(struct reader *r, void *out) {
    *(struct pair *)out = (struct pair){ text(r, "name"), text(r, "value") };
}

/* ---- settings ---- */

/* Where a folder lies whatever the working directory is later. */
static struct span absolute(struct reader *r, const char *name) {
    char here[4096];
    struct span dir = text(r, name);
    if (!dir.at || span_starts(dir, SPAN("/")) || !getcwd(here, sizeof here))
        return dir;
    return arena_printf(r->arena, "%s/%.*s", here, SPAN_ARGS(dir));
}

static unsigned workers(struct reader *r) {
    unsigned wanted = whole(r, "workers");
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return wanted ? wanted : cores > 0 ? (unsigned)cores : 1;
}

static void read_times(struct reader *r, struct config *c) {
    c->head_ms = whole(r, "head_ms");
    c->body_ms = whole(r, "body_ms");
    c->idle_ms = whole(r, "idle_ms");
    c->write_ms = whole(r, "write_ms");
    c->deadline_ms = whole(r, "deadline_ms");
    c->hold_ms = whole(r, "hold_ms");
    c->drain_ms = whole(r, "drain_ms");
}

static void read_limits(struct reader *r, struct config *c) {
    c->policy_deadline_ms = whole(r, "policy_deadline_ms");
    c->policy_memory = size(r, "policy_memory");
    c->quarantine_kills = whole(r, "quarantine_kills");
    c->quarantine_kills_one = whole(r, "quarantine_kills_one");
    c->max_body = size(r, "max_body");
    c->max_bodies = size(r, "max_bodies");
    c->max_header_bytes = size(r, "max_header_bytes");
    c->max_headers = whole(r, "max_headers");
    c->max_connections = whole(r, "max_connections");
    c->max_in_flight = whole(r, "max_in_flight");
    c->max_lag_ms = whole(r, "max_lag_ms");
    c->queue_max = whole(r, "queue_max");
    c->queue_max_a_key = whole(r, "queue_max_a_key");
}

static void read_shadow(struct reader *r, void *out) {
    *(struct shadow_setting *)out =
        (struct shadow_setting){ text(r, "live"), text(r, "candidate"), number(r, "share", 1) };
}

static void read_assignment(struct reader *r, void *out) {
    struct assignment *a = out;
    a->scope = snapshot_scope_of(text(r, "scope"));
    if (a->scope == ASSIGNED_SCOPES)
        luaL_error(r->L, "the configuration's scope is none that is known");
    a->name = text(r, "name");
    a->policy = text(r, "policy");
    a->params = text(r, "params");
    a->max_cost_usd = number(r, "max_cost_usd", HUGE_VAL);
    a->max_latency_ms = whole(r, "max_latency_ms");
    a->deadline_ms = whole(r, "deadline_ms");
    a->managed = flag(r, "managed");
}

/* ---- who asks, and what may be spent ---- */

static enum budget_scope budget_scope_of(struct span name) {
    static const struct span names[BUDGET_SCOPES] = { [BUDGET_REQUEST] = SPAN("request"),
                                                      [BUDGET_KEY] = SPAN("key"),
                                                      [BUDGET_PROJECT] = SPAN("project"),
                                                      [BUDGET_ROUTE] = SPAN("route"),
                                                      [BUDGET_ACCOUNT] = SPAN("account") };
    enum budget_scope scope = 0;
    while (scope < BUDGET_SCOPES && !span_eq(name, names[scope]))
        scope++;
    return scope;
}

static void read_share(struct reader *r, void *out) {
    *(unsigned char *)out = (unsigned char)lua_tointeger(r->L, -1);
}

static void read_cap(struct reader *r, void *out) {
    struct budget_cap *cap = out;
    size_t n;
    *cap = (struct budget_cap){
        .scope = budget_scope_of(text(r, "scope")),
        .name = text(r, "name"),
        .period = period_of(text(r, "period")),
        .offset_min = (int)number(r, "offset_min", 0),
        .nano = (int64_t)number(r, "nano", 0),
    };
    const unsigned char *alerts = list(r, "alerts", 1, read_share, &n);
    if (cap->scope == BUDGET_SCOPES || cap->period == PERIOD_KINDS || n > BUDGET_ALERTS)
        luaL_error(r->L, "the configuration's cap is none that is known");
    memcpy(cap->alerts, alerts, n);
}

static const struct budget_cap *read_caps(struct reader *r, size_t *n) {
    return list(r, "caps", sizeof(struct budget_cap), read_cap, n);
}

static const struct span *texts(struct reader *r, const char *name, size_t *n) {
    return list(r, name, sizeof(struct span), read_text, n);
}

static struct limits_rule read_rule_of(struct reader *r) {
    return (struct limits_rule){ whole(r, "rpm"), whole(r, "tpm"), whole(r, "concurrent") };
}

static void read_client_key(struct reader *r, void *out) {
    struct configured_key *k = out;
    struct key *key = &k->key;
    k->secret = text(r, "secret");
    key->id = text(r, "id");
    key->name = text(r, "name");
    key->project = text(r, "project");
    key->tier = text(r, "tier");
    key->policy = text(r, "policy");
    key->metadata = text(r, "metadata");
    key->tags = texts(r, "tags", &key->n_tags);
    key->models = texts(r, "models", &key->n_models);
    key->policies = texts(r, "policies", &key->n_policies);
    key->grants = whole(r, "grants");
    key->strict = flag(r, "strict");
    key->limits = read_rule_of(r);
    key->caps = read_caps(r, &key->n_caps);
    key->source = KEYS_MANAGED;
    double expires = number(r, "expires_s", INFINITY);
    key->expires_s = isinf(expires) ? PERIOD_FOR_EVER : (int64_t)expires;
}

static void read_project(struct reader *r, void *out) {
    struct project *p = out;
    p->name = text(r, "name");
    p->tier = text(r, "tier");
    p->policy = text(r, "policy");
    p->tags = texts(r, "tags", &p->n_tags);
    p->limits = read_rule_of(r);
    p->caps = read_caps(r, &p->n_caps);
    p->free_requests = size(r, "free_requests");
    p->markup_ppm = whole(r, "markup_ppm");
    p->bodies.max_bytes = whole(r, "bodies_max_bytes");
    p->bodies.retention_days = whole(r, "bodies_retention_days");
    p->bodies.redact = flag(r, "bodies_redact");
    p->source = KEYS_MANAGED;
}

static void read_model_limits(struct reader *r, void *out) {
    *(struct model_limits *)out = (struct model_limits){ text(r, "model"), read_rule_of(r) };
}

/* A file's path is absolute; "stdout" is none. */
static struct span access_log(struct reader *r) {
    struct span name = text(r, "access_log");
    return span_eq(name, SPAN("stdout")) ? name : absolute(r, "access_log");
}

static void read_money(struct reader *r, struct config *c) {
    c->keys = list(r, "keys", sizeof(struct configured_key), read_client_key, &c->n_keys);
    c->projects = list(r, "projects", sizeof(struct project), read_project, &c->n_projects);
    c->caps = read_caps(r, &c->n_caps);
    c->model_limits =
        list(r, "model_limits", sizeof(struct model_limits), read_model_limits, &c->n_model_limits);
    c->clamp = flag(r, "clamp");
    c->clamp_least = whole(r, "clamp_least");
    c->ledger = flag(r, "ledger");
    c->ledger_power = flag(r, "ledger_power");
    c->ledger_spill = absolute(r, "ledger_spill");
    c->ledger_retention_days = whole(r, "ledger_retention_days");
    c->access_log = access_log(r);
    c->alert_webhook = text(r, "alert_webhook");
    c->alert_secret = text(r, "alert_secret");
}

static void read_config(struct reader *r, struct config *c) {
    c->path = text(r, "path");
    c->listen = text(r, "listen");
    c->admin = text(r, "admin");
    c->workers = workers(r);
    c->data_dir = absolute(r, "data_dir");
    c->record = absolute(r, "record");
    c->record_max_bytes = size(r, "record_max_bytes");
    c->record_headers =
        list(r, "record_headers", sizeof(struct span), read_text, &c->n_record_headers);
    c->policies_dir = absolute(r, "policies_dir");
    c->providers_dir = absolute(r, "providers_dir");
    c->lua_dir = absolute(r, "lua_dir");
    c->auto_policy = text(r, "auto_policy");
    c->fallback = list(r, "fallback", sizeof(struct span), read_text, &c->n_fallback);
    c->assignments =
        list(r, "assignments", sizeof(struct assignment), read_assignment, &c->n_assignments);
    c->shadows = list(r, "shadows", sizeof(struct shadow_setting), read_shadow, &c->n_shadows);
    c->policy_params =
        list(r, "policy_params", sizeof(struct pair), read_pair, &c->n_policy_params);
    c->cors_origins = list(r, "cors_origins", sizeof(struct span), read_text, &c->n_cors_origins);
    c->unsupported =
        span_eq(text(r, "unsupported"), SPAN("refuse")) ? UNSUPPORTED_REFUSE : UNSUPPORTED_DROP;
    c->reroute_retired = flag(r, "reroute_retired");
    read_money(r, c);
    read_limits(r, c);
    read_times(r, c);
}

/* ---- providers and targets ---- */

static void read_key(struct reader *r, void *out) {
    *(struct provider_key *)out = (struct provider_key){
        .secret = text(r, "secret"),
        .weight = whole(r, "weight"),
        .rpm = whole(r, "rpm"),
        .tpm = whole(r, "tpm"),
    };
}

static void read_rule(struct reader *r, void *out) {
    *(struct failure_rule *)out = (struct failure_rule){
        .status_from = (int)whole(r, "status_from"),
        .status_to = (int)whole(r, "status_to"),
        .code = text(r, "code"),
        .text = text(r, "text"),
        .class = failure_of(text(r, "class")),
    };
}

static enum auth read_auth(struct reader *r) {
    static const struct {
        struct span name;
        enum auth auth;
    } ways[] = {
        { SPAN("none"), AUTH_NONE },
        { SPAN("bearer"), AUTH_BEARER },
        { SPAN("x-api-key"), AUTH_X_API_KEY },
        { SPAN("x-goog-api-key"), AUTH_GOOG_API_KEY },
        { SPAN("api-key"), AUTH_API_KEY },
        { SPAN("aws-sigv4"), AUTH_AWS_SIGV4 },
        { SPAN("google-jwt"), AUTH_GOOGLE_JWT },
    };
    struct span name = text(r, "auth");
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (span_eq(name, ways[i].name))
            return ways[i].auth;
    luaL_error(r->L, "the configuration's auth is none that is known");
    return AUTH_NONE;
}

/* The dialects listed under "speaks", as bits. */
static uint32_t read_speaks(struct reader *r) {
    size_t n;
    uint32_t bits = 0;
    const struct span *names = list(r, "speaks", sizeof *names, read_text, &n);
    for (size_t i = 0; i < n; i++)
        bits |= DIALECT_BIT(dialect_of(names[i]));
    return bits;
}

static void read_provider(struct reader *r, void *out) {
    struct provider *p = out;
    p->name = text(r, "name");
    p->base_url = text(r, "base_url");
    p->dialect = dialect_of(text(r, "dialect"));
    p->speaks = read_speaks(r);
    p->auth = read_auth(r);
    p->region = text(r, "region");
    p->quirks = text(r, "quirks");
    p->keys = list(r, "keys", sizeof(struct provider_key), read_key, &p->n_keys);
    p->headers = list(r, "headers", sizeof(struct span), read_text, &p->n_headers);
    p->rules = list(r, "rules", sizeof(struct failure_rule), read_rule, &p->n_rules);
    p->connect_ms = whole(r, "connect_ms");
    p->timeout_ms = whole(r, "timeout_ms");
    p->first_token_ms = whole(r, "first_token_ms");
    p->idle_ms = whole(r, "idle_ms");
    p->adapt = flag(r, "adapt");
    p->native = flag(r, "native");
    p->pace_wait_ms = whole(r, "pace_wait_ms");
}

static struct price read_price_here(struct reader *r) {
    return (struct price){
        .input = (int64_t)number(r, "input", PRICE_UNKNOWN),
        .output = (int64_t)number(r, "output", PRICE_UNKNOWN),
        .cached = (int64_t)number(r, "cached", PRICE_UNKNOWN),
        .cache_write = (int64_t)number(r, "cache_write", PRICE_UNKNOWN),
    };
}

static struct price read_price(struct reader *r) {
    lua_getfield(r->L, -1, "price");
    if (!lua_istable(r->L, -1))
        wrong(r, "price", "table");
    struct price price = read_price_here(r);
    lua_pop(r->L, 1);
    return price;
}

static void read_price_rule(struct reader *r, void *out) {
    *(struct price_rule *)out = (struct price_rule){
        .above_input = (int64_t)number(r, "above", -1),
        .until_s = size(r, "until_s"),
        .from_min = (int16_t)number(r, "from_min", -1),
        .to_min = (int16_t)number(r, "to_min", -1),
        .days = (uint8_t)whole(r, "days"),
        .price = read_price_here(r),
    };
}

/* `index` holds the provider's place, from 1, until all are read. */
static void read_target(struct reader *r, void *out) {
    struct target *t = out;
    t->index = whole(r, "provider");
    t->id = text(r, "id");
    t->model = text(r, "model");
    t->upstream = text(r, "upstream");
    t->dialect = dialect_of(text(r, "dialect"));
    t->speaks = read_speaks(r);
    t->quirks = text(r, "quirks");
    t->path = text(r, "path");
    t->price = read_price(r);
    t->rules = list(r, "rules", sizeof(struct price_rule), read_price_rule, &t->n_rules);
    t->bytes_a_token = number(r, "bytes_a_token", 4);
    t->context = whole(r, "context");
    t->max_output = whole(r, "max_output");
    t->abilities = whole(r, "abilities");
    t->quality = number(r, "quality", NAN);
    t->weight = number(r, "weight", 1);
    t->tags = list(r, "tags", sizeof(struct span), read_text, &t->n_tags);
}

static void read_chain(struct reader *r, void *out) {
    struct named_chain *c = out;
    c->name = text(r, "name");
    c->targets = list(r, "targets", sizeof(struct span), read_text, &c->n_targets);
}

static void read_retired(struct reader *r, void *out) {
    *(struct retired *)out =
        (struct retired){ text(r, "model"), text(r, "instead"), text(r, "since") };
}

static void link_targets(lua_State *L, struct snapshot *snap) {
    for (size_t i = 0; i < snap->n_targets; i++) {
        struct target *t = &snap->targets[i];
        if (t->index < 1 || t->index > snap->n_providers)
            luaL_error(L, "the configuration's target %s has no provider", t->id.at);
        t->provider = &snap->providers[t->index - 1];
        if (t->dialect == DIALECT_NONE)
            t->dialect = t->provider->dialect;
        t->index = (unsigned)i;
    }
}

void normal_read(lua_State *L, struct snapshot *snap) {
    struct reader r = { L, &snap->arena };
    luaL_checkstack(L, 20, "configuration");
    lua_getfield(L, -1, "config");
    read_config(&r, &snap->config);
    lua_pop(L, 1);
    struct provider *providers =
        list(&r, "providers", sizeof *providers, read_provider, &snap->n_providers);
    for (size_t i = 0; i < snap->n_providers; i++)
        providers[i].index = (unsigned)i;
    snap->providers = providers;
    snap->targets = list(&r, "targets", sizeof(struct target), read_target, &snap->n_targets);
    link_targets(L, snap);
    snap->chains = list(&r, "chains", sizeof(struct named_chain), read_chain, &snap->n_chains);
    snap->aliases = list(&r, "aliases", sizeof(struct named_chain), read_chain, &snap->n_aliases);
    snap->retired = list(&r, "retired", sizeof(struct retired), read_retired, &snap->n_retired);
    snap->config.mock_only = flag(&r, "mock_only");
}

void normal_read_place(lua_State *L, struct snapshot *snap) {
    struct reader r = { L, &snap->arena };
    snap->config.data_dir = absolute(&r, "data_dir");
}
