/* mock_call.h - one request at the mock: when which bytes of its answer go out.
 *
 * Owns          the place in the answer, the timer between two events.
 * Fed by        mock_serve, with what was asked and what is to go wrong.
 * Feeds         conn.
 * Must not know how the fault was chosen, what a dialect writes.
 */
#ifndef PERILUNE_CLI_MOCK_CALL_H
#define PERILUNE_CLI_MOCK_CALL_H

#include "cli/mock_answer.h"
#include "cli/mock_count.h"
#include "net/conn.h"

/* What the calls of a worker share. */
struct mock_desk {
    uv_loop_t *loop;
    struct mock_count *count;
    struct buf out;  /* scratch */
    struct buf body; /* scratch */
    uint64_t serial; /* of the last answer */
    uint64_t serial_step;
};

/* Answers. Releases `received` when it is over; `fault` and `ask` are copied, their texts lie in
 * the message's arena. */
void mock_call_begin(struct mock_desk *desk, struct conn *c, const struct mock_dialect *dialect,
                     struct mock_received *received, const struct mock_fault *fault,
                     const struct mock_ask *ask);

#endif
