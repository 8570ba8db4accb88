/* mock_answer.c - the JSON the mock speaks. */
#include "cli/mock_answer.h"

#include <assert.h>

/* Answers are the same for the same request, so it is always the same second. */
#define CREATED "1750000000"

/* ---- the request ---- */

static int64_t tokens_of(size_t bytes) {
    return (int64_t)((bytes + 3) / 4);
}

/* The text of a message's content, a string or a list of parts. Its bytes are added to *bytes. */
static struct span content_text(struct json_value content, struct arena *arena, size_t *bytes) {
    if (json_type(content) == JSON_STRING) {
        struct span text = json_text(content);
        *bytes += text.len;
        return text;
    }
    struct buf all = { 0 };
    if (json_type(content) == JSON_ARRAY)
        for (struct json_iter it = json_iter(content); json_next(&it);)
            buf_add(&all, json_text(json_get(it.value, "text")));
    struct span text = arena_copy(arena, all.at ? buf_span(&all) : SPAN(""));
    *bytes += text.len;
    buf_deinit(&all);
    return text;
}

static void read_messages(struct mock_ask *ask, struct json_value messages, struct arena *arena) {
    size_t bytes = 0;
    struct span last = SPAN("");
    for (struct json_iter it = json_iter(messages); json_next(&it);) {
        struct span text = content_text(json_get(it.value, "content"), arena, &bytes);
        if (span_eq(json_text(json_get(it.value, "role")), SPAN("user")))
            last = text;
    }
    ask->text = arena_copy(arena, last.at ? last : SPAN(""));
    ask->prompt_tokens = tokens_of(bytes) + (int64_t)json_count(messages) * 4;
}

static int64_t read_limit(struct json_value root) {
    int64_t limit;
    if (json_int(json_get(root, "max_completion_tokens"), &limit) && limit > 0)
        return limit;
    if (json_int(json_get(root, "max_tokens"), &limit) && limit > 0)
        return limit;
    return -1;
}

static struct span first_tool(struct json_value tools, struct arena *arena) {
    if (json_type(tools) != JSON_ARRAY)
        return SPAN_NONE;
    struct json_iter it = json_iter(tools);
    if (!json_next(&it))
        return SPAN_NONE;
    return arena_copy(arena, json_text(json_get(json_get(it.value, "function"), "name")));
}

static bool refuse(struct mock_wrong *wrong, const char *param, const char *message) {
    *wrong = (struct mock_wrong){ param, message };
    return false;
}

bool mock_ask_read(struct mock_ask *ask, struct json_parser *parser, struct span body,
                   struct arena *arena, struct mock_wrong *wrong) {
    struct json_value root;
    *ask = (struct mock_ask){ 0 };
    if (json_parse(parser, body, &root) != 0 || json_type(root) != JSON_OBJECT)
        return refuse(wrong, NULL, "The body is no JSON object.");
    struct json_value model = json_get(root, "model"), messages = json_get(root, "messages");
    if (json_type(model) != JSON_STRING)
        return refuse(wrong, "model", "There must be a model, as a string.");
    if (json_type(messages) != JSON_ARRAY || json_count(messages) == 0)
        return refuse(wrong, "messages", "There must be messages, as a list that is not empty.");
    ask->model = arena_copy(arena, json_text(model));
    ask->stream = json_true(json_get(root, "stream"));
    ask->include_usage = json_true(json_get(json_get(root, "stream_options"), "include_usage"));
    ask->max_tokens = read_limit(root);
    ask->tool = first_tool(json_get(root, "tools"), arena);
    read_messages(ask, messages, arena);
    return true;
}

/* ---- what to say ---- */

/* `len` bytes of words. */
static struct span filler(struct arena *arena, size_t len) {
    static const char words[] = "the moon is a quiet place and the night is long ";
    char *at = arena_alloc(arena, len + 1);
    for (size_t i = 0; i < len; i++)
        at[i] = words[i % (sizeof words - 1)];
    at[len] = '\0';
    return (struct span){ at, len };
}

/* Of two numbers below 2^31; no answer is larger than 1 GB. */
static size_t product(int64_t a, int64_t b) {
    return a * b < 1 << 30 ? (size_t)(a * b) : 1 << 30;
}

