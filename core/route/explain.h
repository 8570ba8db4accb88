/* explain.h - what would become of a request, and why: nobody is asked.
 *
 * Owns          the policy state it makes for the one question.
 * Fed by        cli/explain and the admin side, with a request and what is to be assumed.
 * Feeds         them, with a report.
 * Must not know files, command lines, the admin side.
 *
 *   struct explain_question q = { .body = body, .policy = SPAN("tier") };
 *   if (!explain_ask(snap, health, guard, &q, &answer, &error)) ... error.message ...
 *   explain_answer_deinit(&answer);
 *
 * On the builder's thread: it compiles the policies anew, which takes some milliseconds.
 */
#ifndef PERILUNE_ROUTE_EXPLAIN_H
#define PERILUNE_ROUTE_EXPLAIN_H

#include "route/error.h"
#include "route/health.h"
#include "script/vm.h"

struct explain_question {
    struct span body;           /* as a client would send it */
    struct span endpoint;       /* "/v1/messages"; SPAN_NONE: told by the body's members */
    const struct pair *headers; /* names in lower case */
    size_t n_headers;
    struct span policy; /* SPAN_NONE: the one that would decide */
    /* Of who asks: route/assumed.h; of targets: lua/perilune/assume.lua. */
    const struct span *assume;
    size_t n_assume;
    const struct keys_pass *known; /* keys and projects there are; NULL: the configuration's */
};

struct explain_answer {
    struct buf json; /* the report: lua/perilune/explain.lua */
    struct buf text; /* the same as a page for a terminal */
};

/* `health`: the live figures; NULL: nothing is known. False with the error, whose texts lie in
 * `arena`; the answer is empty then. */
bool explain_ask(const struct snapshot *snap, struct health *health, struct vm_guard *guard,
                 const struct explain_question *q, struct arena *arena,
                 struct explain_answer *answer, struct api_error *error);

/* A recorded request (route/record.h) with what policies had been told when it was decided. */
struct explain_found;

/* Looks for it from the beginning of the file: blocks, on any thread. NULL: it is not there. */
struct explain_found *explain_find(const struct snapshot *snap, const char *path, struct span id);
void explain_found_free(struct explain_found *f);

/* The same of that request, by the figures of its moment: the policy that decided it then is asked
 * unless the question names another. Of the question policy and assumptions count. `snap` is the
 * one it was looked for with. */
bool explain_found(const struct explain_found *f, const struct snapshot *snap,
                   struct vm_guard *guard, const struct explain_question *q, struct arena *arena,
                   struct explain_answer *answer, struct api_error *error);

/* Whether that is the form of an id. */
bool explain_is_id(struct span text);

void explain_answer_deinit(struct explain_answer *answer);

#endif
