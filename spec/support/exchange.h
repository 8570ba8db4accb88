/* exchange.h - transfers under test, and the loop they run on.
 *
 * Owns          a loop, a pump, and what each exchange has seen.
 * Fed by        the spec.
 * Feeds         the spec's assertions.
 * Must not know what is right.
 *
 *   bed_open(&bed, NULL);
 *   exchange_post(&x, &bed, port, "hello");
 *   exchange_wait(&x);                       fails the spec after BED_PATIENCE_MS
 *   assert_int_equal(x.status, 200);
 *   exchange_clear(&x);
 *   bed_close(&bed);                         nothing is left open
 */
#ifndef PERILUNE_SPEC_EXCHANGE_H
#define PERILUNE_SPEC_EXCHANGE_H

#include "base/buf.h"
#include "support/turns.h"
#include "upstream/transfer.h"

enum { BED_PATIENCE_MS = 30000 };

struct bed {
    uv_loop_t loop;
    struct ca *ca;
    struct pump *pump;
    struct turns turns;
    bool closed; /* the pump has said so */
};

void bed_open(struct bed *bed, const char *ca_file);

/* Closes the pump (unless the spec has), runs the loop out and asserts that nothing is left. */
void bed_close(struct bed *bed);

/* Runs the loop until it is so. */
void bed_until(struct bed *bed, bool (*so)(void *arg), void *arg);

/* Runs the loop for so long. Only to see that nothing happens. */
void bed_for(struct bed *bed, unsigned ms);

struct exchange {
    struct bed *bed;
    struct transfer *transfer; /* NULL once freed */
    char url[256];
    struct span headers[8];
    struct transfer_message message;
    /* what was seen */
    int heads, status;
    struct buf head; /* "name: value\n" */
    struct buf body;
    unsigned pauses;
    bool over;        /* on_done or on_fail */
    enum failure why; /* FAILURE_NONE: on_done */
    char text[160];
    struct transfer_times times;
    /* what it does */
    size_t room;                         /* bytes it takes before it pauses; SIZE_MAX at first */
    void (*at_head)(struct exchange *x); /* after recording; may free */
    void (*at_body)(struct exchange *x);
    void (*at_end)(struct exchange *x);
    void *owner;
};

/* Sets up without starting: POST http://127.0.0.1:PORT/v1/x with `body`, which is not copied. */
void exchange_init(struct exchange *x, struct bed *bed, int port, const char *body);
void exchange_header(struct exchange *x, const char *line);
void exchange_start(struct exchange *x);

/* Both. */
void exchange_post(struct exchange *x, struct bed *bed, int port, const char *body);

void exchange_wait(struct exchange *x);

/* Frees the transfer; nothing may come after it. */
void exchange_free(struct exchange *x);

/* That, and what was recorded. */
void exchange_clear(struct exchange *x);

/* Takes what is to come, up to `room` bytes in all. */
void exchange_resume(struct exchange *x, size_t room);

#endif
