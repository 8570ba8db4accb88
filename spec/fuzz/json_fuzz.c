/* JSON read and spliced: what is spliced in is found again, all else stays, and it is JSON. */
#include "fuzz/fuzz.h"

#include "base/json.h"

#include <math.h>

static struct json_parser *parser;

/* Touches everything there is to read. */
static void walk(struct json_value v, unsigned depth) {
    struct span text = json_text(v);
    int64_t whole;
    fuzz_expect(depth <= 256);
    fuzz_expect((json_type(v) == JSON_STRING) == (text.at != NULL));
    fuzz_expect(json_type(v) == JSON_NUMBER || isnan(json_number(v, NAN)));
    fuzz_expect(!json_int(v, &whole) || json_type(v) == JSON_NUMBER);
    size_t n = 0;
    for (struct json_iter it = json_iter(v); json_next(&it); n++)
        walk(it.value, depth + 1);
    fuzz_expect(n == json_count(v));
}

/* The names that are set, or taken out. */
static const struct span names[] = { { "model", 5 }, { "choices", 7 }, { "new", 3 }, { "", 0 } };
enum { NAMES = sizeof names / sizeof *names };

static void check_edit(struct json_value root, const struct json_edit *edit, unsigned i) {
    char key[16];
    span_copy(names[i], key, sizeof key);
    struct json_value now = json_get(root, key);
    int64_t n;
    if (edit->raw.at)
        fuzz_expect(json_int(json_get(now, "x"), &n) && n == i);
    else
        fuzz_expect(json_type(now) == JSON_ABSENT);
}

static void splice(struct span text, uint8_t which, size_t members) {
    struct json_member where[NAMES];
    struct json_edit edits[NAMES];
    struct buf raws[NAMES] = { 0 }, out = { 0 };
    struct json_value root;
    int added = 0;
    for (unsigned i = 0; i < NAMES; i++)
        where[i] = (struct json_member){ .name = names[i] };
    int found = json_locate(parser, NULL, where, NAMES);
    fuzz_expect(found == JSON_OK || found == JSON_DUPLICATE);
    if (found != JSON_OK)
        return;
    for (unsigned i = 0; i < NAMES; i++) {
        bool set = which & (1u << i);
        fuzz_expect(where[i].found == (json_type(where[i].value) != JSON_ABSENT));
        buf_printf(&raws[i], "{\"x\":%u}", i);
        edits[i] = (struct json_edit){ where[i], set ? buf_span(&raws[i]) : SPAN_NONE };
        added += set - where[i].found;
    }
    json_splice(text, edits, NAMES, &out);
    if (json_parse(parser, buf_span(&out), &root) != JSON_OK)
        fuzz_fail("no JSON any more: %.*s", SPAN_ARGS(buf_span(&out)));
    fuzz_expect((int)json_count(root) == (int)members + added);
    for (unsigned i = 0; i < NAMES; i++) {
        check_edit(root, &edits[i], i);
        buf_deinit(&raws[i]);
    }
    buf_deinit(&out);
}

static void one(struct span text, const uint8_t *tail) {
    struct json_value root;
    if (!parser)
        parser = json_parser_new();
    if (json_parse(parser, text, &root) != JSON_OK) {
        fuzz_expect(json_type(root) == JSON_ABSENT);
        return;
    }
    walk(root, 0);
    if (json_type(root) == JSON_OBJECT)
        splice(text, tail[0], json_count(root));
}

static const struct fuzz_folder folders[] = {
    { "fixtures/openai_chat", ".json", 0 },
    { "fixtures/anthropic_messages", ".json", 5 },
    { "fixtures/openai_responses", ".json", 2 },
    { "fuzz/texts/json", ".json", 3 },
    { 0 },
};
const struct fuzz_target fuzz_target = {
    .name = "json", .folders = folders, .tail = 1, .iterations = 200000, .one = one
};
