#include "route/body.h"
#include "base/ability.h"
#include "base/utf8.h"

#include <math.h>

enum {
    MODEL_MAX = 256,         /* bytes of a model's name */
    MODELS_MAX = 64,         /* names in `models` */
    OUTPUT_GUESS = 512,      /* tokens of an answer nobody bounded */
    IMAGE_TOKENS = 1000,     /* of one picture: between what low and high detail cost */
    MESSAGE_TOKENS = 4,      /* around each message */
    BYTES_A_TOKEN = 4,       /* of text */
    FILE_BYTES_A_TOKEN = 64, /* of base64, much of which is pictures and fonts */
};

/* The fields of a request that are read or checked. A field that is in this list may stand in a
 * body only once. */
enum field {
    FIELD_MODEL,
    FIELD_MODELS,
    FIELD_ROUTE,
    FIELD_MESSAGES,
    FIELD_STREAM,
    FIELD_STREAM_OPTIONS,
    FIELD_MAX_TOKENS,
    FIELD_MAX_COMPLETION_TOKENS,
    FIELD_N,
    FIELD_TOOLS,
    FIELD_TOOL_CHOICE,
    FIELD_FUNCTIONS,
    FIELD_FUNCTION_CALL,
    FIELD_RESPONSE_FORMAT,
    FIELD_REASONING_EFFORT,
    FIELD_REASONING,
    FIELD_MODALITIES,
    FIELD_AUDIO,
    FIELD_USER,
    FIELD_SAFETY_IDENTIFIER,
    FIELD_METADATA,
    FIELD_PROMPT_CACHE_KEY,
    FIELD_TEMPERATURE,
    FIELD_TOP_P,
    FIELD_FREQUENCY_PENALTY,
    FIELD_PRESENCE_PENALTY,
    FIELD_LOGIT_BIAS,
    FIELD_LOGPROBS,
    FIELD_TOP_LOGPROBS,
    FIELD_PARALLEL_TOOL_CALLS,
    FIELD_PREDICTION,
    FIELD_SEED,
    FIELD_SERVICE_TIER,
    FIELD_STOP,
    FIELD_STORE,
    FIELD_VERBOSITY,
    FIELD_WEB_SEARCH_OPTIONS,
    FIELD_COUNT
};

/* What a field may hold; a null is nothing and always allowed. */
enum {
    IS_ANY = 0,
    IS_BOOL = 1 << 0,
    IS_NUMBER = 1 << 1,
    IS_INTEGER = 1 << 2,
    IS_POSITIVE = 1 << 3, /* an integer of 1 or more */
    IS_STRING = 1 << 4,
    IS_ARRAY = 1 << 5,
    IS_OBJECT = 1 << 6,
};

#define FIELD_NAME(text)                                                                           \
    { text, sizeof(text) - 1 }

