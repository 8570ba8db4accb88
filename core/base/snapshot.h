/* snapshot.h - everything that is configured, at one moment: settings, providers, targets,
 * policies.
 *
 * Owns          one arena with all of it. Immutable once published; swapped whole.
 * Fed by        script/config, which reads the configuration, and script/sources, which reads
 *               policy files.
 * Feeds         every room.
 * Must not know where any of it came from.
 *
 *   const struct target *t = snapshot_target(snap, SPAN("openai/gpt-4o"));
 *   snapshot_ref(snap); ... snapshot_unref(snap);
 *
 * Counted from any thread; a worker takes one reference and counts its own requests.
 */
#ifndef PERILUNE_BASE_SNAPSHOT_H
#define PERILUNE_BASE_SNAPSHOT_H

#include "base/account.h"
#include "base/arena.h"
#include "base/dialect.h"
#include "base/failure.h"
#include "base/span.h"

#include <stdatomic.h>

/* Nano-dollars a million tokens; PRICE_UNKNOWN where nobody published one. */
struct price {
    int64_t input, output, cached, cache_write;
};
#define PRICE_UNKNOWN (-1)

/* A variation of a price: it holds when all it states hold. The first that holds is the price. */
struct price_rule {
    int64_t above_input;      /* input tokens of the request, more than; -1: any */
    uint64_t until_s;         /* before that moment, Unix time; 0: for ever */
    int16_t from_min, to_min; /* minutes of the UTC day, from inclusive, to exclusive, may go over
                                  * midnight; -1, -1: always */
    uint8_t days;             /* of the UTC week, bit 0 is Monday; 0: any */
    struct price price;
};

/* How a provider's refusals are told apart: the first rule that fits an answer names its class.
 * Data, from lua/perilune/failure.lua and the provider's own file. A rule fits when all it states
 * fits. */
struct failure_rule {
    int status_from, status_to; /* inclusive; 0, 0: any */
    struct span code;           /* equal to error.code or error.type; SPAN_NONE: any */
    struct span text;           /* part of error.message, ASCII case ignored; SPAN_NONE: any */
    enum failure class;
};

/* How a key is presented. */
enum auth {
    AUTH_NONE,
    AUTH_BEARER,       /* Authorization: Bearer KEY */
    AUTH_X_API_KEY,    /* x-api-key: KEY */
    AUTH_GOOG_API_KEY, /* x-goog-api-key: KEY */
    AUTH_API_KEY,      /* api-key: KEY */
    AUTH_AWS_SIGV4,    /* signed; the secret is "ACCESS_KEY_ID:SECRET[:SESSION_TOKEN]" */
    AUTH_GOOGLE_JWT /* Bearer with a token got for the service account whose JSON the secret is */
};

struct provider_key {
    struct span secret;
    unsigned weight;
    uint32_t rpm, tpm; /* what the provider allows a minute; 0: not said */
};

struct provider {
    unsigned index; /* its place in snapshot.providers */
    struct span name;
    struct span base_url; /* as the vendor prints it, version path included, no slash at the end */
    enum dialect dialect; /* what it is spoken to in, unless it speaks the client's own */
    uint32_t speaks; /* DIALECT_BIT of all it speaks; what the client speaks too passes through */
    enum auth auth;
    struct span region; /* of AUTH_AWS_SIGV4 */
    struct span quirks; /* of models nobody listed: see struct target */
    const struct provider_key *keys;
    size_t n_keys;
    const struct span *headers; /* extra "name: value" lines, sent as they are */
    size_t n_headers;
    const struct failure_rule *rules;
    size_t n_rules;
    uint32_t connect_ms, timeout_ms, first_token_ms, idle_ms; /* defaults of its steps */
    bool
        adapt; /* goes through the Lua adapter even where dialects agree: its requests have quirks, its
                 * answers are repaired */
    bool native;           /* OpenAI's own service: adapters need not hold anything back from it */
    uint32_t pace_wait_ms; /* how long a request may wait for the pace of its keys; beyond it the
                            * chain goes on */
};

