#include "fuzz/fuzz.h"

#include <ctype.h>

/* What stands in for a JSON value. */
static const char *const values[] = {
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1",
    "1.5",
    "9007199254740993",
    "1e308",
    "1e999",
    "\"\"",
    "\" \"",
    "\"a\\u0000b\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud83d\\ude00\"",
    "\"\xc3\xa9\"",
    "\"\\r\\ndata: x\\n\\nevent: y\"",
    "[]",
    "{}",
    "[null]",
    "[[]]",
    "[{}]",
    "[0,\"\"]",
    "{\"\":null}",
    "{\"a\":[1,{}]}",
    "\"{}\"",
    "\"{\\\"a\\\":\"",
    "\"stop\"",
    "\"length\"",
    "\"tool_calls\"",
    "\"tool_use\"",
    "\"error\"",
    "\"text\"",
    "\"[DONE]\"",
};
/* What stands in for any few bytes. */
static const char *const snippets[] = {
    "\n",
    "\n\n",
    "\r",
    "\r\n",
    "\xef\xbb\xbf",
    "\xff",
    "\xc3",
    "data: ",
    "data: [DONE]\n\n",
    ":",
    "event: ",
    "retry: 1\n\n",
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    "\\",
    "\\u0000",
    "id: 1\n",
    "data",
};
enum { VALUES = sizeof values / sizeof *values, SNIPPETS = sizeof snippets / sizeof *snippets };

/* input[from..to) becomes `with`, which does not lie in it. */
static void replace(struct buf *input, size_t from, size_t to, struct span with) {
    struct buf changed = { 0 };
    buf_append(&changed, input->at, from);
    buf_add(&changed, with);
    if (to < input->len)
        buf_append(&changed, input->at + to, input->len - to);
    buf_deinit(input);
    *input = changed;
}

static struct span pick(struct fuzz_random *r, const char *const *list, size_t n) {
    return span_of(list[fuzz_below(r, n)]);
}

/* A copy of a part of `text`. */
static struct span part_of(struct fuzz_random *r, struct span text, size_t max, struct buf *copy) {
    size_t from = fuzz_below(r, text.len);
    buf_add(copy, span_sub(text, from, fuzz_below(r, max)));
    return buf_span(copy);
}

/* Where the JSON string that begins at the quote `at` ends; the end of the text if it does not. */
static size_t string_end(struct span text, size_t at) {
    for (at++; at < text.len && text.at[at] != '"'; at++)
        if (text.at[at] == '\\')
            at++;
    return at < text.len ? at + 1 : text.len;
}

/* Where the JSON value at `at` ends, roughly: brackets are counted, not matched. */
static size_t value_end(struct span text, size_t at) {
    unsigned depth = 0;
    while (at < text.len) {
        char c = text.at[at];
        if (c == '"') {
            at = string_end(text, at);
        } else if (c == '{' || c == '[') {
            depth++;
            at++;
        } else if (depth && (c == '}' || c == ']')) {
            depth--;
            at++;
        } else if (!depth && !isalnum((unsigned char)c) && !strchr("+-.", c)) {
            return at;
        } else {
            at++;
            if (depth || (at < text.len &&
                          (isalnum((unsigned char)text.at[at]) || strchr("+-.", text.at[at]))))
                continue;
        }
        if (!depth)
            return at;
    }
    return at;
}

/* The start of a value of the text, behind a colon, a comma or a bracket, from a random place on;
 * text.len when there is none. It may be a member's name. */
static size_t find_value(struct fuzz_random *r, struct span text) {
    size_t at = fuzz_below(r, text.len);
    while (at < text.len && !strchr(":,[{", text.at[at]))
        at++;
    if (at < text.len)
        at++;
    while (at < text.len && text.at[at] == ' ')
        at++;
    return at;
}

/* A value, or a name, becomes another one: from the list, or from another place. */
static void change_value(struct fuzz_random *r, struct buf *input, size_t len, struct span other) {
    struct span text = span_sub(buf_span(input), 0, len);
    size_t from = find_value(r, text);
    size_t to = value_end(text, from);
    struct buf copy = { 0 };
    if (fuzz_below(r, 2)) {
        struct span source = fuzz_below(r, 2) && other.len ? other : text;
        size_t there = find_value(r, source);
        buf_add(&copy, span_sub(source, there, value_end(source, there) - there));
    } else {
        buf_add(&copy, pick(r, values, VALUES));
    }
    replace(input, from, to, buf_span(&copy));
    buf_deinit(&copy);
}

