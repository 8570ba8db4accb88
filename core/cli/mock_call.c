/* mock_call.c - the mock answers, in the way it was asked to. */
#include "cli/mock_call.h"

#include "cli/mock_headers.h"

#include <assert.h>

enum {
    BATCH = 16 * 1024 /* bytes of events without a pause between them that go in one write */
};

/* What of a stream comes next. */
enum stage { COMMENT, BEGIN, PIECES, FINISH, USAGE, DONE, OVER };

struct call {
    struct mock_desk *desk;
    struct conn *conn;
    const struct mock_dialect *dialect;
    struct mock_received *received;
    struct mock_fault fault;
    struct mock_ask ask;
    struct mock_answer answer;
    struct mock_headers headers;
    enum stage stage;
    size_t piece;
    uint64_t wait_left; /* ms until the next event, of which pings may take a part */
    bool waited;        /* the pause before the next event is over */
    bool has_timer;
    bool bills;   /* a stream whose tokens count once it is over */
    bool in_crlf; /* lines of events end so */
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

/* Tokens of what has been said so far. */
static int64_t tokens_said(const struct call *call) {
    const struct mock_answer *a = &call->answer;
    size_t bytes = 0;
    if (call->piece == a->n_pieces)
        return a->completion_tokens;
    for (size_t i = 0; i < call->piece; i++)
        bytes += a->pieces[i].text.len;
    return mock_tokens_of(bytes);
}

static void count_tokens(struct call *call, int64_t prompt, int64_t completion) {
    call->desk->count->numbers.prompt_tokens += (uint64_t)prompt;
    call->desk->count->numbers.completion_tokens += (uint64_t)completion;
}

/* The connection is not the call's any more. */
static void over(struct call *call) {
    if (call->bills)
        count_tokens(call, 0, tokens_said(call));
    call->desk->count->under_way--;
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

/* ---- whole answers ---- */

/* What was asked for, over what the dialect has for that status. */
static struct mock_error make_error(struct call *call, int64_t status, struct span message) {
    const struct mock_harm *harm = &call->fault.harm;
    struct mock_error e = { .status = status };
    call->dialect->names(&e);
    e.message = harm->message.at ? harm->message : message;
    e.type = harm->type.at ? harm->type : e.type;
    e.code = harm->code.at ? harm->code : e.code;
    e.retry_after = harm->retry_after;
    e.request_id = mock_request_id(call->answer.serial, arena_of(call));
    return e;
}

static int error_body(struct call *call, struct buf *body) {
    int64_t status = call->fault.harm.status;
    struct mock_error e = make_error(
        call, status,
        arena_printf(arena_of(call), "The mock was asked for status %lld.", (long long)status));
    if (call->dialect->error_header)
        mock_headers_add(&call->headers, call->dialect->error_header, e.type);
    call->dialect->error(&e, body);
    return (int)status;
}

static void make_headers(struct call *call, struct span content_type) {
    mock_headers_make(&call->headers, call->dialect, &call->fault, content_type,
                      call->answer.serial, arena_of(call));
}

/* The body, with its headers; returns the status. */
static int make_whole(struct call *call, struct buf *body) {
    const struct mock_harm *harm = &call->fault.harm;
    if (harm->html) {
        make_headers(call, SPAN("text/html"));
        buf_add(body, SPAN("<!doctype html>\n<html><head><title>Bad gateway</title></head>\n"
                           "<body><h1>Bad gateway</h1><p>mock</p></body></html>\n"));
        return mock_fault_is_status(harm->status) ? (int)harm->status : 502;
    }
    make_headers(call, SPAN("application/json"));
    if (harm->redirect.at)
        return mock_fault_is_status(harm->status) ? (int)harm->status : 302;
    if (mock_fault_is_status(harm->status))
        return error_body(call, body);
    if (harm->garbage) {
        buf_add(body, SPAN("{\"id\":\"mock\",\"choices\":[{\"message\":{\"content\":\"He"));
        return 200;
    }
    call->dialect->whole(&call->answer, body);
    return 200;
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
    mock_headers_raw(&call->headers, status, harm->wrong_length ? body.len / 2 : body.len, &all);
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
        count_tokens(call, call->answer.prompt_tokens, call->answer.completion_tokens);
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
    /* The headers lie in the message: it is given back afterwards. */
    conn_reply(c, status, call->headers.at, call->headers.n, buf_span(body));
    over(call);
}

/* ---- streams ---- */

static void add_error_event(struct call *call, struct buf *out) {
    int64_t status = call->dialect->fail_status ? call->dialect->fail_status : 500;
    struct mock_error e =
        make_error(call, status, SPAN("The mock was asked for an error in the stream."));
    call->dialect->fail(&call->answer, &e, out);
}

/* Appends the events of the present stage and goes on to the next one. */
static void next_events(struct call *call, struct buf *out) {
    const struct mock_dialect *dialect = call->dialect;
    const struct mock_harm *harm = &call->fault.harm;
    switch (call->stage) {
    case COMMENT:
        if (call->fault.shape.comment && !dialect->frames)
            buf_add(out, SPAN(": the mock is thinking\n\n"));
        call->stage = BEGIN;
        break;
    case BEGIN:
        dialect->begin(&call->answer, out);
        call->stage = call->answer.n_pieces ? PIECES : FINISH;
        break;
    case PIECES:
        dialect->piece(&call->answer, call->piece++, out);
        if (call->piece == call->answer.n_pieces)
            call->stage = FINISH;
        break;
    case FINISH:
        if (!harm->no_finish)
            dialect->finish(&call->answer, out);
        call->stage = USAGE;
        break;
    case USAGE:
        if (!harm->no_usage)
            dialect->usage(&call->answer, out);
        call->stage = DONE;
        break;
    default:
        assert(call->stage == DONE);
        if (!harm->no_done)
            dialect->done(&call->answer, out);
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

/* Where the last event of the bytes begins. */
static size_t last_event(const struct call *call, struct span bytes) {
    if (call->dialect->frames)
        return call->dialect->frames->last(bytes);
    size_t at = bytes.len < 2 ? 0 : bytes.len - 2;
    while (at > 1 && !(bytes.at[at - 1] == '\n' && bytes.at[at - 2] == '\n'))
        at--;
    return at > 1 ? at : 0;
}

/* The events of the present stage, the last of them halved, which says nothing then. */
static void half_events(struct call *call, struct buf *out) {
    size_t from = out->len, said = call->piece;
    next_events(call, out);
    call->piece = said;
    from += last_event(call, span_sub(buf_span(out), from, SIZE_MAX));
    out->len = from + (out->len - from) / 2;
}

enum verdict { GO_ON, STREAM_ENDED };

static enum verdict end_well(struct call *call, struct buf *out) {
    send_events(call, buf_span(out));
    finish(call);
    return STREAM_ENDED;
}

static enum verdict break_off(struct call *call, struct buf *out) {
    half_events(call, out);
    send_events(call, buf_span(out));
    struct conn *c = call->conn;
    over(call);
    conn_abort(c);
    return STREAM_ENDED;
}

static void add_garbage(struct call *call, struct buf *out) {
    if (call->dialect->frames)
        call->dialect->frames->garbage(out);
    else
        buf_add(out, SPAN("data: {\"id\":\"mock\",\"choices\":[{\"del\n\n"));
}

/* What goes wrong before the next event. Sends what is in `out` first. */
static enum verdict do_harm(struct call *call, struct buf *out) {
    const struct mock_harm *harm = &call->fault.harm;
    int64_t said = (int64_t)call->piece;
    if (harm->garbage && call->stage == BEGIN) {
        add_garbage(call, out);
        return end_well(call, out);
    }
    if ((harm->cut_event == 0 && call->stage == BEGIN) ||
        (harm->cut_event == said + 1 && call->stage == PIECES))
        return break_off(call, out);
    if (call->stage != PIECES && call->stage != FINISH)
        return GO_ON;
    if (harm->error_after == said)
        add_error_event(call, out);
    if (harm->error_after == said || harm->cut_after == said)
        return end_well(call, out);
    if (harm->cut_frame && call->stage == FINISH) {
        half_events(call, out);
        return end_well(call, out);
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
    if (ping && call->piece == 0 && ping < ms && !call->dialect->frames)
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
        next_events(call, out);
        call->waited = false;
        if (call->in_crlf)
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
    make_headers(call, span_of(call->dialect->stream_type));
    call->in_crlf = call->dialect->crlf || (call->fault.shape.crlf && !call->dialect->frames);
    call->bills = !call->fault.harm.garbage;
    if (call->bills)
        count_tokens(call, call->answer.prompt_tokens, 0);
    conn_start(call->conn, 200, call->headers.at, call->headers.n);
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
    else if (call->ask.stream && !mock_fault_is_error(harm))
        start_stream(call);
    else
        answer_whole(call);
}

static void on_slow_over(uv_timer_t *timer) {
    answer(timer->data);
}

void mock_call_begin(struct mock_desk *desk, struct conn *c, const struct mock_dialect *dialect,
                     struct mock_received *received, const struct mock_fault *fault,
                     const struct mock_ask *ask) {
    struct call *call = arena_alloc(&received->message->arena, sizeof *call);
    *call = (struct call){ .desk = desk, .conn = c, .dialect = dialect, .received = received };
    call->fault = *fault;
    call->ask = *ask;
    desk->serial += desk->serial_step;
    mock_answer_plan(&call->answer, dialect, &call->ask, &call->fault.shape, &call->fault.harm,
                     desk->serial, arena_of(call));
    desk->count->numbers.streams += ask->stream;
    desk->count->under_way++;
    conn_attach(c, &user_events, call);
    if (fault->harm.slow)
        wait(call, (uint64_t)fault->harm.slow, on_slow_over);
    else
        answer(call);
}
