/* span.h - borrowed bytes with a length.
 *
 * Owns          nothing: a span points into memory somebody else keeps alive.
 * Fed by        everything that reads text.
 * Feeds         everything that compares or prints it.
 * Must not know what the bytes mean.
 *
 *   struct span name = SPAN("openai");
 *   if (span_eq(name, SPAN("openai"))) printf("%.*s\n", SPAN_ARGS(name));
 */
#ifndef PERILUNE_BASE_SPAN_H
#define PERILUNE_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* `len` bytes at `at`; not NUL-terminated unless a function says so. An absent value is SPAN_NONE
 * (`at` is NULL). */
struct span {
    const char *at;
    size_t len;
};

/* Two spans that belong together: a header, a setting. */
struct pair {
    struct span name, value;
};

#ifdef __cplusplus
#define SPAN_NONE (span{ nullptr, 0 })
#else
#define SPAN_NONE ((struct span){ 0 })
/* A string literal as a span. */
#define SPAN(literal) ((struct span){ "" literal, sizeof(literal) - 1 })
#endif

/* For printf's "%.*s". */
#define SPAN_ARGS(s) (int)(s).len, (s).at

/* A NUL-terminated string as a span; NULL gives SPAN_NONE. */
static inline struct span span_of(const char *text) {
    struct span s = { text, text ? strlen(text) : 0 };
    return s;
}

static inline bool span_eq(struct span a, struct span b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* Equal but for the case of ASCII letters. */
bool span_eq_nocase(struct span a, struct span b);

bool span_starts(struct span s, struct span prefix);
bool span_ends(struct span s, struct span suffix);

/* The first place of `c` in `s`, or s.len. */
size_t span_find(struct span s, char c);

/* The part from `from` (clamped) on, at most `len` bytes. */
struct span span_sub(struct span s, size_t from, size_t len);

/* Without spaces and tabs at both ends. */
struct span span_trim(struct span s);

/* Cuts the part before the next `separator` off the front of *rest and returns it trimmed; false
 * when *rest is used up. */
bool span_split(struct span *rest, char separator, struct span *part);

/* Decimal digits only, no sign, no space; false on anything else or on overflow. */
bool span_uint(struct span s, uint64_t *value);

/* A finite decimal number, as strtod reads it, with nothing behind it. */
bool span_double(struct span s, double *value);

/* Edits needed to turn `a` into `b` (Damerau-Levenshtein), for "did you mean". Names over 64 bytes
 * compare as far apart. */
unsigned span_distance(struct span a, struct span b);

/* NUL-terminated into `out`, cut to fit; `size` is at least 1. */
void span_copy(struct span s, char *out, size_t size);

/* The same number for the same bytes, everywhere and always (FNV-1a); not for what others may choose
 * to collide. */
uint32_t span_hash(struct span s);

#endif
