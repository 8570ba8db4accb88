/* access_test.c - who may ask, read as somebody who may not: keys, rebound names, foreign pages,
 * bodies a form can send; and the headers that are ours, well and badly formed. */
#include "route/access.h"

#include "support/unit.h"

#include <math.h>

enum { HEADERS_MAX = 16 };

static struct snapshot snap;
static struct keys *all_keys;
static struct http_message message;
static struct pair headers[HEADERS_MAX];
static struct api_error error;
static const struct endpoint chat = { .kind = ENDPOINT_GENERATE };
static const struct endpoint open_endpoint = { .kind = ENDPOINT_HEALTH, .open = true };

static int set_up(void **state) {
    static const unsigned char pepper[KEYS_PEPPER_SIZE] = { 7 };
    snap = (struct snapshot){ 0 };
    all_keys = keys_new(pepper);
    message = (struct http_message){ .method = SPAN("POST"), .headers = headers };
    error = (struct api_error){ 0 };
    arena_init(&message.arena, 1024);
    return 0;
}

static int tear_down(void **state) {
    arena_deinit(&message.arena);
    keys_free(all_keys);
    return 0;
}

/* In memory of its own, so that reading beyond it is found out by whoever watches memory. */
static struct span own(const char *text) {
    struct span s = span_of(text);
    char *copy = (char *)arena_copy(&message.arena, s).at;
    return (struct span){ copy, s.len };
}

static void send(const char *name, const char *value) {
    assert_true(message.n_headers < HEADERS_MAX);
    headers[message.n_headers++] = (struct pair){ own(name), own(value) };
}

static void send_only(const char *name, const char *value) {
    message.n_headers = 0;
    send(name, value);
}

enum { NOW_S = 1790000000 };

static int asks_for(const struct endpoint *endpoint) {
    struct keys_pass pass;
    error = (struct api_error){ 0 };
    if (!access_check(all_keys, &snap.config, &message, endpoint, NOW_S, &pass, &error))
        return -1;
    int number = pass.key ? pass.key->id.at[0] - '0' : 0;
    keys_pass_end(&pass);
    return number;
}

/* The number that is the id of who asks, 0 for nobody in particular, or -1 when it is refused. */
static int asks(void) {
    return asks_for(&chat);
}

static void assert_refused(enum error_code code) {
    assert_int_equal(asks(), -1);
    assert_int_equal(error.code, code);
    assert_true(error.message.len > 0);
    assert_null(error.trace);
}

/* --- with keys --- */

static void configure_keys(void) {
    static const char *const secrets[] = { "pk-correct-horse", "pk-battery", "pk-staple",
                                           "pk-old" };
    static const char *const ids[] = { "1", "2", "3", "4" };
    struct keys_draft *draft = keys_draft_new();
    for (size_t i = 0; i < 4; i++) {
        struct key key = { .id = span_of(ids[i]),
                           .project = SPAN("default"),
                           .expires_s = i == 3 ? NOW_S : PERIOD_FOR_EVER,
                           .secret = keys_secret(all_keys, span_of(secrets[i])) };
        keys_draft_key(draft, &key);
    }
    keys_replace(all_keys, KEYS_MANAGED, draft);
}

static void each_key_has_its_number(void **state) {
    configure_keys();
    send_only("authorization", "Bearer pk-correct-horse");
    assert_int_equal(asks(), 1);
    send_only("authorization", "Bearer pk-battery");
    assert_int_equal(asks(), 2);
    send_only("authorization", "Bearer pk-staple");
    assert_int_equal(asks(), 3);
}

static void a_key_comes_in_any_of_three_headers(void **state) {
    static const struct {
        const char *name, *value;
    } good[] = {
        { "authorization", "Bearer pk-battery" },   { "authorization", "bearer pk-battery" },
        { "authorization", "BEARER pk-battery" },   { "authorization", "bEaReR   pk-battery" },
        { "authorization", "Bearer \tpk-battery" }, { "x-api-key", "pk-battery" },
        { "x-goog-api-key", "pk-battery" },
    };
    configure_keys();
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        send_only(good[i].name, good[i].value);
        assert_int_equal(asks(), 2);
    }
}

static void another_kind_of_authorization_leaves_room_for_the_others(void **state) {
    configure_keys();
    send("authorization", "Basic cGs6");
    send("x-api-key", "pk-battery");
    assert_int_equal(asks(), 2);
    message.n_headers = 0;
    send("authorization", "Bearer wrong");
    send("x-api-key", "pk-battery");
    assert_int_equal(asks(), -1);
}

