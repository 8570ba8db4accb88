#include "admin/inside.h"
#include "base/crypto.h"
#include "base/utf8.h"
#include "money/redact.h"

#include <stdarg.h>
#include <stdlib.h>

const struct api_route api_routes[] = {
    { "GET", "/health", API_ANYONE, api_health, NULL },
    { "GET", "/metrics", API_VIEWER, api_metrics, NULL },
    { "GET", "/api/tail", API_VIEWER, api_tail, "project key status target" },
    { "GET", "/api/openapi.json", API_VIEWER, api_openapi, NULL },
    { "GET", "/api/status", API_VIEWER, api_status, NULL },
    { "POST", "/api/reload", API_ADMIN, api_reload, NULL },
    { "GET", "/api/policies", API_VIEWER, api_policies_list, NULL },
    { "GET", "/api/policies/{name}", API_VIEWER, api_policies_get, NULL },
    { "PUT", "/api/policies/{name}", API_ADMIN, api_policies_put, NULL },
    { "DELETE", "/api/policies/{name}", API_ADMIN, api_policies_delete, NULL },
    { "POST", "/api/policies/{name}/check", API_ADMIN, api_policies_check, NULL },
    { "GET", "/api/policies/{name}/versions", API_VIEWER, api_policies_versions, NULL },
    { "GET", "/api/policies/{name}/versions/{hash}", API_VIEWER, api_policies_version, NULL },
    { "POST", "/api/policies/{name}/rollback", API_ADMIN, api_policies_rollback, NULL },
    { "GET", "/api/routes", API_VIEWER, api_routes_list, NULL },
    { "PUT", "/api/routes/{scope}", API_ADMIN, api_routes_put, NULL },
    { "PUT", "/api/routes/{scope}/{name...}", API_ADMIN, api_routes_put, NULL },
    { "DELETE", "/api/routes/{scope}", API_ADMIN, api_routes_delete, NULL },
    { "DELETE", "/api/routes/{scope}/{name...}", API_ADMIN, api_routes_delete, NULL },
    { "GET", "/api/explain", API_VIEWER, api_explain_recorded, "id policy" },
    { "POST", "/api/explain", API_VIEWER, api_explain, NULL },
    { "GET", "/api/keys", API_VIEWER, api_keys_list, "project" },
    { "POST", "/api/keys", API_ADMIN, api_keys_make, NULL },
    { "GET", "/api/keys/{id}", API_VIEWER, api_keys_get, NULL },
    { "PATCH", "/api/keys/{id}", API_ADMIN, api_keys_change, NULL },
    { "DELETE", "/api/keys/{id}", API_ADMIN, api_keys_revoke, NULL },
    { "POST", "/api/keys/{id}/rotate", API_ADMIN, api_keys_rotate, NULL },
    { "GET", "/api/projects", API_VIEWER, api_projects_list, NULL },
    { "GET", "/api/projects/{name}", API_VIEWER, api_projects_get, NULL },
    { "PUT", "/api/projects/{name}", API_ADMIN, api_projects_put, NULL },
    { "GET", "/api/requests", API_VIEWER, api_requests_list,
      "from to key project target status class min_cost_usd tag session arm limit cursor" },
    { "GET", "/api/requests/{id}", API_VIEWER, api_requests_get, NULL },
    { "GET", "/api/usage", API_VIEWER, api_usage, "by by_day project name from to format" },
    { "GET", "/api/statements/{project}/{month}", API_VIEWER, api_statement, "format" },
    { "GET", "/api/caps", API_VIEWER, api_caps, "scope name" },
};
const size_t api_n_routes = sizeof api_routes / sizeof *api_routes;

static const struct {
    const char *name;
    int status;
} codes[API_CODES] = {
    [API_INVALID_REQUEST] = { "invalid_request", 400 },
    [API_INVALID_TOKEN] = { "invalid_api_key", 401 },
    [API_PERMISSION_DENIED] = { "permission_denied", 403 },
    [API_NOT_FOUND] = { "not_found", 404 },
    [API_METHOD_NOT_ALLOWED] = { "method_not_allowed", 405 },
    [API_CONFLICT] = { "conflict", 409 },
    [API_MANAGED_BY_FILE] = { "managed_by_file", 409 },
    [API_REQUEST_TOO_LARGE] = { "request_too_large", 413 },
    [API_INVALID_CONFIGURATION] = { "invalid_configuration", 422 },
    [API_INVALID_POLICY] = { "invalid_policy", 422 },
    [API_SPECS_FAILED] = { "specs_failed", 422 },
    [API_REPLAY_FAILED] = { "replay_failed", 422 },
    [API_TIMEOUT] = { "timeout", 408 },
    [API_INTERNAL] = { "internal", 500 },
    [API_NOT_AVAILABLE] = { "not_available", 501 },
    [API_OVERLOADED] = { "overloaded", 503 },
};

