/* echo.h - events of a stream that are alike but for one text, answered without translating each.
 *
 * Owns          the last event that was translated, with what was made of it, and the texts that
 *               were answered since, of which the translator has not heard.
 * Fed by        adapter, with each event of a stream.
 * Feeds         it, with what the translator would have made, and with one event that stands for all
 *               it has not heard of.
 * Must not know dialects, Lua: which members matter is told by name.
 *
 *   if (echo_answer(e, event, data, out)) return;      like those before, but for its text
 *   n = echo_take(e, &event, &data);                   n > 0: the translator hears this first
 *   ... translate; then, if the event was one text and nothing else, ...
 *   echo_learn(e, event, data, made);
 *   ... and if not ...
 *   echo_forget(e);
 *
 * Two events teach: they differ in one text, and what was made of them in the same text at one place.
 * What is translated in between may change what the next text becomes; then all is forgotten.
 */
#ifndef PERILUNE_SCRIPT_ECHO_H
#define PERILUNE_SCRIPT_ECHO_H

#include "base/buf.h"

enum {
    ECHO_SIZE_MAX = 2048,      /* of an event to learn from, with what was made of it */
    ECHO_HELD_MAX = 16 * 1024, /* of the texts the translator has not heard of */
    ECHO_HOLES = 10
};

/* Names of members, with spaces between them; borrowed as long as the echo lives. */
struct echo_names {
    struct span texts; /* whatever is read as a text to be copied; SPAN_NONE: nothing is learned */
    struct span loose; /* their strings and numbers may differ: only the last ones count */
    struct span counter; /* of what is made: one more in each event; SPAN_NONE: there is none */
};

/* A place that may differ, in a text whose rest is fixed. */
struct echo_hole {
    uint16_t at, len;
    uint8_t kind;
    uint8_t from; /* in what is made: which of the event's it is a copy of */
};

struct echo_holes {
    size_t n;
    struct echo_hole list[ECHO_HOLES];
};

/* All zeros but for `names` is one that knows nothing. */
struct echo {
    struct echo_names names;
    struct buf kept; /* the event's data, what was made of it and its name, one behind the other */
    size_t data_len, made_len;
    bool named;              /* it has a name */
    bool learned;            /* the next three are set */
    struct echo_holes in;    /* holes of the data that were filled in different ways */
    struct echo_holes made;  /* and of what was made */
    uint64_t count;          /* the counter, in the event answered last */
    size_t n;                /* events the translator has not heard of, */
    struct buf held, latest; /* their texts, and all that filled the holes of the last of them */
};

void echo_deinit(struct echo *e);

/* Answers an event in the translator's place. The bytes of its text, unescaped; 0: the translator has
 * to be asked. */
size_t echo_answer(struct echo *e, struct span event, struct span data, struct buf *out);

/* How many events the translator has not heard of. From then on they count as told, by one event that
 * says the same: its name is good until the next call, its data is added to `data`. */
size_t echo_take(struct echo *e, struct span *event, struct buf *data);

/* An event that was one text and nothing else, and what was made of it. All before it were told. */
void echo_learn(struct echo *e, struct span event, struct span data, struct span made);

/* Any other event was translated. All before it were told. */
void echo_forget(struct echo *e);

#endif
