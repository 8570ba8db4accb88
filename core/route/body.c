#include "route/body.h"

#include "base/ability.h"
#include "base/utf8.h"
#include "route/access.h"
#include "route/body_reading.h"
#include "route/seal.h"
#include "route/tokens.h"

#include <assert.h>

enum {
    MODEL_MAX = 256,         /* bytes of a model's name */
    MODELS_MAX = 64,         /* names in `models` */
    OUTPUT_GUESS = 512,      /* tokens of an answer nobody bounded */
    MESSAGE_TOKENS = 4,      /* around each message */
    FILE_BYTES_A_TOKEN = 64, /* of base64, much of which is pictures and fonts */
};

static const struct body_dialect *dialect_of_body(enum dialect d) {
    switch (d) {
    case DIALECT_OPENAI_CHAT:
        return &body_openai_chat;
    case DIALECT_OPENAI_RESPONSES:
        return &body_openai_responses;
    case DIALECT_ANTHROPIC_MESSAGES:
        return &body_anthropic_messages;
    case DIALECT_OPENAI_COMPLETIONS:
        return &body_openai_completions;
    case DIALECT_OPENAI_EMBEDDINGS:
        return &body_openai_embeddings;
    default:
        assert(!"no client speaks it");
        return NULL;
    }
}

/* --- refusing --- */

bool body_refuse(struct body_reading *r, struct span param, struct span message) {
    *r->error = api_error(ERROR_INVALID_REQUEST, message);
    r->error->param = param;
    return false;
}

/* What is wrong with a place, as clients of the dialect are used to read it. */
static bool refuse_place(struct body_reading *r, struct span place, const char *wanted) {
    const char *format = r->dialect->dotted ? "%.*s: %s." : "'%.*s' %s.";
    return body_refuse(r, place, arena_printf(r->arena, format, SPAN_ARGS(place), wanted));
}

bool body_refuse_field(struct body_reading *r, int field, const char *wanted) {
    return refuse_place(r, r->dialect->fields[field].name, wanted);
}

bool body_refuse_item(struct body_reading *r, int field, size_t index, const char *member,
                      const char *wanted) {
    const char *format = r->dialect->dotted ? "%.*s.%zu%s%s" : "%.*s[%zu]%s%s";
    struct span place = arena_printf(r->arena, format, SPAN_ARGS(r->dialect->fields[field].name),
                                     index, *member ? "." : "", member);
    return refuse_place(r, place, wanted);
}

static bool refuse_text(struct body_reading *r, int error) {
    if (error == JSON_TOO_DEEP)
        return body_refuse(r, SPAN_NONE, SPAN("The body is nested more than 256 levels deep."));
    if (error == JSON_NOT_OBJECT)
        return body_refuse(r, SPAN_NONE, SPAN("The body must be a JSON object."));
    return body_refuse(r, SPAN_NONE, SPAN("The body is not valid JSON in UTF-8."));
}

/* --- values --- */

struct json_value body_value(const struct body_reading *r, int field) {
    struct json_value v = r->at[field].value;
    return json_type(v) == JSON_NULL ? (struct json_value){ 0 } : v;
}

uint64_t body_int(struct json_value v, uint64_t absent) {
    int64_t n;
    if (!json_int(v, &n))
        return absent;
    return n > UINT32_MAX ? UINT32_MAX : (uint64_t)n;
}

uint64_t body_weight(struct json_value v) {
    uint64_t sum = 2; /* quotes or brackets */
    switch (json_type(v)) {
    case JSON_ABSENT:
        return 0;
    case JSON_STRING:
        return sum + json_text(v).len;
    case JSON_ARRAY:
        for (struct json_iter it = json_iter(v); json_next(&it);)
            sum += 1 + body_weight(it.value);
        return sum;
    case JSON_OBJECT:
        for (struct json_iter it = json_iter(v); json_next(&it);)
            sum += it.key.len + 4 + body_weight(it.value);
        return sum;
    default:
        return 4; /* null, true, a number of the usual length */
    }
}

/* --- fields --- */

static bool all_strings(struct json_value list) {
    for (struct json_iter it = json_iter(list); json_next(&it);)
        if (json_type(it.value) != JSON_STRING)
            return false;
    return true;
}

static bool is_number_kind(struct json_value v, unsigned is) {
    int64_t n;
    if ((is & BODY_NUMBER) || !json_int(v, &n))
        return is & BODY_NUMBER;
    return (is & BODY_INTEGER) || ((is & BODY_NATURAL) && n >= 0) ||
           ((is & BODY_POSITIVE) && n >= 1);
}

