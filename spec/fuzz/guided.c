/* guided.c - libFuzzer changes inputs as it does, and every other time as we do. */
#include "fuzz/fuzz.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
    struct fuzz_random r = { (uint64_t)seed << 1 | 1 };
    struct buf input = { 0 };
    if (fuzz_below(&r, 2))
        return LLVMFuzzerMutate(data, size, max);
    buf_append(&input, data, size);
    fuzz_mutate(&r, &input, SPAN_NONE);
    size_t len = input.len < max ? input.len : max;
    if (len)
        memcpy(data, input.at, len);
    buf_deinit(&input);
    return len;
}
