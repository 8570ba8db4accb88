#include "fuzz/fuzz.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void fuzz_fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "fuzz_%s: ", fuzz_target.name);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < fuzz_target.tail)
        return 0;
    size_t len = size - fuzz_target.tail;
    uint8_t tail[FUZZ_TAIL_MAX + 1] = { 0 };
    if (fuzz_target.tail)
        memcpy(tail, data + len, fuzz_target.tail);
    char *text = malloc(len + !len);
    if (!text)
        abort();
    if (len)
        memcpy(text, data, len);
    fuzz_target.one((struct span){ text, len }, tail);
    free(text);
    return 0;
}

/* xorshift64* */
uint64_t fuzz_next(struct fuzz_random *r) {
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return r->state * UINT64_C(2685821657736338717);
}

size_t fuzz_below(struct fuzz_random *r, size_t n) {
    return n ? (fuzz_next(r) >> 16) % n : 0;
}

uint32_t fuzz_u32(const uint8_t *tail) {
    uint32_t n;
    memcpy(&n, tail, sizeof n);
    return n;
}

void fuzz_in_parts(struct span text, uint32_t seed,
                   void (*feed)(void *owner, const char *bytes, size_t len), void *owner) {
    struct fuzz_random r = { seed };
    for (size_t at = 0; at < text.len;) {
        /* Mostly short ones, so that each line is cut somewhere. */
        size_t left = text.len - at;
        size_t n = !seed ? left : 1 + fuzz_below(&r, fuzz_below(&r, 4) ? 20 : 400);
        if (n > left)
            n = left;
        char *part = malloc(n);
        if (!part)
            abort();
        memcpy(part, text.at + at, n);
        feed(owner, part, n);
        free(part);
        at += n;
    }
}

/* --- files --- */

static struct buf *add_input(struct fuzz_inputs *inputs) {
    if (inputs->n == inputs->cap) {
        inputs->cap = inputs->cap ? 2 * inputs->cap : 32;
        inputs->list = realloc(inputs->list, inputs->cap * sizeof *inputs->list);
        if (!inputs->list)
            abort();
    }
    inputs->list[inputs->n] = (struct buf){ 0 };
    return &inputs->list[inputs->n++];
}

static void read_file(const char *path, struct buf *out) {
    FILE *f = fopen(path, "rb");
    if (!f)
        fuzz_fail("can not read %s", path);
    for (size_t n = 1; n;) {
        n = fread(buf_reserve(out, 65536), 1, 65536, f);
        out->len += n;
    }
    fclose(f);
}

static int is_file(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

/* Each file of a folder in the order of names; `ending` "" takes all. Folders may be missing. */
static void load_folder(struct fuzz_inputs *inputs, const char *path, const char *ending,
                        const uint8_t *tail) {
    struct dirent **entries;
    int n = scandir(path, &entries, is_file, alphasort);
    for (int i = 0; i < n; i++) {
        char file[4096];
        if (span_ends(span_of(entries[i]->d_name), span_of(ending))) {
            struct buf *input = add_input(inputs);
            snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
            read_file(file, input);
            if (tail)
                buf_append(input, tail, fuzz_target.tail);
        }
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

void fuzz_inputs_load(struct fuzz_inputs *inputs, const char *spec) {
    char path[2048];
    for (const struct fuzz_folder *f = fuzz_target.folders; f->path; f++) {
        const uint8_t tail[FUZZ_TAIL_MAX] = { f->first };
        size_t before = inputs->n;
        snprintf(path, sizeof path, "%s/%s", spec, f->path);
        load_folder(inputs, path, f->ending, tail);
        if (inputs->n == before)
            fuzz_fail("%s holds no %s", path, f->ending);
    }
    snprintf(path, sizeof path, "%s/fuzz/corpus/%s", spec, fuzz_target.name);
    load_folder(inputs, path, ".input", NULL);
}

void fuzz_inputs_deinit(struct fuzz_inputs *inputs) {
    for (size_t i = 0; i < inputs->n; i++)
        buf_deinit(&inputs->list[i]);
    free(inputs->list);
}
