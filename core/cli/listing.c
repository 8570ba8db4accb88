#include "cli/listing.h"

#include "base/buf.h"
#include "upstream/transfer.h"

#include <stdio.h>

enum { CONNECT_MS = 10000, TOTAL_MS = 30000, BODY_MAX = 8 << 20 };

struct asked {
    const struct provider *provider;
    struct transfer *transfer;
    struct transfer_message message;
    struct listing *listing;
    struct buf body;
    int status;
};

struct listing {
    struct arena *arena;
    struct pump *pump;
    struct asked *asked;
    size_t n, left;
};

static void complain(const struct provider *p, const char *why) {
    fprintf(stderr, "perilune: %.*s was left out: %s\n", SPAN_ARGS(p->name), why);
}

/* The last one out ends the loop. */
static void over(struct asked *a) {
    if (--a->listing->left == 0)
        pump_close(a->listing->pump, NULL, NULL);
}

static void on_head(void *owner, const struct transfer_head *head) {
    struct asked *a = owner;
    a->status = head->status;
}

static bool on_body(void *owner, const char *bytes, size_t len) {
    struct asked *a = owner;
    if (a->body.len + len <= BODY_MAX)
        buf_append(&a->body, bytes, len);
    else
        a->status = 0;
    return true;
}

static void on_done(void *owner, const struct transfer_times *times) {
    struct asked *a = owner;
    (void)times;
    if (a->status == 0)
        complain(a->provider, "it lists more than can be read");
    else if (a->status != 200)
        complain(a->provider, arena_printf(a->listing->arena, "it answers %d", a->status).at);
    over(a);
}

static void on_fail(void *owner, enum failure why, const char *text,
                    const struct transfer_times *times) {
    struct asked *a = owner;
    (void)why;
    (void)times;
    a->status = 0;
    complain(a->provider, text);
    over(a);
}

static const struct transfer_events handlers = { on_head, on_body, on_done, on_fail };

/* How the key is shown: the header's beginning; NULL where it is not shown as it is. */
static const char *key_header(enum auth auth) {
    switch (auth) {
    case AUTH_BEARER:
        return "authorization: Bearer ";
    case AUTH_X_API_KEY:
        return "x-api-key: ";
    case AUTH_GOOG_API_KEY:
        return "x-goog-api-key: ";
    case AUTH_API_KEY:
        return "api-key: ";
    default:
        return NULL;
    }
}

/* False when the provider lists nothing, or its key has to be worked out first. */
static bool prepare(struct asked *a, const struct provider *p, struct arena *arena) {
    const char *header = key_header(p->auth);
    if (p->dialect == DIALECT_BEDROCK_CONVERSE || (p->auth != AUTH_NONE && (!header || !p->n_keys)))
        return false;
    struct span *headers = arena_new_array(arena, struct span, p->n_headers + 2);
    size_t n = 0;
    for (size_t i = 0; i < p->n_headers; i++)
        headers[n++] = p->headers[i];
    if (header)
        headers[n++] = arena_printf(arena, "%s%.*s", header, SPAN_ARGS(p->keys[0].secret));
    headers[n++] = SPAN("accept: application/json");
    a->provider = p;
    a->message = (struct transfer_message){
        .method = "GET",
        .url = arena_printf(arena, "%.*s/models%s", SPAN_ARGS(p->base_url),
                            p->dialect == DIALECT_GEMINI               ? "?pageSize=1000"
                            : p->dialect == DIALECT_ANTHROPIC_MESSAGES ? "?limit=1000"
                                                                       : "")
                   .at,
        .headers = headers,
        .n_headers = n,
        .connect_ms = CONNECT_MS,
        .total_ms = TOTAL_MS,
    };
    return true;
}

static void ask_all(struct listing *l, struct ca *ca, uv_loop_t *loop) {
    struct pump_options options = { .ca = ca, .user_agent = "perilune" };
    l->pump = pump_new(loop, &options);
    l->left = l->n;
    for (size_t i = 0; i < l->n; i++)
        l->asked[i].transfer =
            transfer_start(l->pump, &l->asked[i].message, &handlers, &l->asked[i]);
    uv_run(loop, UV_RUN_DEFAULT);
}

static size_t take_answers(struct listing *l, struct pair *answers) {
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        struct asked *a = &l->asked[i];
        if (a->status == 200)
            answers[n++] =
                (struct pair){ a->provider->name, arena_copy(l->arena, buf_span(&a->body)) };
        transfer_free(a->transfer);
        buf_deinit(&a->body);
    }
    return n;
}

size_t listing_ask(const struct snapshot *snap, struct arena *arena, struct pair *answers) {
    struct listing l = { .arena = arena };
    struct ca *ca = NULL;
    uv_loop_t loop;
    size_t n = 0;
    l.asked = arena_new_array(arena, struct asked, snap->n_providers + 1);
    for (size_t i = 0; i < snap->n_providers; i++) {
        l.asked[l.n].listing = &l;
        if (prepare(&l.asked[l.n], &snap->providers[i], arena))
            l.n++;
        else
            complain(&snap->providers[i], "it does not list its models, or not for such a key");
    }
    if (l.n == 0 || pump_global_init() < 0)
        return 0;
    if ((ca = ca_load(NULL)) && uv_loop_init(&loop) == 0) {
        ask_all(&l, ca, &loop);
        n = take_answers(&l, answers);
        uv_loop_close(&loop);
    }
    if (ca)
        ca_free(ca);
    pump_global_deinit();
    return n;
}
