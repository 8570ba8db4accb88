/* mock_headers.h - the headers of the mock's answers: ids, rate limits, what words ask for.
 *
 * Owns          nothing; what it makes lies in the arena given.
 * Fed by        mock_call, with a dialect and a fault.
 * Feeds         it.
 * Must not know what is answered.
 */
#ifndef PERILUNE_CLI_MOCK_HEADERS_H
#define PERILUNE_CLI_MOCK_HEADERS_H

#include "cli/mock_answer.h"

struct mock_headers {
    struct pair *at;
    size_t n;
};

/* All but an error's own. */
void mock_headers_make(struct mock_headers *h, const struct mock_dialect *dialect,
                       const struct mock_fault *fault, struct span content_type, uint64_t serial,
                       struct arena *arena);

/* There is room for one more behind those made; `name` must outlive them. */
void mock_headers_add(struct mock_headers *h, const char *name, struct span value);

/* "req-mock-7" */
struct span mock_request_id(uint64_t serial, struct arena *arena);

/* A head for what conn would not write: with any length, right or wrong. */
void mock_headers_raw(const struct mock_headers *h, int status, size_t length, struct buf *out);

#endif
