/* mock_count.c - the counts of the mock and their JSON. */
#include "cli/mock_count.h"

#include <stdlib.h>

enum { BODY_KEPT = 256 * 1024 /* bytes of a body that are worth keeping */ };

/* ---- tallies ---- */

static uint64_t hash(struct span s) {
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.at[i]) * 1099511628211u;
    return h;
}

static bool is_place_of(const struct mock_tally_place *p, struct span name) {
    return p->name && span_eq((struct span){ p->name, p->len }, name);
}

static struct mock_tally_place *find_place(struct mock_tally *t, struct span name) {
    size_t i = hash(name) % MOCK_NAMES;
    while (t->places[i].name && !is_place_of(&t->places[i], name))
        i = (i + 1) % MOCK_NAMES;
    return &t->places[i];
}

static uint64_t add_many(struct mock_tally *t, struct span name, uint64_t count) {
    struct mock_tally_place *p = find_place(t, name);
    if (!p->name && t->used >= MOCK_NAMES / 4 * 3) {
        name = SPAN("(others)");
        p = find_place(t, name);
    }
    if (!p->name) {
        p->name = malloc(name.len + 1);
        if (!p->name)
            abort();
        memcpy(p->name, name.at, name.len);
        p->len = name.len;
        t->used++;
    }
    t->last = p;
    return p->count += count;
}

uint64_t mock_tally_add(struct mock_tally *t, struct span name) {
    if (t->last && is_place_of(t->last, name))
        return ++t->last->count;
    return add_many(t, name, 1);
}

static void merge_tally(struct mock_tally *into, const struct mock_tally *t) {
    for (size_t i = 0; i < MOCK_NAMES; i++)
        if (t->places[i].name)
            add_many(into, (struct span){ t->places[i].name, t->places[i].len },
                     t->places[i].count);
}

void mock_tally_clear(struct mock_tally *t) {
    for (size_t i = 0; i < MOCK_NAMES; i++)
        free(t->places[i].name);
    memset(t, 0, sizeof *t);
}

/* ---- counting ---- */

struct mock_received *mock_count_received(struct mock_count *c, struct http_message *m) {
    struct mock_received *r = arena_new(&m->arena, struct mock_received);
    *r = (struct mock_received){ .message = m, .holders = 2 };
    if (c->kept[c->next])
        mock_received_release(c->kept[c->next]);
    c->kept[c->next] = r;
    c->next = (c->next + 1) % MOCK_KEPT;
    return r;
}

void mock_received_release(struct mock_received *r) {
    if (--r->holders == 0)
        http_message_free(r->message);
    else if (r->message->body.len > BODY_KEPT)
        buf_deinit(&r->message->body); /* answered: too large to be kept for showing it */
}

void mock_count_reset(struct mock_count *c) {
    for (size_t i = 0; i < MOCK_KEPT; i++)
        if (c->kept[i])
            mock_received_release(c->kept[i]);
    mock_tally_clear(&c->by_path);
    mock_tally_clear(&c->by_model);
    mock_tally_clear(&c->by_name);
    *c = (struct mock_count){ .under_way = c->under_way };
}

/* ---- reports ---- */

static void add_header_members(const struct http_message *m, struct buf *out) {
    for (size_t i = 0; i < m->n_headers; i++) {
        buf_append(out, ",", i > 0);
        buf_add_json(out, m->headers[i].name);
        buf_add_char(out, ':');
        buf_add_json(out, m->headers[i].value);
    }
}

/* The body goes in as it came; whether that is JSON is for the reader to find out, so it is
 * given as text too. */
static void add_request(const struct http_message *m, struct buf *out) {
    buf_add(out, SPAN("{\"method\":"));
    buf_add_json(out, m->method);
    buf_add(out, SPAN(",\"path\":"));
    buf_add_json(out, m->target);
    buf_add(out, SPAN(",\"headers\":{"));
    add_header_members(m, out);
    buf_add(out, SPAN("},\"body\":"));
    buf_add_json(out, m->body.at ? buf_span(&m->body) : SPAN(""));
    buf_add_char(out, '}');
}

void mock_report_take(struct mock_report *r, const struct mock_count *c, size_t open) {
    memset(r, 0, sizeof *r);
    r->numbers = c->numbers;
    r->open = open;
    r->under_way = c->under_way;
    merge_tally(&r->by_path, &c->by_path);
    merge_tally(&r->by_model, &c->by_model);
    merge_tally(&r->by_name, &c->by_name);
    for (size_t i = 0; i < MOCK_KEPT; i++) {
        const struct mock_received *kept = c->kept[(c->next + i) % MOCK_KEPT];
        if (!kept)
            continue;
        struct mock_report_request *request = &r->requests[r->n_requests++];
        request->at = kept->message->began_us;
        add_request(kept->message, &request->json);
    }
}

