/* mock_answer.h - what a request asks the mock for and what it is told, in no dialect yet; and the
 * table of functions a dialect is.
 *
 * Owns          nothing; what it makes lies in the arena given.
 * Fed by        mock_serve, with a request; mock_call, with a shape and harm.
 * Feeds         the dialects (mock_openai_chat.c, mock_anthropic.c, ...), which write it down.
 * Must not know time, connections, counts.
 *
 *   if (mock_ask_read(&ask, dialect, parser, &post, arena, &wrong)) {
 *       mock_answer_plan(&a, &ask, &shape, &harm, serial, arena);
 *       dialect->whole(&a, &out);          // or begin, each piece, finish, usage, done
 *   }
 *
 * Tokens are counted as four bytes each, rounded up, in requests and answers alike.
 */
#ifndef PERILUNE_CLI_MOCK_ANSWER_H
#define PERILUNE_CLI_MOCK_ANSWER_H

#include "base/json.h"
#include "cli/mock_fault.h"
#include "cli/mock_put.h"

enum { MOCK_TOOLS = 8 /* names of tools that are remembered */ };

/* Answers are the same for the same request, so it is always the same second. */
#define MOCK_CREATED "1750000000"

/* A request, as far as dialects read it. */
struct mock_post {
    struct span path;       /* without a fault in front, percent-encoding left in */
    struct span query;      /* may be empty */
    struct span version;    /* the header anthropic-version; SPAN_NONE */
    struct span body;       /* as it came */
    struct json_value root; /* the body's object; absent where the dialect's body is no JSON */
};

/* What a request asks for. */
struct mock_ask {
    struct span model;
    struct span text;              /* of the last message a user wrote; empty without one */
    struct span tools[MOCK_TOOLS]; /* names */
    size_t n_tools;
    bool stream, include_usage;
    bool encrypted;     /* Responses: the reasoning is wanted back next time */
    bool listed;        /* Gemini: a stream as one JSON array */
    int64_t max_tokens; /* -1: no limit */
    int64_t prompt_tokens;
    /* of embeddings */
    uint64_t *hashes; /* of the texts */
    size_t n_hashes;
    int64_t dimensions;
    bool base64;
};

/* What is wrong with a request, as the vendor would say it. All of it lives as long as the request.
 * `status` 0 is 400; type and code SPAN_NONE are the usual ones of the status. */
struct mock_wrong {
    int status;
    struct span param, message, type, code;
};

/* An error for a client. Spans may be SPAN_NONE. */
struct mock_error {
    int64_t status;
    struct span message, type, param, code, retry_after;
    struct span request_id;
};

enum mock_kind { MOCK_REASONING, MOCK_CONTENT, MOCK_REFUSAL, MOCK_CALL };
enum mock_finish { MOCK_STOP, MOCK_LENGTH, MOCK_CALLS, MOCK_REFUSED };

/* A stretch of the answer that is of one kind: all of a reasoning, a text or a call. */
struct mock_block {
    enum mock_kind kind;
    size_t call; /* which one */
    struct span text;
};

/* What one content event of a stream says. */
struct mock_piece {
    enum mock_kind kind;
    bool first;   /* of its block */
    size_t block; /* counted over the whole answer */
    struct span text;
};

struct mock_dialect;

struct mock_answer {
    const struct mock_ask *ask;
    const struct mock_shape *shape;
    const struct mock_harm *harm;
    struct span model, content, reasoning;
    size_t n_calls;
    struct span *arguments;    /* of each call */
    struct mock_piece *pieces; /* of a stream */
    size_t n_pieces;
    enum mock_finish finish;
    int64_t prompt_tokens, completion_tokens, reasoning_tokens;
    uint64_t serial;
    struct span chunk_head; /* what all chunks of the stream begin with, where that is the same */
    uint64_t sequence;      /* Responses: of the next event */
};

/* A stream of frames. */
struct mock_frames {
    size_t (*last)(struct span bytes); /* where the last frame begins */
    void (*garbage)(struct buf *out);
};

