/* driver.c - a fuzzer without libFuzzer: the same inputs in every run, so many of them.
 *
 *   fuzz_NAME SPEC [FACTOR]      every input there is, then changed ones: FACTOR times as many
 *   fuzz_NAME --seeds SPEC DIR   writes the inputs there are into DIR, for libFuzzer
 *   fuzz_NAME --input FILE       that one
 *
 * What it finds is left in fuzz_NAME.input in the working directory.
 */
#include "fuzz/fuzz.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The input under way. */
static const struct buf *current;
static char found_at[128];

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void keep_input(void) {
    int file = open(found_at, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file >= 0 && current)
        (void)!write(file, current->at, current->len);
    static const char failed[] = "[  FAILED  ] fuzz\n";
    (void)!write(STDOUT_FILENO, failed, sizeof failed - 1);
}

static void on_signal(int number) {
    keep_input();
    signal(number, SIG_DFL);
    raise(number);
}

static void try(const struct buf *input) {
    current = input;
    LLVMFuzzerTestOneInput((const uint8_t *)input->at, input->len);
}

static void run(const struct fuzz_inputs *inputs, double factor) {
    for (size_t i = 0; i < inputs->n; i++)
        try(&inputs->list[i]);
    struct fuzz_random r = { 0x9e3779b97f4a7c15 };
    for (double i = 0; i < fuzz_target.iterations * factor; i++) {
        struct buf input = { 0 };
        const struct buf *other = &inputs->list[fuzz_below(&r, inputs->n)];
        buf_add(&input, buf_span(&inputs->list[fuzz_below(&r, inputs->n)]));
        fuzz_mutate(&r, &input, span_sub(buf_span(other), 0, other->len - fuzz_target.tail));
        try(&input);
        current = NULL;
        buf_deinit(&input);
    }
}

static void write_seeds(const struct fuzz_inputs *inputs, const char *dir) {
    for (size_t i = 0; i < inputs->n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/seed-%zu", dir, i);
        FILE *f = fopen(path, "wb");
        if (!f)
            fuzz_fail("can not write %s", path);
        fwrite(inputs->list[i].at, 1, inputs->list[i].len, f);
        fclose(f);
    }
}

static void try_file(const char *path) {
    FILE *f = fopen(path, "rb");
    struct buf input = { 0 };
    if (!f)
        fuzz_fail("can not read %s", path);
    input.len = fread(buf_reserve(&input, 4 << 20), 1, 4 << 20, f);
    fclose(f);
    try(&input);
    buf_deinit(&input);
}

int main(int argc, char **argv) {
    if (argc < 2)
        fuzz_fail("usage: SPEC [FACTOR] | --seeds SPEC DIR | --input FILE");
    snprintf(found_at, sizeof found_at, "fuzz_%s.input", fuzz_target.name);
    if (argc == 3 && strcmp(argv[1], "--input") == 0) {
        try_file(argv[2]);
        return 0;
    }
    bool seeds = argc == 4 && strcmp(argv[1], "--seeds") == 0;
    struct fuzz_inputs inputs = { 0 };
    fuzz_inputs_load(&inputs, argv[seeds ? 2 : 1]);
    if (seeds) {
        write_seeds(&inputs, argv[3]);
    } else {
        if (__sanitizer_set_death_callback)
            __sanitizer_set_death_callback(keep_input);
        else
            signal(SIGSEGV, on_signal);
        signal(SIGABRT, on_signal);
        printf("[ RUN      ] fuzz_%s\n", fuzz_target.name);
        run(&inputs, argc > 2 ? atof(argv[2]) : 1);
        printf("[       OK ] fuzz_%s\n", fuzz_target.name);
    }
    fuzz_inputs_deinit(&inputs);
    return 0;
}
