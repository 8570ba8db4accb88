/* errand.h - what a command asks of a running perilune, and what it makes of the answer.
 *
 * Owns          one call's path, body and answer.
 * Fed by        policy, keys, projects, settings: arguments and options.
 * Feeds         ask with the call, the terminal with what the answer says.
 * Must not know what is asked for.
 *
 * Such a command has words of its own behind its name, each a `struct verb`:
 *
 *   static int show(struct errand *e) {
 *       bool done;
 *       errand_path(e, "/api/things/", e->call->args[1], "");
 *       int code = errand_send(e, "GET", &done);
 *       if (!done)
 *           ... print e->root ...
 *       return code;
 *   }
 *   static const struct verb verbs[] = { { "show", "show NAME", 1, 1, show }, { 0 } };
 *   static int things_main(const struct cli_call *call) { return errand_main(call, verbs); }
 */
#ifndef PERILUNE_CLI_ERRAND_H
#define PERILUNE_CLI_ERRAND_H

#include "base/arena.h"
#include "base/json.h"
#include "base/snapshot.h"
#include "cli/cli.h"

struct errand {
    const struct cli_call *call;
    const struct config *config;
    struct buf path, body, answer;
    struct json_parser *parser;
    struct arena arena;     /* of what is shown */
    struct json_value root; /* of the answer; valid until the next one is sent */
    int status;
};

struct verb {
    const char *name;
    const char *usage;  /* "show NAME" */
    size_t least, most; /* arguments behind it */
    int (*main)(struct errand *e);
};

/* Finds the verb that the first argument names and does it, with what --config names. `verbs` ends
 * with one without a name. Returns its exit code, or CLI_USAGE with the complaint printed. */
int errand_main(const struct cli_call *call, const struct verb *verbs);

/* `before`, a segment in which nothing can mean something else, `behind`. */
void errand_path(struct errand *e, const char *before, const char *segment, const char *behind);

/* Asks; path and body are taken up by it. CLI_OK when `root` is an answer to be shown: nothing was
 * wrong, and it is not wanted as JSON. Any other exit code: all has been said; *done tells it from
 * an answer that was printed. */
int errand_send(struct errand *e, const char *method, bool *done);

/* GETs what the errand needs itself: the answer is not printed, even as JSON. Else as above. */
int errand_fetch(struct errand *e);

/* Appends "name":"value" to an object that is being written, with a comma where one is needed;
 * nothing for SPAN_NONE. */
void errand_add(struct buf *body, const char *name, struct span value);

/* The same, of any JSON. */
void errand_add_json(struct buf *body, const char *name, struct span json);

/* What somebody wrote, in one line: a note, a doc or a name neither steers the terminal nor ends
 * the comment it stands in. Lies in the errand's arena. */
struct span errand_line(struct errand *e, struct span text);

/* The same of a text in an object; SPAN_NONE when it is not there. */
struct span errand_member(struct errand *e, struct json_value object, const char *name);

#endif