/* One model at one provider. */
struct target {
    unsigned index;    /* its place in snapshot.targets; TARGET_AD_HOC for provider/any-id without a
                        * catalogue entry */
    struct span id;    /* "openai/gpt-4o" */
    struct span model; /* the name people use: "gpt-4o" */
    struct span upstream; /* the vendor's name, which goes on the wire */
    const struct provider *provider;
    enum dialect dialect; /* the provider's, unless this model has its own */
    uint32_t speaks;
    struct span quirks; /* JSON for adapters: lua/perilune/quirks.lua; SPAN_NONE: none */
    struct span path;   /* behind the base URL, in place of the endpoint's own; SPAN_NONE: that */
    struct price price;
    const struct price_rule *rules;
    size_t n_rules;
    double bytes_a_token; /* of English text, by its tokenizer; 4 unless its file says otherwise */
    uint32_t context, max_output; /* tokens; 0: unknown */
    uint32_t abilities;           /* base/ability.h */
    double quality;               /* 0 to 100; NAN: unknown */
    double weight;                /* 1 unless configured */
    const struct span *tags;
    size_t n_tags;
};
#define TARGET_AD_HOC UINT32_MAX

/* A name that stands for others: `chains` of the configuration, aliases of the catalogue. */
struct named_chain {
    struct span name;
    const struct span *targets; /* names: targets, models, provider/ * */
    size_t n_targets;
};

/* A model its vendor does not serve any more. */
struct retired {
    struct span model;   /* as it was called: at its provider, or by everybody */
    struct span instead; /* what the vendor names in its place; SPAN_NONE: nothing */
    struct span since;   /* "2026-07-24"; SPAN_NONE: not known */
};

/* What a request asks of a model and the target can not do. */
enum unsupported { UNSUPPORTED_DROP, UNSUPPORTED_REFUSE };

/* One policy with all it requires, as text. */
struct policy_source {
    struct span name;    /* "tier" */
    struct span version; /* "tier@3f9c2a1b": of this file and what it requires */
    struct span path;    /* for messages: "policies/tier.lua", or "(shipped) policies/tier.lua" */
    struct span text;
    const struct policy_source *libs; /* what `require` gives it, by name */
    size_t n_libs;
};

/* A policy that decides beside another one, without acting. */
struct shadow_setting {
    struct span live, candidate; /* names */
    double share;                /* of the live one's requests, 0 to 1 */
};

/* For whom a policy decides, the first that has an assignment first. */
enum assignment_scope {
    ASSIGNED_KEY,
    ASSIGNED_PROJECT,
    ASSIGNED_TIER,
    ASSIGNED_ENDPOINT,
    ASSIGNED_ACCOUNT,
    ASSIGNED_SCOPES
};

/* Which policy decides for one of them, with what params and within which limits. */
struct assignment {
    enum assignment_scope scope;
    struct span name;    /* SPAN_NONE: of the account */
    struct span policy;  /* may be "auto" */
    struct span params;  /* JSON object, over those of the policy; SPAN_NONE: none */
    double max_cost_usd; /* HUGE_VAL: none */
    uint32_t max_latency_ms, deadline_ms; /* 0: none */
    bool managed; /* by the configuration; else it stands in policies/routes.lua */
};

/* Settings, with the defaults filled in. Lists are empty where nothing was set. */
struct config {
    struct span path; /* of the file; SPAN_NONE: none was read */
    bool mock_only;   /* neither a file nor a provider key was found: the mock is all there is */
    struct span listen, admin; /* "127.0.0.1:4100", "127.0.0.1:4101" */
    unsigned workers;
    struct span data_dir;
    struct span record; /* where requests are written down, absolute; SPAN_NONE: they are not */
    size_t record_max_bytes;           /* of that file, then it is renamed */
    const struct span *record_headers; /* which of a request stand in it as well */
    size_t n_record_headers;
    struct span policies_dir, providers_dir, lua_dir; /* absolute; may not exist */
    struct span auto_policy;                          /* what auto means: "cheapest" */
    const struct span *fallback;                      /* names; the chain when a policy fails */
    size_t n_fallback;
    const struct assignment *assignments;
    size_t n_assignments;
    const struct pair *policy_params; /* policy -> JSON object of its params */
    size_t n_policy_params;
    const struct shadow_setting *shadows; /* each live policy at most once */
    size_t n_shadows;
    const struct configured_key *keys; /* as money takes them over; none, and none made otherwise:
                                        * everyone may, on loopback only */
    size_t n_keys;
    const struct project *projects;
    size_t n_projects;
    const struct budget_cap *caps; /* of the account, of routes, of each request */
    size_t n_caps;
    const struct model_limits *model_limits;
    size_t n_model_limits;
    bool clamp;               /* what a cap leaves less room for is answered shorter, not refused */
    uint32_t clamp_least;     /* but not with fewer tokens than that */
    bool ledger;              /* it is kept; else nothing of requests outlives the process */
    bool ledger_power;        /* records survive a power failure, too */
    struct span ledger_spill; /* absolute; SPAN_NONE: none */
    uint32_t ledger_retention_days; /* 0: for ever */
    struct span access_log;         /* absolute, or "stdout"; SPAN_NONE: none is written */
    struct span alert_webhook;      /* where alerts are sent; SPAN_NONE: nowhere */
    struct span alert_secret;       /* what they are signed with; there if the webhook is */
    const struct span *cors_origins;
    size_t n_cors_origins;