static const char JSON_TYPE[] = "application/json";
static const char NO_TOKEN[] =
    "The admin side wants Authorization: Bearer TOKEN; the token is in the file admin.token of the "
    "state folder, unless PERILUNE_ADMIN_TOKEN says it.";

enum { SHOWN_MAX = 100, FIELDS_MAX = 32 };

const char *api_code_name(enum api_code code) {
    return codes[code].name;
}

/* ---- answering ---- */

enum { HEADERS = 3 }; /* of every answer; room for one more */

static void set_headers(struct pair headers[HEADERS + 1], const char *type) {
    headers[0] = (struct pair){ SPAN("content-type"), span_of(type) };
    headers[1] = (struct pair){ SPAN("cache-control"), SPAN("no-store") };
    headers[2] = (struct pair){ SPAN("x-content-type-options"), SPAN("nosniff") };
}

static void write_out(struct conn *c, int status, const char *type, struct span body,
                      struct span allow) {
    struct pair headers[HEADERS + 1];
    set_headers(headers, type);
    headers[HEADERS] = (struct pair){ SPAN("allow"), allow };
    conn_reply(c, status, headers, allow.at ? HEADERS + 1 : HEADERS, body);
}

static void on_gone(void *user) {
    ((struct api_call *)user)->conn = NULL;
}

static const struct conn_user call_events = { .on_gone = on_gone };

/* The call lies in its message's memory. */
static void end(struct api_call *call) {
    *call->at = call->next;
    if (call->next)
        call->next->at = call->at;
    http_message_free(call->message);
}

static void reply(struct api_call *call, int status, const char *type, struct span body,
                  struct span allow) {
    if (call->conn)
        write_out(call->conn, status, type, body, allow);
    end(call);
}

void api_reply(struct api_call *call, int status, struct span json) {
    reply(call, status, JSON_TYPE, json, SPAN_NONE);
}

void api_reply_as(struct api_call *call, const char *type, struct span body) {
    reply(call, 200, type, body, SPAN_NONE);
}

struct conn *api_stream(struct api_call *call, const char *type, const struct conn_user *events,
                        void *user) {
    struct conn *c = call->conn;
    struct pair headers[HEADERS + 1];
    bool is_head = span_eq(call->method, SPAN("HEAD"));
    set_headers(headers, type);
    if (c)
        conn_start(c, 200, headers, HEADERS);
    if (c && is_head)
        conn_finish(c);
    else if (c)
        conn_attach(c, events, user);
    end(call);
    return is_head ? NULL : c;
}

static void write_error(enum api_code code, const char *param, struct span message,
                        struct span members, struct buf *out) {
    buf_printf(out, "{\"error\":{\"code\":\"%s\",\"message\":", codes[code].name);
    buf_add_json(out, message);
    buf_add(out, SPAN(",\"param\":"));
    if (param)
        buf_add_json(out, span_of(param));
    else
        buf_add(out, SPAN("null"));
    buf_printf(out, "}%s%.*s}", members.len ? "," : "", SPAN_ARGS(members));
}

static void fail(struct api_call *call, enum api_code code, const char *param, struct span message,
                 struct span members, struct span allow) {
    struct buf body = { 0 }, clean = { 0 };
    write_error(code, param, message, members, &body);
    /* Messages say back what was wrong, and that may be a key in the wrong place. */
    bool held_keys = redact_keys(&clean, buf_span(&body));
    reply(call, codes[code].status, JSON_TYPE, buf_span(held_keys ? &clean : &body), allow);
    buf_deinit(&clean);
    buf_deinit(&body);
}

void api_fail(struct api_call *call, enum api_code code, const char *param, const char *format,
              ...) {
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    fail(call, code, param, span_of(message), SPAN_NONE, SPAN_NONE);
}

