/* The old completions: a prompt and what comes after it. */
#include "base/ability.h"
#include "route/body_reading.h"

enum { MAX_TOKENS_UNSAID = 16 /* what the API itself takes for a bound */ };

enum {
    FIELD_PROMPT = BODY_OWN,
    FIELD_STREAM_OPTIONS,
    FIELD_SUFFIX,
    FIELD_MAX_TOKENS,
    FIELD_N,
    FIELD_BEST_OF,
    FIELD_ECHO,
    FIELD_LOGPROBS,
    FIELD_LOGIT_BIAS,
    FIELD_TEMPERATURE,
    FIELD_TOP_P,
    FIELD_FREQUENCY_PENALTY,
    FIELD_PRESENCE_PENALTY,
    FIELD_SEED,
    FIELD_STOP,
    FIELD_USER,
    FIELD_COUNT
};

static const struct body_field fields[FIELD_COUNT] = {
    BODY_COMMON_FIELDS,
    [FIELD_PROMPT] = BODY_FIELD("prompt", BODY_STRING | BODY_ARRAY),
    [FIELD_STREAM_OPTIONS] = BODY_FIELD("stream_options", BODY_OBJECT),
    [FIELD_SUFFIX] = BODY_FIELD("suffix", BODY_STRING),
    [FIELD_MAX_TOKENS] = BODY_FIELD("max_tokens", BODY_NATURAL),
    [FIELD_N] = BODY_FIELD("n", BODY_POSITIVE),
    [FIELD_BEST_OF] = BODY_FIELD("best_of", BODY_POSITIVE),
    [FIELD_ECHO] = BODY_FIELD("echo", BODY_BOOL),
    [FIELD_LOGPROBS] = BODY_FIELD("logprobs", BODY_INTEGER),
    [FIELD_LOGIT_BIAS] = BODY_FIELD("logit_bias", BODY_OBJECT),
    [FIELD_TEMPERATURE] = BODY_FIELD("temperature", BODY_NUMBER),
    [FIELD_TOP_P] = BODY_FIELD("top_p", BODY_NUMBER),
    [FIELD_FREQUENCY_PENALTY] = BODY_FIELD("frequency_penalty", BODY_NUMBER),
    [FIELD_PRESENCE_PENALTY] = BODY_FIELD("presence_penalty", BODY_NUMBER),
    [FIELD_SEED] = BODY_FIELD("seed", BODY_NUMBER),
    [FIELD_STOP] = BODY_FIELD("stop", BODY_STRING | BODY_STRINGS),
    [FIELD_USER] = BODY_FIELD("user", BODY_STRING),
};

/* Each prompt is answered `n` times; of `best_of` that are written the others are thrown away, and
 * paid. */
static void read_output(struct body_reading *r, size_t prompts) {
    uint64_t n = body_int(body_value(r, FIELD_N), 1);
    uint64_t best_of = body_int(body_value(r, FIELD_BEST_OF), 1);
    uint64_t max = body_int(body_value(r, FIELD_MAX_TOKENS), MAX_TOKENS_UNSAID);
    body_set_output(r, max, (n > best_of ? n : best_of) * prompts);
    if (max == 0)
        r->facts->output_tokens = 0; /* only the prompt is asked about */
}

static bool read(struct body_reading *r) {
    size_t prompts;
    if (!body_add_prompts(r, FIELD_PROMPT, &prompts) || !body_read_stream_options(r))
        return false;
    body_add_text(r, json_text(body_value(r, FIELD_SUFFIX)));
    r->facts->uses |= ABILITY_CHAT;
    r->facts->turns = 1;
    r->facts->last_role = SPAN("user");
    read_output(r, prompts);
    body_set_user(r, json_text(body_value(r, FIELD_USER)));
    return true;
}

const struct body_dialect body_openai_completions = {
    .fields = fields,
    .n_fields = FIELD_COUNT,
    .read = read,
    .takes_params = true,
    .stream_options = FIELD_STREAM_OPTIONS,
    .old_bound = FIELD_MAX_TOKENS,
};