static bool is_kind(struct json_value v, unsigned is) {
    switch (json_type(v)) {
    case JSON_BOOL:
        return is & BODY_BOOL;
    case JSON_NUMBER:
        return is_number_kind(v, is);
    case JSON_STRING:
        return is & BODY_STRING;
    case JSON_ARRAY:
        return (is & BODY_ARRAY) || ((is & BODY_STRINGS) && all_strings(v));
    case JSON_OBJECT:
        return is & BODY_OBJECT;
    default:
        return true;
    }
}

static const char *wanted_of(unsigned is) {
    switch (is) {
    case BODY_BOOL:
        return "must be true or false";
    case BODY_NUMBER:
        return "must be a number";
    case BODY_INTEGER:
        return "must be a whole number";
    case BODY_NATURAL:
        return "must be a whole number of 0 or more";
    case BODY_POSITIVE:
        return "must be a whole number of 1 or more";
    case BODY_STRING:
        return "must be a string";
    case BODY_ARRAY:
        return "must be an array";
    case BODY_STRINGS:
        return "must be an array of strings";
    case BODY_STRING | BODY_ARRAY:
        return "must be a string or an array";
    case BODY_STRING | BODY_STRINGS:
        return "must be a string or an array of strings";
    case BODY_STRING | BODY_OBJECT:
        return "must be a string or an object";
    default:
        return "must be an object";
    }
}

static bool check_fields(struct body_reading *r) {
    for (int f = 0; f < r->dialect->n_fields; f++) {
        unsigned is = r->dialect->fields[f].is;
        if (is != BODY_ANY && !is_kind(body_value(r, f), is))
            return body_refuse_field(r, f, wanted_of(is));
    }
    return true;
}

static bool locate_fields(struct body_reading *r) {
    int n = r->dialect->n_fields;
    assert(n <= BODY_FIELDS_MAX);
    for (int f = 0; f < n; f++)
        r->at[f] = (struct json_member){ .name = r->dialect->fields[f].name };
    int error = json_locate(r->parser, NULL, r->at, (size_t)n);
    if (error == JSON_NOT_OBJECT)
        return refuse_text(r, error);
    for (int f = 0; f < n; f++)
        if (r->at[f].repeated)
            return body_refuse_field(r, f, "stands in the body more than once");
    return true;
}

/* Keeps the places of what was found: few, where the table of all fields is large and requests are
 * many. */
static void keep_members(struct body_reading *r) {
    struct body *b = r->body;
    size_t n = 0;
    for (int f = 0; f < r->dialect->n_fields; f++)
        n += r->at[f].found;
    struct json_member *members = arena_new_array(r->arena, struct json_member, n);
    for (int f = 0; f < r->dialect->n_fields; f++) {
        if (!r->at[f].found)
            continue;
        struct json_member *m = &members[b->n_members++];
        *m = r->at[f];
        m->value = (struct json_value){ 0 }; /* dies with the parser's document */
    }
    b->members = members;
}

/* --- who is asked for, and by whom --- */

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

static bool read_models(struct body_reading *r) {
    struct json_value list = body_value(r, BODY_MODELS);
    size_t n = json_count(list);
    if (n > MODELS_MAX)
        return body_refuse_field(r, BODY_MODELS, "must have at most 64 names");
    struct span *names = arena_new_array(r->arena, struct span, n);
    size_t i = 0;
    for (struct json_iter it = json_iter(list); json_next(&it); i++) {
        struct span name = json_text(it.value);
        if (!is_name(name))
            return body_refuse_item(r, BODY_MODELS, i, "", name_wanted);
        names[i] = arena_copy(r->arena, name);
    }
    if (n && !r->facts->n_models) { /* the header goes first */
        r->facts->models = names;
        r->facts->n_models = n;
    }
    return true;
}

static bool read_model(struct body_reading *r) {
    struct json_value v = body_value(r, BODY_MODEL);
    if (!read_models(r))
        return false;
    if (json_type(v) == JSON_STRING) {
        if (!is_name(json_text(v)))
            return body_refuse_field(r, BODY_MODEL, name_wanted);
        r->facts->model = arena_copy(r->arena, json_text(v));
        return true;
    }
    if (!r->facts->n_models)
        return body_refuse_field(r, BODY_MODEL, "is required");
    r->facts->model = r->facts->models[0];
    return true;
}

void body_set_user(struct body_reading *r, struct span user) {
    if (!r->facts->user.at && user.len)
        r->facts->user = arena_copy(r->arena, user);
}