static const struct {
    struct span name;
    unsigned is;
} fields[FIELD_COUNT] = {
    [FIELD_MODEL] = { FIELD_NAME("model"), IS_STRING },
    [FIELD_MODELS] = { FIELD_NAME("models"), IS_ARRAY },
    [FIELD_ROUTE] = { FIELD_NAME("route"), IS_ANY },
    [FIELD_MESSAGES] = { FIELD_NAME("messages"), IS_ARRAY },
    [FIELD_STREAM] = { FIELD_NAME("stream"), IS_BOOL },
    [FIELD_STREAM_OPTIONS] = { FIELD_NAME("stream_options"), IS_OBJECT },
    [FIELD_MAX_TOKENS] = { FIELD_NAME("max_tokens"), IS_POSITIVE },
    [FIELD_MAX_COMPLETION_TOKENS] = { FIELD_NAME("max_completion_tokens"), IS_POSITIVE },
    [FIELD_N] = { FIELD_NAME("n"), IS_POSITIVE },
    [FIELD_TOOLS] = { FIELD_NAME("tools"), IS_ARRAY },
    [FIELD_TOOL_CHOICE] = { FIELD_NAME("tool_choice"), IS_STRING | IS_OBJECT },
    [FIELD_FUNCTIONS] = { FIELD_NAME("functions"), IS_ARRAY },
    [FIELD_FUNCTION_CALL] = { FIELD_NAME("function_call"), IS_STRING | IS_OBJECT },
    [FIELD_RESPONSE_FORMAT] = { FIELD_NAME("response_format"), IS_OBJECT },
    [FIELD_REASONING_EFFORT] = { FIELD_NAME("reasoning_effort"), IS_STRING },
    [FIELD_REASONING] = { FIELD_NAME("reasoning"), IS_ANY },
    [FIELD_MODALITIES] = { FIELD_NAME("modalities"), IS_ARRAY },
    [FIELD_AUDIO] = { FIELD_NAME("audio"), IS_OBJECT },
    [FIELD_USER] = { FIELD_NAME("user"), IS_STRING },
    [FIELD_SAFETY_IDENTIFIER] = { FIELD_NAME("safety_identifier"), IS_STRING },
    [FIELD_METADATA] = { FIELD_NAME("metadata"), IS_OBJECT },
    [FIELD_PROMPT_CACHE_KEY] = { FIELD_NAME("prompt_cache_key"), IS_STRING },
    [FIELD_TEMPERATURE] = { FIELD_NAME("temperature"), IS_NUMBER },
    [FIELD_TOP_P] = { FIELD_NAME("top_p"), IS_NUMBER },
    [FIELD_FREQUENCY_PENALTY] = { FIELD_NAME("frequency_penalty"), IS_NUMBER },
    [FIELD_PRESENCE_PENALTY] = { FIELD_NAME("presence_penalty"), IS_NUMBER },
    [FIELD_LOGIT_BIAS] = { FIELD_NAME("logit_bias"), IS_OBJECT },
    [FIELD_LOGPROBS] = { FIELD_NAME("logprobs"), IS_BOOL },
    [FIELD_TOP_LOGPROBS] = { FIELD_NAME("top_logprobs"), IS_INTEGER },
    [FIELD_PARALLEL_TOOL_CALLS] = { FIELD_NAME("parallel_tool_calls"), IS_BOOL },
    [FIELD_PREDICTION] = { FIELD_NAME("prediction"), IS_OBJECT },
    [FIELD_SEED] = { FIELD_NAME("seed"), IS_NUMBER },
    [FIELD_SERVICE_TIER] = { FIELD_NAME("service_tier"), IS_STRING },
    [FIELD_STOP] = { FIELD_NAME("stop"), IS_STRING | IS_ARRAY },
    [FIELD_STORE] = { FIELD_NAME("store"), IS_BOOL },
    [FIELD_VERBOSITY] = { FIELD_NAME("verbosity"), IS_STRING },
    [FIELD_WEB_SEARCH_OPTIONS] = { FIELD_NAME("web_search_options"), IS_OBJECT },
};

/* Everything one reading needs. */
struct reading {
    struct json_parser *parser;
    struct json_member at[FIELD_COUNT];
    struct facts *facts;
    struct arena *arena;
    struct body *body;
    struct api_error *error;
    uint64_t text_bytes;                       /* of everything a model reads as text */
    uint64_t more_tokens;                      /* of everything else */
    struct json_value last_user, first_system; /* contents */
};

/* --- refusing --- */

static bool refuse(struct reading *r, struct span param, struct span message) {
    *r->error = api_error(ERROR_INVALID_REQUEST, message);
    r->error->param = param;
    return false;
}

static bool refuse_field(struct reading *r, enum field f, const char *wanted) {
    struct span name = fields[f].name;
    return refuse(r, name, arena_printf(r->arena, "'%.*s' %s.", SPAN_ARGS(name), wanted));
}

/* A part of a list: messages[3].content. */
static bool refuse_item(struct reading *r, struct span list, size_t index, const char *member,
                        const char *wanted) {
    struct span param =
        arena_printf(r->arena, "%.*s[%zu]%s%s", SPAN_ARGS(list), index, *member ? "." : "", member);
    return refuse(r, param, arena_printf(r->arena, "'%.*s' %s.", SPAN_ARGS(param), wanted));
}

static bool refuse_text(struct reading *r, int error) {
    if (error == JSON_TOO_DEEP)
        return refuse(r, SPAN_NONE, SPAN("The body is nested more than 256 levels deep."));
    if (error == JSON_NOT_OBJECT)
        return refuse(r, SPAN_NONE, SPAN("The body must be a JSON object."));
    return refuse(r, SPAN_NONE, SPAN("The body is not valid JSON in UTF-8."));
}