void api_fail_with(struct api_call *call, enum api_code code, const char *message,
                   struct span members) {
    fail(call, code, NULL, span_of(message), members, SPAN_NONE);
}

static enum api_code code_of_status(int status) {
    switch (status) {
    case 405:
    case 501:
        return API_METHOD_NOT_ALLOWED;
    case 408:
        return API_TIMEOUT;
    case 413:
    case 431:
        return API_REQUEST_TOO_LARGE;
    case 503:
        return API_OVERLOADED;
    default:
        return API_INVALID_REQUEST;
    }
}

static void refuse(struct conn *c, int status, enum api_code code, const char *why) {
    struct buf body = { 0 };
    write_error(code, NULL, span_of(why), SPAN_NONE, &body);
    write_out(c, status, JSON_TYPE, buf_span(&body), SPAN_NONE);
    buf_deinit(&body);
}

void api_refuse(struct conn *c, int status, const char *why) {
    refuse(c, status, code_of_status(status), why);
}

/* ---- reading ---- */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Without its %xx (and, in a query, with spaces for its plus signs). What is no such thing stays as
 * it is. */
static struct span decode(struct span s, bool query, struct arena *arena) {
    char *out = arena_alloc(arena, s.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        int high = i + 2 < s.len && s.at[i] == '%' ? hex_digit(s.at[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(s.at[i + 2]) : -1;
        out[n++] = low >= 0 ? (char)(16 * high + low) : query && s.at[i] == '+' ? ' ' : s.at[i];
        i += low >= 0 ? 2 : 0;
    }
    out[n] = '\0';
    return (struct span){ out, n };
}

/* The next one of a query, decoded. */
static bool next_parameter(struct api_call *call, struct span *rest, struct pair *p) {
    struct span part = SPAN_NONE;
    while (!part.len)
        if (!span_split(rest, '&', &part))
            return false;
    size_t equals = span_find(part, '=');
    p->name = decode(span_sub(part, 0, equals), true, call->arena);
    p->value = decode(span_sub(part, equals + 1, part.len), true, call->arena);
    return true;
}

struct span api_query(struct api_call *call, const char *name) {
    struct span rest = call->query, value;
    struct pair p;
    for (value = SPAN_NONE; !value.at && next_parameter(call, &rest, &p);)
        if (span_eq(p.name, span_of(name)))
            value = p.value;
    return value;
}

/* "replay.log" of "replay" and "log". */
static const char *path_of(struct api_call *call, const char *under, struct span name) {
    name = utf8_cut(name, SHOWN_MAX);
    return under ? arena_printf(call->arena, "%s.%.*s", under, SPAN_ARGS(name)).at
                 : arena_copy(call->arena, name).at;
}

/* Says what there is instead of a name that is not. `known`: all, with a space between. */
static bool unknown(struct api_call *call, const char *what, const char *param, struct span name,
                    struct span known) {
    struct span rest = known, word, near = SPAN_NONE;
    struct buf all = { 0 };
    unsigned least = 3;
    while (span_split(&rest, ' ', &word)) {
        unsigned distance = span_distance(name, word);
        if (distance < least)
            least = distance, near = word;
        buf_printf(&all, "%s%.*s", all.len ? ", " : "", SPAN_ARGS(word));
    }
    if (near.at)
        api_fail(call, API_INVALID_REQUEST, param,
                 "There is no %s of that name; did you mean \"%.*s\"?", what, SPAN_ARGS(near));
    else
        api_fail(call, API_INVALID_REQUEST, param, "There is no %s of that name; there are: %.*s.",
                 what, SPAN_ARGS(all.len ? buf_span(&all) : SPAN("none")));
    buf_deinit(&all);
    return false;
}

static bool unknown_field(struct api_call *call, const char *under, struct span name,
                          const struct api_field *fields, size_t n) {
    struct buf known = { 0 };
    for (size_t i = 0; i < n; i++)
        buf_printf(&known, "%s%s", i ? " " : "", fields[i].name);
    unknown(call, "field", path_of(call, under, name), name, buf_span(&known));
    buf_deinit(&known);
    return false;
}

/* Whether the query has each of these names once at most, and no others. */
static bool fits_query(struct api_call *call, const char *known) {
    struct span rest = call->query;
    struct pair p;
    while (next_parameter(call, &rest, &p)) {
        struct span words = span_of(known), word, others = rest;
        bool found = false;
        while (!found && span_split(&words, ' ', &word))
            found = span_eq(p.name, word);
        if (!found)
            return unknown(call, "parameter", path_of(call, NULL, p.name), p.name, span_of(known));
        for (struct pair other; next_parameter(call, &others, &other);)
            if (span_eq(other.name, p.name)) {
                api_fail(call, API_INVALID_REQUEST, path_of(call, NULL, p.name),
                         "It stands there twice.");
                return false;
            }
    }
    return true;
}

static const char *type_name(enum json_type type) {
    static const char *const names[] = { [JSON_BOOL] = "true or false",
                                         [JSON_NUMBER] = "a number",
                                         [JSON_STRING] = "a text",
                                         [JSON_ARRAY] = "a list",
                                         [JSON_OBJECT] = "an object" };
    return names[type];
}

static void take_value(struct api_call *call, const struct api_field *field,
                       struct json_value value) {
    if (field->type == JSON_STRING)
        *(struct span *)field->value = arena_copy(call->arena, json_text(value));
    else if (field->type == JSON_BOOL)
        *(bool *)field->value = json_true(value);
    else if (field->type == JSON_NUMBER)
        *(double *)field->value = json_number(value, 0);
    else
        *(struct json_value *)field->value = value;
}

static bool read_member(struct api_call *call, const char *under, const struct json_iter *member,
                        const struct api_field *fields, size_t n, bool *seen) {
    size_t i = 0;
    while (i < n && !span_eq(member->key, span_of(fields[i].name)))
        i++;
    if (i == n)
        return unknown_field(call, under, member->key, fields, n);
    enum json_type type = json_type(member->value);
    if (seen[i] || (type != JSON_NULL && type != fields[i].type)) {
        api_fail(call, API_INVALID_REQUEST, path_of(call, under, member->key), "%s%s.",
                 seen[i] ? "It stands there twice" : "Expected ",
                 seen[i] ? "" : type_name(fields[i].type));
        return false;
    }
    seen[i] = type != JSON_NULL;
    if (seen[i])
        take_value(call, &fields[i], member->value);
    return true;
}

bool api_fields_of(struct api_call *call, struct json_value object, const char *under,
                   const struct api_field *fields, size_t n) {
    bool seen[FIELDS_MAX] = { false };
    for (struct json_iter it = json_iter(object); json_next(&it);)
        if (!read_member(call, under, &it, fields, n, seen))
            return false;
    for (size_t i = 0; i < n; i++)
        if (fields[i].needed && !seen[i]) {
            api_fail(call, API_INVALID_REQUEST, path_of(call, under, span_of(fields[i].name)),
                     "It is missing: %s.", type_name(fields[i].type));
            return false;
        }
    return true;
}

bool api_fields(struct api_call *call, const struct api_field *fields, size_t n) {
    struct json_value root;
    struct span body = call->body.len ? call->body : SPAN("{}");
    int error = json_parse(call->admin->parser, body, &root);
    if (error == JSON_OK && json_type(root) == JSON_OBJECT)
        return api_fields_of(call, root, NULL, fields, n);
    api_fail(call, API_INVALID_REQUEST, NULL, "%s",
             error == JSON_TOO_DEEP ? "The body is nested too deeply."
             : error != JSON_OK     ? "The body is not JSON in UTF-8."
                                    : "The body is no JSON object.");
    return false;
}

/* ---- finding the route ---- */

/* Whether a path is of that pattern; `parts` are what its {names} stand for. */
static bool matches(const char *pattern, struct span path, struct arena *arena,
                    struct span parts[API_PARTS]) {
    struct span left = span_of(pattern);
    size_t n = 0;
    while (left.len) {
        if (*left.at != '{') {
            if (!path.len || *path.at != *left.at)
                return false;
            left = span_sub(left, 1, left.len);
            path = span_sub(path, 1, path.len);
            continue;
        }
        size_t close = span_find(left, '}');
        bool rest = span_ends(span_sub(left, 0, close), SPAN("..."));
        size_t len = rest ? path.len : span_find(path, '/');
        if (!len)
            return false;
        parts[n++] = decode(span_sub(path, 0, len), false, arena);
        left = span_sub(left, close + 1, left.len);
        path = span_sub(path, len, path.len);
    }
    return path.len == 0;
}

static bool takes(const struct api_route *route, struct span method) {
    return span_eq(method, span_of(route->method)) ||
           (span_eq(method, SPAN("HEAD")) && span_eq(span_of(route->method), SPAN("GET")));
}

/* What other methods there are for a path that has some. */
static void wrong_method(struct api_call *call) {
    struct buf allow = { 0 }, message = { 0 };
    struct span parts[API_PARTS];
    for (size_t i = 0; i < api_n_routes; i++)
        if (matches(api_routes[i].pattern, call->path, call->arena, parts))
            buf_printf(&allow, "%s%s", allow.len ? ", " : "", api_routes[i].method);
    buf_printf(&message, "%.*s takes %.*s.", SPAN_ARGS(utf8_cut(call->path, SHOWN_MAX)),
               SPAN_ARGS(buf_span(&allow)));
    fail(call, API_METHOD_NOT_ALLOWED, NULL, buf_span(&message), SPAN_NONE, buf_span(&allow));
    buf_deinit(&allow);
    buf_deinit(&message);
}

static void unknown_path(struct api_call *call) {
    const char *near = "/api/status";
    unsigned least = 64;
    for (size_t i = 0; i < api_n_routes; i++) {
        unsigned distance = span_distance(call->path, span_of(api_routes[i].pattern));
        if (distance < least)
            least = distance, near = api_routes[i].pattern;
    }
    api_fail(call, API_NOT_FOUND, NULL, "The admin side has no such path; the nearest is %s.",
             near);
}

/* Both are compared, whichever it is. */
static enum api_role role_of(const struct admin *a, const struct http_message *m) {
    const struct span bearer = SPAN("bearer ");
    struct span given = http_header(m, SPAN("authorization"));
    if (given.len <= bearer.len || !span_eq_nocase(span_sub(given, 0, bearer.len), bearer))
        return API_ANYONE;
    given = span_sub(given, bearer.len, given.len);
    bool admin = crypto_equal(given, a->options->token);
    bool viewer = crypto_equal(given, a->options->viewer_token);
    return admin ? API_ADMIN : viewer ? API_VIEWER : API_ANYONE;
}

/* The route of a call; NULL when there is none, and then `*other` says whether another method has
 * one. */
static const struct api_route *find(struct api_call *call, bool *other) {
    *other = false;
    for (size_t i = 0; i < api_n_routes; i++) {
        if (!matches(api_routes[i].pattern, call->path, call->arena, call->parts))
            continue;
        if (takes(&api_routes[i], call->method))
            return &api_routes[i];
        *other = true;
    }
    return NULL;
}

static struct api_call *open_call(struct admin *a, struct conn *c, struct http_message *m) {
    struct api_call *call = arena_new(&m->arena, struct api_call);
    *call = (struct api_call){
        .admin = a,
        .arena = &m->arena,
        .method = m->method,
        .path = m->path,
        .query = m->query,
        .body = buf_span(&m->body),
        .conn = c,
        .message = m,
        .next = a->calls,
        .at = &a->calls,
    };
    if (call->next)
        call->next->at = &call->next;
    a->calls = call;
    conn_attach(c, &call_events, call);
    return call;
}

bool api_welcomes(struct admin *a, struct conn *c, const struct http_message *m) {
    if (!m->content_length || role_of(a, m) > API_ANYONE)
        return true;
    refuse(c, codes[API_INVALID_TOKEN].status, API_INVALID_TOKEN, NO_TOKEN);
    return false;
}

void api_serve(struct admin *a, struct conn *c, struct http_message *m) {
    bool other;
    struct api_call *call = open_call(a, c, m);
    const struct api_route *route = find(call, &other);
    enum api_role needed = route ? route->role : API_VIEWER;
    call->role = role_of(a, m);
    /* Who has no token does not learn which paths there are. */
    if (call->role < needed && call->role == API_ANYONE)
        api_fail(call, API_INVALID_TOKEN, NULL, "%s", NO_TOKEN);
    else if (call->role < needed)
        api_fail(call, API_PERMISSION_DENIED, NULL,
                 "A viewer may not do that: it wants the token "
                 "of the admin.");
    else if (route && fits_query(call, route->query))
        route->handler(call);
    else if (!route && other)
        wrong_method(call);
    else if (!route)
        unknown_path(call);
}

void api_close(struct admin *a) {
    while (a->calls)
        end(a->calls);
}
