/* ask.h - asking a running perilune something over its admin side.
 *
 * Owns          one blocking connection while it asks.
 * Fed by        reload, status, explain, errand, logs.
 * Feeds         them, with a status and a body.
 * Must not know what it asks for.
 */
#ifndef PERILUNE_CLI_ASK_H
#define PERILUNE_CLI_ASK_H

#include "base/json.h"
#include "base/snapshot.h"

/* Sends `method path` to the instance whose state folder `config` names, with its token. The
 * answer's body is appended to `body`. Returns the HTTP status, or 0 with the reason printed (the
 * command exits with CLI_UNREACHABLE then). */
int ask(const struct config *config, const char *method, const char *path, struct buf *body);

/* The same with a body of its own, JSON. */
int ask_with(const struct config *config, const char *method, const char *path, struct span json,
             struct buf *body);

/* The body's next bytes, borrowed until it returns; first with none at all, once it has begun.
 * False to hear no more. */
typedef bool (*ask_on_bytes)(void *owner, struct span bytes);

/* GETs an answer that goes on and on: of one with status 200 its bytes go to `on_bytes` as they
 * come, and it returns once the answer has ended or nobody wants more. Else as ask(). */
int ask_follow(const struct config *config, const char *path, ask_on_bytes on_bytes, void *owner,
               struct buf *body);

/* Appends `text` to a path or a query: what could mean something in there is escaped. */
void ask_escape(struct buf *path, const char *text);

/* Prints the findings of an answer: file:line, what is wrong, the lines around it, a hint. */
void ask_print_findings(struct json_value findings);

/* Whether an instance has left word of itself in that state folder, whether it still runs or not. */
bool ask_known(const struct config *config);

#endif
