#include "support/turns.h"

#include <sys/resource.h>

static long preemptions(void) {
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
}

static void on_prepare(uv_prepare_t *prepare) {
    struct turns *t = prepare->data;
    uint64_t now = uv_hrtime(), idle = uv_metrics_idle_time(prepare->loop);
    long preempted = preemptions();
    if (t->at_ns && preempted == t->preempted) {
        uint64_t us = (now - t->at_ns - (idle - t->idle_ns)) / 1000;
        t->count++;
        if (us > t->worst_us)
            t->worst_us = us;
    }
    t->at_ns = now;
    t->idle_ns = idle;
    t->preempted = preempted;
}

void turns_watch(struct turns *t, uv_loop_t *loop) {
    *t = (struct turns){ 0 };
    uv_loop_configure(loop, UV_METRICS_IDLE_TIME);
    uv_prepare_init(loop, &t->prepare);
    t->prepare.data = t;
    uv_prepare_start(&t->prepare, on_prepare);
    uv_unref((uv_handle_t *)&t->prepare);
}

void turns_reset(struct turns *t) {
    t->worst_us = t->count = t->at_ns = 0;
}

void turns_stop(struct turns *t) {
    uv_close((uv_handle_t *)&t->prepare, NULL);
}
