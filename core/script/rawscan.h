/* rawscan.h - where values of a JSON text begin and end, without building them.
 *
 * Owns          nothing: positions in a text somebody else keeps alive.
 * Fed by        rawjson.
 * Feeds         it.
 * Must not know Lua.
 *
 *   struct rawscan text = { bytes, len };
 *   struct rawscan_walk w = rawscan_walk(&text, '{', '}');
 *   struct rawscan_element e;
 *   while (rawscan_next(&w, &e)) ...
 *   if (text.wrong) ... it is malformed at text.wrong_at
 */
#ifndef PERILUNE_SCRIPT_RAWSCAN_H
#define PERILUNE_SCRIPT_RAWSCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A position that is none: a scan failed, and why is in the text then. */
#define RAWSCAN_NOWHERE SIZE_MAX

enum { RAWSCAN_DEPTH = 256 };

/* A text being scanned. Positions count from 0. */
struct rawscan {
    const char *at;
    size_t len;
    const char *wrong; /* what is malformed, at `wrong_at`; NULL: nothing so far */
    size_t wrong_at;
};

/* Notes it; RAWSCAN_NOWHERE. */
size_t rawscan_malformed(struct rawscan *t, size_t at, const char *what);

/* The byte at a position, -1 behind the end. */
int rawscan_peek(const struct rawscan *t, size_t at);

/* Over white space. */
size_t rawscan_skip(const struct rawscan *t, size_t at);

/* How many bytes from here on stand for themselves in a string: no quote, backslash or control
 * character. */
size_t rawscan_plain(const char *bytes, size_t len);

/* The end of the string whose opening quote is at `from`. */
size_t rawscan_string(struct rawscan *t, size_t from);

/* The end of the number, true, false or null at `at`. */
size_t rawscan_scalar(struct rawscan *t, size_t at);

/* Where the value of a member begins; `at` is where its key must. The key's end goes to
 * `*key_end`. */
size_t rawscan_member(struct rawscan *t, size_t at, size_t *key_end);

/* The end of the value at `at`, with everything inside it checked: one pass, not recursive, at most
 * RAWSCAN_DEPTH levels. */
size_t rawscan_value(struct rawscan *t, size_t at);

/* An element of a container; of an array's, key_end is not set. */
struct rawscan_element {
    size_t key, key_end; /* with the quotes */
    size_t value, end;
};

struct rawscan_walk {
    struct rawscan *text;
    char closing;
    bool over;
    size_t at; /* of the next element; behind the closing byte when over; nowhere when malformed */
};

/* Through one container, which is all of the text. */
struct rawscan_walk rawscan_walk(struct rawscan *t, char opening, char closing);

/* The next element; false behind the last. Only then, and when nothing is wrong with the text, all
 * of it is checked. */
bool rawscan_next(struct rawscan_walk *w, struct rawscan_element *e);

#endif