static struct span choose_content(const struct mock_answer *a, struct arena *arena) {
    const struct mock_shape *shape = a->shape;
    if (a->harm->no_content)
        return SPAN("");
    if (shape->content.at)
        return shape->content;
    if (shape->big >= 0)
        return filler(arena, (size_t)shape->big);
    if (shape->tokens >= 0)
        return filler(arena, (size_t)shape->tokens * 4);
    if (shape->events >= 0 && shape->bytes >= 0)
        return filler(arena, product(shape->events, shape->bytes));
    size_t len = a->ask->text.len + 10;
    if (shape->events >= 0 && (size_t)shape->events > len / 4)
        return filler(arena, (size_t)shape->events * 4);
    char *at = arena_alloc(arena, len);
    memcpy(at, "You said: ", 10);
    memcpy(at + 10, a->ask->text.at, a->ask->text.len);
    return (struct span){ at, len };
}

/* A place at or behind `at` that is inside of no UTF-8 sequence. */
static size_t whole_letter(struct span s, size_t at) {
    while (at < s.len && ((unsigned char)s.at[at] & 0xc0) == 0x80)
        at++;
    return at < s.len ? at : s.len;
}

/* Cut at the request's own limit, as a model would stop there. */
static void limit_content(struct mock_answer *a) {
    int64_t max = a->ask->max_tokens;
    if (max < 0 || tokens_of(a->content.len) <= max)
        return;
    size_t len = (size_t)max * 4;
    while (len && ((unsigned char)a->content.at[len] & 0xc0) == 0x80)
        len--;
    a->content.len = len;
    a->finish = "length";
}

/* The end of the piece that begins at `from`. */
static size_t piece_end(const struct mock_shape *shape, struct span s, size_t from, size_t left) {
    if (shape->events > 0)
        return left <= 1 ? s.len : whole_letter(s, from + 1 + (s.len - from - 1) / left);
    if (shape->bytes > 0)
        return whole_letter(s, from + (size_t)shape->bytes);
    size_t at = from;
    while (at < s.len && s.at[at] != ' ')
        at++;
    while (at < s.len && s.at[at] == ' ')
        at++;
    return at;
}

static size_t count_pieces(const struct mock_shape *shape, struct span s) {
    size_t n = 0;
    for (size_t at = 0; at < s.len; n++)
        at = piece_end(shape, s, at, (size_t)(shape->events > 0 ? shape->events : 0) - n);
    return n;
}

static struct mock_piece *cut_pieces(const struct mock_shape *shape, enum mock_piece_kind kind,
                                     struct span s, struct mock_piece *out) {
    size_t n = 0;
    for (size_t at = 0; at < s.len; n++) {
        size_t end = piece_end(shape, s, at, (size_t)(shape->events > 0 ? shape->events : 0) - n);
        *out++ = (struct mock_piece){ kind, { s.at + at, end - at } };
        at = end;
    }
    return out;
}

static void plan_pieces(struct mock_answer *a, struct arena *arena) {
    static const struct mock_shape by_word = { .events = -1, .bytes = -1 };
    struct span said = a->tool.at ? a->arguments : a->content;
    enum mock_piece_kind kind = a->tool.at ? MOCK_TOOL : MOCK_CONTENT;
    a->n_pieces = count_pieces(&by_word, a->reasoning) + count_pieces(a->shape, said);
    a->pieces = arena_alloc(arena, (a->n_pieces + 1) * sizeof *a->pieces);
    struct mock_piece *next = cut_pieces(&by_word, MOCK_REASONING, a->reasoning, a->pieces);
    next = cut_pieces(a->shape, kind, said, next);
    assert((size_t)(next - a->pieces) == a->n_pieces);
}

static void plan_tool(struct mock_answer *a, struct arena *arena) {
    struct buf arguments = { 0 };
    a->tool = a->ask->tool.at ? a->ask->tool : SPAN("lookup");
    a->finish = "tool_calls";
    buf_append(&arguments, "{\"text\": ", 9);
    buf_add_json(&arguments, a->ask->text);
    buf_add_char(&arguments, '}');
    a->arguments = arena_copy(arena, buf_span(&arguments));
    buf_deinit(&arguments);
}

/* ---- JSON ---- */

static void add_text(struct buf *out, const char *text) {
    buf_append(out, text, strlen(text));
}

static void add_uint(struct buf *out, uint64_t n) {
    char digits[20];
    size_t len = 0;
    do
        digits[sizeof digits - ++len] = (char)('0' + n % 10);
    while (n /= 10);
    buf_append(out, digits + sizeof digits - len, len);
}