    enum unsupported unsupported; /* left out and named in x-route-dropped, or refused */
    bool reroute_retired;         /* a retired model is served by what replaced it */

    uint32_t policy_deadline_ms;   /* 5, of processor time */
    size_t policy_memory;          /* bytes; 16 MB */
    uint32_t quarantine_kills;     /* within 60 s by requests of two keys or more; 3 */
    uint32_t quarantine_kills_one; /* by one key; 10 */

    size_t max_body;                     /* bytes of a request; 32 MB */
    size_t max_bodies;                   /* of all requests of a worker; 256 MB */
    size_t max_header_bytes;             /* 32 KB */
    unsigned max_headers;                /* 100 */
    unsigned max_connections;            /* a worker */
    unsigned max_in_flight;              /* requests a worker */
    uint32_t max_lag_ms;                 /* of a worker's loop; 0: any */
    unsigned queue_max, queue_max_a_key; /* of those that wait for a target, a worker */
    uint32_t head_ms, body_ms, idle_ms,
        write_ms; /* slow clients: the head, the body, keep-alive, a write that does not move */
    uint32_t deadline_ms; /* of a request unless its chain says so */
    uint32_t hold_ms;     /* a stream that waits longer commits; 10000 */
    uint32_t drain_ms;    /* at shutdown */
};

struct snapshot {
    struct arena arena;
    atomic_uint refs;
    unsigned generation; /* counts up by one a swap, from 1 */
    struct config config;
    const struct provider *providers;
    size_t n_providers;
    struct target *targets;
    size_t n_targets;
    const struct named_chain *chains;
    size_t n_chains;
    const struct named_chain *aliases;
    size_t n_aliases;
    const struct retired *retired;
    size_t n_retired;
    const struct policy_source *policies;
    size_t n_policies;
    /* Modules of the Lua library, compiled: name and bytes. Made and read by script/loader; none:
     * every Lua state compiles what it needs. */
    const struct pair *library;
    size_t n_library;
    struct snapshot_index *index; /* names to targets; made by snapshot_seal() */
};

/* An empty snapshot with one reference, to be filled and sealed. */
struct snapshot *snapshot_new(void);

/* Builds the index once everything is in. Nothing may change afterwards. */
void snapshot_seal(struct snapshot *snap);

struct snapshot *snapshot_ref(struct snapshot *snap);

/* The last one frees it. */
void snapshot_unref(struct snapshot *snap);

/* NULL when there is none of that name. */
const struct provider *snapshot_provider(const struct snapshot *snap, struct span name);
const struct policy_source *snapshot_policy(const struct snapshot *snap, struct span name);
const struct named_chain *snapshot_chain(const struct snapshot *snap, struct span name);

/* The catalogue's target of that id, or NULL. */
const struct target *snapshot_target(const struct snapshot *snap, struct span id);

/* Whether a request header is written down with the request: ours, what coding agents say of their
 * requests, and what the configuration names. */
bool snapshot_records(const struct snapshot *snap, struct span header);

/* The assignment of exactly that one, or NULL. `name` SPAN_NONE: the account's. */
const struct assignment *snapshot_assignment(const struct snapshot *snap,
                                             enum assignment_scope scope, struct span name);

/* "tier"; and back, ASSIGNED_SCOPES for what is none. */
const char *snapshot_scope_name(enum assignment_scope scope);
enum assignment_scope snapshot_scope_of(struct span name);

/* The retired model of that name ("gpt-4-32k", "openai/gpt-4-32k"), or NULL. */
const struct retired *snapshot_retired(const struct snapshot *snap, struct span name);

/* What a name means: a target id, provider/any-id (made in `arena`, price unknown), a bare model
 * (at every provider that has it, in the order of configuration), provider/ * (all of its targets),
 * an alias. Appends up to `max` targets to `out`; returns how many the name has (0: nobody knows
 * it). A named chain is not looked up here. */
size_t snapshot_resolve(const struct snapshot *snap, struct span name, struct arena *arena,
                        const struct target **out, size_t max);

/* Up to `max` known names (models, targets, chains) nearest to `name`, best first, none that is far
 * off. */
size_t snapshot_near(const struct snapshot *snap, struct span name, struct span *out, size_t max);

/* The same of the policies: the nearest, or SPAN_NONE. */
struct span snapshot_near_policy(const struct snapshot *snap, struct span name);

#endif