void body_set_session(struct body_reading *r, struct span session) {
    if (!r->facts->session.at && session.len)
        r->facts->session = arena_copy(r->arena, session);
}

/* --- tools --- */

struct span body_tool_name(struct json_value tool) {
    static const char *const kinds[] = { "function", "custom" };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct span name = json_text(json_get(json_get(tool, kinds[i]), "name"));
        if (name.at)
            return name;
    }
    return json_text(json_get(tool, "name"));
}

static bool read_tool_list(struct body_reading *r, int f, struct span *names) {
    size_t i = 0;
    for (struct json_iter it = json_iter(body_value(r, f)); json_next(&it); i++) {
        if (json_type(it.value) != JSON_OBJECT)
            return body_refuse_item(r, f, i, "", "must be an object");
        struct span name = body_tool_name(it.value);
        if (name.at)
            names[r->facts->n_tool_names++] = arena_copy(r->arena, name);
    }
    /* A model reads their schemas as text. */
    if (i > 0)
        r->text_bytes += r->at[f].value_end - r->at[f].value_at;
    return true;
}

bool body_read_tools(struct body_reading *r, const int *fields, size_t n) {
    size_t tools = 0;
    for (size_t i = 0; i < n; i++)
        tools += json_count(body_value(r, fields[i]));
    struct span *names = arena_new_array(r->arena, struct span, tools);
    r->facts->n_tool_names = 0;
    r->facts->tool_names = names;
    for (size_t i = 0; i < n; i++)
        if (!read_tool_list(r, fields[i], names))
            return false;
    if (tools)
        r->facts->uses |= ABILITY_TOOLS;
    return true;
}

void body_set_tool_choice(struct body_reading *r, struct span choice) {
    if (choice.len)
        r->facts->tool_choice = arena_copy(r->arena, choice);
}

/* --- what a model reads --- */

void body_add_text(struct body_reading *r, struct span text) {
    r->text_bytes += text.len;
}

void body_add_picture(struct body_reading *r, struct span source, bool low) {
    r->facts->uses |= ABILITY_IMAGES;
    r->more_tokens += tokens_picture(source, low);
}

void body_add_audio(struct body_reading *r, struct span data) {
    r->facts->uses |= ABILITY_AUDIO;
    r->more_tokens += data.len / FILE_BYTES_A_TOKEN;
}

void body_add_file(struct body_reading *r, struct span data) {
    r->facts->uses |= ABILITY_FILES;
    r->more_tokens += data.len / FILE_BYTES_A_TOKEN;
}

bool body_says_something(struct json_value content) {
    if (json_type(content) == JSON_STRING)
        return json_text(content).len > 0;
    for (struct json_iter it = json_iter(content); json_next(&it);)
        if (json_text(json_get(it.value, "text")).len)
            return true;
    return false;
}

void body_add_message(struct body_reading *r, struct span role, struct json_value content) {
    bool result = span_eq(role, SPAN("tool")) || span_eq(role, SPAN("function"));
    r->facts->tool_results = result ? r->facts->tool_results + 1 : 0;
    r->facts->last_role = role;
    r->more_tokens += MESSAGE_TOKENS;
    if (span_eq(role, SPAN("user"))) {
        r->facts->turns++;
        if (body_says_something(content))
            r->last_user = content;
    } else if (!r->first_system.document &&
               (span_eq(role, SPAN("system")) || span_eq(role, SPAN("developer")))) {
        r->first_system = content;
    }
}

/* The items of a list of prompts: all are strings, all lists of tokens, or all tokens of one. */
static bool add_prompt_list(struct body_reading *r, int field, struct json_value list) {
    const char *wanted = "must be a string, an array of strings, of tokens or of arrays of tokens";
    enum json_type first = JSON_ABSENT;
    int64_t token;
    size_t i = 0;
    for (struct json_iter it = json_iter(list); json_next(&it); i++) {
        enum json_type type = json_type(it.value);
        if (i == 0)
            first = type;
        if (type != first)
            return body_refuse_field(r, field, wanted);
        if (type == JSON_STRING) {
            body_add_text(r, json_text(it.value));
            r->last_user = it.value;
        } else if (type == JSON_NUMBER && json_int(it.value, &token) && token >= 0) {
            r->more_tokens++;
        } else if (type == JSON_ARRAY) {
            r->more_tokens += json_count(it.value);
        } else {
            return body_refuse_field(r, field, wanted);
        }
    }
    return true;
}

