#include "admin/child.h"

#include <signal.h>
#include <stdlib.h>

enum { ARGS_MAX = 32, HANDLES = 4 };

struct child {
    uv_process_t process;
    uv_pipe_t out, err;
    uv_timer_t limit;
    unsigned open; /* handles not closed yet */
    bool started, exited;
    struct child_end end;
    struct buf output;
    char bytes[4096];
    void (*on_end)(void *owner, const struct child_end *end);
    void *owner;
};

static void on_closed(uv_handle_t *handle) {
    struct child *c = handle->data;
    if (--c->open)
        return;
    c->end.output = c->output.at ? buf_span(&c->output) : SPAN("");
    c->on_end(c->owner, &c->end);
    buf_deinit(&c->output);
    free(c);
}

static void close_handle(uv_handle_t *handle) {
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

static void close_all(struct child *c) {
    close_handle((uv_handle_t *)&c->process);
    close_handle((uv_handle_t *)&c->out);
    close_handle((uv_handle_t *)&c->err);
    close_handle((uv_handle_t *)&c->limit);
}

/* Over when it has exited and both its pipes are read to their ends; what it left behind and holds
 * them open is killed with it. */
static void look(struct child *c) {
    if (c->exited && uv_is_closing((uv_handle_t *)&c->out) && uv_is_closing((uv_handle_t *)&c->err))
        close_all(c);
}

static void on_exit_of_it(uv_process_t *process, int64_t code, int number) {
    struct child *c = process->data;
    c->exited = true;
    c->end.code = number ? -1 : (int)code;
    uv_kill(-process->pid, SIGKILL);
    look(c);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct child *c = handle->data;
    *buf = uv_buf_init(c->bytes, sizeof c->bytes);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct child *c = stream->data;
    if (n > 0 && c->output.len < CHILD_OUTPUT_MAX) {
        size_t room = CHILD_OUTPUT_MAX - c->output.len;
        buf_append(&c->output, buf->base, (size_t)n < room ? (size_t)n : room);
    } else if (n < 0) {
        close_handle((uv_handle_t *)stream);
        look(c);
    }
}

void child_kill(struct child *c) {
    if (c->started && !c->exited)
        uv_kill(-c->process.pid, SIGKILL); /* its group: what it started goes with it */
}

static void on_limit(uv_timer_t *timer) {
    struct child *c = timer->data;
    c->end.too_late = true;
    child_kill(c);
}

static void start(struct child *c, uv_loop_t *loop, const struct child_options *options) {
    static char program[] =
        "/proc/self/exe"; /* the very file that runs, also when it was replaced */
    char *argv[ARGS_MAX] = { program };
    size_t n = 1;
    while (options->args[n - 1] && n < ARGS_MAX - 1) {
        argv[n] = (char *)options->args[n - 1];
        n++;
    }
    uv_stdio_container_t stdio[3] = {
        { .flags = UV_IGNORE },
        { .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&c->out },
        { .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&c->err },
    };
    uv_process_options_t how = {
        .exit_cb = on_exit_of_it,
        .file = program,
        .args = argv,
        .cwd = options->dir,
        .flags = UV_PROCESS_DETACHED, /* a group of its own */
        .stdio = stdio,
        .stdio_count = 3,
    };
    int error = uv_spawn(loop, &c->process, &how);
    c->started = error == 0;
    if (error)
        buf_printf(&c->output, "it does not start: %s", uv_strerror(error));
}

struct child *child_start(uv_loop_t *loop, const struct child_options *options,
                          void (*on_end)(void *owner, const struct child_end *end), void *owner) {
    struct child *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    c->on_end = on_end;
    c->owner = owner;
    c->end.code = -1;
    c->open = HANDLES;
    uv_pipe_init(loop, &c->out, 0);
    uv_pipe_init(loop, &c->err, 0);
    uv_timer_init(loop, &c->limit);
    c->process.data = c->out.data = c->err.data = c->limit.data = c;
    start(c, loop, options);
    if (c->started) {
        uv_read_start((uv_stream_t *)&c->out, on_alloc, on_read);
        uv_read_start((uv_stream_t *)&c->err, on_alloc, on_read);
        uv_timer_start(&c->limit, on_limit, options->limit_ms, 0);
    } else {
        close_all(c);
    }
    return c;
}
