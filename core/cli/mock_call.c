/* mock_call.c - the mock answers, in the way it was asked to. */
#include "cli/mock_call.h"

#include <assert.h>

enum {
    BATCH = 16 * 1024, /* bytes of events without a pause between them that go in one write */
    MAX_HEADERS = 8    /* beside those of headers=N */
};

/* What of a stream comes next. */
enum stage { COMMENT, ROLE, PIECES, FINISH, USAGE, DONE, OVER };

struct call {
    struct mock_desk *desk;
    struct conn *conn;
    struct mock_received *received;
    struct mock_fault fault;
    struct mock_ask ask;
    struct mock_answer answer;
    struct pair *headers;
    size_t n_headers;
    enum stage stage;
    size_t piece;
    uint64_t wait_left; /* ms until the next event, of which pings may take a part */
    bool waited;        /* the pause before the next event is over */
    bool has_timer;
    uv_timer_t timer;
};

static struct arena *arena_of(struct call *call) {
    return &call->received->message->arena;
}

/* ---- the end ---- */

static void on_timer_closed(uv_handle_t *handle) {
    struct call *call = handle->data;
    mock_received_release(call->received);
}

/* The connection is not the call's any more. */
static void over(struct call *call) {
    call->stage = OVER;
    call->conn = NULL;
    if (call->has_timer)
        uv_close((uv_handle_t *)&call->timer, on_timer_closed);
    else
        mock_received_release(call->received);
}

static void finish(struct call *call) {
    struct conn *c = call->conn;
    over(call);
    conn_finish(c);
}

static void finish_and_close(struct call *call) {
    conn_close_after(call->conn);
    finish(call);
}

static void on_gone(void *user) {
    struct call *call = user;
    call->desk->count->numbers.cancelled++;
    over(call);
}

/* ---- waiting ---- */

static void wait(struct call *call, uint64_t ms, uv_timer_cb then) {
    if (!call->has_timer) {
        uv_timer_init(call->desk->loop, &call->timer);
        call->timer.data = call;
        call->has_timer = true;
    }
    /* The loop's clock may lag behind: not a moment too early. */
    uv_update_time(call->desk->loop);
    uv_timer_start(&call->timer, then, ms, 0);
}

/* ---- headers ---- */

static void add_header(struct call *call, struct span name, struct span value) {
    call->headers[call->n_headers++] = (struct pair){ name, value };
}

static struct span request_id(struct call *call) {
    enum { PREFIX = 9, DIGITS = 20 };
    char *at = arena_alloc(arena_of(call), PREFIX + DIGITS), *end = at + PREFIX + DIGITS, *id = end;
    uint64_t n = call->answer.serial;
    do
        *--id = (char)('0' + n % 10);
    while (n /= 10);
    id -= PREFIX;
    memcpy(id, "req-mock-", PREFIX);
    return (struct span){ id, (size_t)(end - id) };
}

static void make_headers(struct call *call, struct span content_type) {
    const struct mock_shape *shape = &call->fault.shape;
    const struct mock_harm *harm = &call->fault.harm;
    struct arena *arena = arena_of(call);
    call->n_headers = 0;
    call->headers =
        arena_alloc(arena, (MAX_HEADERS + (size_t)shape->headers) * sizeof *call->headers);
    add_header(call, SPAN("content-type"), content_type);
    add_header(call, SPAN("x-request-id"), request_id(call));
    if (harm->retry_after.at)
        add_header(call, SPAN("retry-after"), harm->retry_after);
    if (harm->redirect.at)
        add_header(call, SPAN("location"), harm->redirect);
    if (harm->gzip)
        add_header(call, SPAN("content-encoding"), SPAN("gzip"));
    for (int64_t i = 1; i <= shape->headers; i++)
        add_header(call, arena_printf(arena, "x-mock-%lld", (long long)i), SPAN("flood"));
}

