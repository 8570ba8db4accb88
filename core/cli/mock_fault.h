/* mock_fault.h - what the mock is asked to do: the shape of an answer, and what is to go wrong
 * with it.
 *
 * Owns          nothing; texts lie in the arena given.
 * Fed by        a header `x-mock: status=429;retry_after=2`, a path
 *               `/~status=429;retry_after=2/v1/...`,
 *               the --fault option (all three the same text), a script's table.
 * Feeds         mock_call.
 * Must not know connections.
 *
 *   struct mock_fault f;
 *   mock_fault_init(&f);
 *   if (!mock_fault_parse(&f, SPAN("status=500;every=3"), arena, &error)) ...
 *
 * Words are separated by ';', a value stands behind '=', percent-encoding is undone in it. All of
 * them are in mock_words.h.
 */
#ifndef PERILUNE_CLI_MOCK_FAULT_H
#define PERILUNE_CLI_MOCK_FAULT_H

#include "base/arena.h"
#include "base/buf.h"

/* What a good answer looks like. */
struct mock_shape {
    struct span content;    /* content=TEXT; SPAN_NONE: "You said: " and the last user message */
    bool reasoning;         /* some reasoning before the content */
    bool tool;              /* a tool call, instead of content unless that is named */
    int64_t tools;          /* tools=N: so many at once, 1000 at most; -1 */
    struct span tool_input; /* tool_input=JSON: their arguments, as they stand; SPAN_NONE: made */
    bool refusal;           /* a refusal instead of content */
    bool logprobs;          /* of the content, in Chat Completions */
    int64_t cached;         /* cached=N, written=N: tokens of the prompt */
    int64_t written;
    struct span model;     /* model=NAME: the answer names another model */
    struct span finish;    /* finish=WORD: why it ends, in the dialect's own words; SPAN_NONE */
    struct span ratelimit; /* ratelimit=LEFT/LIMIT; SPAN_NONE: plenty */
    bool lenient;          /* the request is not checked beyond what an answer needs */
    int64_t events;        /* events=N: a stream has N content events; -1: one a word */
    int64_t bytes;         /* bytes=N: of content in each event; -1 */
    int64_t tokens;        /* tokens=N: that many words; -1 */
    int64_t big;           /* big=N: bytes of content; -1 */
    int64_t gap_ms;        /* gap_ms=N: between content events */
    int64_t ping_ms;       /* ping_ms=N: comments while the first content waits */
    bool comment;          /* a comment before the first event */
    bool crlf;             /* events end their lines in CR LF */
    bool bytewise;         /* one byte a write */
    bool extra;            /* fields nobody knows */
    int64_t headers;       /* headers=N: so many of them, x-mock-1 and on */
    bool early_hints;      /* 103 before the answer */
    bool split_stop;       /* Gemini: a last chunk for the finish alone */
    /* What vendors of Chat Completions do to it. */
    bool no_index, zero_index;    /* of calls */
    bool no_id, late_id_empty;    /* of calls; what later deltas repeat, but empty */
    bool args_object, args_empty; /* arguments no text, or an empty one */
    bool interleave;              /* pieces of parallel calls by turns */
    struct span usage_place;      /* x_groq, choice or last; SPAN_NONE: a chunk of its own */
    bool think_details;           /* reasoning and reasoning_details for reasoning_content */
};

/* What is wrong with it. */
struct mock_harm {
    int64_t status;   /* status=N: an error in the dialect's shape; 0: none */
    struct span code; /* code=, type=, message=: of that error, or of one in a stream */
    struct span type;
    struct span message;
    struct span retry_after;  /* retry_after=TEXT: seconds, or anything */
    bool html;                /* an HTML page, 502 unless status= says otherwise */
    bool garbage;             /* 200 with malformed JSON */
    bool reset;               /* RST instead of an answer */
    bool hang;                /* never answers */
    struct span half_headers; /* half_headers: part of the head, then closes; =hang: then hangs */
    int64_t slow;             /* slow=MS: before the answer */
    int64_t first_ms;         /* first_ms=MS: before a stream's first content */
    int64_t cut_event;   /* cut_event=N: breaks off inside content event N (0: the opening); -1 */
    int64_t cut_after;   /* cut_after=N: ends well-formed behind N content events; -1 */
    int64_t error_after; /* error_after=N: an error event behind N content events; -1 */
    struct span cut;     /* cut=body: a whole answer shorter than its content-length */
    bool wrong_length;   /* a content-length smaller than the body */
    bool no_usage;
    bool no_finish; /* a stream without a finish reason */
    bool no_done;   /* a stream without [DONE], message_stop, response.completed */
    bool no_content;
    bool gzip;            /* content-encoding: gzip, and so it is */
    struct span redirect; /* redirect=URL: 302 */
    bool frame_crc;       /* Bedrock: the first frame of content has a wrong checksum */
    bool cut_frame;       /* the stream ends, well-formed, inside of the event with the finish */
};

struct mock_fault {
    struct mock_shape shape;
    struct mock_harm harm;
    struct span name;   /* name=TEXT: who this is, in counts and for scripts */
    int64_t fail_first; /* fail_first=N: only the first N requests are harmed; -1 */
    int64_t every;      /* every=N: only each Nth request is; -1 */
};

/* A good answer. */
void mock_fault_init(struct mock_fault *f);

/* Sets what the text says. On false `error` holds one line about it. */
bool mock_fault_parse(struct mock_fault *f, struct span text, struct arena *arena,
                      struct buf *error);

/* Sets one word; `value` is SPAN_NONE where there was none, and is kept as it is. */
bool mock_fault_set(struct mock_fault *f, struct span word, struct span value, struct buf *error);

/* "%3B" to ";". What is no such triple stays. */
struct span mock_decode(struct arena *arena, struct span s);

/* A status that can be sent. */
bool mock_fault_is_status(int64_t status);

/* Whether the answer is none of a model's, so that it is never streamed. */
bool mock_fault_is_error(const struct mock_harm *harm);

/* Takes the harm out. */
void mock_fault_heal(struct mock_fault *f);

#endif
