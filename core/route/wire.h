/* wire.h - what pass-through must know about the bytes of a dialect.
 *
 * Owns          one table of readers a dialect (wire_<dialect>.c), and the reading of errors, which
 *               all share.
 * Fed by        attempt, with answers, stream events and error bodies of a provider.
 * Feeds         attempt: whether there is content, an end, an error; usage; the failure class.
 * Must not know requests, networks, what is done about any of it.
 *
 *   const struct wire *w = wire_of(DIALECT_OPENAI_CHAT);
 *   w->read_event(parser, event->name, event->data, &arena, &seen);
 *   if (seen.kind == WIRE_ERROR) why = wire_classify(rules, n, status, &seen.error);
 */
#ifndef PERILUNE_ROUTE_WIRE_H
#define PERILUNE_ROUTE_WIRE_H

#include "base/arena.h"
#include "base/failure.h"
#include "base/json.h"
#include "base/snapshot.h"

enum wire_kind {
    WIRE_OK,       /* an event or an answer of the dialect */
    WIRE_END,      /* the end mark of a stream */
    WIRE_ERROR,    /* the provider says that it failed: `error` */
    WIRE_MALFORMED /* not the dialect */
};

/* Tokens; -1: not said. `cached` and `written` (to the cache) are part of `input`, `reasoning` of
 * `output`. `fresh` is what is neither: a dialect that tells the parts and not the sum sets it, and
 * leaves `input` to wire_usage_merge(). */
struct wire_usage {
    int64_t input, output, cached, written, reasoning, fresh;
};
#define WIRE_USAGE_UNKNOWN                                                                         \
    (struct wire_usage) {                                                                          \
        -1, -1, -1, -1, -1, -1                                                                     \
    }

/* What was said later wins, figure by figure; what was not said stays as it was. Usage is told as a
 * sum so far, so nothing is ever added but the parts of the input. */
void wire_usage_merge(struct wire_usage *known, const struct wire_usage *said);

/* What a provider says went wrong. `message` is one line of printable UTF-8, at most
 * WIRE_MESSAGE_MAX bytes, in the arena; so are the others, at most WIRE_CODE_MAX. SPAN_NONE: not
 * said. */
struct wire_error {
    struct span message, code, type;
    int64_t retry_after_ms; /* where the body says it (google.rpc.RetryInfo); 0: it does not */
};
#define WIRE_MESSAGE_MAX 1024
#define WIRE_CODE_MAX 128

/* What one event or one whole answer holds. */
struct wire_seen {
    enum wire_kind kind;
    bool content;      /* text, reasoning, refusal, tool or audio: something for the reader */
    uint64_t text;     /* bytes of text, thoughts, refusals and arguments, of all choices */
    bool all_text;     /* it repeats what came before: `text` is that of the whole answer */
    unsigned choices;  /* how many it speaks of */
    unsigned finished; /* how many of them have a finish reason */
    uint64_t begun; /* which they are: a bit each, by their index (all beyond 63 share the last) */
    uint64_t ended; /* which of them have a finish reason */
    bool excused; /* one of the reasons is length or content filter: an end without content is then
                     right */
    bool has_usage;
    bool only_usage; /* an event with usage and no choices: dropped for a client that did not ask */
    struct wire_usage usage;
    struct span model; /* who answers; good until the parser's next document; SPAN_NONE: not said */
    bool nameless;     /* an event that should say it and does not: see wire.model_in */
    struct json_member model_place; /* whole answers that name none: where `model` goes, for
                                       json_splice() */
    struct wire_error error;        /* of WIRE_ERROR */
};

struct wire {
    /* What ends a stream behind its last event: "data: [DONE]\n\n"; SPAN_NONE in dialects whose end
     * is an event like the others (WIRE_END is passed on there). */
    struct span end_mark;
    /* The member of an event whose object holds `model`; SPAN_NONE: the event's own. */
    struct span model_in;
    /* One event of a stream: its name (SPAN_NONE mostly) and data. Texts of an error go into
     * `arena`, which is otherwise left alone. */
    void (*read_event)(struct json_parser *p, struct span name, struct span data,
                       struct arena *arena, struct wire_seen *seen);
    /* A whole answer with a status of success. */
    void (*read_answer)(struct json_parser *p, struct span body, struct arena *arena,
                        struct wire_seen *seen);
};

/* The readers of a dialect. NULL for DIALECT_NONE. Those of dialects that are always translated tell
 * errors from anything else, which is WIRE_MALFORMED to them. */