static void every_wrong_key_is_refused_in_the_same_words(void **state) {
    static const struct {
        const char *name, *value;
    } bad[] = {
        { "x-other", "pk-battery" },
        { "authorization", "" },
        { "authorization", "Bearer" },
        { "authorization", "Bearer " },
        { "authorization", "pk-battery" },
        { "authorization", "Bearer: pk-battery" },
        { "authorization", "Bearerpk-battery" },
        { "authorization", "Basic pk-battery" },
        { "authorization", "Bearer pk-old" }, /* it has expired */
        { "authorization", "Bearer pk-batter" },
        { "authorization", "Bearer pk-batteryy" },
        { "authorization", "Bearer PK-BATTERY" },
        { "authorization", "Bearer pk-battery pk-battery" },
        { "authorization", "Bearer pk-battery,pk-staple" },
        { "authorization", "Bearer \"pk-battery\"" },
        { "authorization", "Bearer Bearer pk-battery" },
        { "x-api-key", "" },
        { "x-api-key", "Bearer pk-battery" },
        { "x-goog-api-key", "pk-battery\xff" },
        { "cookie", "pk-battery" },
        { "api-key", "pk-battery" },
    };
    configure_keys();
    message.n_headers = 0;
    assert_refused(ERROR_INVALID_API_KEY);
    struct span words = error.message;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        send_only(bad[i].name, bad[i].value);
        assert_refused(ERROR_INVALID_API_KEY);
        assert_true(span_eq(error.message, words));
        assert_int_equal(error_status(&error), 401);
        assert_null(error.param.at);
    }
    assert_null(memmem(words.at, words.len, "pk-", 3));
}

static void a_key_that_holds_a_nul_is_compared_to_its_end(void **state) {
    configure_keys();
    headers[0] = (struct pair){ SPAN("x-api-key"), { "pk-battery\0x", 12 } };
    message.n_headers = 1;
    assert_refused(ERROR_INVALID_API_KEY);
}

static void with_keys_it_does_not_matter_where_from(void **state) {
    configure_keys();
    send("authorization", "Bearer pk-battery");
    send("host", "gateway.example");
    send("origin", "https://app.example");
    send("content-type", "text/plain");
    assert_int_equal(asks(), 2);
}

static void what_is_open_needs_no_key(void **state) {
    configure_keys();
    assert_int_equal(asks_for(&open_endpoint), 0);
    message.method = SPAN("OPTIONS"); /* a preflight carries none */
    assert_int_equal(asks(), 0);
}

/* --- without keys: a web page must not spend from this machine --- */

static void send_page(const char *host, const char *origin, const char *type) {
    message.n_headers = 0;
    if (host)
        send("host", host);
    if (origin)
        send("origin", origin);
    if (type)
        send("content-type", type);
}

static void this_machine_may_ask_by_its_loopback_names(void **state) {
    static const char *const hosts[] = {
        "localhost", "LocalHost:4100", "127.0.0.1",       "127.0.0.1:4100", "127.1.2.3",
        "[::1]",     "[::1]:4100",     "127.255.255.255", "localhost:",     "localhost:65535",
    };
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        send_page(hosts[i], NULL, "application/json");
        assert_int_equal(asks(), 0);
    }
}

static void a_rebound_name_is_refused(void **state) {
    static const char *const hosts[] = {
        NULL,
        "",
        "evil.com",
        "localhost.evil.com",
        "localhost.evil.com:4100",
        "evil.localhost.com",
        "xlocalhost",
        "localhostx",
        "127.0.0.1.evil.com",
        /* As short as an address may be, and it begins as one. */
        "127.evil.com",
        "127.a.b",
        "127.0.0.1.a",
        "127.0.0.1x",
        "127.0.0.x",
        "127.0.0",
        "127.1",
        "127.0.0.0.1",
        "127.0.0.1.",
        "127..0.1",
        "127.",
        "127.0.0.256",
        "127.0.0.0001",
        "127.0.0.-1",
        "127.0.0.+1",
        "127.0x0.0.1",
        "1127.0.0.1",
        "128.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "192.168.1.2:4100",
        "169.254.169.254",
        "[::1].evil.com",
        "[::1]evil.com",
        "[::1",
        "::1",
        "[::2]",
        "[]",
        "[::1]:x",
        "[",
        "]",
        "[::ffff:127.0.0.1]",
        "localhost:x",
        "localhost:80:80",
        "localhost:99999",
        "localhost:80@evil.com",
        "localhost@evil.com",
        "user@localhost",
        "localhost/x",
        "localhost,",
        "localhost, evil.com",
        "localhost;",
        ":4100",
        "localhost\xc2\xa0",
        "localhost:4100#",
        "\xe2\x93\x9bocalhost",
    };
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        send_page(hosts[i], NULL, "application/json");
        if (asks() != -1)
            print_error("host: %s\n", hosts[i] ? hosts[i] : "(none)");
        assert_refused(ERROR_PERMISSION_DENIED);
    }
}

