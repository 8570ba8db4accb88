#include "route/wire.h"
#include "base/utf8.h"

#include <strings.h>

enum { PAGE_MAX = 65536 }; /* bytes of an error page that are looked at */

const struct wire *wire_of(enum dialect d) {
    static const struct wire *const wires[DIALECT_COUNT] = {
        [DIALECT_OPENAI_CHAT] = &wire_openai_chat,
    };
    return (unsigned)d < DIALECT_COUNT ? wires[d] : NULL;
}

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
 * {detail: [{msg}]}, {error: "text"}. */
static struct span message_of(struct json_value object) {
    static const char *const keys[] = { "message", "msg", "detail", "error", "error_msg" };
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

static struct json_value first_of(struct json_value v) {
    struct json_iter it = json_iter(v);
    return json_type(v) == JSON_ARRAY && json_next(&it) ? it.value : v;
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
    error->type = code_of(object, "type", arena);
    if (!error->type.at)
        error->type = code_of(object, "status", arena);
}

void wire_read_error_value(struct json_value v, struct arena *arena, struct wire_error *error) {
    *error = (struct wire_error){ 0 };
    v = first_of(v);
    if (json_type(v) == JSON_STRING) {
        error->message = clean(json_text(v), WIRE_MESSAGE_MAX, arena);
        return;
    }
    struct json_value inner = first_of(json_get(v, "error"));
    if (json_type(inner) != JSON_OBJECT)
        inner = first_of(json_get(v, "errors"));
    read_object(json_type(inner) == JSON_OBJECT ? inner : v, arena, error);
    /* Some tell the class beside the error, not in it. */
    if (!error->code.at)
        error->code = code_of(v, "code", arena);
    if (!error->type.at)
        error->type = code_of(v, "type", arena);
    if (!error->message.at && json_type(inner) == JSON_STRING)
        error->message = clean(json_text(inner), WIRE_MESSAGE_MAX, arena);
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
    SECRET_PART_MIN = 6,   /* bytes of a secret that already say too much */
    HEADER_SECRET_MIN = 12 /* shorter values of headers are versions and names */
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

struct span wire_mask_text(const struct provider *provider, struct arena *arena, struct span text) {
    for (size_t i = 0; i < provider->n_keys && text.len; i++) {
        struct span secret = provider->keys[i].secret;
        if (secret.len)
            text = mask_one(text, secret, arena);
    }
    /* A configured header may be where the key is. */
    for (size_t i = 0; i < provider->n_headers && text.len; i++) {
        struct span line = provider->headers[i];
        struct span value = span_trim(span_sub(line, span_find(line, ':') + 1, line.len));
        if (value.len >= HEADER_SECRET_MIN)
            text = mask_one(text, value, arena);
    }
    return text;
}

void wire_mask(const struct provider *provider, struct arena *arena, struct wire_error *error) {
    error->message = wire_mask_text(provider, arena, error->message);
    error->code = wire_mask_text(provider, arena, error->code);
    error->type = wire_mask_text(provider, arena, error->type);
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
