/* body_reading.h - what the readers of a request's body share, one dialect a file.
 *
 * Owns          one reading: the parsed body, the facts it fills, how the dialect says what is
 *               wrong.
 * Fed by        body.c, which parses, checks fields and reads what all dialects have.
 * Feeds         body_<dialect>.c, with helpers; they feed the facts.
 * Must not know what becomes of the request.
 *
 *   static bool read(struct body_reading *r) {
 *       struct json_value input = body_value(r, FIELD_INPUT);
 *       if (json_type(input) == JSON_ABSENT)
 *           return body_refuse_field(r, FIELD_INPUT, "is required");
 *       ...
 *   }
 */
#ifndef PERILUNE_ROUTE_BODY_READING_H
#define PERILUNE_ROUTE_BODY_READING_H

#include "route/body.h"

/* What a field may hold; a null is nothing and always allowed. */
enum body_kind {
    BODY_ANY = 0,
    BODY_BOOL = 1 << 0,
    BODY_NUMBER = 1 << 1,
    BODY_INTEGER = 1 << 2,
    BODY_NATURAL = 1 << 3,  /* an integer of 0 or more */
    BODY_POSITIVE = 1 << 4, /* an integer of 1 or more */
    BODY_STRING = 1 << 5,
    BODY_ARRAY = 1 << 6,
    BODY_STRINGS = 1 << 7, /* an array of strings */
    BODY_OBJECT = 1 << 8,
};

/* A field that is read or checked. It may stand in a body only once. */
struct body_field {
    struct span name;
    unsigned is; /* kinds */
};
#define BODY_FIELD(text, is)                                                                       \
    { { text, sizeof(text) - 1 }, is }

/* The fields every dialect has, first in its table. `models` and `route` are ours in all of them.
 */
enum { BODY_MODEL, BODY_MODELS, BODY_ROUTE, BODY_STREAM, BODY_OWN, BODY_FIELDS_MAX = 40 };
#define BODY_COMMON_FIELDS                                                                         \
    [BODY_MODEL] = BODY_FIELD("model", BODY_STRING),                                               \
    [BODY_MODELS] = BODY_FIELD("models", BODY_ARRAY),                                              \
    [BODY_ROUTE] = BODY_FIELD("route", BODY_ANY), [BODY_STREAM] = BODY_FIELD("stream", BODY_BOOL)

struct body_reading;

/* How bodies of one dialect are read and changed. */
struct body_dialect {
    const struct body_field *fields;
    int n_fields; /* at most BODY_FIELDS_MAX */
    /* Reads what is the dialect's own, once fields, model and stream are known to be right. False
     * after a refusal. */
    bool (*read)(struct body_reading *r);
    bool dotted;              /* says messages.0.content, where others say messages[0].content */
    bool takes_params;        /* overrides are written into the body as they are */
    int stream_options;       /* the field by which a stream is asked for usage; 0: there is none */
    int old_bound, new_bound; /* two fields that mean the same bound of an answer; new_bound 0: only
                               * the old one does, which then goes by either name; both: none does */
};

extern const struct body_dialect body_openai_chat, body_openai_responses, body_anthropic_messages,
    body_openai_completions, body_openai_embeddings;

/* Everything one reading needs. */
struct body_reading {
    const struct body_dialect *dialect;
    struct json_parser *parser;
    struct json_member at[BODY_FIELDS_MAX];
    struct facts *facts;
    struct arena *arena;
    struct body *body;
    struct api_error *error;
    bool counting;                             /* the body is to be counted, not answered */
    uint64_t text_bytes;                       /* of everything a model reads as text */
    uint64_t more_tokens;                      /* of everything else */
    struct json_value last_user, first_system; /* contents */
};

/* --- refusing: all return false --- */

bool body_refuse(struct body_reading *r, struct span param, struct span message);

/* `wanted`: "must be a string". */
bool body_refuse_field(struct body_reading *r, int field, const char *wanted);

/* A part of a list: messages[3].content; `member` "" is the item itself. */
bool body_refuse_item(struct body_reading *r, int field, size_t index, const char *member,
                      const char *wanted);

/* --- values --- */

/* A field's value; absent for a null. */
struct json_value body_value(const struct body_reading *r, int field);

/* A whole number, at most UINT32_MAX, so that no sum of it overflows. */
uint64_t body_int(struct json_value v, uint64_t absent);

/* The length of a value's JSON text, about: without the blanks, escapes counted as what they mean.
 */
uint64_t body_weight(struct json_value v);

/* --- what a model reads --- */

void body_add_text(struct body_reading *r, struct span text);

/* `source`: a data URL, bare base64, or anything else (an address, nothing). `low`: the client
 * wants it looked at coarsely. */
void body_add_picture(struct body_reading *r, struct span source, bool low);

/* Base64, or nothing. */
void body_add_audio(struct body_reading *r, struct span data);
void body_add_file(struct body_reading *r, struct span data);

/* A content: a text, or parts, each handed to `read_part`; null is nothing. What is neither is
 * refused as `member` of item `index` of the list `field`. */
bool body_read_parts(struct body_reading *r, struct json_value content, int field, size_t index,
                     const char *member,
                     void (*read_part)(struct body_reading *r, struct json_value part));

/* One message, in order: "tool" stands for a result. Its text is the last user's or the first
 * system's, if it is that. */
void body_add_message(struct body_reading *r, struct span role, struct json_value content);

/* Whether a content has any text. */
bool body_says_something(struct json_value content);

/* Prompts of one field: a string, strings, tokens or lists of tokens. `*n`: how many there are. */
bool body_add_prompts(struct body_reading *r, int field, size_t *n);

/* What a model signed and wants back, of the dialect the body is in or sealed by us. The last one
 * counts. Nothing when it is empty. */
void body_add_state(struct body_reading *r, struct span state);

/* The same where its dialect and model (SPAN_NONE: not told) stand beside it. */
void body_add_state_of(struct body_reading *r, enum dialect by, struct span model);

/* --- what else is asked for --- */

/* The name of a tool or of a choice of one: {function: {name}}, {custom: {name}}, {name}. */
struct span body_tool_name(struct json_value tool);

/* The tools of some fields, which are lists of objects. */
bool body_read_tools(struct body_reading *r, const int *fields, size_t n);

/* "auto", "none", "required" or a name; nothing is said by SPAN_NONE or "". */
void body_set_tool_choice(struct body_reading *r, struct span choice);

/* stream_options, and what it becomes when usage is to be asked for: the client's own, with
 * include_usage true. */
bool body_read_stream_options(struct body_reading *r);

/* The first of these that says something stays. */
void body_set_user(struct body_reading *r, struct span user);
void body_set_session(struct body_reading *r, struct span session);

/* `max`: the client's bound, 0 without one; an answer nobody bounded is guessed at. Each of
 * `answers` costs. */
void body_set_output(struct body_reading *r, uint64_t max, uint64_t answers);

#endif
