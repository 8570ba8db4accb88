#include "route/access.h"

#include "base/log.h"

#include <math.h>

static bool one_of(struct span s, const struct span *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (span_eq(s, list[i]))
            return true;
    return false;
}

#define IN(s, ...)                                                                                 \
    one_of((s), (const struct span[]){ __VA_ARGS__ },                                              \
           sizeof((const struct span[]){ __VA_ARGS__ }) / sizeof(struct span))

struct span access_presented(const struct http_message *m) {
    struct span value = http_header(m, SPAN("authorization"));
    const struct span bearer = SPAN("bearer ");
    if (value.at && value.len > bearer.len &&
        span_eq_nocase(span_sub(value, 0, bearer.len), bearer))
        return span_trim(span_sub(value, bearer.len, value.len));
    value = http_header(m, SPAN("x-api-key"));
    if (value.at)
        return value;
    return http_header(m, SPAN("x-goog-api-key"));
}

/* The host of "host:port" or "[v6]:port"; SPAN_NONE when anything else follows the host. */
static struct span host_of(struct span authority) {
    bool v6 = authority.len && authority.at[0] == '[';
    size_t end = v6 ? span_find(authority, ']') + 1 : span_find(authority, ':');
    struct span port = span_sub(authority, end + 1, authority.len);
    uint64_t number;
    if (end < authority.len &&
        (authority.at[end] != ':' || (port.len && (!span_uint(port, &number) || number > 65535))))
        return SPAN_NONE;
    return span_sub(authority, 0, end);
}

/* An address of 127.0.0.0/8 as people write it: a name may begin with 127 as well. */
static bool is_loopback_v4(struct span host) {
    struct span part;
    unsigned parts = 0;
    if (!span_starts(host, SPAN("127.")))
        return false;
    while (span_split(&host, '.', &part)) {
        uint64_t number;
        if (part.len > 3 || !span_uint(part, &number) || number > 255)
            return false;
        parts++;
    }
    return parts == 4;
}

static bool host_is_here(struct span authority) {
    struct span host = host_of(authority);
    return span_eq_nocase(host, SPAN("localhost")) || span_eq(host, SPAN("[::1]")) ||
           is_loopback_v4(host);
}

static bool origin_is_here(struct span origin) {
    struct span rest;
    if (span_starts(origin, SPAN("http://")))
        rest = span_sub(origin, 7, origin.len);
    else if (span_starts(origin, SPAN("https://")))
        rest = span_sub(origin, 8, origin.len);
    else
        return false;
    return host_is_here(rest);
}

static bool origin_allowed(const struct config *config, struct span origin) {
    return one_of(origin, config->cors_origins, config->n_cors_origins) || origin_is_here(origin);
}

static bool type_is_json(struct span type) {
    struct span essence = span_trim(span_sub(type, 0, span_find(type, ';')));
    return span_eq_nocase(essence, SPAN("application/json"));
}

/* Without keys, whoever reaches the port may spend; a web page in the developer's browser reaches
 * it too, by a rebound name or a cross-site form. So: our own names only, no foreign page, and a
 * content type that a form can not send. */
static bool check_page(const struct config *config, const struct http_message *m,
                       struct api_error *error) {
    if (!host_is_here(http_header(m, SPAN("host")))) {
        *error = api_error(ERROR_PERMISSION_DENIED,
                           SPAN("Without client keys only this machine may ask, by a loopback "
                                "name: set client_keys in perilune.lua to open it further."));
        return false;
    }
    struct span origin = http_header(m, SPAN("origin"));
    if (origin.at && !origin_allowed(config, origin)) {
        *error = api_error(ERROR_PERMISSION_DENIED,
                           SPAN("Requests from web pages are refused: allow the page's origin in "
                                "cors.origins and set client keys."));
        return false;
    }
    if (span_eq(m->method, SPAN("POST")) && !type_is_json(http_header(m, SPAN("content-type")))) {
        *error = api_error(ERROR_UNSUPPORTED_ENCODING,
                           SPAN("Send the body as application/json (header content-type)."));
        return false;
    }
    return true;
}

