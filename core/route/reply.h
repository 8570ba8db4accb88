/* reply.h - the headers of a reply.
 *
 * Owns          a bounded list of them; texts lie in the message's arena.
 * Fed by        request and worker.
 * Feeds         conn.
 * Must not know bodies.
 */
#ifndef PERILUNE_ROUTE_REPLY_H
#define PERILUNE_ROUTE_REPLY_H

#include "base/snapshot.h"
#include "net/http1.h"
#include "route/error.h"

enum { REPLY_HEADERS = 48 };

struct reply {
    struct pair headers[REPLY_HEADERS];
    size_t n;
    struct arena *arena;
};

void reply_init(struct reply *r, struct arena *arena);

/* Left out when `value` is empty. Bytes that have no place in a header become '?', so that no value
 * can add a header of its own; a value is cut at 1 KB. Both texts are borrowed until the reply is
 * sent. */
void reply_add(struct reply *r, struct span name, struct span value);

/* access-control-* for a page whose origin is configured ("*": any), and `vary` where one is. */
void reply_cors(struct reply *r, const struct config *config, const struct http_message *m);

/* retry-after, x-should-retry. `tried`: attempts were made, so that the client's library should not
 * multiply them. A conflict stays one, although libraries retry a 409 by themselves. */
void reply_error_headers(struct reply *r, const struct api_error *error, bool tried);

#endif