/* --- fields --- */

static struct json_value value_of(const struct reading *r, enum field f) {
    struct json_value v = r->at[f].value;
    return json_type(v) == JSON_NULL ? (struct json_value){ 0 } : v;
}

static bool is_kind(struct json_value v, unsigned is) {
    int64_t n;
    switch (json_type(v)) {
    case JSON_BOOL:
        return is & IS_BOOL;
    case JSON_NUMBER:
        return (is & IS_NUMBER) || ((is & IS_INTEGER) && json_int(v, &n)) ||
               ((is & IS_POSITIVE) && json_int(v, &n) && n >= 1);
    case JSON_STRING:
        return is & IS_STRING;
    case JSON_ARRAY:
        return is & IS_ARRAY;
    case JSON_OBJECT:
        return is & IS_OBJECT;
    default:
        return true;
    }
}

static const char *wanted_of(unsigned is) {
    switch (is) {
    case IS_BOOL:
        return "must be true or false";
    case IS_NUMBER:
        return "must be a number";
    case IS_INTEGER:
        return "must be a whole number";
    case IS_POSITIVE:
        return "must be a whole number of 1 or more";
    case IS_STRING:
        return "must be a string";
    case IS_ARRAY:
        return "must be an array";
    case IS_STRING | IS_ARRAY:
        return "must be a string or an array of strings";
    case IS_STRING | IS_OBJECT:
        return "must be a string or an object";
    default:
        return "must be an object";
    }
}

static bool check_fields(struct reading *r) {
    for (int f = 0; f < FIELD_COUNT; f++)
        if (fields[f].is != IS_ANY && !is_kind(value_of(r, f), fields[f].is))
            return refuse_field(r, f, wanted_of(fields[f].is));
    struct json_value stop = value_of(r, FIELD_STOP);
    if (json_type(stop) == JSON_ARRAY)
        for (struct json_iter it = json_iter(stop); json_next(&it);)
            if (json_type(it.value) != JSON_STRING)
                return refuse_field(r, FIELD_STOP, wanted_of(IS_STRING | IS_ARRAY));
    return true;
}

static bool locate_fields(struct reading *r) {
    for (int f = 0; f < FIELD_COUNT; f++)
        r->at[f].name = fields[f].name;
    int error = json_locate(r->parser, NULL, r->at, FIELD_COUNT);
    if (error == JSON_NOT_OBJECT)
        return refuse_text(r, error);
    for (int f = 0; f < FIELD_COUNT; f++)
        if (r->at[f].repeated)
            return refuse_field(r, f, "stands in the body more than once");
    return true;
}

/* Keeps the places of what was found: few, where the table of all fields is large and requests are
 * many. */
static void keep_members(struct reading *r) {
    struct body *b = r->body;
    size_t n = 0;
    for (int f = 0; f < FIELD_COUNT; f++)
        n += r->at[f].found;
    struct json_member *members = arena_new_array(r->arena, struct json_member, n);
    for (int f = 0; f < FIELD_COUNT; f++) {
        if (!r->at[f].found)
            continue;
        struct json_member *m = &members[b->n_members++];
        *m = r->at[f];
        m->value = (struct json_value){ 0 }; /* dies with the parser's document */
    }
    b->members = members;
}

/* --- who is asked for --- */

/* Names go into headers, logs and messages. */
static bool is_name(struct span s) {
    if (s.len == 0 || s.len > MODEL_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] < 0x20 || s.at[i] == 0x7f)
            return false;
    return true;
}

static const char name_wanted[] = "must be a name of 1 to 256 bytes without control characters";

static bool read_models(struct reading *r) {
    struct json_value list = value_of(r, FIELD_MODELS);
    size_t n = json_count(list);
    if (n > MODELS_MAX)
        return refuse_field(r, FIELD_MODELS, "must have at most 64 names");
    struct span *names = arena_new_array(r->arena, struct span, n);
    size_t i = 0;
    for (struct json_iter it = json_iter(list); json_next(&it); i++) {
        struct span name = json_text(it.value);
        if (!is_name(name))
            return refuse_item(r, SPAN("models"), i, "", name_wanted);
        names[i] = arena_copy(r->arena, name);
    }
    if (n && !r->facts->n_models) { /* the header goes first */
        r->facts->models = names;
        r->facts->n_models = n;
    }
    return true;
}