bool access_check(struct keys *keys, const struct config *config, const struct http_message *m,
                  const struct endpoint *endpoint, int64_t now_s, struct keys_pass *pass,
                  struct api_error *error) {
    *pass = (struct keys_pass){ 0 };
    if (endpoint->open || span_eq(m->method, SPAN("OPTIONS")))
        return true;
    if (!keys_any(keys)) {
        if (!check_page(config, m, error))
            return false;
        *pass = keys_anybody(keys);
        return true;
    }
    enum keys_verdict verdict = keys_check(keys, access_presented(m), now_s, pass);
    if (verdict == KEYS_GOOD)
        return true;
    log_debug("a key was refused: %s", verdict == KEYS_EXPIRED   ? "it has expired"
                                       : verdict == KEYS_REVOKED ? "it was revoked"
                                                                 : "it is not known");
    *error = api_error(ERROR_INVALID_API_KEY,
                       SPAN("No valid API key was given. Send one as Authorization: Bearer KEY."));
    return false;
}

static bool not_granted(struct api_error *error, struct span param, struct span message) {
    *error = api_error(ERROR_PERMISSION_DENIED, message);
    error->param = param;
    return false;
}

/* The lists joined, without repeats. */
static void add_tags(struct facts *facts, const struct span *tags, size_t n, struct arena *arena) {
    if (!n)
        return;
    struct span *all = arena_new_array(arena, struct span, facts->n_tags + n);
    size_t have = facts->n_tags;
    for (size_t i = 0; i < have; i++)
        all[i] = facts->tags[i];
    for (size_t i = 0; i < n; i++)
        if (!one_of(tags[i], all, have))
            all[have++] = tags[i];
    facts->tags = all;
    facts->n_tags = have;
}

bool access_grant(struct facts *facts, struct arena *arena, struct api_error *error) {
    const struct key *key = facts->key;
    const struct project *project = facts->project;
    if (key && facts->tier.at && !(key->grants & KEYS_GRANT_TIER))
        return not_granted(error, SPAN("x-route-tier"),
                           SPAN("This key may not choose a tier: it has one."));
    if (key && facts->n_models && !(key->grants & KEYS_GRANT_MODELS))
        return not_granted(error, SPAN("models"),
                           SPAN("This key may not name a chain of its own: name one model."));
    if (key && !facts->tier.at)
        facts->tier = key->tier;
    if (project && !facts->tier.at)
        facts->tier = project->tier;
    if (key) {
        facts->strict |= key->strict;
        add_tags(facts, key->tags, key->n_tags, arena);
    }
    if (project)
        add_tags(facts, project->tags, project->n_tags, arena);
    return true;
}

/* Never shown to policies, never forwarded, never recorded: lua/perilune/config.lua names them too. */
static bool is_secret(struct span name) {
    return IN(name, SPAN("authorization"), SPAN("proxy-authorization"), SPAN("cookie"),
              SPAN("x-api-key"), SPAN("x-goog-api-key"), SPAN("api-key"), SPAN("set-cookie"));
}

static bool bad_header(struct api_error *error, struct span name, struct span expected,
                       struct arena *arena) {
    *error = api_error(ERROR_INVALID_REQUEST, arena_printf(arena, "The header %.*s must be %.*s.",
                                                           SPAN_ARGS(name), SPAN_ARGS(expected)));
    error->param = name;
    return false;
}

static const struct span *read_list(struct span text, size_t *n, struct arena *arena) {
    struct span rest = text, part;
    size_t count = 0;
    while (span_split(&rest, ',', &part))
        count += part.len > 0;
    struct span *list = arena_new_array(arena, struct span, count);
    rest = text;
    *n = 0;
    while (span_split(&rest, ',', &part))
        if (part.len)
            list[(*n)++] = part;
    return list;
}

static bool read_ms(struct span value, uint32_t *ms) {
    uint64_t n;
    if (!span_uint(value, &n) || n == 0 || n > 86400000)
        return false;
    *ms = (uint32_t)n;
    return true;
}

static bool read_flag(struct span value, bool *flag) {
    *flag = span_eq(value, SPAN("1")) || span_eq_nocase(value, SPAN("true"));
    return *flag || span_eq(value, SPAN("0")) || span_eq_nocase(value, SPAN("false"));
}

