/* account.h - who asks, and what holds for them: keys, projects, limits, caps. The plain structs.
 *
 * Owns          nothing: texts and lists belong to whoever filled them in.
 * Fed by        script/config (the configuration's own), money/keystore (those made later).
 * Feeds         money, which keeps and enforces them; policies, which read them.
 * Must not know where any of it came from, nor how it is enforced.
 *
 * Money is whole nano-dollars, moments are Unix time in seconds.
 */
#ifndef PERILUNE_BASE_ACCOUNT_H
#define PERILUNE_BASE_ACCOUNT_H

#include "base/crypto.h"
#include "base/period.h"

/* Requests and tokens a minute, requests under way; 0: no such limit. */
struct limits_rule {
    uint32_t rpm, tpm;
    uint32_t concurrent;
};

enum budget_scope {
    BUDGET_REQUEST, /* of this request alone: nothing is remembered */
    BUDGET_KEY,
    BUDGET_PROJECT,
    BUDGET_ROUTE,
    BUDGET_ACCOUNT,
    BUDGET_SCOPES
};

#define BUDGET_ALERTS 4

/* At most that much, in that period. */
struct budget_cap {
    enum budget_scope scope;
    struct span name; /* of the key (its id), project, route; SPAN_NONE: the request, the account */
    enum period_kind period;             /* of BUDGET_REQUEST: PERIOD_TOTAL */
    int offset_min;                      /* of the zone its days begin in; PERIOD_TOTAL: 0 */
    int64_t nano;                        /* the cap; not negative */
    unsigned char alerts[BUDGET_ALERTS]; /* percent of it, 1 to 100; 0: no more */
};

/* What is kept of a project's prompts and answers. */
struct bodies_rule {
    uint32_t max_bytes;      /* of each of the two; 0: they are not kept */
    uint32_t retention_days; /* 0: as long as the request */
    bool redact;             /* addresses, numbers of cards and phones, keys are made unreadable */
};

/* What a key may do beside tightening, tagging and naming a session. */
enum keys_grant {
    KEYS_GRANT_POLICY = 1, /* choose a policy: x-route-policy, model policy/NAME */
    KEYS_GRANT_TIER = 2,   /* x-route-tier */
    KEYS_GRANT_MODELS = 4, /* name a chain of its own: x-route-models, body `models` */
    KEYS_GRANT_ALL = 7
};

/* Where a record comes from, and who may change it. The file wins where both name the same. */
enum keys_source { KEYS_MANAGED /* by the configuration */, KEYS_STORED, KEYS_SOURCES };

struct project {
    struct span name;
    struct span tier, policy; /* SPAN_NONE: none of its own */
    const struct span *tags;
    size_t n_tags;
    struct limits_rule limits;
    const struct budget_cap *caps; /* scope and name are filled in */
    size_t n_caps;
    uint64_t free_requests;
    uint32_t markup_ppm; /* on the cost, in millionths: 200000 bills a fifth more */
    struct bodies_rule bodies;
    enum keys_source source;
};

#define KEYS_LAST 4

/* A secret as it is kept. */
struct keys_secret {
    unsigned char mac[CRYPTO_SHA256_SIZE];
    char last[KEYS_LAST + 1]; /* "" : there is no such secret */
    int64_t until_s;          /* good before that; PERIOD_FOR_EVER */
};

struct key {
    struct span id;   /* "key_" and 26 characters, or what the configuration says; never secret */
    struct span name; /* for people */
    struct span project;
    struct span tier;     /* SPAN_NONE: the project's */
    struct span policy;   /* likewise */
    struct span metadata; /* a JSON object; SPAN_NONE: none */
    const struct span *tags;
    size_t n_tags;
    const struct span *models; /* that it may reach: targets, models, provider/ *; none: all */
    size_t n_models;
    const struct span *policies; /* that it may choose with KEYS_GRANT_POLICY; none: all */
    size_t n_policies;
    uint32_t grants; /* of enum keys_grant */
    bool strict;     /* keeps to the model the client names */
    bool revoked;
    struct limits_rule limits;
    const struct budget_cap *caps; /* scope and name are filled in */
    size_t n_caps;
    int64_t created_s, expires_s;        /* PERIOD_FOR_EVER: it does not expire */
    struct keys_secret secret, previous; /* previous: of a rotation, as long as both are good */
    enum keys_source source;
};

/* A key the configuration defines, with its secret in clear: its MAC is made when it is taken over. */
struct configured_key {
    struct key key;
    struct span secret;
};

/* What is allowed of one model, by whatever key. */
struct model_limits {
    struct span model; /* as clients name it */
    struct limits_rule limits;
};

#endif