bool body_read_parts(struct body_reading *r, struct json_value content, int field, size_t index,
                     const char *member,
                     void (*read_part)(struct body_reading *r, struct json_value part)) {
    const char *wanted = "must be a string or an array of objects";
    switch (json_type(content)) {
    case JSON_STRING:
        body_add_text(r, json_text(content));
        return true;
    case JSON_ARRAY:
        for (struct json_iter it = json_iter(content); json_next(&it);) {
            if (json_type(it.value) != JSON_OBJECT)
                return body_refuse_item(r, field, index, member, wanted);
            read_part(r, it.value);
        }
        return true;
    case JSON_NULL:
    case JSON_ABSENT:
        return true;
    default:
        return body_refuse_item(r, field, index, member, wanted);
    }
}

bool body_add_prompts(struct body_reading *r, int field, size_t *n) {
    struct json_value v = body_value(r, field), first = { 0 };
    *n = 1;
    if (json_type(v) == JSON_ABSENT)
        return body_refuse_field(r, field, "is required");
    if (json_type(v) == JSON_STRING) {
        body_add_text(r, json_text(v));
        r->last_user = v;
        return true;
    }
    struct json_iter it = json_iter(v);
    if (!json_next(&it))
        return body_refuse_field(r, field, "must not be empty");
    first = it.value;
    if (json_type(first) != JSON_NUMBER) /* numbers are the tokens of one prompt */
        *n = json_count(v);
    return add_prompt_list(r, field, v);
}