static bool read_own(struct pair h, struct facts *facts, struct access_wishes *wishes,
                     struct api_error *error, struct arena *arena) {
    const struct span what = span_sub(h.name, sizeof "x-route-" - 1, h.name.len);
    const struct span ms = SPAN("a number of milliseconds, 1 to 86400000");
    if (span_eq(what, SPAN("policy"))) {
        wishes->policy = h.value;
    } else if (span_eq(what, SPAN("models"))) {
        facts->models = read_list(h.value, &facts->n_models, arena);
        if (!facts->n_models)
            return bad_header(error, h.name, SPAN("a comma-separated list of models"), arena);
    } else if (span_eq(what, SPAN("strict"))) {
        if (!read_flag(h.value, &facts->strict))
            return bad_header(error, h.name, SPAN("0 or 1"), arena);
    } else if (span_eq(what, SPAN("trace"))) {
        if (!read_flag(h.value, &wishes->trace))
            return bad_header(error, h.name, SPAN("0 or 1"), arena);
    } else if (span_eq(what, SPAN("max-cost-usd"))) {
        if (!span_double(h.value, &facts->max_cost_usd) || facts->max_cost_usd < 0)
            return bad_header(error, h.name, SPAN("an amount in dollars, 0 or more"), arena);
    } else if (span_eq(what, SPAN("max-latency-ms"))) {
        if (!read_ms(h.value, &facts->max_latency_ms))
            return bad_header(error, h.name, ms, arena);
    } else if (span_eq(what, SPAN("deadline-ms"))) {
        if (!read_ms(h.value, &facts->deadline_ms))
            return bad_header(error, h.name, ms, arena);
    } else if (span_eq(what, SPAN("tier"))) {
        facts->tier = h.value;
    } else if (span_eq(what, SPAN("session"))) {
        facts->session = h.value;
    } else if (span_eq(what, SPAN("tags"))) {
        facts->tags = read_list(h.value, &facts->n_tags, arena);
    } else {
        *error = api_error(ERROR_INVALID_REQUEST,
                           arena_printf(arena, "There is no header %.*s.", SPAN_ARGS(h.name)));
        error->param = h.name;
        return false;
    }
    return true;
}

bool access_read(struct http_message *m, struct facts *facts, struct access_wishes *wishes,
                 struct api_error *error) {
    struct pair *shown = arena_new_array(&m->arena, struct pair, m->n_headers);
    size_t n = 0;
    facts->max_cost_usd = HUGE_VAL;
    for (size_t i = 0; i < m->n_headers; i++) {
        struct pair h = m->headers[i];
        if (is_secret(h.name))
            continue;
        shown[n++] = h;
        if (span_starts(h.name, SPAN("x-route-")) && !read_own(h, facts, wishes, error, &m->arena))
            return false;
    }
    facts->headers = shown;
    facts->n_headers = n;
    struct span coding = http_header(m, SPAN("content-encoding"));
    if (coding.at && !span_eq_nocase(coding, SPAN("identity"))) {
        *error = api_error(ERROR_UNSUPPORTED_ENCODING,
                           SPAN("Compressed bodies are not accepted: send it as it is."));
        return false;
    }
    return true;
}

struct span access_agent_session(const struct facts *facts) {
    static const struct span names[] = {
        { "x-claude-code-session-id", 24 },
        { "session_id", 10 }, /* Codex */
        { "session-id", 10 },
        { "x-session-id", 12 },
    };
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        for (size_t i = 0; i < facts->n_headers; i++)
            if (span_eq(facts->headers[i].name, names[k]) && facts->headers[i].value.len)
                return facts->headers[i].value;
    return SPAN_NONE;
}

static bool is_openai(enum dialect dialect) {
    return dialect == DIALECT_OPENAI_CHAT || dialect == DIALECT_OPENAI_RESPONSES ||
           dialect == DIALECT_OPENAI_COMPLETIONS || dialect == DIALECT_OPENAI_EMBEDDINGS;
}

/* Anthropic names what a request wants of its API in headers of its own, and new ones come with new
 * features. Whose account pays, and what a browser may, is not the client's to say. */
static bool is_anthropic_wish(struct span name) {
    return span_starts(name, SPAN("anthropic-")) &&
           !IN(name, SPAN("anthropic-organization-id"), SPAN("anthropic-workspace-id"),
               SPAN("anthropic-dangerous-direct-browser-access"));
}

bool access_forwards(enum dialect dialect, struct span name) {
    if (dialect == DIALECT_ANTHROPIC_MESSAGES)
        return is_anthropic_wish(name);
    return is_openai(dialect) && span_eq(name, SPAN("openai-beta"));
}

bool access_returns(enum dialect dialect, struct span name) {
    if (dialect == DIALECT_ANTHROPIC_MESSAGES)
        return span_starts(name, SPAN("anthropic-ratelimit-"));
    return is_openai(dialect) && IN(name, SPAN("openai-processing-ms"), SPAN("openai-version"));
}
