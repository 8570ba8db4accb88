/* mock_put.h - the bytes all dialects of the mock are written with.
 *
 * Owns          nothing.
 * Fed by        the dialects.
 * Feeds         a buffer.
 * Must not know what an answer is.
 *
 *   mock_put_event(out, "message_stop");   // event: message_stop, data: {"type":"message_stop"
 *   mock_put(out, MOCK_EVENT_END);         // }
 */
#ifndef PERILUNE_CLI_MOCK_PUT_H
#define PERILUNE_CLI_MOCK_PUT_H

#include "base/buf.h"

/* Behind the last member of an event's object. */
#define MOCK_EVENT_END "}\n\n"

void mock_put(struct buf *out, const char *text);
void mock_put_uint(struct buf *out, uint64_t n);

/* `before`, then the number: "\"total\":" and 3. A number below 0 is written as 0. */
void mock_put_named(struct buf *out, const char *before, int64_t n);

/* `before`, then the text as a JSON string; null for SPAN_NONE. */
void mock_put_text(struct buf *out, const char *before, struct span text);

/* "\"call_mock_7\"", or "\"call_mock_7_2\"" for all but the first of its kind. */
void mock_put_id(struct buf *out, const char *prefix, uint64_t serial, size_t nth);

/* The beginning of a named event whose object repeats the name as its type. */
void mock_put_event(struct buf *out, const char *name);

/* Base64 with padding (RFC 4648, section 4). */
void mock_put_base64(struct buf *out, const unsigned char *bytes, size_t len);

/* `body` in gzip's format, not made any smaller. */
void mock_gzip(struct buf *out, struct span body);

#endif
