/* Embeddings: texts in, vectors out. Another model's vectors mean something else, so that a request
 * keeps to the model it names. */
#include "base/ability.h"
#include "route/body_reading.h"

enum { FIELD_INPUT = BODY_OWN, FIELD_DIMENSIONS, FIELD_ENCODING_FORMAT, FIELD_USER, FIELD_COUNT };

static const struct body_field fields[FIELD_COUNT] = {
    BODY_COMMON_FIELDS,
    [FIELD_INPUT] = BODY_FIELD("input", BODY_STRING | BODY_ARRAY),
    [FIELD_DIMENSIONS] = BODY_FIELD("dimensions", BODY_POSITIVE),
    [FIELD_ENCODING_FORMAT] = BODY_FIELD("encoding_format", BODY_STRING),
    [FIELD_USER] = BODY_FIELD("user", BODY_STRING),
};

static bool read(struct body_reading *r) {
    size_t inputs;
    if (r->body->stream)
        return body_refuse_field(r, BODY_STREAM, "must not be true: embeddings come whole");
    if (!body_add_prompts(r, FIELD_INPUT, &inputs))
        return false;
    r->facts->uses |= ABILITY_EMBEDDINGS;
    r->facts->strict = true;
    r->facts->max_tokens = r->facts->output_tokens = 0;
    body_set_user(r, json_text(body_value(r, FIELD_USER)));
    return true;
}

const struct body_dialect body_openai_embeddings = {
    .fields = fields,
    .n_fields = FIELD_COUNT,
    .read = read,
};
