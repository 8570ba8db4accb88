#include "route/wire.h"
#include "base/utf8.h"

#include <strings.h>

enum {
    PAGE_MAX = 65536, /* bytes of an error page that are looked at */
    RETRY_MAX_S = 1000000000
};

/* --- errors --- */

/* `text` as one line of at most `max` bytes; SPAN_NONE when nothing is left. */
static struct span clean(struct span text, size_t max, struct arena *arena) {
    if (text.len == 0)
        return SPAN_NONE;
    char *line = arena_alloc(arena, text.len < max / 3 ? text.len * 3 : max);
    size_t len = utf8_line(text, line, text.len < max / 3 ? text.len * 3 : max);
    return len ? (struct span){ line, len } : SPAN_NONE;
}

static struct span text_of(struct json_value object, const char *key) {
    struct span text = json_text(json_get(object, key));
    return text.len ? text : SPAN_NONE;
}

/* Codes are words here and numbers there. */
static struct span code_of(struct json_value object, const char *key, struct arena *arena) {
    struct json_value v = json_get(object, key);
    int64_t number;
    if (json_int(v, &number))
        return arena_printf(arena, "%lld", (long long)number);
    return clean(json_text(v), WIRE_CODE_MAX, arena);
}

/* The first text among the usual places of an error object: {message}, {msg}, {detail: "text"},
 * {detail: [{msg}]}, {error_description} (RFC 6749, section 5.2), {error: "text"}. */
static struct span message_of(struct json_value object) {
    static const char *const keys[] = { "message",           "Message", "msg",      "detail",
                                        "error_description", "error",   "error_msg" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct span text = text_of(object, keys[i]);
        if (text.at)
            return text;
    }
    struct json_value detail = json_get(object, "detail");
    struct json_iter it = json_iter(detail);
    if (json_type(detail) == JSON_ARRAY && json_next(&it))
        detail = it.value;
    if (json_type(detail) == JSON_STRING)
        return json_text(detail);
    struct span text = text_of(detail, "msg");
    return text.at ? text : text_of(detail, "message");
}

/* Some wrap an error in a list. */
static struct json_value unwrapped(struct json_value v) {
    struct json_value first = wire_first(v);
    return json_type(first) != JSON_ABSENT ? first : v;
}

/* When to come back, as Google says it: among the details, {"@type": ".../google.rpc.RetryInfo",
 * "retryDelay": "1.5s"}. */
static int64_t retry_of(struct json_value object) {
    struct json_value details = json_get(object, "details");
    if (json_type(details) != JSON_ARRAY)
        return 0;
    for (struct json_iter it = json_iter(details); json_next(&it);) {
        struct span delay = json_text(json_get(it.value, "retryDelay"));
        double s;
        if (!span_ends(json_text(json_get(it.value, "@type")), SPAN("google.rpc.RetryInfo")) ||
            !span_ends(delay, SPAN("s")) || !span_double(span_sub(delay, 0, delay.len - 1), &s))
            continue;
        return s > 0 && s < RETRY_MAX_S ? (int64_t)(s * 1000) : 0;
    }
    return 0;
}

/* The name of an exception of Amazon's: what stands behind the name space in
 * "com.amazon.coral.service#ThrottlingException". */
static struct span exception_of(struct json_value object, struct arena *arena) {
    struct span type = code_of(object, "__type", arena);
    size_t hash = span_find(type, '#');
    return hash < type.len ? span_sub(type, hash + 1, type.len) : type;
}