/* A head for what conn would not write: with any length, right or wrong. */
static void add_raw_head(struct call *call, int status, size_t length, struct buf *out) {
    buf_printf(out, "HTTP/1.1 %d %s\r\ncontent-length: %zu\r\n", status, http_reason(status),
               length);
    for (size_t i = 0; i < call->n_headers; i++)
        buf_printf(out, "%.*s: %.*s\r\n", SPAN_ARGS(call->headers[i].name),
                   SPAN_ARGS(call->headers[i].value));
    buf_append(out, "\r\n", 2);
}

/* ---- whole answers ---- */

static int error_body(struct call *call, struct buf *body) {
    const struct mock_harm *harm = &call->fault.harm;
    struct span type, code;
    mock_error_names(harm->status, &type, &code);
    struct span message = arena_printf(arena_of(call), "The mock was asked for status %lld.",
                                       (long long)harm->status);
    mock_error(body, harm->message.at ? harm->message : message, harm->type.at ? harm->type : type,
               SPAN_NONE, harm->code.at ? harm->code : code);
    return (int)harm->status;
}

static bool is_status(int64_t status) {
    return status >= 200 && status <= 999;
}

/* Whether the answer is no completion, so that it is never streamed. */
static bool is_error(const struct mock_harm *harm) {
    return is_status(harm->status) || harm->html || harm->redirect.at;
}

/* The body, with its headers; returns the status. */
static int make_whole(struct call *call, struct buf *body) {
    const struct mock_harm *harm = &call->fault.harm;
    if (harm->html) {
        make_headers(call, SPAN("text/html"));
        buf_add(body, SPAN("<!doctype html>\n<html><head><title>Bad gateway</title></head>\n"
                           "<body><h1>Bad gateway</h1><p>mock</p></body></html>\n"));
        return is_status(harm->status) ? (int)harm->status : 502;
    }
    make_headers(call, SPAN("application/json"));
    if (harm->redirect.at)
        return is_status(harm->status) ? (int)harm->status : 302;
    if (is_status(harm->status))
        return error_body(call, body);
    if (harm->garbage) {
        buf_add(body,
                SPAN("{\"id\":\"chatcmpl-mock\",\"choices\":[{\"message\":{\"content\":\"He"));
        return 200;
    }
    mock_answer_whole(&call->answer, body);
    return 200;
}

static void count_tokens(struct call *call) {
    struct mock_numbers *n = &call->desk->count->numbers;
    n->prompt_tokens += (uint64_t)call->ask.prompt_tokens;
    n->completion_tokens += (uint64_t)call->answer.completion_tokens;
}

/* One byte at a time, as far as the kernel sends them so. */
static void write_bytewise(struct call *call, struct span bytes,
                           bool (*write)(struct conn *c, struct span bytes)) {
    for (size_t i = 0; i < bytes.len; i++)
        write(call->conn, span_sub(bytes, i, 1));
}

static void write_raw(struct call *call, int status, struct span body) {
    const struct mock_harm *harm = &call->fault.harm;
    struct buf all = { 0 };
    bool cut = harm->cut.at != NULL;
    add_raw_head(call, status, harm->wrong_length ? body.len / 2 : body.len, &all);
    buf_append(&all, body.at, cut ? body.len / 2 : body.len);
    if (call->fault.shape.bytewise)
        write_bytewise(call, buf_span(&all), conn_raw);
    else
        conn_raw(call->conn, buf_span(&all));
    buf_deinit(&all);
    if (cut)
        finish_and_close(call);
    else
        finish(call);
}

static void answer_whole(struct call *call) {
    struct buf *body = &call->desk->body;
    const struct mock_harm *harm = &call->fault.harm;
    buf_clear(body);
    int status = make_whole(call, body);
    if (status == 200 && !harm->garbage)
        count_tokens(call);
    if (harm->gzip) {
        buf_clear(&call->desk->out);
        mock_gzip(&call->desk->out, buf_span(body));
        body = &call->desk->out;
    }
    if (harm->cut.at || harm->wrong_length || call->fault.shape.bytewise) {
        write_raw(call, status, buf_span(body));
        return;
    }
    struct conn *c = call->conn;
    struct pair *headers = call->headers;
    size_t n = call->n_headers;
    /* The headers lie in the message: it is given back afterwards. */
    conn_reply(c, status, headers, n, buf_span(body));
    over(call);
}

