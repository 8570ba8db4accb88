/* fuzz.h - what the fuzzers have in common: inputs, where they come from, how they are changed.
 *
 * Owns          nothing: an input lives as long as one call.
 * Fed by        driver.c (a bounded run with a fixed seed, part of `make test`) or libFuzzer
 *               (`make fuzz`), by way of LLVMFuzzerTestOneInput().
 * Feeds         one target a program, NAME_fuzz.c.
 * Must not know what a target does with its input.
 *
 * An input is a text and, behind it, the target's `tail`: bytes that choose which dialects meet,
 * where the text is cut. So fixtures are inputs as they are, with a tail added.
 */
#ifndef PERILUNE_SPEC_FUZZ_H
#define PERILUNE_SPEC_FUZZ_H

#include "base/buf.h"

/* A folder below spec/ whose files are texts to begin with. */
struct fuzz_folder {
    const char *path;
    const char *ending; /* only files so named; "" takes all */
    uint8_t first;      /* the first byte of the tail for them: the dialect, mostly */
};

struct fuzz_target {
    const char *name;
    const struct fuzz_folder *folders; /* ends in { 0 } */
    unsigned tail;                     /* bytes, at most FUZZ_TAIL_MAX */
    unsigned iterations;               /* of the run in `make test`: about two seconds */
    /* Ends the program by fuzz_fail(), or by a sanitizer, when it finds something. The text lies in
     * memory of its own, so that reading beyond it is seen. */
    void (*one)(struct span text, const uint8_t *tail);
};
enum { FUZZ_TAIL_MAX = 16 };

extern const struct fuzz_target fuzz_target;

/* The way of both drivers in. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A finding: prints it and aborts. */
void fuzz_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
#define fuzz_expect(condition)                                                                     \
    ((condition) ? (void)0 : fuzz_fail("%s:%d: %s", __FILE__, __LINE__, #condition))

/* --- numbers that look random and are the same in every run --- */

struct fuzz_random {
    uint64_t state;
};
uint64_t fuzz_next(struct fuzz_random *r);
/* From 0 to n - 1; 0 for n = 0. */
size_t fuzz_below(struct fuzz_random *r, size_t n);

/* --- inputs --- */

/* Changes an input, in a way that texts of events and JSON often survive: values, names, lines and
 * whole events are replaced, doubled, swapped, left out; some bytes, and the tail. `other` is a
 * text to take pieces from. */
void fuzz_mutate(struct fuzz_random *r, struct buf *input, struct span other);

/* The files of the target's folders below `spec`, with a tail; and those of fuzz/corpus/NAME, which
 * have theirs. */
struct fuzz_inputs {
    struct buf *list;
    size_t n, cap;
};
void fuzz_inputs_load(struct fuzz_inputs *inputs, const char *spec);
void fuzz_inputs_deinit(struct fuzz_inputs *inputs);

/* Feeds `text` in parts, cut where `seed` says (0: whole), each in memory of its own. */
void fuzz_in_parts(struct span text, uint32_t seed,
                   void (*feed)(void *owner, const char *bytes, size_t len), void *owner);
/* Four bytes of a tail as a number. */
uint32_t fuzz_u32(const uint8_t *tail);

#endif