static void a_foreign_page_is_refused(void **state) {
    static const char *const origins[] = {
        "",
        "null",
        "https://evil.com",
        "http://localhost.evil.com",
        "http://127.0.0.1.evil.com",
        "http://127.evil.com",
        "http://evil.com:4100",
        "http://[::1].evil.com",
        "file://",
        "file://localhost",
        "ftp://localhost",
        "localhost",
        "//localhost",
        "http://",
        "http:/localhost",
        "http://localhost:80@evil.com",
        "http://localhost/x",
        "http://localhost http://evil.com",
        "http://evil.com/localhost",
        "chrome-extension://abc",
        "https://app.example.evil.com",
        "http://app.example",
        "https://app.example:444",
    };
    static const struct span allowed[] = { { "https://app.example", 19 } };
    snap.config.cors_origins = allowed;
    snap.config.n_cors_origins = 1;
    for (size_t i = 0; i < sizeof origins / sizeof *origins; i++) {
        send_page("localhost:4100", origins[i], "application/json");
        if (asks() != -1)
            print_error("origin: %s\n", origins[i]);
        assert_refused(ERROR_PERMISSION_DENIED);
    }
}

static void our_own_pages_and_configured_ones_may_ask(void **state) {
    static const char *const origins[] = { "http://localhost", "http://localhost:3000",
                                           "https://127.0.0.1:8443", "http://[::1]:3000",
                                           "https://app.example" };
    static const struct span allowed[] = { { "https://app.example", 19 } };
    snap.config.cors_origins = allowed;
    snap.config.n_cors_origins = 1;
    for (size_t i = 0; i < sizeof origins / sizeof *origins; i++) {
        send_page("localhost:4100", origins[i], "application/json");
        assert_int_equal(asks(), 0);
    }
}

static void a_configured_page_does_not_open_the_host(void **state) {
    static const struct span allowed[] = { { "https://app.example", 19 } };
    snap.config.cors_origins = allowed;
    snap.config.n_cors_origins = 1;
    send_page("app.example", "https://app.example", "application/json");
    assert_refused(ERROR_PERMISSION_DENIED);
}

static void a_body_a_form_can_send_is_refused(void **state) {
    static const char *const types[] = {
        NULL,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; charset=application/json",
        "text/plain;application/json",
        "application/jsonx",
        "application/json, text/plain",
        "application",
        "xapplication/json",
        ";application/json",
        "application/json-patch",
        "text/json",
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        send_page("localhost", NULL, types[i]);
        assert_refused(ERROR_UNSUPPORTED_ENCODING);
        assert_int_equal(error_status(&error), 415);
    }
    static const char *const good[] = { "application/json", "Application/JSON",
                                        "application/json; charset=utf-8", "application/json ;x" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        send_page("localhost", NULL, good[i]);
        assert_int_equal(asks(), 0);
    }
}

static void reading_needs_no_content_type(void **state) {
    message.method = SPAN("GET");
    send_page("localhost", NULL, NULL);
    assert_int_equal(asks(), 0);
    send_page("evil.com", NULL, NULL);
    assert_refused(ERROR_PERMISSION_DENIED);
}

/* --- what keys grant --- */

static const struct span of_project[] = { { "shop", 4 }, { "eu", 2 } };
static const struct project shop = {
    .name = { "shop", 4 }, .tier = { "paid", 4 }, .tags = of_project, .n_tags = 2
};

static void without_a_grant_a_key_chooses_neither_tier_nor_chain(void **state) {
    struct key key = { .id = SPAN("k") };
    struct facts facts = { .key = &key, .project = &shop, .tier = SPAN("free") };
    assert_false(access_grant(&facts, &message.arena, &error));
    assert_int_equal(error.code, ERROR_PERMISSION_DENIED);
    assert_span(error.param, "x-route-tier");
    key.grants = KEYS_GRANT_TIER;
    assert_true(access_grant(&facts, &message.arena, &error));
    assert_span(facts.tier, "free");
    facts = (struct facts){ .key = &key, .project = &shop, .models = of_project, .n_models = 2 };
    assert_false(access_grant(&facts, &message.arena, &error));
    assert_span(error.param, "models");
    key.grants = KEYS_GRANT_MODELS;
    assert_true(access_grant(&facts, &message.arena, &error));
}