/* The text of a content, parts joined by line ends, bounded. SPAN_NONE when there is none. */
static struct span bounded_text(struct body_reading *r, struct json_value content) {
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

/* --- states --- */

void body_add_state_of(struct body_reading *r, enum dialect by, struct span model) {
    r->facts->signed_by = by;
    r->facts->signed_model = model.len ? arena_copy(r->arena, model) : SPAN_NONE;
}

void body_add_state(struct body_reading *r, struct span state) {
    if (state.len)
        r->facts->signed_by =
            seal_read(state, r->facts->dialect, r->arena, &r->facts->signed_model);
}

/* --- sizes and streams --- */

#define OUTPUT_MAX                                                                                 \
    (UINT64_C(1) << 53) /* tokens: no estimate is more, and numbers of policies hold it */

void body_set_output(struct body_reading *r, uint64_t max, uint64_t answers) {
    uint64_t each = max ? max : OUTPUT_GUESS;
    r->facts->max_tokens = max;
    r->facts->answers = answers;
    r->facts->output_tokens = answers < OUTPUT_MAX / each ? each * answers : OUTPUT_MAX;
}

bool body_read_stream_options(struct body_reading *r) {
    struct body *b = r->body;
    int field = r->dialect->stream_options;
    const struct json_member *options = &r->at[field];
    b->asks_usage = json_true(json_get(body_value(r, field), "include_usage"));
    if (!b->stream)
        return true;
    struct json_edit edit = { { .name = SPAN("include_usage") }, SPAN("true") };
    struct span raw = SPAN("{}");
    if (json_type(options->value) == JSON_OBJECT) {
        raw = span_sub(b->text, options->value_at, options->value_end - options->value_at);
        if (json_locate(r->parser, options, &edit.where, 1) != 0)
            return body_refuse(r, SPAN("stream_options.include_usage"),
                               SPAN("'stream_options.include_usage' stands there more than once."));
    }
    struct buf changed = { 0 };
    json_splice(raw, &edit, 1, &changed);
    b->usage_options = arena_copy(r->arena, buf_span(&changed));
    buf_deinit(&changed);
    return true;
}

static bool read_all(struct body_reading *r) {
    struct facts *f = r->facts;
    if (!locate_fields(r) || !check_fields(r) || !read_model(r))
        return false;
    r->body->stream = f->stream = json_true(body_value(r, BODY_STREAM));
    if (!r->dialect->read(r))
        return false;
    if (f->last_role.at)
        f->last_role = arena_copy(r->arena, f->last_role);
    body_set_session(r, access_agent_session(f));
    f->input_bytes = r->text_bytes;
    f->input_tokens = tokens_text(r->text_bytes) + r->more_tokens;
    f->text = bounded_text(r, r->last_user);
    f->system = bounded_text(r, r->first_system);
    keep_members(r);
    return true;
}

static bool read_text(struct json_parser *p, struct span text, struct facts *facts,
                      struct arena *arena, struct body *body, struct api_error *error,
                      bool counting) {
    struct json_value root;
    struct body_reading r = { .dialect = dialect_of_body(facts->dialect),
                              .parser = p,
                              .facts = facts,
                              .arena = arena,
                              .body = body,
                              .error = error,
                              .counting = counting };
    *body = (struct body){ .dialect = facts->dialect, .text = text };
    int failed = json_parse(p, text, &root);
    return failed ? refuse_text(&r, failed) : read_all(&r);
}

bool body_read(struct json_parser *p, struct span text, struct facts *facts, struct arena *arena,
               struct body *body, struct api_error *error) {
    return read_text(p, text, facts, arena, body, error, false);
}

bool body_read_counted(struct json_parser *p, struct span text, struct facts *facts,
                       struct arena *arena, struct body *body, struct api_error *error) {
    return read_text(p, text, facts, arena, body, error, true);
}

/* --- what goes up --- */

/* Changes on their way into json_splice(). */
struct changes {
    const struct body *body;
    const struct body_dialect *dialect;
    struct json_edit *edits;
    size_t n;
};

static bool is_known(const struct changes *c, struct span name) {
    for (int f = 0; f < c->dialect->n_fields; f++)
        if (span_eq(c->dialect->fields[f].name, name))
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

static void change_field(struct changes *c, int field, struct span raw) {
    change(c, place_of(c->body, c->dialect->fields[field].name), raw);
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

static bool is_reserved(const struct changes *c, struct span name) {
    for (int f = 0; f < BODY_OWN; f++)
        if (span_eq(c->dialect->fields[f].name, name))
            return true;
    return span_eq(c->dialect->fields[c->dialect->stream_options].name, name);
}

/* A provider refuses both bounds together, so that a bound goes under the name the client used. */
static struct span name_in(const struct changes *c, struct span name) {
    const struct body_dialect *d = c->dialect;
    struct span old = d->fields[d->old_bound].name, new = d->fields[d->new_bound].name;
    if (!d->new_bound)
        return d->old_bound && span_eq(name, SPAN("max_completion_tokens")) ? old : name;
    if (span_eq(name, old) && !place_of(c->body, old).found && place_of(c->body, new).found)
        return new;
    if (span_eq(name, new) && !place_of(c->body, new).found && place_of(c->body, old).found)
        return old;
    return name;
}

/* The name of the other bound in the client's body; SPAN_NONE: it wrote one at most. */
static struct span other_bound(const struct changes *c, struct span name) {
    const struct body_dialect *d = c->dialect;
    struct span old = d->fields[d->old_bound].name, new = d->fields[d->new_bound].name;
    bool both = d->new_bound && place_of(c->body, old).found && place_of(c->body, new).found;
    if (both && span_eq(name, old))
        return new;
    return both && span_eq(name, new) ? old : SPAN_NONE;
}

/* A new bound is the only one: providers that hear of two take whichever they like. */
static void change_known(struct changes *c, struct span name, struct span raw) {
    struct span other = other_bound(c, name);
    change_param(c, place_of(c->body, name), raw);
    if (other.at)
        change_param(c, place_of(c->body, other), SPAN_NONE);
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
        if (!is_known(c, params[i].name))
            foreign[n_foreign++] = (struct json_member){ .name = params[i].name };
    int error = locate_foreign(p, c->body, foreign, n_foreign);
    if (error)
        return error;
    for (size_t i = 0, k = 0; i < n; i++) {
        struct span name = name_in(c, params[i].name);
        if (!is_known(c, name))
            change_param(c, foreign[k++], params[i].value);
        else if (!is_reserved(c, name))
            change_known(c, name, params[i].value);
    }
    return 0;
}

bool body_takes_params(enum dialect d) {
    return dialect_of_body(d)->takes_params;
}

int body_build(struct json_parser *p, const struct body *body, struct span model,
               const struct pair *params, size_t n_params, bool ask_usage, struct buf *out) {
    struct buf name = { 0 }, edits = { 0 },
               foreign = { 0 }; /* params may be many: not on the stack */
    struct changes c = { .body = body, .dialect = dialect_of_body(body->dialect) };
    assert(n_params == 0 || c.dialect->takes_params);
    buf_add_json(&name, model);
    c.edits = (struct json_edit *)buf_reserve(&edits, (n_params + BODY_OWN + 1) * sizeof *c.edits);
    change_field(&c, BODY_MODEL, buf_span(&name));
    change_field(&c, BODY_MODELS, SPAN_NONE);
    change_field(&c, BODY_ROUTE, SPAN_NONE);
    if (body->stream && ask_usage && c.dialect->stream_options)
        change_field(&c, c.dialect->stream_options, body->usage_options);
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