static void read_object(struct json_value object, struct arena *arena, struct wire_error *error) {
    struct span message = message_of(object);
    /* A reseller puts what the real provider said beside its own general words. */
    struct span raw = text_of(json_get(object, "metadata"), "raw");
    if (raw.at && message.at)
        message = arena_printf(arena, "%.*s: %.*s", SPAN_ARGS(utf8_cut(message, WIRE_MESSAGE_MAX)),
                               SPAN_ARGS(utf8_cut(raw, WIRE_MESSAGE_MAX)));
    error->message = clean(message.at ? message : raw, WIRE_MESSAGE_MAX, arena);
    error->code = code_of(object, "code", arena);
    /* Anthropic's codes, where there is one beside the type. */
    if (!error->code.at)
        error->code = code_of(json_get(object, "details"), "error_code", arena);
    error->type = code_of(object, "type", arena);
    if (!error->type.at)
        error->type = code_of(object, "status", arena);
    error->retry_after_ms = retry_of(object);
}

void wire_read_error_value(struct json_value v, struct arena *arena, struct wire_error *error) {
    *error = (struct wire_error){ 0 };
    v = unwrapped(v);
    if (json_type(v) == JSON_STRING) {
        error->message = clean(json_text(v), WIRE_MESSAGE_MAX, arena);
        return;
    }
    struct json_value inner = unwrapped(json_get(v, "error"));
    if (json_type(inner) != JSON_OBJECT)
        inner = unwrapped(json_get(v, "errors"));
    read_object(json_type(inner) == JSON_OBJECT ? inner : v, arena, error);
    /* Some tell the class beside the error, not in it. The word "error" is the kind of document. */
    bool typed = span_eq(json_text(json_get(v, "type")), SPAN("error"));
    if (!error->code.at)
        error->code = code_of(v, "code", arena);
    if (typed && json_type(inner) != JSON_OBJECT)
        error->type = SPAN_NONE;
    else if (!error->type.at && !typed)
        error->type = code_of(v, "type", arena);
    if (!error->type.at)
        error->type = exception_of(v, arena);
    /* Anthropic's types are what others call codes. */
    if (typed && !error->code.at)
        error->code = error->type;
    if (!error->message.at && json_type(inner) == JSON_STRING)
        error->message = clean(json_text(inner), WIRE_MESSAGE_MAX, arena);
}

/* What the official clients take for one: any `error` that is true to them. */
static bool is_truthy(struct json_value v) {
    switch (json_type(v)) {
    case JSON_ABSENT:
    case JSON_NULL:
        return false;
    case JSON_BOOL:
        return json_true(v);
    case JSON_NUMBER:
        return json_number(v, 0) != 0;
    case JSON_STRING:
        return json_text(v).len > 0;
    default:
        return true;
    }
}

/* A text with something in it, or a list or object of something. */
static bool is_filled(struct json_value v) {
    return json_text(v).len > 0 || json_count(v) > 0;
}

static bool is_error(const struct json_value *at, size_t n) {
    if (is_truthy(at[WIRE_AT_ERROR]) || span_eq(json_text(at[WIRE_AT_OBJECT]), SPAN("error")))
        return true;
    if (n > WIRE_AT_OWN && json_type(at[WIRE_AT_OWN]) != JSON_ABSENT)
        return false;
    return json_text(at[WIRE_AT_MESSAGE]).len || is_filled(at[WIRE_AT_DETAIL]) ||
           is_filled(at[WIRE_AT_ERRORS]);
}

/* --- pages --- */

/* The place of `needle` in `text`, ASCII case ignored, or text.len. */
static size_t find_nocase(struct span text, struct span needle) {
    for (size_t i = 0; needle.len <= text.len && i <= text.len - needle.len; i++)
        if (strncasecmp(text.at + i, needle.at, needle.len) == 0)
            return i;
    return text.len;
}

/* What stands between <title> and </title>; SPAN_NONE without one. */
static struct span title_of(struct span page) {
    struct span rest = span_sub(page, find_nocase(page, SPAN("<title")), page.len);
    size_t open = span_find(rest, '>');
    if (open == rest.len)
        return SPAN_NONE;
    rest = span_sub(rest, open + 1, rest.len);
    return span_sub(rest, 0, span_find(rest, '<'));
}

