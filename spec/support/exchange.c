#include "support/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>

void bed_open(struct bed *bed, const char *ca_file) {
    *bed = (struct bed){ 0 };
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(uv_loop_init(&bed->loop), 0);
    turns_watch(&bed->turns, &bed->loop);
    bed->ca = ca_load(ca_file);
    assert_non_null(bed->ca);
    assert_int_equal(pump_global_init(), 0);
    bed->pump = pump_new(&bed->loop,
                         &(struct pump_options){ .ca = bed->ca, .user_agent = "perilune/spec" });
}

static void on_pump_closed(void *owner) {
    struct bed *bed = owner;
    assert_false(bed->closed);
    bed->closed = true;
}

static void name_handle(uv_handle_t *handle, void *arg) {
    print_error("left open: %s\n", uv_handle_type_name(handle->type));
}

void bed_close(struct bed *bed) {
    if (bed->pump)
        pump_close(bed->pump, on_pump_closed, bed);
    bed->pump = NULL;
    turns_stop(&bed->turns);
    uv_run(&bed->loop, UV_RUN_DEFAULT);
    uv_walk(&bed->loop, name_handle, NULL);
    assert_int_equal(uv_loop_close(&bed->loop), 0);
    ca_free(bed->ca);
    pump_global_deinit();
}

static void on_time(uv_timer_t *timer) {
    *(bool *)timer->data = true;
}

static bool run(struct bed *bed, unsigned ms, bool (*so)(void *arg), void *arg) {
    bool late = false;
    uv_timer_t timer;
    uv_timer_init(&bed->loop, &timer);
    timer.data = &late;
    uv_update_time(&bed->loop);
    uv_timer_start(&timer, on_time, ms, 0);
    while (!(so && so(arg)) && !late)
        uv_run(&bed->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&bed->loop, UV_RUN_NOWAIT);
    return !late;
}

void bed_until(struct bed *bed, bool (*so)(void *arg), void *arg) {
    if (!run(bed, BED_PATIENCE_MS, so, arg))
        fail_msg("it did not come");
}

void bed_for(struct bed *bed, unsigned ms) {
    run(bed, ms, NULL, NULL);
}

static void on_head(void *owner, const struct transfer_head *head) {
    struct exchange *x = owner;
    assert_non_null(x->transfer);
    assert_false(x->over);
    assert_int_equal(x->heads, 0);
    x->heads++;
    x->status = head->status;
    for (size_t i = 0; i < head->n_headers; i++)
        buf_printf(&x->head, "%.*s: %.*s\n", SPAN_ARGS(head->headers[i].name),
                   SPAN_ARGS(head->headers[i].value));
    buf_add_char(&x->head, 0);
    if (x->at_head)
        x->at_head(x);
}

static bool on_body(void *owner, const char *bytes, size_t len) {
    struct exchange *x = owner;
    assert_non_null(x->transfer);
    assert_false(x->over);
    assert_int_equal(x->heads, 1);
    if (len > x->room) {
        x->pauses++;
        if (x->at_body)
            x->at_body(x);
        return false;
    }
    if (x->room != SIZE_MAX)
        x->room -= len;
    buf_append(&x->body, bytes, len);
    if (x->at_body)
        x->at_body(x);
    return true;
}

static void on_end(struct exchange *x, const struct transfer_times *times) {
    assert_non_null(x->transfer);
    assert_false(x->over);
    x->over = true;
    x->times = *times;
    if (x->at_end)
        x->at_end(x);
}

static void on_done(void *owner, const struct transfer_times *times) {
    on_end(owner, times);
}

static void on_fail(void *owner, enum failure why, const char *text,
                    const struct transfer_times *times) {
    struct exchange *x = owner;
    assert_int_not_equal(why, FAILURE_NONE);
    assert_true(text && *text);
    assert_null(strstr(text, "127.0.0.1"));
    x->why = why;
    snprintf(x->text, sizeof x->text, "%s", text);
    on_end(x, times);
}

static const struct transfer_events EVENTS = { on_head, on_body, on_done, on_fail };

void exchange_init(struct exchange *x, struct bed *bed, int port, const char *body) {
    *x = (struct exchange){ .bed = bed, .room = SIZE_MAX };
    snprintf(x->url, sizeof x->url, "http://127.0.0.1:%d/v1/x", port);
    x->message = (struct transfer_message){
        .method = "POST", .url = x->url, .headers = x->headers, .body = span_of(body)
    };
    exchange_header(x, "Content-Type: application/json");
}

void exchange_header(struct exchange *x, const char *line) {
    assert_true(x->message.n_headers < sizeof x->headers / sizeof *x->headers);
    x->headers[x->message.n_headers++] = span_of(line);
}

void exchange_start(struct exchange *x) {
    x->transfer = transfer_start(x->bed->pump, &x->message, &EVENTS, x);
    assert_non_null(x->transfer);
    assert_false(x->over || x->heads);
}

void exchange_post(struct exchange *x, struct bed *bed, int port, const char *body) {
    exchange_init(x, bed, port, body);
    exchange_start(x);
}

static bool is_over(void *arg) {
    struct exchange *x = arg;
    return x->over;
}

void exchange_wait(struct exchange *x) {
    bed_until(x->bed, is_over, x);
}

void exchange_free(struct exchange *x) {
    if (x->transfer)
        transfer_free(x->transfer);
    x->transfer = NULL;
}

void exchange_clear(struct exchange *x) {
    exchange_free(x);
    buf_deinit(&x->head);
    buf_deinit(&x->body);
}

void exchange_resume(struct exchange *x, size_t room) {
    x->room = room;
    transfer_resume(x->transfer);
}
