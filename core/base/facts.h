/* facts.h - what is known about a request before anyone decides on it: the request as policies see
 * it.
 *
 * Owns          nothing: everything points into the request's memory.
 * Fed by        route/request, from the head, the body and the key.
 * Feeds         script/policy, which makes it the `req` of a policy.
 * Must not know Lua, JSON, HTTP.
 */
#ifndef PERILUNE_BASE_FACTS_H
#define PERILUNE_BASE_FACTS_H

#include "base/account.h"
#include "base/dialect.h"
#include "base/span.h"

/* A target that answered this session before. */
struct session_target {
    struct span id;
    uint64_t cached_tokens; /* expected to be read from its cache; 0 when it has gone cold */
};

struct facts {
    struct span id;                /* the request's id, 26 characters */
    const struct key *key;         /* who asks; NULL: no keys are wanted */
    const struct project *project; /* whose that is, or `default`; never NULL in a request */
    struct span endpoint;          /* "/v1/chat/completions" */
    enum dialect dialect;          /* the client's */
    struct span model;             /* as the client wrote it, or "auto" */
    const struct span *models; /* the client's own list: body `models` or header x-route-models */
    size_t n_models;
    struct pair replaced; /* a retired model the client named, and what is asked in its place; both
                           * SPAN_NONE: there was none */
    bool stream;
    bool strict; /* keep to what the client named */

    const struct pair *headers; /* lower-case names; credentials and cookies left out */
    size_t n_headers;

    enum dialect signed_by;   /* whose state the history holds last, a model's that wants it back;
                               * DIALECT_NONE: it holds none */
    struct span signed_model; /* of that model, its upstream name; SPAN_NONE: not told */

    struct span tier;    /* asked for, or the key's, or the project's; SPAN_NONE: none */
    struct span user;    /* safety_identifier, user, metadata.user_id: the first there is */
    struct span session; /* x-route-session, prompt_cache_key, a coding agent's own: the first there
                          * is */
    const struct session_target *last_targets; /* of the session, newest first */
    size_t n_last_targets;
    const struct span *tags;
    size_t n_tags;

    uint64_t input_tokens;  /* estimated from bytes and the size of pictures */
    uint64_t input_bytes;   /* of what a model reads as text: its part of input_tokens */
    uint64_t output_tokens; /* expected: the client's maximum, or a guess */
    uint64_t max_tokens;    /* the client's own maximum, 0 without one */
    uint64_t answers;       /* how many it asks for, each of up to that many tokens; 0: one */
    uint32_t uses;          /* abilities the request needs (base/ability.h) */

    const struct span *tool_names;
    size_t n_tool_names;
    struct span
        tool_choice;       /* "auto", "none", "required" or a tool's name; SPAN_NONE without one */
    struct span last_role; /* role of the last message */
    unsigned tool_results; /* how many tool results end the conversation (Messages: are in the last
                            * turn) */
    unsigned turns;        /* user messages */
    struct span text;      /* last user text, at most FACTS_TEXT_MAX bytes */
    struct span system;    /* first system or developer text, bounded likewise */

    struct span
        chosen_by; /* what chose the policy: "key ci", "tier paid", "account"; "x-route-policy"
                            * or "model" where the client did */
    unsigned
        assignment; /* of the snapshot's, from 1, which chose the policy; 0: it was asked for */

    double max_cost_usd; /* the client's own ceiling, or a tighter one of the assignment; HUGE_VAL
                          * without one */
    uint32_t max_latency_ms; /* 0: none */
    uint32_t deadline_ms;    /* 0: none */

    /* What the tightest cap leaves, in nano-dollars, INT64_MAX without one; how much of it is used,
     * 0 to 1; how many of the project's free requests are left. As of when it was asked. */
    int64_t budget_left;
    double budget_used;
    uint64_t free_left;

    uint64_t now_ms; /* wall clock */
    uint64_t seed;   /* of req.random() */
};

#define FACTS_TEXT_MAX 16384

/* A number for who asks, to keep them apart by: the same for the same key on every worker, after
 * every reload; 0 without one. Two keys may have the same. */
static inline unsigned facts_lane(const struct facts *facts) {
    return facts->key ? span_hash(facts->key->id) | 1 : 0;
}

#endif
