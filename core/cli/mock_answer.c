/* mock_answer.c - what the mock is asked and what it says, whatever the dialect. */
#include "cli/mock_answer.h"

#include <assert.h>

enum { MAX_CALLS = 1000 };

/* ---- the request ---- */

int64_t mock_tokens_of(size_t bytes) {
    return (int64_t)((bytes + 3) / 4);
}

struct span mock_content_text(struct json_value content, struct arena *arena, size_t *bytes) {
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

void mock_ask_tool(struct mock_ask *ask, struct json_value name, struct arena *arena) {
    struct span text = json_text(name);
    if (text.at && ask->n_tools < MOCK_TOOLS)
        ask->tools[ask->n_tools++] = arena_copy(arena, text);
}

struct span mock_post_model(const struct mock_post *post, struct arena *arena) {
    struct span path = post->path;
    size_t colon = path.len, slash;
    while (colon && path.at[colon - 1] != ':')
        colon--;
    slash = colon;
    while (slash && path.at[slash - 1] != '/')
        slash--;
    return mock_decode(arena, span_sub(path, slash, colon ? colon - 1 - slash : 0));
}

int64_t mock_limit(struct json_value v) {
    int64_t limit;
    return json_int(v, &limit) && limit > 0 ? limit : -1;
}

bool mock_refuse(struct mock_wrong *wrong, const char *param, const char *message) {
    *wrong = (struct mock_wrong){ .param = span_of(param), .message = span_of(message) };
    return false;
}

bool mock_ask_read(struct mock_ask *ask, const struct mock_dialect *dialect,
                   struct json_parser *parser, struct mock_post *post, struct arena *arena,
                   struct mock_wrong *wrong) {
    *ask = (struct mock_ask){ .max_tokens = -1, .model = SPAN(""), .text = SPAN("") };
    post->root = (struct json_value){ 0 };
    if (!dialect->form &&
        (json_parse(parser, post->body, &post->root) != 0 || json_type(post->root) != JSON_OBJECT))
        return mock_refuse(wrong, NULL, "The body is no JSON object.");
    return dialect->read(ask, post, arena, wrong);
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
    if (shape->content.at)
        return shape->content;
    if (shape->refusal)
        return SPAN("I would rather not say that.");
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
    if (max < 0 || mock_tokens_of(a->content.len) <= max)
        return;
    size_t len = (size_t)max * 4;
    while (len && ((unsigned char)a->content.at[len] & 0xc0) == 0x80)
        len--;
    a->content.len = len;
    a->finish = MOCK_LENGTH;
}

/* ---- calls ---- */

/* Two calls are never the same, so that mixing them up shows. */
static struct span make_arguments(const struct mock_answer *a, size_t call, struct arena *arena) {
    struct buf out = { 0 };
    mock_put_text(&out, "{\"text\": ", a->ask->text);
    if (call)
        mock_put_named(&out, ", \"call\": ", (int64_t)call);
    buf_add_char(&out, '}');
    struct span text = arena_copy(arena, buf_span(&out));
    buf_deinit(&out);
    return text;
}

static void plan_calls(struct mock_answer *a, struct arena *arena) {
    const struct mock_shape *shape = a->shape;
    a->finish = MOCK_CALLS;
    a->n_calls = shape->tools > 0 ? (size_t)shape->tools : 1;
    if (a->n_calls > MAX_CALLS)
        a->n_calls = MAX_CALLS;
    a->arguments = arena_new_array(arena, struct span, a->n_calls);
    for (size_t i = 0; i < a->n_calls; i++) {
        if (shape->args_empty)
            a->arguments[i] = SPAN("");
        else
            a->arguments[i] =
                shape->tool_input.at ? shape->tool_input : make_arguments(a, i, arena);
        a->completion_tokens += mock_tokens_of(a->arguments[i].len);
    }
}

struct span mock_answer_tool(const struct mock_answer *a, size_t call) {
    return a->ask->n_tools ? a->ask->tools[call % a->ask->n_tools] : SPAN("lookup");
}

struct span mock_answer_input(const struct mock_answer *a, size_t call) {
    return a->arguments[call].len ? a->arguments[call] : SPAN("{}");
}

/* ---- blocks ---- */

size_t mock_answer_blocks(const struct mock_answer *a) {
    return (a->reasoning.len > 0) + (a->content.len > 0) + a->n_calls;
}

struct mock_block mock_answer_block(const struct mock_answer *a, size_t i) {
    size_t before = 0;
    if (a->reasoning.len && i == before++)
        return (struct mock_block){ MOCK_REASONING, 0, a->reasoning };
    if (a->content.len && i == before++)
        return (struct mock_block){ a->shape->refusal ? MOCK_REFUSAL : MOCK_CONTENT, 0,
                                    a->content };
    return (struct mock_block){ MOCK_CALL, i - before, a->arguments[i - before] };
}

/* ---- pieces ---- */

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

/* How a block is cut: a reasoning by word, a call whole where that is the dialect's way. */
static struct mock_shape cut_of(const struct mock_answer *a, const struct mock_dialect *dialect,
                                enum mock_kind kind) {
    if (kind == MOCK_REASONING)
        return (struct mock_shape){ .events = -1, .bytes = -1 };
    if (kind == MOCK_CALL && (dialect->whole_calls || a->shape->args_object))
        return (struct mock_shape){ .events = 1 };
    return (struct mock_shape){ .events = a->shape->events, .bytes = a->shape->bytes };
}

/* The pieces of a block, written to `out` unless that is NULL; a call without arguments is one. */
static size_t cut_block(const struct mock_answer *a, const struct mock_dialect *dialect, size_t i,
                        struct mock_piece *out) {
    struct mock_block block = mock_answer_block(a, i);
    struct mock_shape shape = cut_of(a, dialect, block.kind);
    struct span s = block.text;
    size_t n = 0;
    for (size_t at = 0; at < s.len || (n == 0 && block.kind == MOCK_CALL); n++) {
        size_t left = (size_t)(shape.events > 0 ? shape.events : 0) - n;
        size_t end = s.len ? piece_end(&shape, s, at, left) : 0;
        if (out)
            out[n] = (struct mock_piece){ block.kind, n == 0, i, { s.at + at, end - at } };
        at = end;
    }
    return n;
}

/* The pieces of calls, one of each by turns. */
static void interleave(struct mock_piece *pieces, size_t n, size_t first_block, size_t n_blocks,
                       struct arena *arena) {
    struct mock_piece *in_order = arena_alloc(arena, (n + 1) * sizeof *in_order);
    size_t *next = arena_new_array(arena, size_t, n_blocks);
    memcpy(in_order, pieces, n * sizeof *pieces);
    for (size_t i = n; i-- > 0;)
        next[in_order[i].block - first_block] = i;
    for (size_t done = 0, turn = 0; done < n; turn = (turn + 1) % n_blocks) {
        size_t i = next[turn];
        if (i < n && in_order[i].block - first_block == turn) {
            pieces[done++] = in_order[i];
            next[turn]++;
        }
    }
}

static void plan_pieces(struct mock_answer *a, const struct mock_dialect *dialect,
                        struct arena *arena) {
    size_t n_blocks = mock_answer_blocks(a), n = 0, calls_at = 0;
    for (size_t i = 0; i < n_blocks; i++)
        a->n_pieces += cut_block(a, dialect, i, NULL);
    a->pieces = arena_alloc(arena, (a->n_pieces + 1) * sizeof *a->pieces);
    for (size_t i = 0; i < n_blocks; i++) {
        if (i == n_blocks - a->n_calls)
            calls_at = n;
        n += cut_block(a, dialect, i, a->pieces + n);
    }
    assert(n == a->n_pieces);
    if (a->shape->interleave && a->n_calls > 1)
        interleave(a->pieces + calls_at, n - calls_at, n_blocks - a->n_calls, a->n_calls, arena);
}

/* ---- all of it ---- */

static void plan_content(struct mock_answer *a, bool all, struct arena *arena) {
    const struct mock_shape *shape = a->shape;
    bool calls = all && (shape->tool || shape->tools > 0);
    if (all && shape->reasoning)
        a->reasoning = SPAN("Somebody said something, so I say it again.");
    if (!calls || shape->content.at) {
        if (shape->refusal)
            a->finish = MOCK_REFUSED;
        a->content = choose_content(a, arena);
        limit_content(a);
    }
    if (calls)
        plan_calls(a, arena);
}

void mock_answer_plan(struct mock_answer *a, const struct mock_dialect *dialect,
                      const struct mock_ask *ask, const struct mock_shape *shape,
                      const struct mock_harm *harm, uint64_t serial, struct arena *arena) {
    *a = (struct mock_answer){
        .ask = ask, .shape = shape, .harm = harm, .serial = serial, .finish = MOCK_STOP
    };
    a->model = shape->model.at ? shape->model : ask->model;
    a->content = a->reasoning = SPAN("");
    if (!harm->no_content && dialect->says != MOCK_SAYS_NOTHING)
        plan_content(a, dialect->says == MOCK_SAYS_ALL, arena);
    int64_t cache = shape->cached + shape->written;
    a->prompt_tokens = ask->prompt_tokens > cache ? ask->prompt_tokens : cache;
    a->reasoning_tokens = mock_tokens_of(a->reasoning.len);
    a->completion_tokens += mock_tokens_of(a->content.len) + a->reasoning_tokens;
    if (!ask->stream)
        return;
    plan_pieces(a, dialect, arena);
    if (!dialect->chunk_head)
        return;
    struct buf head = { 0 };
    dialect->chunk_head(a, &head);
    a->chunk_head = arena_copy(arena, buf_span(&head));
    buf_deinit(&head);
}

void mock_answer_extra(const struct mock_answer *a, struct buf *out) {
    if (a->shape->extra)
        mock_put(out, ",\"x_mock\":{\"empty\":[],\"large\":12345678901234567890,\"nested\":"
                      "{\"null\":null}}");
}