static void add_named_uint(struct buf *out, const char *name, int64_t n) {
    add_text(out, name);
    add_uint(out, (uint64_t)n);
}

static void add_head(const struct mock_answer *a, const char *object, struct buf *out) {
    add_named_uint(out, "{\"id\":\"chatcmpl-mock-", (int64_t)a->serial);
    add_text(out, "\",\"object\":\"");
    add_text(out, object);
    add_text(out, "\",\"created\":" CREATED ",\"model\":");
    buf_add_json(out, a->model);
    if (a->shape->extra)
        add_text(out, ",\"x_mock\":{\"empty\":[],\"large\":12345678901234567890,\"nested\":"
                      "{\"null\":null}},\"obfuscation\":\"aZ09\"");
}

static void add_usage(const struct mock_answer *a, struct buf *out) {
    add_named_uint(out, "\"usage\":{\"prompt_tokens\":", a->ask->prompt_tokens);
    add_named_uint(out, ",\"completion_tokens\":", a->completion_tokens);
    add_named_uint(out, ",\"total_tokens\":", a->ask->prompt_tokens + a->completion_tokens);
    add_text(out, ",\"prompt_tokens_details\":{\"cached_tokens\":0}");
    add_named_uint(out,
                   ",\"completion_tokens_details\":{\"reasoning_tokens\":", a->reasoning_tokens);
    add_text(out, "}}");
}

void mock_answer_plan(struct mock_answer *a, const struct mock_ask *ask,
                      const struct mock_shape *shape, const struct mock_harm *harm, uint64_t serial,
                      struct arena *arena) {
    *a = (struct mock_answer){
        .ask = ask, .shape = shape, .harm = harm, .finish = "stop", .serial = serial
    };
    a->model = shape->model.at ? shape->model : ask->model;
    a->content = a->reasoning = a->arguments = SPAN("");
    if (shape->tool && !harm->no_content) {
        plan_tool(a, arena);
    } else {
        a->content = choose_content(a, arena);
        limit_content(a);
    }
    if (shape->reasoning && !harm->no_content)
        a->reasoning = SPAN("Somebody said something, so I say it again.");
    a->reasoning_tokens = tokens_of(a->reasoning.len);
    a->completion_tokens =
        tokens_of(a->content.len) + tokens_of(a->arguments.len) + a->reasoning_tokens;
    if (!ask->stream)
        return;
    plan_pieces(a, arena);
    struct buf head = { 0 };
    add_text(&head, "data: ");
    add_head(a, "chat.completion.chunk", &head);
    a->chunk_head = arena_copy(arena, buf_span(&head));
    buf_deinit(&head);
}

static void add_call(const struct mock_answer *a, struct span arguments, bool first,
                     struct buf *out) {
    add_text(out, "\"tool_calls\":[{\"index\":0,");
    if (first) {
        add_named_uint(out, "\"id\":\"call_mock_", (int64_t)a->serial);
        add_text(out, "\",\"type\":\"function\",");
    }
    add_text(out, "\"function\":{");
    if (first) {
        add_text(out, "\"name\":");
        buf_add_json(out, a->tool);
        add_text(out, ",");
    }
    add_text(out, "\"arguments\":");
    buf_add_json(out, arguments);
    add_text(out, "}}]");
}

static void add_finish(const char *finish, struct buf *out) {
    add_text(out, finish ? "\"" : "null");
    if (finish) {
        add_text(out, finish);
        add_text(out, "\"");
    }
}

