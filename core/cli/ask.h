/* ask.h - asking a running perilune something over its admin side.
 *
 * Owns          one blocking connection while it asks.
 * Fed by        reload, status, explain, errand.
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

/* Prints the findings of an answer: file:line, what is wrong, the lines around it, a hint. */
void ask_print_findings(struct json_value findings);

/* Whether an instance has left word of itself in that state folder, whether it still runs or not. */
bool ask_known(const struct config *config);

#endif