struct mock_dialect {
    const char *stream_type;  /* content-type of a stream; NULL: there are none */
    const char *id_header;    /* what the request's id is called; NULL: it is not told */
    const char *error_header; /* what an error's type is called; NULL: not in a header */
    bool form;                /* the body is no JSON */
    enum mock_says {
        MOCK_SAYS_ALL,
        MOCK_SAYS_TEXT,
        MOCK_SAYS_NOTHING
    } says;              /* of what words ask for */
    bool whole_calls;    /* a call is one event, however many are asked for */
    bool crlf;           /* its events end their lines in CR LF anyway */
    bool retry_in_body;  /* no header retry-after */
    int64_t fail_status; /* whose names an error in a stream has; 0: 500 */
    enum mock_limits { MOCK_NO_LIMITS, MOCK_OPENAI_LIMITS, MOCK_ANTHROPIC_LIMITS } limits;
    /* Reads what an answer needs. False: `wrong`. */
    bool (*read)(struct mock_ask *ask, const struct mock_post *post, struct arena *arena,
                 struct mock_wrong *wrong);
    /* What the vendor refuses beyond that; NULL: nothing. */
    bool (*check)(const struct mock_post *post, struct arena *arena, struct mock_wrong *wrong);
    /* The body of an answer that is not streamed. */
    void (*whole)(struct mock_answer *a, struct buf *out);
    /* Events of a stream, none or several at a time. */
    void (*begin)(struct mock_answer *a, struct buf *out);
    void (*piece)(struct mock_answer *a, size_t i, struct buf *out);
    void (*finish)(struct mock_answer *a, struct buf *out); /* not with no_finish */
    void (*usage)(struct mock_answer *a, struct buf *out);  /* not with no_usage */
    void (*done)(struct mock_answer *a, struct buf *out);   /* not with no_done */
    void (*fail)(struct mock_answer *a, const struct mock_error *e, struct buf *out);
    /* What all chunks begin with; NULL: they do not. */
    void (*chunk_head)(const struct mock_answer *a, struct buf *out);
    /* The usual type and code of a status; they are set to OpenAI's before. */
    void (*names)(struct mock_error *e);
    void (*error)(const struct mock_error *e, struct buf *out);
    /* What to know of a stream that is no text; NULL: it is one, of events with blank lines behind
     * them. */
    const struct mock_frames *frames;
};

extern const struct mock_dialect mock_openai_chat, mock_completions, mock_embeddings,
    mock_responses, mock_anthropic, mock_anthropic_count, mock_gemini, mock_bedrock, mock_token;

/* Parses the body and lets the dialect read it. Values in `post` live until the parser is used
 * again. */
bool mock_ask_read(struct mock_ask *ask, const struct mock_dialect *dialect,
                   struct json_parser *parser, struct mock_post *post, struct arena *arena,
                   struct mock_wrong *wrong);

void mock_answer_plan(struct mock_answer *a, const struct mock_dialect *dialect,
                      const struct mock_ask *ask, const struct mock_shape *shape,
                      const struct mock_harm *harm, uint64_t serial, struct arena *arena);

/* The blocks of an answer, in order: reasoning, content, calls, as far as there are any. */
size_t mock_answer_blocks(const struct mock_answer *a);
struct mock_block mock_answer_block(const struct mock_answer *a, size_t i);

/* The tool that is called. */
struct span mock_answer_tool(const struct mock_answer *a, size_t call);

/* A call's arguments as an object: an empty text is an empty one. */
struct span mock_answer_input(const struct mock_answer *a, size_t call);

/* The member "x_mock" of extra, with a comma in front; nothing without it. */
void mock_answer_extra(const struct mock_answer *a, struct buf *out);

/* The signature of a thinking block or a Gemini part, in quotes. */
#define MOCK_SIGNATURE "\"bW9jayBzaWduYXR1cmU=\""

/* What the dialects read alike. */

int64_t mock_tokens_of(size_t bytes);

/* The text of a message's content, a string or a list of parts with a member "text". Its bytes are
 * added to *bytes; what is no copy dies with the parser's document. */
struct span mock_content_text(struct json_value content, struct arena *arena, size_t *bytes);

/* Adds a tool's name; what is none, or too many, is passed over. */
void mock_ask_tool(struct mock_ask *ask, struct json_value name, struct arena *arena);

/* The model in a path that ends in "/MODEL:method", decoded. */
struct span mock_post_model(const struct mock_post *post, struct arena *arena);

/* A positive whole number, or -1. */
int64_t mock_limit(struct json_value v);

/* False always: what is wrong, as a literal, with 400. */
bool mock_refuse(struct mock_wrong *wrong, const char *param, const char *message);

/* OpenAI's ways, which several dialects share. */
bool mock_openai_read_model(struct mock_ask *ask, const struct mock_post *post, struct arena *arena,
                            struct mock_wrong *wrong);
void mock_openai_names(struct mock_error *e);
void mock_openai_error(const struct mock_error *e, struct buf *out);
void mock_openai_usage(const struct mock_answer *a, struct buf *out);
void mock_openai_done(struct mock_answer *a, struct buf *out);
void mock_openai_fail(struct mock_answer *a, const struct mock_error *e, struct buf *out);

#endif