/* ---- streams ---- */

static void add_error_event(struct buf *out) {
    buf_add(out, SPAN("data: "));
    mock_error(out, SPAN("The mock was asked for an error in the stream."), SPAN("server_error"),
               SPAN_NONE, SPAN("mock_error"));
    buf_add(out, SPAN("\n\n"));
}

/* Appends the event of the present stage and goes on to the next one. */
static void next_event(struct call *call, struct buf *out) {
    const struct mock_harm *harm = &call->fault.harm;
    switch (call->stage) {
    case COMMENT:
        if (call->fault.shape.comment)
            buf_add(out, SPAN(": the mock is thinking\n\n"));
        call->stage = ROLE;
        break;
    case ROLE:
        mock_answer_role(&call->answer, out);
        call->stage = call->answer.n_pieces ? PIECES : FINISH;
        break;
    case PIECES:
        mock_answer_piece(&call->answer, call->piece++, out);
        if (call->piece == call->answer.n_pieces)
            call->stage = FINISH;
        break;
    case FINISH:
        if (!harm->no_finish)
            mock_answer_finish(&call->answer, out);
        call->stage = USAGE;
        break;
    case USAGE:
        if (call->ask.include_usage && !harm->no_usage)
            mock_answer_usage(&call->answer, out);
        call->stage = DONE;
        break;
    default:
        assert(call->stage == DONE);
        if (!harm->no_done)
            buf_add(out, SPAN("data: [DONE]\n\n"));
        call->stage = OVER;
        break;
    }
}

/* LF to CR LF; JSON holds none. */
static void end_lines_in_crlf(struct buf *b, size_t from) {
    size_t lines = 0;
    for (size_t i = from; i < b->len; i++)
        lines += b->at[i] == '\n';
    buf_reserve(b, lines);
    size_t to = b->len + lines;
    for (size_t i = b->len; i-- > from && lines;) {
        b->at[--to] = b->at[i];
        if (b->at[i] == '\n') {
            b->at[--to] = '\r';
            b->len++;
            lines--;
        }
    }
}

static bool send_events(struct call *call, struct span bytes) {
    if (call->fault.shape.bytewise) {
        write_bytewise(call, bytes, conn_write);
        return true;
    }
    return conn_write(call->conn, bytes);
}

enum verdict { GO_ON, STREAM_ENDED };

/* What goes wrong before the next event. Sends what is in `out` first. */
static enum verdict do_harm(struct call *call, struct buf *out) {
    const struct mock_harm *harm = &call->fault.harm;
    bool before_piece = call->stage == PIECES || call->stage == FINISH;
    if (harm->garbage && call->stage == ROLE) {
        buf_add(out, SPAN("data: {\"id\":\"chatcmpl-mock\",\"choices\":[{\"del\n\n"));
        send_events(call, buf_span(out));
        finish(call);
        return STREAM_ENDED;
    }
    bool cut_role = harm->cut_event == 0 && call->stage == ROLE;
    if (cut_role || (call->stage == PIECES && harm->cut_event == (int64_t)call->piece + 1)) {
        size_t whole = out->len;
        next_event(call, out);
        out->len = whole + (out->len - whole) / 2;
        send_events(call, buf_span(out));
        struct conn *c = call->conn;
        over(call);
        conn_abort(c);
        return STREAM_ENDED;
    }
    if (!before_piece)
        return GO_ON;
    bool error = harm->error_after == (int64_t)call->piece;
    if (error)
        add_error_event(out);
    if (error || harm->cut_after == (int64_t)call->piece) {
        send_events(call, buf_span(out));
        finish(call);
        return STREAM_ENDED;
    }
    return GO_ON;
}

/* The pause before the event of the present stage, in ms. */
static uint64_t pause_of(const struct call *call) {
    if (call->stage != PIECES)
        return 0;
    return (uint64_t)(call->piece ? call->fault.shape.gap_ms : call->fault.harm.first_ms);
}

