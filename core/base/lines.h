/* lines.h - lines that are appended to a file by a thread of their own, so that no disk and no
 * reader stops who has something to say.
 *
 * Owns          the file, what waits to be written, the thread that writes it.
 * Fed by        whoever has lines, on any thread; who says where they go.
 * Feeds         the file, or standard output.
 * Must not know what the lines say.
 *
 *   const struct lines_way way = { .effect = "requests are not recorded", .wait_ms = 1000 };
 *   struct lines *l = lines_new(&way);
 *   lines_open(l, path, max_bytes);         again after each reload
 *   if (lines_wanted(l)) lines_add(l, SPAN("{}\n"));       from any thread
 *   lines_free(l);                          writes what waits
 *
 * What waits does so for wait_ms, or until there are 64 KB. What comes while 8 MB wait is left out,
 * and so is what can not be written; both are counted. Of a process that is killed, what had not
 * been written is lost.
 */
#ifndef PERILUNE_BASE_LINES_H
#define PERILUNE_BASE_LINES_H

#include "base/buf.h"

struct lines;

struct lines_way {
    const char *effect; /* what it means that nothing can be written: "requests are not recorded" */
    unsigned wait_ms;
    /* Makes lines of what was added, on the thread that writes. NULL: what is added are lines.
     * `lines` NULL: no file is open, somebody else wants them. */
    void (*render)(void *owner, struct span added, struct buf *lines);
    void *owner;
};

/* The path that means standard output. */
#define LINES_STDOUT SPAN("stdout")

/* Never NULL; writes nothing until it is opened. `way` is copied. */
struct lines *lines_new(const struct lines_way *way);

/* Writes what waits and lets go. NULL is fine. */
void lines_free(struct lines *l);

/* Writes to `path` from now on (SPAN_NONE: nothing any more), after what waited has gone where it
 * belongs. A file that would grow over `max_bytes` is renamed to PATH.1 first (0: never); one that
 * somebody else renamed or removed is begun anew, here and whenever lines are written. A pipe that
 * nobody reads is waited for a second, then what it was to get is left out. May block. What is
 * wrong is logged. */
void lines_open(struct lines *l, struct span path, size_t max_bytes);

/* Whether render() is to be called although no file is open. */
void lines_want(struct lines *l, bool wanted);

/* Whether anything becomes of what is added: one atomic read. */
bool lines_wanted(struct lines *l);

/* Whole lines, or what render() makes some of. */
void lines_add(struct lines *l, struct span added);

/* Writes out what waits. May block. */
void lines_flush(struct lines *l);

/* How many were left out since the start. */
uint64_t lines_left_out(struct lines *l);

#endif