void mock_answer_whole(const struct mock_answer *a, struct buf *out) {
    add_head(a, "chat.completion", out);
    add_text(out, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
    if (a->tool.at)
        add_text(out, "null");
    else
        buf_add_json(out, a->content);
    if (a->reasoning.len) {
        add_text(out, ",\"reasoning_content\":");
        buf_add_json(out, a->reasoning);
    }
    add_text(out, ",\"refusal\":null");
    if (a->tool.at) {
        add_text(out, ",");
        add_call(a, a->arguments, true, out);
    }
    add_text(out, "},\"logprobs\":null,\"finish_reason\":");
    add_finish(a->harm->no_finish ? NULL : a->finish, out);
    add_text(out, "}]");
    if (!a->harm->no_usage) {
        add_text(out, ",");
        add_usage(a, out);
    }
    add_text(out, "}");
}

/* ---- events ---- */

static void begin_chunk(const struct mock_answer *a, struct buf *out) {
    buf_add(out, a->chunk_head);
    add_text(out, ",\"choices\":[{\"index\":0,\"delta\":{");
}

static void end_chunk(const struct mock_answer *a, const char *finish, struct buf *out) {
    add_text(out, "},\"logprobs\":null,\"finish_reason\":");
    add_finish(finish, out);
    add_text(out, a->ask->include_usage ? "}],\"usage\":null}\n\n" : "}]}\n\n");
}

void mock_answer_role(const struct mock_answer *a, struct buf *out) {
    begin_chunk(a, out);
    add_text(out, a->tool.at ? "\"role\":\"assistant\",\"content\":null"
                             : "\"role\":\"assistant\",\"content\":\"\",\"refusal\":null");
    end_chunk(a, NULL, out);
}

void mock_answer_piece(const struct mock_answer *a, size_t i, struct buf *out) {
    const struct mock_piece *piece = &a->pieces[i];
    bool first_of_kind = i == 0 || a->pieces[i - 1].kind != piece->kind;
    begin_chunk(a, out);
    if (piece->kind == MOCK_TOOL) {
        add_call(a, piece->text, first_of_kind, out);
    } else {
        add_text(out, piece->kind == MOCK_CONTENT ? "\"content\":" : "\"reasoning_content\":");
        buf_add_json(out, piece->text);
    }
    end_chunk(a, NULL, out);
}

void mock_answer_finish(const struct mock_answer *a, struct buf *out) {
    begin_chunk(a, out);
    end_chunk(a, a->finish, out);
}

void mock_answer_usage(const struct mock_answer *a, struct buf *out) {
    buf_add(out, a->chunk_head);
    add_text(out, ",\"choices\":[],");
    add_usage(a, out);
    add_text(out, "}\n\n");
}

/* ---- errors ---- */

static void add_json_or_null(struct buf *out, struct span text) {
    if (text.at)
        buf_add_json(out, text);
    else
        add_text(out, "null");
}

void mock_error(struct buf *out, struct span message, struct span type, struct span param,
                struct span code) {
    add_text(out, "{\"error\":{\"message\":");
    add_json_or_null(out, message);
    add_text(out, ",\"type\":");
    add_json_or_null(out, type);
    add_text(out, ",\"param\":");
    add_json_or_null(out, param);
    add_text(out, ",\"code\":");
    add_json_or_null(out, code);
    add_text(out, "}}");
}

void mock_error_names(int64_t status, struct span *type, struct span *code) {
    static const struct {
        int64_t status;
        const char *type, *code;
    } names[] = {
        { 400, "invalid_request_error", NULL },
        { 401, "invalid_request_error", "invalid_api_key" },
        { 403, "invalid_request_error", "unsupported_country_region_territory" },
        { 404, "invalid_request_error", "model_not_found" },
        { 429, "requests", "rate_limit_exceeded" },
        { 503, "service_unavailable_error", NULL },
        { 529, "overloaded_error", NULL },
    };
    *type = status < 500 ? SPAN("invalid_request_error") : SPAN("server_error");
    *code = SPAN_NONE;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].status == status) {
            *type = span_of(names[i].type);
            *code = span_of(names[i].code);
        }
    }
}

/* ---- gzip ---- */

static uint32_t crc32(struct span s) {
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < s.len; i++) {
        crc ^= (unsigned char)s.at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

static void add_little_endian(struct buf *out, uint32_t n, int bytes) {
    for (int i = 0; i < bytes; i++)
        buf_add_char(out, (char)(n >> i * 8));
}

/* RFC 1952, with the stored blocks of RFC 1951, section 3.2.4. */
void mock_gzip(struct buf *out, struct span body) {
    buf_append(out, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
    for (size_t at = 0, len; at == 0 || at < body.len; at += len) {
        len = body.len - at < 65535 ? body.len - at : 65535;
        buf_add_char(out, at + len == body.len);
        add_little_endian(out, (uint32_t)len, 2);
        add_little_endian(out, ~(uint32_t)len, 2);
        buf_append(out, body.at + at, len);
        if (len == 0)
            break;
    }
    add_little_endian(out, crc32(body), 4);
    add_little_endian(out, (uint32_t)body.len, 4);
}
