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
    const struct span *assume;
    size_t n_assume;
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

/* The same of a request that was recorded (route/record.h): decided by the policy that decided it then
 * unless the question names another, by the figures of that moment. Of the question policy and
 * assumptions count. Reads the file from its beginning. */
bool explain_recorded(const struct snapshot *snap, struct vm_guard *guard, const char *path,
                      struct span id, const struct explain_question *q, struct arena *arena,
                      struct explain_answer *answer, struct api_error *error);

/* Whether that is the form of an id. */
bool explain_is_id(struct span text);

void explain_answer_deinit(struct explain_answer *answer);

#endif