static void on_pause_over(uv_timer_t *timer);

static void start_pause(struct call *call) {
    uint64_t ping = (uint64_t)call->fault.shape.ping_ms;
    uint64_t ms = call->wait_left;
    if (ping && call->piece == 0 && ping < ms)
        ms = ping;
    call->wait_left -= ms;
    wait(call, ms, on_pause_over);
}

/* Events up to the next pause, the end, or a client that does not read. */
static void run_stream(struct call *call) {
    struct buf *out = &call->desk->out;
    buf_clear(out);
    while (call->stage != OVER) {
        uint64_t pause = call->waited ? 0 : pause_of(call);
        if (pause) {
            if (out->len)
                send_events(call, buf_span(out));
            call->wait_left = pause;
            start_pause(call);
            return;
        }
        size_t from = out->len;
        if (do_harm(call, out) == STREAM_ENDED)
            return;
        next_event(call, out);
        call->waited = false;
        if (call->fault.shape.crlf)
            end_lines_in_crlf(out, from);
        if (out->len >= BATCH) {
            bool more = send_events(call, buf_span(out));
            buf_clear(out);
            if (!more)
                return; /* on_drain goes on */
        }
    }
    if (out->len)
        send_events(call, buf_span(out));
    finish(call);
}

static void on_pause_over(uv_timer_t *timer) {
    struct call *call = timer->data;
    if (call->wait_left) {
        conn_write(call->conn, SPAN(": ping\n\n"));
        start_pause(call);
        return;
    }
    call->waited = true;
    run_stream(call);
}

static void on_drain(void *user) {
    struct call *call = user;
    if (call->stage != OVER && !(call->has_timer && uv_is_active((uv_handle_t *)&call->timer)))
        run_stream(call);
}

static const struct conn_user user_events = { .on_drain = on_drain, .on_gone = on_gone };

static void start_stream(struct call *call) {
    make_headers(call, SPAN("text/event-stream"));
    if (!call->fault.harm.garbage)
        count_tokens(call);
    conn_start(call->conn, 200, call->headers, call->n_headers);
    call->stage = COMMENT;
    run_stream(call);
}

/* ---- the beginning ---- */

static void half_a_head(struct call *call) {
    conn_raw(call->conn, SPAN("HTTP/1.1 200 OK\r\ncontent-type: applica"));
    if (span_eq(call->fault.harm.half_headers, SPAN("hang")))
        return; /* until the client leaves */
    finish_and_close(call);
}

static void answer(struct call *call) {
    const struct mock_harm *harm = &call->fault.harm;
    if (harm->hang)
        return;
    if (harm->reset) {
        struct conn *c = call->conn;
        over(call);
        conn_reset(c);
        return;
    }
    if (call->fault.shape.early_hints)
        conn_raw(call->conn, SPAN("HTTP/1.1 103 Early Hints\r\nlink: </>; rel=preload\r\n\r\n"));
    if (harm->half_headers.at)
        half_a_head(call);
    else if (call->ask.stream && !is_error(harm))
        start_stream(call);
    else
        answer_whole(call);
}

static void on_slow_over(uv_timer_t *timer) {
    answer(timer->data);
}

void mock_call_begin(struct mock_desk *desk, struct conn *c, struct mock_received *received,
                     const struct mock_fault *fault, const struct mock_ask *ask) {
    struct call *call = arena_alloc(&received->message->arena, sizeof *call);
    *call = (struct call){ .desk = desk, .conn = c, .received = received };
    call->fault = *fault;
    call->ask = *ask;
    desk->serial += desk->serial_step;
    mock_answer_plan(&call->answer, &call->ask, &call->fault.shape, &call->fault.harm, desk->serial,
                     arena_of(call));
    desk->count->numbers.streams += ask->stream;
    conn_attach(c, &user_events, call);
    if (fault->harm.slow)
        wait(call, (uint64_t)fault->harm.slow, on_slow_over);
    else
        answer(call);
}
