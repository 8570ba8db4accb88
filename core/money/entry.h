/* entry.h - what is written down of a request: the plain structs, and their bytes.
 *
 * Owns          nothing: texts point into memory of the caller's.
 * Fed by        route, when an attempt begins and when a request is over.
 * Feeds         journal (as bytes), fold (as rows), search, which gives them back.
 * Must not know files, SQLite, how a cost came about.
 *
 *   entry_write(&buf, &entry);
 *   if (entry_read(buf_span(&buf), &arena, &entry)) ...
 *
 * Times of day are Unix time in microseconds, lengths of time are microseconds, money is whole
 * nano-dollars, prices are nano-dollars a million tokens. What is not known is -1.
 */
#ifndef PERILUNE_MONEY_ENTRY_H
#define PERILUNE_MONEY_ENTRY_H

#include "base/buf.h"
#include "base/decision.h"

/* Longer texts are cut between characters, longer lists at their end. */
enum {
    ENTRY_TEXT_MAX = 256,
    ENTRY_CHAIN_MAX = 2048, /* bytes of `chain` */
    ENTRY_TAGS_MAX = 16,
    ENTRY_ATTEMPTS_MAX = 64,
    ENTRY_LABEL_MAX = 64,        /* bytes of a feedback's label */
    ENTRY_BODY_MAX = 128 * 1024, /* bytes of a prompt or an answer */
    ENTRY_MAX = 192 * 1024       /* bytes of any entry; none that is written is larger */
};

/* Numbers that stand in files: only ever added to. */
enum entry_outcome {
    ENTRY_ANSWERED = 0,
    ENTRY_REFUSED = 1,   /* by us, before any attempt */
    ENTRY_FAILED = 2,    /* attempts were made, or could not be */
    ENTRY_CANCELLED = 3, /* the client left */
    ENTRY_ORPHANED = 4,  /* the process died meanwhile; attempts cost their bound at most */
    ENTRY_OUTCOMES
};

/* "answered"; and back, ENTRY_OUTCOMES for what is none. */
const char *entry_outcome_name(enum entry_outcome outcome);
enum entry_outcome entry_outcome_of(struct span name);

/* -1: not said. What was read from a cache and what was written to one are parts of the input,
 * reasoning is a part of the output. */
struct entry_tokens {
    int64_t input, cached, written, output, reasoning;
};

/* One try of a target. */
struct entry_attempt {
    unsigned number;         /* in the request, from 1; as it was begun with */
    struct span target;      /* "openai/gpt-4o" */
    struct span upstream;    /* the vendor's name of the model, as it went on the wire */
    struct span upstream_id; /* the provider's own id of it */
    uint64_t began_us;
    int status; /* HTTP status of the provider; 0: none came */
    enum failure failure;
    int64_t connect_us, first_us, total_us; /* since it began; -1: not reached */
    struct entry_tokens tokens;
    bool estimated; /* the tokens: the provider did not report them */
    bool hedge;     /* begun beside another */
    bool won;       /* the client's answer is this one's */
    struct price price;
    nanousd cost;   /* what the provider takes; -1: unknown */
    nanousd billed; /* what the project is billed; -1: unknown */
    nanousd most;   /* where the cost is unknown: what it can have been; -1: unknown, too */
};

/* A request that is over. */
struct entry {
    struct span id;
    uint64_t at_us; /* its first byte. Days and months go by this, for its attempts too */
    struct span key, project, tier; /* SPAN_NONE: none */
    struct span endpoint;           /* "/v1/chat/completions" */
    struct span model;              /* as the client asked */
    struct span policy;             /* with its version: "tier@3f9c2a1b" */
    struct span assignment;         /* what chose the policy: "key", "tier paid" */
    struct span arm;                /* of an experiment: "prices/gpt-4o" */
    struct span chain;              /* as decided: targets, a space between them */
    struct span session, user;
    const struct span *tags; /* a line feed in one becomes a space */
    size_t n_tags;
    enum entry_outcome outcome;
    int status;           /* what the client got; 0: nothing */
    enum failure failure; /* of the last attempt, where the request came to nothing */
    struct span error;    /* the code the client got: "rate_limit_exceeded" */
    bool stream;
    bool free;                                       /* used up one of the project's free ones */
    int64_t queue_us, policy_us, first_us, total_us; /* -1: not reached */
    const struct entry_attempt *attempts;
    size_t n_attempts;
};

/* An attempt that begins: what is known of it should nothing more ever be heard. */
struct entry_begun {
    struct span request;
    unsigned number; /* in the request, from 1 */
    uint64_t at_us;  /* of the request */
    uint64_t began_us;
    struct span key, project, endpoint, policy, arm, target;
    nanousd bound; /* what was set aside for it; -1: it has no price */
};

/* What a client says of the answer it got. Scores are compared with each other and nothing else: any
 * scale will do. */
#define ENTRY_SCORE_MAX 1e6 /* and not below its negative */
struct entry_feedback {
    struct span request;
    uint64_t at_us;
    double score;
    struct span label; /* SPAN_NONE: none */
};

/* Numbers that stand in files. */
enum entry_part { ENTRY_PROMPT = 0, ENTRY_ANSWER = 1, ENTRY_PARTS };

/* What was asked or answered, where it is kept. */
struct entry_body {
    struct span request;
    enum entry_part part;
    uint64_t until_us; /* when it has to be gone; 0: with its request */
    bool cut;          /* there was more */
    struct span bytes;
};

/* Appends the bytes of an entry, at most ENTRY_MAX. */
void entry_write(struct buf *out, const struct entry *e);
void entry_write_begun(struct buf *out, const struct entry_begun *b);
void entry_write_feedback(struct buf *out, const struct entry_feedback *f);
void entry_write_body(struct buf *out, const struct entry_body *b);

/* The way back. Texts point into `bytes`, lists lie in `arena`. False, with nothing to be used,
 * when
 * these are not the bytes of exactly one entry. */
bool entry_read(struct span bytes, struct arena *arena, struct entry *e);
bool entry_read_begun(struct span bytes, struct entry_begun *b);
bool entry_read_feedback(struct span bytes, struct entry_feedback *f);
bool entry_read_body(struct span bytes, struct entry_body *b);

/* Over all attempts: sums of what is known, -1 where nothing is. `most` sums what those without a
 * cost can have cost at most. */
struct entry_sums {
    struct entry_tokens tokens;
    nanousd cost, billed, most;
    unsigned unpriced; /* attempts that may have cost something nobody knows */
    bool estimated;
};
struct entry_sums entry_sum(const struct entry *e);

/* Sums stop at the largest number: what a provider reports is not ours to trust. -1 is no amount.
 * */
int64_t entry_add(int64_t a, int64_t b);

#endif