static void what_a_key_does_not_say_its_project_does(void **state) {
    const struct span of_key[] = { SPAN("eu"), SPAN("ci") }, of_header[] = { SPAN("batch") };
    struct key key = { .id = SPAN("k"), .tags = of_key, .n_tags = 2, .strict = true };
    struct facts facts = { .key = &key, .project = &shop, .tags = of_header, .n_tags = 1 };
    assert_true(access_grant(&facts, &message.arena, &error));
    assert_span(facts.tier, "paid");
    assert_true(facts.strict);
    assert_int_equal(facts.n_tags, 4);
    assert_span(facts.tags[0], "batch");
    assert_span(facts.tags[1], "eu");
    assert_span(facts.tags[2], "ci");
    assert_span(facts.tags[3], "shop");
    key.tier = SPAN("free");
    facts = (struct facts){ .key = &key, .project = &shop };
    assert_true(access_grant(&facts, &message.arena, &error));
    assert_span(facts.tier, "free");
}

static void without_keys_everything_is_granted(void **state) {
    const struct span chain[] = { SPAN("gpt-4o") };
    struct facts facts = { .project = &shop, .tier = SPAN("free"), .models = chain, .n_models = 1 };
    assert_true(access_grant(&facts, &message.arena, &error));
    assert_span(facts.tier, "free");
}

/* --- the headers that are ours --- */

static struct facts facts;
static struct access_wishes wishes;

static bool reads(void) {
    facts = (struct facts){ 0 };
    wishes = (struct access_wishes){ 0 };
    error = (struct api_error){ 0 };
    return access_read(&message, &facts, &wishes, &error);
}

static void without_any_nothing_is_asked_for(void **state) {
    assert_true(reads());
    assert_true(isinf(facts.max_cost_usd));
    assert_false(facts.strict);
    assert_false(wishes.trace);
    assert_null(wishes.policy.at);
    assert_null(facts.tier.at);
    assert_null(facts.session.at);
    assert_int_equal(facts.n_models + facts.n_tags + facts.n_headers, 0);
    assert_int_equal(facts.deadline_ms + facts.max_latency_ms, 0);
}

static void all_of_them(void **state) {
    send("x-route-policy", "tier");
    send("x-route-models", "gpt-4o , openai/gpt-4o-mini,,claude");
    send("x-route-strict", "1");
    send("x-route-max-cost-usd", "0.02");
    send("x-route-max-latency-ms", "800");
    send("x-route-deadline-ms", "86400000");
    send("x-route-tier", "paid");
    send("x-route-session", "s-1");
    send("x-route-tags", "eu,batch");
    send("x-route-trace", "true");
    assert_true(reads());
    assert_span(wishes.policy, "tier");
    assert_int_equal(facts.n_models, 3);
    assert_span(facts.models[0], "gpt-4o");
    assert_span(facts.models[1], "openai/gpt-4o-mini");
    assert_span(facts.models[2], "claude");
    assert_true(facts.strict);
    assert_true(facts.max_cost_usd == 0.02);
    assert_int_equal(facts.max_latency_ms, 800);
    assert_int_equal(facts.deadline_ms, 86400000);
    assert_span(facts.tier, "paid");
    assert_span(facts.session, "s-1");
    assert_int_equal(facts.n_tags, 2);
    assert_span(facts.tags[1], "batch");
    assert_true(wishes.trace);
}