static bool read_model(struct reading *r) {
    struct json_value v = value_of(r, FIELD_MODEL);
    if (!read_models(r))
        return false;
    if (json_type(v) == JSON_STRING) {
        if (!is_name(json_text(v)))
            return refuse_field(r, FIELD_MODEL, name_wanted);
        r->facts->model = arena_copy(r->arena, json_text(v));
        return true;
    }
    if (!r->facts->n_models)
        return refuse_field(r, FIELD_MODEL, "is required");
    r->facts->model = r->facts->models[0];
    return true;
}

static void read_people(struct reading *r) {
    struct facts *f = r->facts;
    struct span candidates[] = {
        json_text(value_of(r, FIELD_SAFETY_IDENTIFIER)),
        json_text(value_of(r, FIELD_USER)),
        json_text(json_get(value_of(r, FIELD_METADATA), "user_id")),
    };
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates && !f->user.at; i++)
        if (candidates[i].len)
            f->user = arena_copy(r->arena, candidates[i]);
    struct span session = json_text(value_of(r, FIELD_PROMPT_CACHE_KEY));
    if (!f->session.at && session.len)
        f->session = arena_copy(r->arena, session);
}

/* --- tools and formats --- */

/* The name of a tool or of a choice of one: {function: {name}}, {custom: {name}}, {name}. */
static struct span tool_name(struct json_value tool) {
    static const char *const kinds[] = { "function", "custom" };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct span name = json_text(json_get(json_get(tool, kinds[i]), "name"));
        if (name.at)
            return name;
    }
    return json_text(json_get(tool, "name"));
}

static bool read_tool_list(struct reading *r, enum field f, struct span *names) {
    size_t i = 0;
    for (struct json_iter it = json_iter(value_of(r, f)); json_next(&it); i++) {
        if (json_type(it.value) != JSON_OBJECT)
            return refuse_item(r, fields[f].name, i, "", "must be an object");
        struct span name = tool_name(it.value);
        if (name.at)
            names[r->facts->n_tool_names++] = arena_copy(r->arena, name);
    }
    /* A model reads their schemas as text. */
    if (i > 0)
        r->text_bytes += r->at[f].value_end - r->at[f].value_at;
    return true;
}

static void read_tool_choice(struct reading *r) {
    struct json_value v = value_of(r, FIELD_TOOL_CHOICE);
    if (json_type(v) == JSON_ABSENT)
        v = value_of(r, FIELD_FUNCTION_CALL);
    struct span choice = json_text(v);
    if (json_type(v) == JSON_OBJECT) {
        choice = json_text(json_get(json_get(v, "allowed_tools"), "mode"));
        if (!choice.at)
            choice = tool_name(v);
    }
    if (choice.len)
        r->facts->tool_choice = arena_copy(r->arena, choice);
}

static bool read_tools(struct reading *r) {
    size_t n = json_count(value_of(r, FIELD_TOOLS)) + json_count(value_of(r, FIELD_FUNCTIONS));
    struct span *names = arena_new_array(r->arena, struct span, n);
    r->facts->n_tool_names = 0;
    r->facts->tool_names = names;
    if (!read_tool_list(r, FIELD_TOOLS, names) || !read_tool_list(r, FIELD_FUNCTIONS, names))
        return false;
    if (n)
        r->facts->uses |= ABILITY_TOOLS;
    read_tool_choice(r);
    return true;
}

/* `reasoning: {effort, enabled}` is what resellers take in place of reasoning_effort. */
static bool asks_reasoning(const struct reading *r) {
    struct span effort = json_text(value_of(r, FIELD_REASONING_EFFORT));
    struct json_value more = value_of(r, FIELD_REASONING);
    if (effort.len)
        return !span_eq(effort, SPAN("none"));
    if (json_type(more) != JSON_OBJECT ||
        span_eq(json_text(json_get(more, "effort")), SPAN("none")))
        return false;
    struct json_value enabled = json_get(more, "enabled");
    return json_type(enabled) != JSON_BOOL || json_true(enabled);
}