/* The text of a page: its title, or all of it without its tags. */
static struct span page_text(struct span page, struct arena *arena) {
    struct span title = title_of(page);
    if (span_trim(title).len)
        return title;
    char *text = arena_alloc(arena, page.len);
    size_t len = 0;
    bool in_tag = false;
    for (size_t i = 0; i < page.len; i++) {
        char c = page.at[i];
        if (c == '<' || in_tag) {
            in_tag = c != '>';
            c = ' ';
        }
        text[len++] = c;
    }
    return (struct span){ text, len };
}

static bool is_page(struct span text) {
    while (text.len && strchr(" \t\r\n", text.at[0]))
        text = span_sub(text, 1, text.len);
    return text.len && text.at[0] == '<';
}

void wire_read_error(struct json_parser *p, struct span body, struct arena *arena,
                     struct wire_error *error) {
    struct json_value root;
    if (json_parse(p, body, &root) == 0) {
        wire_read_error_value(root, arena, error);
        return;
    }
    *error = (struct wire_error){ 0 };
    body = span_sub(body, 0, PAGE_MAX);
    error->message = clean(is_page(body) ? page_text(body, arena) : body, WIRE_MESSAGE_MAX, arena);
}

/* --- secrets --- */

enum {
    SECRET_PART_MIN = 6,    /* bytes of a secret that already say too much */
    HEADER_SECRET_MIN = 12, /* shorter values of headers are versions and names */
    KEY_LINE_MIN = 24       /* of base64 in a service account: its words are shorter */
};

/* How many bytes at the end of `text` begin the secret: where a message was cut, it may have been
 * within one. */
static size_t begun_at_end(struct span text, struct span secret) {
    size_t n = secret.len < text.len ? secret.len : text.len;
    while (n >= SECRET_PART_MIN && memcmp(text.at + text.len - n, secret.at, n) != 0)
        n--;
    return n >= SECRET_PART_MIN ? n : 0;
}

/* Every occurrence of one secret, whole or cut off by the text's end, becomes three stars. */
static struct span mask_one(struct span text, struct span secret, struct arena *arena) {
    struct buf masked = { 0 };
    const char *found;
    while (text.len >= secret.len && (found = memmem(text.at, text.len, secret.at, secret.len))) {
        size_t before = (size_t)(found - text.at);
        buf_append(&masked, text.at, before);
        buf_append(&masked, "***", 3);
        text = span_sub(text, before + secret.len, text.len);
    }
    size_t begun = begun_at_end(text, secret);
    buf_append(&masked, text.at, text.len - begun);
    if (begun)
        buf_append(&masked, "***", 3);
    struct span kept = arena_copy(arena, buf_span(&masked));
    buf_deinit(&masked);
    return kept;
}

static bool is_base64(struct span s) {
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') &&
            !memchr("+/=", c, 3))
            return false;
    }
    return true;
}

/* The next line of the private key, or its id, in the JSON of a service account: what is long and
 * base64 between its quotes and escapes. */
static bool next_line(struct span *rest, struct span *line) {
    while (rest->len) {
        size_t n = 0;
        while (n < rest->len && !memchr("\"\\ \n", rest->at[n], 4))
            n++;
        *line = span_sub(*rest, 0, n);
        /* Behind a backslash stands what it escapes. */
        *rest = span_sub(*rest, n + (n < rest->len && rest->at[n] == '\\' ? 2 : 1), rest->len);
        if (line->len >= KEY_LINE_MIN && is_base64(*line))
            return true;
    }
    return false;
}

/* A key, and where it has parts each of them: they are told apart on the way up. */
static struct span mask_key(enum auth auth, struct span secret, struct span text,
                            struct arena *arena) {
    struct span rest = secret, part;
    if (secret.len)
        text = mask_one(text, secret, arena);
    while (auth == AUTH_AWS_SIGV4 && span_split(&rest, ':', &part))
        if (part.len >= SECRET_PART_MIN)
            text = mask_one(text, part, arena);
    while (auth == AUTH_GOOGLE_JWT && next_line(&rest, &part))
        text = mask_one(text, part, arena);
    return text;
}