/* A value becomes a few of itself, or wrapped up. */
static void wrap_value(struct fuzz_random *r, struct buf *input, size_t len) {
    struct span text = span_sub(buf_span(input), 0, len);
    size_t from = find_value(r, text);
    size_t to = value_end(text, from);
    struct buf copy = { 0 };
    struct span value = span_sub(text, from, to - from);
    switch (fuzz_below(r, 4)) {
    case 0:
        buf_printf(&copy, "[%.*s]", SPAN_ARGS(value));
        break;
    case 1:
        buf_printf(&copy, "{\"type\":%.*s}", SPAN_ARGS(value));
        break;
    case 2:
        buf_printf(&copy, "%.*s,%.*s", SPAN_ARGS(value), SPAN_ARGS(value));
        break;
    default:
        buf_add_json(&copy, value);
    }
    replace(input, from, to, buf_span(&copy));
    buf_deinit(&copy);
}

/* Where the block at `at` ends: behind a blank line, or with `lines` behind a line. */
static size_t block_end(struct span text, size_t at, bool lines) {
    while (at < text.len) {
        at += span_find(span_sub(text, at, text.len), '\n') + 1;
        if (lines || (at < text.len && text.at[at] == '\n'))
            break;
    }
    at += !lines;
    return at < text.len ? at : text.len;
}

/* A random line or event of the text. */
static struct span block_of(struct fuzz_random *r, struct span text, bool lines) {
    size_t at = 0, before = 0, wanted = fuzz_below(r, text.len);
    while (at <= wanted && at < text.len) {
        before = at;
        at = block_end(text, at, lines);
    }
    return span_sub(text, before, at - before);
}

/* A line or an event is left out, put in again elsewhere, or comes from another text. */
static void move_block(struct fuzz_random *r, struct buf *input, size_t len, struct span other) {
    struct span text = span_sub(buf_span(input), 0, len);
    bool lines = fuzz_below(r, 3) == 0;
    struct span block = block_of(r, text, lines);
    size_t at = text.len ? (size_t)(block.at - text.at) : 0;
    struct buf copy = { 0 };
    switch (fuzz_below(r, 4)) {
    case 0:
        replace(input, at, at + block.len, SPAN_NONE);
        break;
    case 1:
        buf_add(&copy, block);
        replace(input, at, at, buf_span(&copy));
        break;
    case 2:
        buf_add(&copy, block_of(r, other.len ? other : text, lines));
        replace(input, at, at, buf_span(&copy));
        break;
    default:
        buf_add(&copy, block_of(r, text, lines));
        replace(input, at, at + block.len, buf_span(&copy));
    }
    buf_deinit(&copy);
}

static void change_bytes(struct fuzz_random *r, struct buf *input, size_t len, struct span other) {
    size_t at = fuzz_below(r, len + 1), n = fuzz_below(r, 9);
    struct buf copy = { 0 };
    if (n > len - at)
        n = len - at;
    switch (fuzz_below(r, 6)) {
    case 0:
        if (at < len)
            input->at[at] ^= (char)(1 << fuzz_below(r, 8));
        break;
    case 1:
        replace(input, at, at + n, SPAN_NONE);
        break;
    case 2:
        replace(input, at, at, pick(r, snippets, SNIPPETS));
        break;
    case 3:
        replace(input, at, at + n, part_of(r, span_sub(buf_span(input), 0, len), 40, &copy));
        break;
    case 4:
        replace(input, at, at + n, part_of(r, other, 200, &copy));
        break;
    default: /* cut off */
        if (fuzz_below(r, 3) == 0)
            replace(input, at, len, SPAN_NONE);
    }
    buf_deinit(&copy);
}

void fuzz_mutate(struct fuzz_random *r, struct buf *input, struct span other) {
    for (size_t n = 1 + fuzz_below(r, 4); n; n--) {
        if (input->len < fuzz_target.tail)
            return;
        size_t len = input->len - fuzz_target.tail;
        switch (fuzz_below(r, 10)) {
        case 0:
        case 1:
        case 2:
        case 3:
            change_value(r, input, len, other);
            break;
        case 4:
            wrap_value(r, input, len);
            break;
        case 5:
        case 6:
            move_block(r, input, len, other);
            break;
        case 7:
            change_bytes(r, input, len, other);
            break;
        default:
            if (fuzz_target.tail)
                input->at[len + fuzz_below(r, fuzz_target.tail)] = (char)fuzz_next(r);
        }
    }
}
