/* mock_answer.h - the mock's reading of a chat request, and the JSON of its answer.
 *
 * Owns          nothing; what it makes lies in the arena or buffer given.
 * Fed by        mock_call.
 * Feeds         mock_call, with a whole body or one event at a time.
 * Must not know time, connections, counts.
 *
 *   if (mock_ask_read(&ask, parser, body, arena, &why)) {
 *       mock_answer_plan(&a, &ask, &shape, &harm, serial, arena);
 *       mock_answer_whole(&a, &out);           // or role, each piece, finish, usage
 *   }
 *
 * Tokens are counted as four bytes each, rounded up, in requests and answers alike.
 */
#ifndef PERILUNE_CLI_MOCK_ANSWER_H
#define PERILUNE_CLI_MOCK_ANSWER_H

#include "base/json.h"
#include "cli/mock_fault.h"

/* What a request asks for. */
struct mock_ask {
    struct span model;
    struct span text; /* of the last user message; empty without one */
    struct span tool; /* the name of the first tool; SPAN_NONE without tools */
    bool stream, include_usage;
    int64_t max_tokens; /* -1: no limit */
    int64_t prompt_tokens;
};

/* What is wrong with a request, as OpenAI would say it. */
struct mock_wrong {
    const char *param, *message;
};

bool mock_ask_read(struct mock_ask *ask, struct json_parser *parser, struct span body,
                   struct arena *arena, struct mock_wrong *wrong);

enum mock_piece_kind { MOCK_CONTENT, MOCK_REASONING, MOCK_TOOL };

/* What one content event of a stream says. */
struct mock_piece {
    enum mock_piece_kind kind;
    struct span text;
};

struct mock_answer {
    const struct mock_ask *ask;
    const struct mock_shape *shape;
    const struct mock_harm *harm;
    struct span model, content, reasoning, arguments, tool;
    struct mock_piece *pieces; /* of a stream */
    size_t n_pieces;
    const char *finish;
    int64_t completion_tokens, reasoning_tokens;
    uint64_t serial;
    struct span chunk_head; /* what all chunks of the stream begin with */
};

void mock_answer_plan(struct mock_answer *a, const struct mock_ask *ask,
                      const struct mock_shape *shape, const struct mock_harm *harm, uint64_t serial,
                      struct arena *arena);

/* The body of an answer that is not streamed. */
void mock_answer_whole(const struct mock_answer *a, struct buf *out);

/* Events of a stream, each with its blank line. */
void mock_answer_role(const struct mock_answer *a, struct buf *out);
void mock_answer_piece(const struct mock_answer *a, size_t i, struct buf *out);
void mock_answer_finish(const struct mock_answer *a, struct buf *out);
void mock_answer_usage(const struct mock_answer *a, struct buf *out);

/* {"error":{...}}; `param` and `code` may be SPAN_NONE: null. */
void mock_error(struct buf *out, struct span message, struct span type, struct span param,
                struct span code);

/* The type and code OpenAI gives an error of that status. */
void mock_error_names(int64_t status, struct span *type, struct span *code);

/* `body` in gzip's format, not made any smaller. */
void mock_gzip(struct buf *out, struct span body);

#endif