struct span wire_mask_text(struct wire_secrets secrets, struct arena *arena, struct span text) {
    const struct provider *provider = secrets.provider;
    for (size_t i = 0; i < provider->n_keys && text.len; i++)
        text = mask_key(provider->auth, provider->keys[i].secret, text, arena);
    /* A configured header may be where the key is. */
    for (size_t i = 0; i < provider->n_headers && text.len; i++) {
        struct span line = provider->headers[i];
        struct span value = span_trim(span_sub(line, span_find(line, ':') + 1, line.len));
        if (value.len >= HEADER_SECRET_MIN)
            text = mask_one(text, value, arena);
    }
    return secrets.more.len && text.len ? mask_one(text, secrets.more, arena) : text;
}

void wire_mask(struct wire_secrets secrets, struct arena *arena, struct wire_error *error) {
    error->message = wire_mask_text(secrets, arena, error->message);
    error->code = wire_mask_text(secrets, arena, error->code);
    error->type = wire_mask_text(secrets, arena, error->type);
}

/* --- classes --- */

static bool is_status(uint64_t n) {
    return n >= 400 && n <= 599;
}

/* Inside an answer of status 200 nobody said a status: then a rule's words decide alone. */
static bool status_fits(const struct failure_rule *rule, int status) {
    bool has_words = rule->code.at || rule->text.at;
    return rule->status_to == 0 || (status >= rule->status_from && status <= rule->status_to) ||
           (has_words && status >= 200 && status < 300);
}

static bool fits(const struct failure_rule *rule, int status, const struct wire_error *error) {
    if (!status_fits(rule, status))
        return false;
    if (rule->code.at && !span_eq(rule->code, error->code) && !span_eq(rule->code, error->type))
        return false;
    return !rule->text.at ||
           (error->message.at && find_nocase(error->message, rule->text) < error->message.len);
}

static enum failure class_of_status(int status) {
    switch (status) {
    case 401:
    case 403:
        return FAILURE_AUTH;
    case 402:
        return FAILURE_QUOTA;
    case 404:
    case 410:
        return FAILURE_NOT_FOUND;
    case 408:
    case 504:
    case 524:
        return FAILURE_TIMEOUT;
    case 409:
    case 425:
        return FAILURE_SERVER_ERROR;
    case 413:
        return FAILURE_CONTEXT_LENGTH;
    case 429:
        return FAILURE_RATE_LIMITED;
    case 503:
    case 529:
        return FAILURE_OVERLOADED;
    default:
        break;
    }
    if (status >= 400 && status < 500)
        return FAILURE_BAD_REQUEST;
    /* An error inside an answer that claims success is the provider's trouble, unless its words say
     * otherwise. */
    return status >= 500 || (status >= 200 && status < 300) ? FAILURE_SERVER_ERROR
                                                            : FAILURE_BAD_RESPONSE;
}

enum failure wire_classify(const struct failure_rule *rules, size_t n, int status,
                           const struct wire_error *error) {
    uint64_t code;
    if (status >= 200 && status < 300 && span_uint(error->code, &code) && is_status(code))
        status = (int)code;
    for (size_t i = 0; i < n; i++)
        if (fits(&rules[i], status, error) && rules[i].class != FAILURE_NONE)
            return rules[i].class;
    return class_of_status(status);
}

/* --- usage --- */

static void keep(int64_t *figure, int64_t said) {
    if (said >= 0)
        *figure = said;
}

void wire_usage_merge(struct wire_usage *known, const struct wire_usage *said) {
    keep(&known->input, said->input);
    keep(&known->output, said->output);
    keep(&known->cached, said->cached);
    keep(&known->written, said->written);
    keep(&known->reasoning, said->reasoning);
    keep(&known->fresh, said->fresh);
    if (known->fresh < 0)
        return;
    known->input = known->fresh;
    if (known->cached > 0)
        known->input += known->cached;
    if (known->written > 0)
        known->input += known->written;
}

