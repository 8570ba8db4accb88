/* api_requests.c - requests that were recorded: finds them, and shows one with all there is. */
#include "admin/asker.h"
#include "admin/reading.h"
#include "base/clock.h"
#include "money/export.h"
#include "money/search.h"

/* ---- what is looked for ---- */

static bool read_moment(struct api_call *call, const char *name, uint64_t *us) {
    struct span text = api_query(call, name);
    uint64_t ms;
    if (!text.at)
        return true;
    if (!clock_parse(text, &ms)) {
        api_fail(call, API_INVALID_REQUEST, name,
                 "Expected a moment like 2026-11-22 or 2026-11-22T12:00:00Z.");
        return false;
    }
    *us = ms * 1000;
    return true;
}

/* 429, or 4xx for all of them. */
static bool read_status(struct api_call *call, int *status) {
    struct span text = api_query(call, "status");
    uint64_t n;
    if (!text.at)
        return true;
    bool all = text.len == 3 && span_eq_nocase(span_sub(text, 1, 2), SPAN("xx"));
    if (!span_uint(all ? span_sub(text, 0, 1) : text, &n) || n < (all ? 1 : 100) ||
        n > (all ? 5 : 599)) {
        api_fail(call, API_INVALID_REQUEST, "status", "Expected a status like 429, or 4xx.");
        return false;
    }
    *status = (int)n;
    return true;
}

static bool read_class(struct api_call *call, enum failure *failure) {
    struct span text = api_query(call, "class");
    if (!text.at)
        return true;
    *failure = failure_of(text);
    if (*failure != FAILURE_NONE)
        return true;
    api_fail(call, API_INVALID_REQUEST, "class",
             "Expected a class of failures like rate_limited or timeout.");
    return false;
}

static bool read_numbers(struct api_call *call, struct search_query *q) {
    struct span limit = api_query(call, "limit"), cursor = api_query(call, "cursor");
    struct span cost = api_query(call, "min_cost_usd");
    uint64_t n = 50;
    if (limit.at && (!span_uint(limit, &n) || n < 1 || n > SEARCH_PAGE_MAX)) {
        api_fail(call, API_INVALID_REQUEST, "limit", "Expected a number from 1 to %d.",
                 SEARCH_PAGE_MAX);
        return false;
    }
    if (cursor.at && (!span_uint(cursor, &q->before) || !q->before)) {
        api_fail(call, API_INVALID_REQUEST, "cursor", "Expected what `next` of a page said.");
        return false;
    }
    if (cost.at && !asker_decimal(cost, 9, INT64_MAX, &q->min_cost)) {
        api_fail(call, API_INVALID_REQUEST, "min_cost_usd", "Expected dollars, like 0.02.");
        return false;
    }
    q->limit = (unsigned)n;
    return true;
}

static bool read_query(struct api_call *call, struct search_query *q) {
    *q = (struct search_query){ .key = api_query(call, "key"),
                                .project = api_query(call, "project"),
                                .arm = api_query(call, "arm"),
                                .session = api_query(call, "session"),
                                .target = api_query(call, "target"),
                                .tag = api_query(call, "tag") };
    return read_moment(call, "from", &q->from_us) && read_moment(call, "to", &q->to_us) &&
           read_status(call, &q->status) && read_class(call, &q->failure) && read_numbers(call, q);
}

/* ---- GET /api/requests ---- */

static struct search *open_search(struct reading *r) {
    struct store_error error;
    struct search *s = search_open(r->path, &error);
    if (!s)
        reading_refuse(r, API_INTERNAL, NULL, "%s", error.text);
    return s;
}

static void write_page(const struct search_page *page, struct buf *out) {
    buf_add(out, SPAN("{\"requests\":["));
    for (size_t i = 0; i < page->n; i++) {
        if (i)
            buf_add_char(out, ',');
        export_request_json(out, &page->rows[i]);
    }
    if (page->next)
        buf_printf(out, "],\"next\":\"%llu\"}", (unsigned long long)page->next);
    else
        buf_add(out, SPAN("],\"next\":null}"));
}

static void look_for_page(struct reading *r) {
    struct search_page page;
    struct search *s = open_search(r);
    if (!s)
        return;
    if (reading_worked(r, search_requests(s, r->question, r->call->arena, &page)))
        write_page(&page, &r->answer);
    search_close(s);
}

void api_requests_list(struct api_call *call) {
    struct search_query *q = arena_new(call->arena, struct search_query);
    if (read_query(call, q))
        reading_ask(call, look_for_page, q);
}

/* ---- GET /api/requests/{id} ---- */

static void write_body(const char *name, const struct search_body *body, struct buf *out) {
    buf_printf(out, "\"%s\":", name);
    if (!body->bytes.at) {
        buf_add(out, SPAN("null"));
        return;
    }
    buf_add(out, SPAN("{\"text\":"));
    buf_add_json(out, body->bytes);
    buf_printf(out, ",\"cut\":%s}", body->cut ? "true" : "false");
}

/* As one more member of the object that has just been closed. */
static void write_bodies(const struct search_body bodies[ENTRY_PARTS], struct buf *out) {
    while (out->len && out->at[out->len - 1] != '}')
        out->len--;
    out->len--;
    buf_add(out, SPAN(",\"bodies\":{"));
    write_body("prompt", &bodies[ENTRY_PROMPT], out);
    buf_add_char(out, ',');
    write_body("answer", &bodies[ENTRY_ANSWER], out);
    buf_add(out, SPAN("}}"));
}

static void look_for_one(struct reading *r) {
    const struct span *id = r->question;
    struct search_body bodies[ENTRY_PARTS];
    struct search_row row;
    struct search *s = open_search(r);
    if (!s)
        return;
    int result = search_request(s, *id, r->call->arena, &row);
    if (result == 1)
        reading_refuse(r, API_NOT_FOUND, "id", "No request \"%.*s\" is in the ledger.",
                       SPAN_ARGS(span_sub(*id, 0, 100)));
    else if (reading_worked(r, result))
        export_request_json(&r->answer, &row);
    /* What people wrote is none of a viewer's business. */
    if (!r->refused && r->call->role == API_ADMIN &&
        reading_worked(r, search_bodies(s, *id, r->call->arena, bodies)))
        write_bodies(bodies, &r->answer);
    search_close(s);
}

void api_requests_get(struct api_call *call) {
    reading_ask(call, look_for_one, &call->parts[0]);
}
