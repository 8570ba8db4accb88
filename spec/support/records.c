#include "support/records.h"

#include <stdio.h>

static const char *const projects[RECORDS_PROJECTS] = { "default", "shop", "search", "lab" };
static const char *const targets[RECORDS_TARGETS] = {
    "openai/gpt-4o",      "openai/gpt-4o-mini", "anthropic/claude-sonnet-4-6",
    "vllm/llama-3.3-70b", "gemini/gemini-2.5",  "azure/gpt-4o",
};

void records_init(struct records *r, uint64_t seed) {
    *r = (struct records){ 0 };
    random_seed(&r->random, seed);
}

static struct entry_attempt attempt(struct records *r, unsigned number, uint64_t began_us) {
    uint64_t chance = random_next(&r->random);
    int64_t input = 100 + (int64_t)(chance % 5000), output = 10 + (int64_t)(chance / 5000 % 900);
    const char *target = targets[chance / 7 % RECORDS_TARGETS];
    nanousd cost = input * 2500 + output * 10000 + (nanousd)(chance % 1000);
    return (struct entry_attempt){
        .number = number,
        .target = span_of(target),
        .upstream = span_of(strchr(target, '/') + 1),
        .upstream_id = SPAN("req_0123456789"),
        .began_us = began_us,
        .status = 200,
        .connect_us = 900,
        .first_us = 200000 + (int64_t)(chance % 300000),
        .total_us = 600000 + (int64_t)(chance % 5000000),
        .tokens = { input, input / 4, 0, output, output / 3 },
        .estimated = chance % 50 == 0,
        .price = { 2500000000, 10000000000, 1250000000, PRICE_UNKNOWN },
        .cost = cost,
        .billed = cost + cost / 10,
        .most = -1,
    };
}

static void fail(struct entry_attempt *a) {
    a->status = 429;
    a->failure = FAILURE_RATE_LIMITED;
    a->first_us = -1;
    a->tokens = (struct entry_tokens){ -1, -1, -1, -1, -1 };
    a->cost = a->billed = 0;
}

void records_make(struct records *r, uint64_t number, uint64_t at_us, struct entry *e) {
    uint64_t chance = random_next(&r->random);
    bool fails = chance % 50 == 0, falls_over = fails || chance % 20 == 0;
    snprintf(r->id, sizeof r->id, "r-%07llu", (unsigned long long)number);
    snprintf(r->session, sizeof r->session, "session-%llu", (unsigned long long)number / 8);
    snprintf(r->tag, sizeof r->tag, "team-%llu", (unsigned long long)(chance / 64 % 20));
    snprintf(r->key, sizeof r->key, "key-%llu", (unsigned long long)(chance / 2048 % RECORDS_KEYS));
    r->tags[0] = span_of(r->tag);
    r->tags[1] = SPAN("batch");
    size_t n = falls_over ? 2 : 1;
    for (unsigned i = 0; i < n; i++)
        r->attempts[i] = attempt(r, i + 1, at_us + 300 + 1000000 * i);
    if (falls_over)
        fail(&r->attempts[0]);
    if (fails)
        fail(&r->attempts[1]);
    r->attempts[n - 1].won = !fails;
    *e = (struct entry){
        .id = span_of(r->id),
        .at_us = at_us,
        .key = span_of(r->key),
        .project = span_of(projects[chance / 2048 % RECORDS_KEYS % RECORDS_PROJECTS]),
        .tier = chance % 2 ? SPAN("paid") : SPAN_NONE,
        .endpoint = chance / 32 % 5 ? SPAN("/v1/chat/completions") : SPAN("/v1/messages"),
        .model = SPAN("auto"),
        .policy = SPAN("tier@3f9c2a1b"),
        .assignment = SPAN("account"),
        .arm = chance % 16 ? SPAN_NONE : SPAN("prices/gpt-4o"),
        .chain = SPAN("openai/gpt-4o openai/gpt-4o-mini"),
        .session = chance % 4 ? SPAN_NONE : span_of(r->session),
        .tags = r->tags,
        .n_tags = chance % 3,
        .outcome = fails ? ENTRY_FAILED : ENTRY_ANSWERED,
        .status = fails ? 429 : 200,
        .failure = fails ? FAILURE_RATE_LIMITED : FAILURE_NONE,
        .error = fails ? SPAN("rate_limit_exceeded") : SPAN_NONE,
        .stream = chance % 2,
        .free = chance / 256 % 30 == 0,
        .queue_us = 0,
        .policy_us = 40,
        .first_us = fails ? -1 : r->attempts[n - 1].first_us,
        .total_us = r->attempts[n - 1].total_us + 500,
        .attempts = r->attempts,
        .n_attempts = n,
    };
}
