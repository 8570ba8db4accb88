/* body.h - the client's request body: read once, changed in place for each target.
 *
 * Owns          what is known of the body's shape: where the members stand that may have to change.
 * Fed by        request, with the whole body.
 * Feeds         policies (struct facts), attempt (the body that goes upstream when dialects agree).
 * Must not know networks, which target is chosen. One dialect a file: body_<dialect>.c.
 *
 *   if (!body_read(parser, text, &facts, &arena, &body, &error)) refuse(&error);
 *   body_build(parser, &body, target->upstream, step->params, step->n_params, true, &out);
 */
#ifndef PERILUNE_ROUTE_BODY_H
#define PERILUNE_ROUTE_BODY_H

#include "base/arena.h"
#include "base/facts.h"
#include "base/json.h"
#include "route/error.h"

/* Lies in the request and points into its arena and into the body's text, both of which outlive it.
 */
struct body {
    enum dialect dialect;
    struct span text; /* as the client sent it */
    const struct json_member
        *members; /* the members of the dialect's known fields that are there */
    size_t n_members;
    bool stream;
    bool asks_usage;           /* the client set stream_options.include_usage itself */
    struct span usage_options; /* streams: the client's stream_options with include_usage true;
                                * SPAN_NONE in dialects that know no such wish */
};

/* Validates the body in the dialect `facts->dialect` and fills the facts it holds: model, models,
 * stream, tokens, uses, tools, turns, texts, user and session. What the head has already set
 * (models, session) is kept; a coding agent's session header counts where nothing better was said.
 * A null counts as absent. Text is copied into `arena`; `text` is borrowed for as long as `body` is
 * used. False, with `*error` a 400 that names the parameter, when the body is not acceptable. */
bool body_read(struct json_parser *p, struct span text, struct facts *facts, struct arena *arena,
               struct body *body, struct api_error *error);

/* The same for a body whose input is only to be counted: it needs no bound for the answer. */
bool body_read_counted(struct json_parser *p, struct span text, struct facts *facts,
                       struct arena *arena, struct body *body, struct api_error *error);

/* Whether a step's params can be written into bodies of that dialect; where not, an adapter has to
 * build the request. */
bool body_takes_params(enum dialect d);

/* Appends the body for a target to `out`: `model` set, fields that are only ours taken out,
 * `params` applied (a value of SPAN_NONE takes the field out; there may be none where
 * body_takes_params() says no), and for a stream with `ask_usage` the usage asked for, where the
 * dialect has a word for that. All other bytes stay as they were. Params can not change model,
 * models, route, stream and stream_options; max_tokens and max_completion_tokens mean whichever of
 * the two the client wrote. Returns 0, or a json_error when a field only a param knows stands twice
 * in the body. `p` is used for fields the dialect does not know, and forgets its document then. */
int body_build(struct json_parser *p, const struct body *body, struct span model,
               const struct pair *params, size_t n_params, bool ask_usage, struct buf *out);

#endif
