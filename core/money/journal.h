/* journal.h - what happened, appended to a file at once; and such a file read again.
 *
 * Owns          one open file of one writer, and what could not be written to it yet.
 * Fed by        one worker.
 * Feeds         ledger, which reads the files and deletes them.
 * Must not know SQLite, who reads.
 *
 *   struct journal *j = journal_open(&settings, &error);
 *   journal_begun(j, &begun);                    before each attempt
 *   if (journal_ended(j, &entry) < 0) ...        before the client's last bytes
 *   journal_close(j);
 *
 * A file is WRITER-NUMBER.journal: eight bytes that say what it is, then frames. A frame is its
 * length
 * (4 bytes), kind (4), sequence from 1 (8), checksum (8: XXH3 of all else, seeded by the file's
 * name), and so many bytes. An
 * entry is one frame, one write(2). The writer holds a flock(2) on its newest file: a file nobody
 * has locked grows no more. The next file is there before the last one is let go, so that a writer
 * without a file is dead.
 */
#ifndef PERILUNE_MONEY_JOURNAL_H
#define PERILUNE_MONEY_JOURNAL_H

#include "money/entry.h"

struct journal;

struct journal_settings {
    struct span folder; /* exists */
    struct span
        spill; /* a folder on another disk, for when this one takes no more; SPAN_NONE: none */
    size_t rotate_bytes; /* then the next file begins; 0: 64 MB */
    bool power; /* an ended request is on the disk, not just in the kernel, before journal_ended()
                 * returns */
};

/* What stopped a call, as people read it. */
struct journal_error {
    char text[512];
};

/* NULL with the error filled when no file can be made. A journal belongs to one thread. */
struct journal *journal_open(const struct journal_settings *s, struct journal_error *error);

/* One entry. 0, or a negative errno: then it is not in the file, but kept in memory and tried again
 * by the next call, in order; nothing half written stays in the file. Over 1 MB so kept, whatever
 * else comes is dropped (-ENOBUFS), but an ended request never is. */
int journal_begun(struct journal *j, const struct entry_begun *b);
int journal_ended(struct journal *j, const struct entry *e);
int journal_feedback(struct journal *j, const struct entry_feedback *f);
int journal_body(struct journal *j, const struct entry_body *b);

/* Tries again what could not be written. 0 when nothing waits. */
int journal_flush(struct journal *j);

/* What went wrong last; NULL while nothing waits: then there is no reason not to spend. */
const char *journal_trouble(const struct journal *j);

/* Writes what waits, if it can, and lets the file go. NULL is fine. */
void journal_close(struct journal *j);

/* --- reading ---------------------------------------------------------------------------------- */

enum journal_kind { JOURNAL_BEGUN = 1, JOURNAL_ENDED = 2, JOURNAL_FEEDBACK = 3, JOURNAL_BODY = 4 };

struct journal_frame {
    enum journal_kind kind;
    uint64_t sequence;
    struct span entry; /* its bytes */
    size_t size;       /* of the whole frame */
};

enum journal_found {
    JOURNAL_FRAME,
    JOURNAL_NEED_MORE, /* the bytes end before the frame does */
    JOURNAL_BROKEN     /* no frame of this file with this sequence */
};

enum { JOURNAL_HEAD = 8, JOURNAL_FRAME_HEAD = 24 };

/* Whether a file of that name is a journal: "ID-000001.journal"; `*writer` is its first part. */
bool journal_named(struct span name, struct span *writer);

/* Whether these are the first JOURNAL_HEAD bytes of a journal that can be read. */
bool journal_head_is(const char *bytes);

/* The frame at the front of `bytes`, which is to have that sequence, of the file called `name`. */
enum journal_found journal_read(struct span bytes, struct span name, uint64_t sequence,
                                struct journal_frame *frame);

#endif