const struct wire *wire_of(enum dialect d);

/* Reads the body of an error answer, in whatever shape: {error: {message, type, code}}, {error:
 * "text"}, {message}, {__type, message}, {detail}, [{error}], a page of HTML, plain text, nothing. */
void wire_read_error(struct json_parser *p, struct span body, struct arena *arena,
                     struct wire_error *error);

/* The same for a document that has been read; for the readers of dialects. */
void wire_read_error_value(struct json_value v, struct arena *arena, struct wire_error *error);

/* The class of a refusal: that of the first rule that fits, else by `status`. An error inside an
 * answer of status 200 counts as the status its code gives, if it is a number that is one. Never
 * FAILURE_NONE. */
enum failure wire_classify(const struct failure_rule *rules, size_t n, int status,
                           const struct wire_error *error);

/* What a provider was told and may say again in an error. */
struct wire_secrets {
    const struct provider *provider; /* its keys, and the headers it is configured with */
    struct span more;                /* a token got for one of them; SPAN_NONE: none */
};

/* Replaces each secret in the error's texts by "***": what a provider says may reach the client. Of a
 * key that has parts each part is one: Amazon's id, secret and session, the lines of a service
 * account's private key. */
void wire_mask(struct wire_secrets secrets, struct arena *arena, struct wire_error *error);

/* The same for any other text of the provider's, a header's value for one. */
struct span wire_mask_text(struct wire_secrets secrets, struct arena *arena, struct span text);

/* --- for the readers of dialects --- */

/* A literal as an element of a static table. */
#define WIRE_NAME(text)                                                                            \
    { text, sizeof(text) - 1 }

/* Whether `word` is in `list`, which ends in { 0 }. */
bool wire_among(struct span word, const struct span *list);

/* Bytes of a call's input: of a text, or of what a value is written in, nearly. 0 for an empty
 * one. */
uint64_t wire_input(struct json_value v);

/* A count, a whole number from 0 up; -1 for anything else. */
int64_t wire_count(struct json_value object, const char *key);

/* The first element of a list; absent when it is none, or empty. */
struct json_value wire_first(struct json_value list);

/* What is looked at of a document is found in one walk: there are many events. Lists of its members
 * begin with those that tell an error. */
enum {
    WIRE_AT_ERROR,
    WIRE_AT_OBJECT,
    WIRE_AT_MESSAGE,
    WIRE_AT_DETAIL,
    WIRE_AT_ERRORS,
    WIRE_AT_OWN /* from here on the dialect's; the first is one that no answer of it is without */
};
#define WIRE_AT_NAMES                                                                              \
    WIRE_NAME("error"), WIRE_NAME("object"), WIRE_NAME("message"), WIRE_NAME("detail"),            \
        WIRE_NAME("errors")

/* Parses `text` and begins `seen`, with the `n` members `names` in `at`. False when there is no more
 * to read: it is no object (WIRE_MALFORMED), or an error in one of the shapes providers use, under a
 * status of success as well (WIRE_ERROR): {error} with something in it, {object: "error"}, a list of
 * them; and where the dialect's own first member is missing, {message}, {detail}, {errors}. */
bool wire_begin(struct json_parser *p, struct span text, const struct span *names,
                struct json_value *at, size_t n, struct arena *arena, struct wire_seen *seen);

/* The `model` of an answer, or the place where it is missing. */
void wire_answer_model(struct json_parser *p, struct json_value model, struct wire_seen *seen);

/* read_event of a dialect that has none: errors, and what is malformed. */
void wire_error_event(struct json_parser *p, struct span name, struct span data,
                      struct arena *arena, struct wire_seen *seen);

/* What the older dialects of OpenAI's have in common: choices, usage, [DONE]. `flat`: the content is
 * the choice's own `text`, not a message's. */
void wire_openai_chat_event(bool flat, struct json_parser *p, struct span name, struct span data,
                            struct arena *arena, struct wire_seen *seen);
void wire_openai_chat_answer(bool flat, struct json_parser *p, struct span body,
                             struct arena *arena, struct wire_seen *seen);
/* False: it is no usage, or an empty one. */
bool wire_openai_chat_usage(struct json_value usage, struct wire_seen *seen);

/* wire_<dialect>.c */
extern const struct wire wire_openai_chat, wire_openai_responses, wire_anthropic_messages,
    wire_openai_completions, wire_openai_embeddings;

#endif
