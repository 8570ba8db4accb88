/* reading.h - a question to the ledger's database, answered on a thread beside.
 *
 * Owns          the question from when it is asked until the call is answered.
 * Fed by        api_requests, api_usage, each with a call and what it wants to know.
 * Feeds         them, on that thread, with a place for the answer; the call, back on the loop.
 * Must not know what is asked.
 *
 *   static void look(struct reading *r) {        on a thread beside: r->call->arena is its alone
 *       struct search *s = search_open(r->path, &error);
 *       ... buf_printf(&r->answer, ...) or reading_refuse(r, API_NOT_FOUND, "id", "...") ...
 *   }
 *   reading_ask(call, look, &question);          in the call's memory
 *
 * A search may take a fifth of a second and sums two: the loop serves others meanwhile.
 */
#ifndef PERILUNE_ADMIN_READING_H
#define PERILUNE_ADMIN_READING_H

#include "admin/inside.h"

struct reading {
    struct api_call *call;
    const char *path; /* of the database */
    void *question;
    /* What comes of it. */
    struct buf answer;
    const char *type; /* of the answer; NULL: JSON */
    bool refused;
    enum api_code code;
    const char *param;
    char why[1200];
    /* kept by reading */
    void (*look)(struct reading *r);
    uv_work_t work;
};

/* Has `look` called on a thread beside, once, with a reading whose question that is; then answers
 * the call. Or answers it at once: no ledger is kept, too many ask. */
void reading_ask(struct api_call *call, void (*look)(struct reading *r), void *question);

/* The answer will be a refusal. `param` may be NULL, and lives as long as the call. */
void reading_refuse(struct reading *r, enum api_code code, const char *param, const char *format,
                    ...) __attribute__((format(printf, 4, 5)));

/* Whether a read that gave that SQLite result was one. False: it is refused. */
bool reading_worked(struct reading *r, int result);

#endif