static void read_uses(struct reading *r) {
    uint32_t *uses = &r->facts->uses;
    if (span_eq(json_text(json_get(value_of(r, FIELD_RESPONSE_FORMAT), "type")),
                SPAN("json_schema")))
        *uses |= ABILITY_JSON_SCHEMA;
    if (asks_reasoning(r))
        *uses |= ABILITY_REASONING;
    for (struct json_iter it = json_iter(value_of(r, FIELD_MODALITIES)); json_next(&it);)
        if (span_eq(json_text(it.value), SPAN("audio")))
            *uses |= ABILITY_AUDIO;
}

/* --- messages --- */

static void read_part(struct reading *r, struct json_value part) {
    struct span type = json_text(json_get(part, "type"));
    r->text_bytes += json_text(json_get(part, "text")).len;
    if (span_eq(type, SPAN("image_url"))) {
        r->facts->uses |= ABILITY_IMAGES;
        r->more_tokens += IMAGE_TOKENS;
    } else if (span_eq(type, SPAN("input_audio"))) {
        r->facts->uses |= ABILITY_AUDIO;
        r->more_tokens +=
            json_text(json_get(json_get(part, "input_audio"), "data")).len / FILE_BYTES_A_TOKEN;
    } else if (span_eq(type, SPAN("file"))) {
        r->facts->uses |= ABILITY_FILES;
        r->more_tokens +=
            json_text(json_get(json_get(part, "file"), "file_data")).len / FILE_BYTES_A_TOKEN;
    }
}

/* A call costs its name and arguments, which are text to the model. */
static void read_call(struct reading *r, struct json_value call) {
    static const char *const kinds[] = { "function", "custom" };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct json_value v = json_get(call, kinds[i]);
        r->text_bytes += json_text(json_get(v, "name")).len +
                         json_text(json_get(v, "arguments")).len +
                         json_text(json_get(v, "input")).len;
    }
}

static bool read_content(struct reading *r, struct json_value content, size_t index) {
    switch (json_type(content)) {
    case JSON_STRING:
        r->text_bytes += json_text(content).len;
        return true;
    case JSON_ARRAY:
        for (struct json_iter it = json_iter(content); json_next(&it);) {
            if (json_type(it.value) != JSON_OBJECT)
                return refuse_item(r, SPAN("messages"), index, "content",
                                   "must be a string or an array of objects");
            read_part(r, it.value);
        }
        return true;
    case JSON_NULL:
    case JSON_ABSENT:
        return true;
    default:
        return refuse_item(r, SPAN("messages"), index, "content",
                           "must be a string or an array of objects");
    }
}

/* Whether a content has any text. */
static bool says_something(struct json_value content) {
    if (json_type(content) == JSON_STRING)
        return json_text(content).len > 0;
    for (struct json_iter it = json_iter(content); json_next(&it);)
        if (json_text(json_get(it.value, "text")).len)
            return true;
    return false;
}

static void count_message(struct reading *r, struct span role, struct json_value content) {
    bool result = span_eq(role, SPAN("tool")) || span_eq(role, SPAN("function"));
    r->facts->tool_results = result ? r->facts->tool_results + 1 : 0;
    r->facts->last_role = role;
    r->more_tokens += MESSAGE_TOKENS;
    if (span_eq(role, SPAN("user"))) {
        r->facts->turns++;
        if (says_something(content))
            r->last_user = content;
    } else if (!r->first_system.document &&
               (span_eq(role, SPAN("system")) || span_eq(role, SPAN("developer")))) {
        r->first_system = content;
    }
}

static bool read_message(struct reading *r, struct json_value message, size_t index) {
    if (json_type(message) != JSON_OBJECT)
        return refuse_item(r, SPAN("messages"), index, "", "must be an object");
    struct span role = json_text(json_get(message, "role"));
    if (!role.len)
        return refuse_item(r, SPAN("messages"), index, "role", "must be a string");
    struct json_value content = json_get(message, "content");
    if (!read_content(r, content, index))
        return false;
    for (struct json_iter it = json_iter(json_get(message, "tool_calls")); json_next(&it);)
        read_call(r, it.value);
    count_message(r, role, content);
    return true;
}

