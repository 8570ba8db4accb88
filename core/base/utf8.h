/* utf8.h - where characters begin and end (RFC 3629).
 *
 * Owns          nothing.
 * Fed by        whoever has bytes that may be text.
 * Feeds         escaping, cutting, cleaning.
 * Must not know what the text says.
 */
#ifndef PERILUNE_BASE_UTF8_H
#define PERILUNE_BASE_UTF8_H

#include "base/span.h"

/* Length of the well-formed character at the front of `s`, 1 to 4; 0 when there is none. */
size_t utf8_length(struct span s);

/* The front of `s`, at most `max` bytes, without half a character at its end. `s` itself is taken
 * to be well-formed. */
struct span utf8_cut(struct span s, size_t max);

/* One line for people: control characters (C0, DEL, C1, U+2028, U+2029) and runs of space become
 * one space, bytes that are not UTF-8 become U+FFFD, both ends are trimmed. Writes at most `max`
 * bytes to `out`, cut between characters; returns how many. */
size_t utf8_line(struct span s, char *out, size_t max);

/* In place: "?" for each byte of what steers a terminal (C0 but for those in `kept`, DEL, C1), and
 * for each that is not UTF-8. */
void utf8_defuse(char *text, size_t len, const char *kept);

#endif