void mock_report_deinit(struct mock_report *r) {
    mock_tally_clear(&r->by_path);
    mock_tally_clear(&r->by_model);
    mock_tally_clear(&r->by_name);
    for (size_t i = 0; i < r->n_requests; i++)
        buf_deinit(&r->requests[i].json);
}

static void add_tally(struct buf *out, const char *name, const struct mock_tally *t) {
    const char *comma = "";
    buf_printf(out, ",\"%s\":{", name);
    for (size_t i = 0; i < MOCK_NAMES; i++) {
        const struct mock_tally_place *p = &t->places[i];
        if (!p->name)
            continue;
        buf_add(out, span_of(comma));
        buf_add_json(out, (struct span){ p->name, p->len });
        buf_printf(out, ":%llu", (unsigned long long)p->count);
        comma = ",";
    }
    buf_add_char(out, '}');
}

static void add_number(struct buf *out, const char *name, uint64_t n) {
    buf_printf(out, "%s\"%s\":%llu", out->len ? "," : "{", name, (unsigned long long)n);
}

static void sum_up(struct mock_report *sum, const struct mock_report *r) {
    sum->numbers.requests += r->numbers.requests;
    sum->numbers.streams += r->numbers.streams;
    sum->numbers.cancelled += r->numbers.cancelled;
    sum->numbers.prompt_tokens += r->numbers.prompt_tokens;
    sum->numbers.completion_tokens += r->numbers.completion_tokens;
    sum->numbers.connections += r->numbers.connections;
    sum->open += r->open;
    sum->under_way += r->under_way;
    merge_tally(&sum->by_path, &r->by_path);
    merge_tally(&sum->by_model, &r->by_model);
    merge_tally(&sum->by_name, &r->by_name);
}

void mock_report_stats(const struct mock_report *reports, size_t n, struct buf *out) {
    struct mock_report *sum = calloc(1, sizeof *sum);
    if (!sum)
        abort();
    for (size_t i = 0; i < n; i++)
        sum_up(sum, &reports[i]);
    add_number(out, "requests", sum->numbers.requests);
    add_number(out, "streams", sum->numbers.streams);
    add_number(out, "cancelled", sum->numbers.cancelled);
    add_number(out, "connections", sum->numbers.connections + sum->open);
    add_number(out, "open", sum->open);
    add_number(out, "under_way", sum->under_way);
    add_number(out, "prompt_tokens", sum->numbers.prompt_tokens);
    add_number(out, "completion_tokens", sum->numbers.completion_tokens);
    add_number(out, "tokens", sum->numbers.prompt_tokens + sum->numbers.completion_tokens);
    add_tally(out, "by_path", &sum->by_path);
    add_tally(out, "by_model", &sum->by_model);
    add_tally(out, "by_name", &sum->by_name);
    buf_append(out, "}\n", 2);
    mock_report_deinit(sum);
    free(sum);
}

/* The oldest request that is not shown yet, by what of each report is; NULL when there is none. */
static const struct mock_report_request *take_oldest(const struct mock_report *reports, size_t n,
                                                     size_t *shown) {
    const struct mock_report_request *oldest = NULL;
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        const struct mock_report_request *r = &reports[i].requests[shown[i]];
        if (shown[i] < reports[i].n_requests && (!oldest || r->at < oldest->at)) {
            oldest = r;
            from = i;
        }
    }
    if (oldest)
        shown[from]++;
    return oldest;
}

void mock_report_requests(const struct mock_report *reports, size_t n, bool last_only,
                          struct buf *out) {
    size_t total = 0, *shown = calloc(n, sizeof *shown);
    if (!shown)
        abort();
    for (size_t i = 0; i < n; i++)
        total += reports[i].n_requests;
    size_t skip = last_only ? (total ? total - 1 : 0) : total > MOCK_KEPT ? total - MOCK_KEPT : 0;
    const char *comma = "";
    buf_append(out, "[", !last_only);
    for (const struct mock_report_request *r; (r = take_oldest(reports, n, shown));) {
        if (skip) {
            skip--;
            continue;
        }
        buf_add(out, span_of(comma));
        buf_add(out, buf_span(&r->json));
        comma = ",";
    }
    buf_append(out, "null", last_only && total == 0 ? 4 : 0);
    buf_append(out, "]\n", last_only ? 0 : 2);
    free(shown);
}