static bool read_messages(struct reading *r) {
    struct json_value list = value_of(r, FIELD_MESSAGES);
    size_t i = 0;
    if (json_type(list) == JSON_ABSENT)
        return refuse_field(r, FIELD_MESSAGES, "is required");
    if (json_count(list) == 0)
        return refuse_field(r, FIELD_MESSAGES, "must have at least one message");
    for (struct json_iter it = json_iter(list); json_next(&it); i++)
        if (!read_message(r, it.value, i))
            return false;
    r->facts->last_role = arena_copy(r->arena, r->facts->last_role);
    return true;
}

/* The text of a content, parts joined by line ends, bounded. SPAN_NONE when there is none. */
static struct span bounded_text(struct reading *r, struct json_value content) {
    if (json_type(content) == JSON_STRING)
        return arena_copy(r->arena, utf8_cut(json_text(content), FACTS_TEXT_MAX));
    struct buf all = { 0 };
    for (struct json_iter it = json_iter(content); json_next(&it) && all.len < FACTS_TEXT_MAX;) {
        struct span text = json_text(json_get(it.value, "text"));
        if (text.len && all.len)
            buf_add_char(&all, '\n');
        buf_add(&all, utf8_cut(text, FACTS_TEXT_MAX - all.len));
    }
    struct span text = arena_copy(r->arena, buf_span(&all));
    buf_deinit(&all);
    return text;
}

/* --- sizes and streams --- */

static uint64_t int_of(struct json_value v, uint64_t absent) {
    int64_t n;
    if (!json_int(v, &n))
        return absent;
    return n > UINT32_MAX ? UINT32_MAX : (uint64_t)n;
}

/* Without a maximum of its own, an answer is guessed at. Each of `n` answers costs. */
static void read_sizes(struct reading *r) {
    struct facts *f = r->facts;
    struct json_value max = value_of(r, FIELD_MAX_COMPLETION_TOKENS);
    if (json_type(max) == JSON_ABSENT)
        max = value_of(r, FIELD_MAX_TOKENS);
    f->max_tokens = int_of(max, 0);
    f->input_tokens = (r->text_bytes + BYTES_A_TOKEN - 1) / BYTES_A_TOKEN + r->more_tokens;
    uint64_t n = int_of(value_of(r, FIELD_N), 1);
    f->output_tokens = (f->max_tokens ? f->max_tokens : OUTPUT_GUESS) * n;
}

/* What stream_options becomes when usage is to be asked for: the client's own, with include_usage
 * true. */
static bool read_stream(struct reading *r) {
    struct body *b = r->body;
    const struct json_member *options = &r->at[FIELD_STREAM_OPTIONS];
    b->stream = r->facts->stream = json_true(value_of(r, FIELD_STREAM));
    b->asks_usage = json_true(json_get(value_of(r, FIELD_STREAM_OPTIONS), "include_usage"));
    if (!b->stream)
        return true;
    struct json_edit edit = { { .name = SPAN("include_usage") }, SPAN("true") };
    struct span raw = SPAN("{}");
    if (json_type(options->value) == JSON_OBJECT) {
        raw = span_sub(b->text, options->value_at, options->value_end - options->value_at);
        if (json_locate(r->parser, options, &edit.where, 1) != 0)
            return refuse(r, SPAN("stream_options.include_usage"),
                          SPAN("'stream_options.include_usage' stands there more than once."));
    }
    struct buf changed = { 0 };
    json_splice(raw, &edit, 1, &changed);
    b->usage_options = arena_copy(r->arena, buf_span(&changed));
    buf_deinit(&changed);
    return true;
}

static bool read_all(struct reading *r) {
    if (!locate_fields(r) || !check_fields(r) || !read_model(r) || !read_messages(r) ||
        !read_tools(r) || !read_stream(r))
        return false;
    read_uses(r);
    read_people(r);
    read_sizes(r);
    r->facts->text = bounded_text(r, r->last_user);
    r->facts->system = bounded_text(r, r->first_system);
    keep_members(r);
    return true;
}

bool body_read(struct json_parser *p, struct span text, struct facts *facts, struct arena *arena,
               struct body *body, struct api_error *error) {
    struct json_value root;
    struct reading r = {
        .parser = p, .facts = facts, .arena = arena, .body = body, .error = error
    };
    *body = (struct body){ .dialect = facts->dialect, .text = text };
    int failed = json_parse(p, text, &root);
    return failed ? refuse_text(&r, failed) : read_all(&r);
}

/* --- what goes up --- */