/* --- for the readers of dialects --- */

bool wire_among(struct span word, const struct span *list) {
    for (; list->at; list++)
        if (list->len == word.len && span_eq(word, *list))
            return true;
    return false;
}

int64_t wire_count(struct json_value object, const char *key) {
    int64_t n;
    return json_int(json_get(object, key), &n) && n >= 0 ? n : -1;
}

/* What it takes to write a value, nearly: numbers are as long as most are, nothing is escaped. */
static uint64_t weight(struct json_value v) {
    enum json_type type = json_type(v);
    uint64_t n = 1; /* of two brackets; the last member has no comma */
    if (type == JSON_STRING)
        return json_text(v).len + 2;
    if (type != JSON_OBJECT && type != JSON_ARRAY)
        return 4;
    for (struct json_iter it = json_iter(v); json_next(&it);)
        n += weight(it.value) + (it.key.at ? it.key.len + 4 : 1);
    return n;
}

uint64_t wire_input(struct json_value v) {
    return json_count(v) ? weight(v) : json_text(v).len;
}

struct json_value wire_first(struct json_value list) {
    struct json_iter it = json_iter(list);
    return json_type(list) == JSON_ARRAY && json_next(&it) ? it.value : (struct json_value){ 0 };
}

bool wire_begin(struct json_parser *p, struct span text, const struct span *names,
                struct json_value *at, size_t n, struct arena *arena, struct wire_seen *seen) {
    struct json_value root;
    *seen = (struct wire_seen){ .kind = WIRE_MALFORMED, .usage = WIRE_USAGE_UNKNOWN };
    if (json_parse(p, text, &root) != JSON_OK)
        return false;
    json_pick(unwrapped(root), names, at, n);
    if (is_error(at, n)) {
        seen->kind = WIRE_ERROR;
        wire_read_error_value(root, arena, &seen->error);
        return false;
    }
    if (json_type(root) != JSON_OBJECT)
        return false;
    seen->kind = WIRE_OK;
    return true;
}

void wire_answer_model(struct json_parser *p, struct json_value model, struct wire_seen *seen) {
    struct span name = json_text(model);
    if (name.len) {
        seen->model = name;
        return;
    }
    seen->model_place.name = SPAN("model");
    json_locate(p, NULL, &seen->model_place, 1);
}

void wire_error_event(struct json_parser *p, struct span name, struct span data,
                      struct arena *arena, struct wire_seen *seen) {
    static const struct span names[] = { WIRE_AT_NAMES };
    struct json_value at[WIRE_AT_OWN];
    if (wire_begin(p, data, names, at, WIRE_AT_OWN, arena, seen))
        seen->kind = WIRE_MALFORMED;
}

/* --- dialects --- */

static void read_error_answer(struct json_parser *p, struct span body, struct arena *arena,
                              struct wire_seen *seen) {
    wire_error_event(p, SPAN_NONE, body, arena, seen);
}

/* Of dialects that never pass through: somebody asked for a stream and got something else. */
static const struct wire translated = { .read_event = wire_error_event,
                                        .read_answer = read_error_answer };

const struct wire *wire_of(enum dialect d) {
    static const struct wire *const wires[DIALECT_COUNT] = {
        [DIALECT_OPENAI_CHAT] = &wire_openai_chat,
        [DIALECT_OPENAI_RESPONSES] = &wire_openai_responses,
        [DIALECT_ANTHROPIC_MESSAGES] = &wire_anthropic_messages,
        [DIALECT_GEMINI] = &translated,
        [DIALECT_BEDROCK_CONVERSE] = &translated,
        [DIALECT_OPENAI_COMPLETIONS] = &wire_openai_completions,
        [DIALECT_OPENAI_EMBEDDINGS] = &wire_openai_embeddings,
    };
    return (unsigned)d < DIALECT_COUNT ? wires[d] : NULL;
}
