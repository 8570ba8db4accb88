/* mock_token.c - an OAuth token endpoint, as service accounts ask one (RFC 7523). */
#include "cli/mock_answer.h"

/* The decoded value of a form's field; SPAN_NONE without one. */
static struct span form_field(struct span body, struct span name, struct arena *arena) {
    struct span field;
    while (span_split(&body, '&', &field)) {
        size_t equals = span_find(field, '=');
        if (span_eq(span_sub(field, 0, equals), name))
            return mock_decode(arena, span_sub(field, equals + 1, SIZE_MAX));
    }
    return SPAN_NONE;
}

static bool is_signed(struct span assertion) {
    size_t dots = 0;
    for (size_t i = 0; i < assertion.len; i++)
        dots += assertion.at[i] == '.';
    return dots == 2;
}

static bool token_read(struct mock_ask *ask, const struct mock_post *post, struct arena *arena,
                       struct mock_wrong *wrong) {
    struct span grant = form_field(post->body, SPAN("grant_type"), arena);
    struct span assertion = form_field(post->body, SPAN("assertion"), arena);
    bool bearer = span_eq(grant, SPAN("urn:ietf:params:oauth:grant-type:jwt-bearer"));
    if (bearer && is_signed(assertion))
        return true;
    mock_refuse(wrong, NULL,
                bearer ? "The assertion is no signed token." : "There is no such grant type.");
    wrong->code = bearer ? SPAN("invalid_grant") : SPAN("unsupported_grant_type");
    return false;
}

static void token_whole(struct mock_answer *a, struct buf *out) {
    mock_put_named(out, "{\"access_token\":\"ya29.mock-", (int64_t)a->serial);
    mock_put(out, "\",\"expires_in\":3600,\"token_type\":\"Bearer\"}");
}

static void token_names(struct mock_error *e) {
    e->code = e->status < 500 ? SPAN("invalid_grant") : SPAN("internal_failure");
}

static void token_error(const struct mock_error *e, struct buf *out) {
    mock_put_text(out, "{\"error\":", e->code);
    mock_put_text(out, ",\"error_description\":", e->message);
    mock_put(out, "}");
}

const struct mock_dialect mock_token = {
    .form = true,
    .says = MOCK_SAYS_NOTHING,
    .read = token_read,
    .whole = token_whole,
    .names = token_names,
    .error = token_error,
};
