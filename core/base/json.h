/* json.h - reading JSON without building it, and changing it without re-encoding it.
 *
 * Owns          a parser's memory (simdjson, behind json.cpp, the only C++ here).
 * Fed by        bodies of requests and answers, data of stream events.
 * Feeds         whoever reads one: a value is a handle, good until the next json_parse() with the
 *               same parser.
 * Must not know dialects.
 *
 *   struct json_parser *p = json_parser_new();
 *   struct json_value root;
 *   if (json_parse(p, body, &root) == 0) model = json_text(json_get(root, "model"));
 */
#ifndef PERILUNE_BASE_JSON_H
#define PERILUNE_BASE_JSON_H

#include "base/buf.h"
#include "base/span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum json_type {
    JSON_ABSENT,
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

enum json_error {
    JSON_OK = 0,
    JSON_MALFORMED = -1, /* not JSON (RFC 8259), or not UTF-8 */
    JSON_TOO_DEEP = -2,  /* more than 256 levels */
    JSON_DUPLICATE = -3, /* a key that was asked for stands twice in the object */
    JSON_NOT_OBJECT = -4 /* the top level is no object */
};

/* A place in the last document a parser read. All zeros is an absent value, on which every reader
 * below answers "absent". */
struct json_value {
    const void *document;
    size_t at;
};

struct json_parser;

/* A parser belongs to one thread. Never NULL. */
struct json_parser *json_parser_new(void);
void json_parser_free(struct json_parser *p);

/* Reads and validates the whole text. `text` need not be padded and is not needed afterwards.
 * Values of an earlier document are dead from here on. What a document over 1 MB took is given back
 * by the next smaller one. Numbers of any size and lone surrogate escapes are JSON and are let
 * through; such a number reads as a double (at most 1e308), such an escape as U+FFFD. Returns a
 * json_error; `*root` is absent on failure. */
int json_parse(struct json_parser *p, struct span text, struct json_value *root);

enum json_type json_type(struct json_value v);

/* The first member `key` of an object (compared unescaped); absent when there is none or `v` is no
 * object. */
struct json_value json_get(struct json_value v, const char *key);

/* The same for `n` keys in one walk, where several are wanted of a small object many times:
 * values[i] is the first member keys[i]. */
void json_pick(struct json_value v, const struct span *keys, struct json_value *values, size_t n);

/* The number of elements of an array or members of an object; 0 for anything else. */
size_t json_count(struct json_value v);

/* Walks an array or object:
 *
 *   for (struct json_iter it = json_iter(v); json_next(&it);) use(it.key, it.value);
 *
 * `key` is unescaped; SPAN_NONE in arrays. */
struct json_iter {
    struct json_value container;
    size_t at, end;
    struct span key;
    struct json_value value;
};
struct json_iter json_iter(struct json_value container);
bool json_next(struct json_iter *it);

/* The unescaped text of a string, valid as long as the value; SPAN_NONE for anything else. */
struct span json_text(struct json_value v);

/* A number as a double; `absent` for anything else. */
double json_number(struct json_value v, double absent);

/* A whole number (an integer token, or a double with no fraction within +-2^53); false for anything
 * else. */
bool json_int(struct json_value v, int64_t *value);

/* true for a literal true; false for anything else. */
bool json_true(struct json_value v);

/* Where one member of an object stands in the object's text, for json_splice(). */
struct json_member {
    struct span name; /* in: the unescaped key that is looked for */
    bool found;       /* out */
    bool repeated;    /* out: the key stands twice or more; the places are those of the first */
    size_t key_at;    /* offset of the key's opening quote */
    size_t value_at;  /* offset of the value's first byte */
    size_t value_end; /* offset behind the value's last byte */
    struct json_value value; /* absent when not found; dies with the document, the places do not */
};

/* Finds members of an object of the document `p` read last: the top-level one (`in` NULL; offsets
 * count from the start of the text), or the value of a member of that one which was found before
 * (offsets count from `in->value_at`). Keys compare unescaped. JSON_NOT_OBJECT when it is none;
 * JSON_DUPLICATE when one of the keys stands twice. */
int json_locate(struct json_parser *p, const struct json_member *in, struct json_member *members,
                size_t n);

/* One change: a member set to raw JSON, or taken out when `raw` is SPAN_NONE. */
struct json_edit {
    struct json_member where; /* as json_locate() left it; not found: the member is added at the end
                               * (or nothing is removed) */
    struct span raw;          /* JSON text; not checked here */
};

/* `text`, an object, with the edits done, appended to `out`; every byte outside of them as it was,
 * commas kept right. Edits may come in any order and must name different members. Costs the text's
 * length once, plus the square of `n`. */
void json_splice(struct span text, const struct json_edit *edits, size_t n, struct buf *out);

#ifdef __cplusplus
}
#endif
#endif