/* Changes on their way into json_splice(). */
struct changes {
    const struct body *body;
    struct json_edit *edits;
    size_t n;
};

static bool is_known(struct span name) {
    for (int f = 0; f < FIELD_COUNT; f++)
        if (span_eq(fields[f].name, name))
            return true;
    return false;
}

/* Where a known field stands; not found when it does not. */
static struct json_member place_of(const struct body *body, struct span name) {
    for (size_t i = 0; i < body->n_members; i++)
        if (span_eq(body->members[i].name, name))
            return body->members[i];
    return (struct json_member){ .name = name };
}

static void change(struct changes *c, struct json_member where, struct span raw) {
    if (where.found || raw.at)
        c->edits[c->n++] = (struct json_edit){ where, raw };
}

/* A param takes the place of an earlier one of that name. */
static void change_param(struct changes *c, struct json_member where, struct span raw) {
    for (size_t i = 0; i < c->n; i++) {
        if (span_eq(c->edits[i].where.name, where.name)) {
            c->edits[i].raw = raw;
            return;
        }
    }
    change(c, where, raw);
}

static bool is_reserved(struct span name) {
    static const enum field ours[] = { FIELD_MODEL, FIELD_MODELS, FIELD_ROUTE, FIELD_STREAM,
                                       FIELD_STREAM_OPTIONS };
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (span_eq(fields[ours[i]].name, name))
            return true;
    return false;
}

/* A provider refuses both bounds together, so that a bound goes under the name the client used. */
static struct span name_in(const struct body *body, struct span name) {
    struct span old = fields[FIELD_MAX_TOKENS].name;
    struct span new = fields[FIELD_MAX_COMPLETION_TOKENS].name;
    if (span_eq(name, old) && !place_of(body, old).found && place_of(body, new).found)
        return new;
    if (span_eq(name, new) && !place_of(body, new).found && place_of(body, old).found)
        return old;
    return name;
}

/* Finds the fields the dialect does not know, by reading the body once more. */
static int locate_foreign(struct json_parser *p, const struct body *body,
                          struct json_member *members, size_t n) {
    struct json_value root;
    if (n == 0)
        return 0;
    int error = json_parse(p, body->text, &root);
    return error ? error : json_locate(p, NULL, members, n);
}

/* Adds the edits of the params to `c`. `foreign` has room for all of them. */
static int change_params(struct json_parser *p, struct changes *c, const struct pair *params,
                         size_t n, struct json_member *foreign) {
    size_t n_foreign = 0;
    for (size_t i = 0; i < n; i++)
        if (!is_known(params[i].name))
            foreign[n_foreign++] = (struct json_member){ .name = params[i].name };
    int error = locate_foreign(p, c->body, foreign, n_foreign);
    if (error)
        return error;
    for (size_t i = 0, k = 0; i < n; i++) {
        struct span name = name_in(c->body, params[i].name);
        if (!is_known(name))
            change_param(c, foreign[k++], params[i].value);
        else if (!is_reserved(name))
            change_param(c, place_of(c->body, name), params[i].value);
    }
    return 0;
}

int body_build(struct json_parser *p, const struct body *body, struct span model,
               const struct pair *params, size_t n_params, bool ask_usage, struct buf *out) {
    struct buf name = { 0 }, edits = { 0 },
               foreign = { 0 }; /* params may be many: not on the stack */
    struct changes c = { .body = body };
    buf_add_json(&name, model);
    c.edits = (struct json_edit *)buf_reserve(&edits, (n_params + 4) * sizeof *c.edits);
    change(&c, place_of(body, fields[FIELD_MODEL].name), buf_span(&name));
    change(&c, place_of(body, fields[FIELD_MODELS].name), SPAN_NONE);
    change(&c, place_of(body, fields[FIELD_ROUTE].name), SPAN_NONE);
    if (body->stream && ask_usage)
        change(&c, place_of(body, fields[FIELD_STREAM_OPTIONS].name), body->usage_options);
    int error = change_params(
        p, &c, params, n_params,
        (struct json_member *)buf_reserve(&foreign, (n_params + 1) * sizeof(struct json_member)));
    if (!error)
        json_splice(body->text, c.edits, c.n, out);
    buf_deinit(&foreign);
    buf_deinit(&edits);
    buf_deinit(&name);
    return error;
}