static void badly_formed_ones_are_named(void **state) {
    static const struct {
        const char *name, *value;
    } bad[] = {
        { "x-route-models", "" },
        { "x-route-models", ", ," },
        { "x-route-strict", "" },
        { "x-route-strict", "yes" },
        { "x-route-strict", "01" },
        { "x-route-trace", "2" },
        { "x-route-max-cost-usd", "" },
        { "x-route-max-cost-usd", "-0.01" },
        { "x-route-max-cost-usd", "$1" },
        { "x-route-max-cost-usd", "1,5" },
        { "x-route-max-cost-usd", "inf" },
        { "x-route-max-cost-usd", "nan" },
        { "x-route-max-cost-usd", "1e999" },
        { "x-route-max-cost-usd", "0.1 usd" },
        { "x-route-max-latency-ms", "0" },
        { "x-route-max-latency-ms", "-1" },
        { "x-route-max-latency-ms", "+1" },
        { "x-route-max-latency-ms", "1.5" },
        { "x-route-max-latency-ms", "86400001" },
        { "x-route-max-latency-ms", "99999999999999999999999" },
        { "x-route-deadline-ms", "" },
        { "x-route-deadline-ms", "0x10" },
        { "x-route-deadline-ms", "4294967297" },
        { "x-route-deadline-ms", "10s" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        send_only(bad[i].name, bad[i].value);
        assert_false(reads());
        assert_int_equal(error.code, ERROR_INVALID_REQUEST);
        assert_span(error.param, bad[i].name);
        assert_non_null(
            memmem(error.message.at, error.message.len, bad[i].name, strlen(bad[i].name)));
    }
}

static void flags_can_be_switched_off(void **state) {
    static const char *const off[] = { "0", "false", "False" }, *const on[] = { "1", "true",
                                                                                "TRUE" };
    for (size_t i = 0; i < 3; i++) {
        send_only("x-route-strict", off[i]);
        assert_true(reads());
        assert_false(facts.strict);
        send_only("x-route-trace", on[i]);
        assert_true(reads());
        assert_true(wishes.trace);
    }
}

static void a_ceiling_of_nothing_is_a_ceiling(void **state) {
    send_only("x-route-max-cost-usd", "0");
    assert_true(reads());
    assert_true(facts.max_cost_usd == 0);
}

static void one_that_does_not_exist_is_refused_not_ignored(void **state) {
    static const char *const names[] = { "x-route-model", "x-route-", "x-route-max-cost",
                                         "x-route-policyy", "x-route-deadline" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        send_only(names[i], "1");
        assert_false(reads());
        assert_int_equal(error.code, ERROR_INVALID_REQUEST);
        assert_span(error.param, names[i]);
    }
    send_only("x-routed-model", "gpt-4o"); /* ours, but of replies */
    assert_true(reads());
}

static void policies_see_no_credentials(void **state) {
    static const char *const secret[] = { "authorization", "proxy-authorization", "cookie",
                                          "x-api-key",     "x-goog-api-key",      "api-key",
                                          "set-cookie" };
    send("user-agent", "curl");
    for (size_t i = 0; i < sizeof secret / sizeof *secret; i++)
        send(secret[i], "canary");
    send("x-team", "blue");
    send("x-route-tier", "free");
    assert_true(reads());
    assert_int_equal(facts.n_headers, 3);
    assert_span(facts.headers[0].name, "user-agent");
    assert_span(facts.headers[1].value, "blue");
    assert_span(facts.headers[2].name, "x-route-tier");
}

static void compressed_bodies_are_refused(void **state) {
    static const char *const codings[] = { "gzip", "br", "zstd", "deflate", "identity, gzip", "x" };
    for (size_t i = 0; i < sizeof codings / sizeof *codings; i++) {
        send_only("content-encoding", codings[i]);
        assert_false(reads());
        assert_int_equal(error.code, ERROR_UNSUPPORTED_ENCODING);
    }
    send_only("content-encoding", "Identity");
    assert_true(reads());
}

static void cross_neither_way(const char *const *names, size_t n) {
    for (enum dialect d = DIALECT_NONE; d < DIALECT_COUNT; d++)
        for (size_t i = 0; i < n; i++) {
            assert_false(access_forwards(d, span_of(names[i])));
            assert_false(access_returns(d, span_of(names[i])));
        }
}

static void little_crosses_to_providers_and_back(void **state) {
    static const char *const never[] = {
        "authorization",
        "cookie",
        "x-api-key",
        "x-route-policy",
        "host",
        "connection",
        "set-cookie",
        "origin",
        "x-forwarded-for",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "proxy-authorization",
        "content-length",
        "openai-organization",
        "openai-project",
        "accept-encoding",
        "user-agent",
        "",
        "OpenAI-Beta",
    };
    cross_neither_way(never, sizeof never / sizeof *never);
    assert_false(access_forwards(DIALECT_NONE, SPAN("openai-beta")));
    assert_false(access_returns(DIALECT_NONE, SPAN("openai-version")));
}

/* A provider is not asked for a coding we can not read events in, and none of its is passed on. */
static void d8_no_coding_crosses(void **state) {
    static const char *const names[] = { "accept-encoding", "content-encoding" };
    cross_neither_way(names, 2);
}

/* How long a body is, and how it is cut, each side says for itself. */
static void d9_no_length_and_no_hop_crosses(void **state) {
    static const char *const names[] = {
        "content-length", "transfer-encoding", "connection",      "keep-alive", "te",
        "trailer",        "upgrade",           "proxy-connection"
    };
    cross_neither_way(names, sizeof names / sizeof *names);
}

/* What a vendor acts on goes up to it and to no other, and back comes what its clients read. */
static void each_vendor_has_its_own_headers(void **state) {
    static const enum dialect openai[] = { DIALECT_OPENAI_CHAT, DIALECT_OPENAI_RESPONSES,
                                           DIALECT_OPENAI_COMPLETIONS, DIALECT_OPENAI_EMBEDDINGS };
    static const char *const meant[] = { "anthropic-version", "anthropic-beta",
                                         "anthropic-new-feature" };
    static const char *const others[] = { "anthropic-organization-id",
                                          "anthropic-workspace-id",
                                          "anthropic-dangerous-direct-browser-access",
                                          "x-claude-code-session-id",
                                          "x-app",
                                          "originator",
                                          "session_id",
                                          "openai-organization",
                                          "openai-project" };
    const enum dialect anthropic = DIALECT_ANTHROPIC_MESSAGES;
    for (size_t i = 0; i < sizeof openai / sizeof *openai; i++) {
        assert_true(access_forwards(openai[i], SPAN("openai-beta")));
        assert_true(access_returns(openai[i], SPAN("openai-processing-ms")));
        assert_true(access_returns(openai[i], SPAN("openai-version")));
        assert_false(access_forwards(openai[i], SPAN("anthropic-beta")));
        assert_false(access_returns(openai[i], SPAN("anthropic-ratelimit-requests-limit")));
    }
    for (size_t i = 0; i < sizeof meant / sizeof *meant; i++) {
        assert_true(access_forwards(anthropic, span_of(meant[i])));
        assert_false(access_forwards(DIALECT_BEDROCK_CONVERSE, span_of(meant[i])));
        assert_false(access_returns(anthropic, span_of(meant[i])));
    }
    cross_neither_way(others, sizeof others / sizeof *others);
    assert_false(access_forwards(anthropic, SPAN("openai-beta")));
    assert_true(access_returns(anthropic, SPAN("anthropic-ratelimit-input-tokens-reset")));
    assert_true(access_returns(anthropic, SPAN("anthropic-ratelimit-unified-status")));
}

static void an_agents_session_is_found_in_its_own_header(void **state) {
    struct pair sent[] = { { SPAN("session_id"), SPAN("codex") },
                           { SPAN("x-claude-code-session-id"), SPAN("claude") },
                           { SPAN("x-session-id"), SPAN("other") } };
    struct facts known = { .headers = sent, .n_headers = 3 };
    assert_span(access_agent_session(&known), "claude");
    known.n_headers = 1;
    assert_span(access_agent_session(&known), "codex");
    sent[0].value = SPAN("");
    assert_span(access_agent_session(&known), NULL);
    known.n_headers = 0;
    assert_span(access_agent_session(&known), NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_key_has_its_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_comes_in_any_of_three_headers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_kind_of_authorization_leaves_room_for_the_others,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_wrong_key_is_refused_in_the_same_words, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_key_that_holds_a_nul_is_compared_to_its_end, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(with_keys_it_does_not_matter_where_from, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_open_needs_no_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_grant_a_key_chooses_neither_tier_nor_chain,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_key_does_not_say_its_project_does, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(without_keys_everything_is_granted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(this_machine_may_ask_by_its_loopback_names, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_rebound_name_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_foreign_page_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(our_own_pages_and_configured_ones_may_ask, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_configured_page_does_not_open_the_host, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_body_a_form_can_send_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reading_needs_no_content_type, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_any_nothing_is_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_of_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(badly_formed_ones_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(flags_can_be_switched_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_ceiling_of_nothing_is_a_ceiling, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_does_not_exist_is_refused_not_ignored, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(policies_see_no_credentials, set_up, tear_down),
        cmocka_unit_test_setup_teardown(compressed_bodies_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(little_crosses_to_providers_and_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(d8_no_coding_crosses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(d9_no_length_and_no_hop_crosses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_vendor_has_its_own_headers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_agents_session_is_found_in_its_own_header, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
