/* record.h - requests, and the figures policies went by, written down for replay: a line of JSON
 * each.
 *
 * Owns          the lines and their names; base/lines has the file.
 * Fed by        engine, with where to write; request's tail gate; worker, when it has told its
 *               policies something.
 * Feeds         `perilune replay`, and whoever reads the file.
 * Must not know what is done with it. No text of a prompt or an answer comes in here.
 *
 *   struct record *rec = record_new();
 *   record_open(rec, path, max_bytes);         again after each reload
 *   record_request(rec, worker, &facts, &trace, outcome, status);      from any thread
 *   record_free(rec);                          writes what waits
 *
 * Lines wait for a second, or until there are 64 KB (base/lines): a disk that is slow never stops a
 * request. What a process that is killed had not written yet is lost; a record of money is something
 * else.
 */
#ifndef PERILUNE_ROUTE_RECORD_H
#define PERILUNE_ROUTE_RECORD_H

#include "route/request.h"
#include "script/policy.h"

struct record;

/* Never NULL; writes nothing until it is opened. */
struct record *record_new(void);
void record_free(struct record *rec);

/* Writes to `path` from now on (SPAN_NONE: nothing any more), after what waited has gone where it
 * belongs. A file that would grow over `max_bytes` is renamed to PATH.1 first; one that somebody
 * else renamed or removed is begun anew, here and whenever lines are written. May block. What is
 * wrong is logged. */
void record_open(struct record *rec, struct span path, size_t max_bytes);

/* Writes out what waits. May block. */
void record_flush(struct record *rec);

/* A request is over. */
void record_request(struct record *rec, unsigned worker, const struct snapshot *snap,
                    const struct facts *facts, const struct trace *trace,
                    enum request_outcome outcome, int status);

/* A worker has told its policies these figures. */
void record_figures(struct record *rec, unsigned worker, const struct snapshot *snap,
                    const struct policy_figure *figures, size_t n);

/* The lines alone, with their line feed. `at_us` is Unix time. */
void record_write_request(struct buf *out, uint64_t at_us, unsigned worker,
                          const struct snapshot *snap, const struct facts *facts,
                          const struct trace *trace, enum request_outcome outcome, int status);
void record_write_figure(struct buf *out, uint64_t at_us, unsigned worker, struct span target,
                         const struct policy_figure *figure);

#endif
