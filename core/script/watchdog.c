#include "script/watchdog.h"

#include "base/log.h"

#include <errno.h>
#include <lauxlib.h>
#include <link.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

/* A real-time signal carries a pointer to the guard it is meant for, so that the handler needs no
 * global. */
#define WATCHDOG_SIGNAL (SIGRTMIN + 4)

enum {
    POLL_MAX_NS = 1000 * 1000, /* how late a call may be seen */
    POLL_MIN_NS = 50 * 1000,
    INSIST_NS = 100 * 1000, /* between two signals to a call that could not be left where it was */
    GRACE_MAX_NS = 5 * 1000 * 1000, /* for a warned call, at most */
    IDLE_POLLS = 64                 /* without any call, then to sleep */
};

/* Addresses of libluajit's code. */
struct text {
    uintptr_t start, end;
};

struct vm_watchdog {
    struct text text;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows, but for `asleep` */
    pthread_cond_t called;
    struct vm_guard *guards;
    bool stop;
    atomic_bool asleep;
};

/* ---- where libluajit lies ---- */

struct text_search {
    uintptr_t inside, outside;
    struct text text;
};

static struct text segment_holding(const struct dl_phdr_info *object, uintptr_t address) {
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        uintptr_t start = object->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X) && address >= start &&
            address - start < segment->p_memsz)
            return (struct text){ start, start + segment->p_memsz };
    }
    return (struct text){ 0, 0 };
}

static int search_object(struct dl_phdr_info *object, size_t size, void *arg) {
    struct text_search *search = arg;
    struct text text = segment_holding(object, search->inside);
    if (!text.end)
        return 0;
    if (search->outside < text.start || search->outside >= text.end)
        search->text = text;
    return 1;
}

/* False when LuaJIT is not an object of its own: then its code can not be told from ours, and
 * nothing may be jumped out of. */
static bool text_find(struct text *text) {
    struct text_search search = { .inside = (uintptr_t)lua_pcall, .outside = (uintptr_t)text_find };
    dl_iterate_phdr(search_object, &search);
    *text = search.text;
    return text->end != 0;
}

/* ---- the handler, on the guarded thread ---- */

static uintptr_t interrupted_at(const ucontext_t *context) {
#if defined(__x86_64__)
    return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)context->uc_mcontext.pc;
#else
#error "say where this machine keeps the interrupted program counter"
#endif
}

#ifdef __SANITIZE_THREAD__
#define NOT_INSTRUMENTED __attribute__((no_sanitize("thread")))
#else
#define NOT_INSTRUMENTED
#endif

static void on_stopped(lua_State *L, lua_Debug *at) {
    luaL_error(L, "ran for too long");
}

/* LuaJIT promises that lua_sethook may be called asynchronously. It writes a few plain words which
 * the interpreter looks at anew for each instruction, and takes no lock and no memory. */
NOT_INSTRUMENTED void guard_stop(lua_State *L) {
    lua_sethook(L, on_stopped, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

/* Acts only when the very call that was condemned still runs. It jumps only out of libluajit's own
 * code: in malloc, in the unwinder or in ours it returns, and the watchdog asks again. A hook may
 * be set anywhere. The watchdog asks again there too, because LuaJIT itself writes to the mask of
 * hooks now and then, around finalizers say, and may just have been at it. */
NOT_INSTRUMENTED static void on_signal(int number, siginfo_t *info, void *context) {
    if (info->si_code != SI_QUEUE || info->si_pid != getpid())
        return;
    struct vm_guard *g = info->si_value.sival_ptr;
    const struct text *text = &g->watchdog->text;
    uint64_t call = atomic_load_explicit(&g->call, memory_order_relaxed);
    lua_State *hooked = atomic_load_explicit(&g->hooked, memory_order_relaxed);
    uintptr_t at = interrupted_at(context);
    bool late = (call & 1) && call == atomic_load(&g->condemned);
    bool leave = late && !hooked && at >= text->start && at < text->end;
    if ((call & 1) && call == atomic_load(&g->warned))
        atomic_store(&g->heard, call);
    if (late && hooked)
        guard_stop(hooked);
    if (leave)
        atomic_store(&g->call, call + 1);
    atomic_fetch_add(&g->answered, 1);
    if (leave)
        siglongjmp(g->jump, 1);
}

#ifdef __SANITIZE_THREAD__
/* ThreadSanitizer's own sigaction holds signals back until the thread makes a system call, which a
 * tight loop never does. This is the one below it. */
extern int __sigaction(int number, const struct sigaction *action, struct sigaction *old);
#define SIGACTION __sigaction
#else
#define SIGACTION sigaction
#endif

static int handler_install(void) {
    struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART };
    sigemptyset(&action.sa_mask);
    return SIGACTION(WATCHDOG_SIGNAL, &action, NULL);
}

static void signal_unblock(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, WATCHDOG_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void guard_killed(struct vm_guard *g) {
    g->kills++;
    signal_unblock();
}

/* ---- the watching thread ---- */

static uint64_t processor_ns(const struct vm_guard *g) {
    struct timespec now;
    if (clock_gettime(g->clock, &now) != 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void notify(struct vm_guard *g) {
    if (atomic_load(&g->answered) != g->sent)
        return;
    union sigval value = { .sival_ptr = g };
    if (pthread_sigqueue(g->thread, WATCHDOG_SIGNAL, value) == 0)
        g->sent++;
}

static uint64_t clamp_pause(uint64_t ns) {
    return ns < POLL_MIN_NS ? POLL_MIN_NS : ns > POLL_MAX_NS ? POLL_MAX_NS : ns;
}

/* Whether the call's thread has answered since it used up half its time. Its clock also runs while a
 * hypervisor lets another machine have the processor, for milliseconds at a time; its handler runs
 * only when it does itself. */
static bool is_there(struct vm_guard *g, uint64_t call, uint64_t now_ns) {
    if (atomic_load(&g->heard) != call) {
        atomic_store(&g->warned, call);
        notify(g);
        return false;
    }
    if (g->noted != call) {
        g->noted = call;
        g->heard_ns = now_ns;
    }
    return true;
}

/* A call is late by that clock: it is ended when it has gone on for a tenth of a deadline since its
 * thread was known to be there. Returns how long the next look may wait. */
static uint64_t judge(struct vm_guard *g, uint64_t call, uint64_t now_ns, uint64_t deadline_ns) {
    uint64_t grace_ns = deadline_ns / 10 < GRACE_MAX_NS ? deadline_ns / 10 : GRACE_MAX_NS;
    if (now_ns - g->heard_ns < grace_ns)
        return clamp_pause(grace_ns - (now_ns - g->heard_ns));
    atomic_store(&g->condemned, call);
    notify(g);
    return INSIST_NS;
}

/* Looks at one thread; returns how long the next look may wait. A call's time counts from when it
 * was first seen, so that it is never ended early, and late by one pause at most. `*active` becomes
 * true when there was a call since the last look. */
static uint64_t look_at(struct vm_guard *g, bool *active) {
    uint64_t call = atomic_load(&g->call);
    uint64_t deadline_ns =
        atomic_load_explicit(&g->deadline_us, memory_order_relaxed) * UINT64_C(1000);
    uint64_t pause_ns = clamp_pause(deadline_ns / 4);
    bool running = call & 1;
    if (call != g->seen) {
        *active = true;
        g->seen = call;
        if (running)
            g->began_ns = processor_ns(g);
        return pause_ns;
    }
    if (!running)
        return POLL_MAX_NS;
    *active = true;
    uint64_t now_ns = processor_ns(g), used_ns = now_ns - g->began_ns;
    bool there = used_ns >= deadline_ns / 2 && is_there(g, call, now_ns);
    if (used_ns >= deadline_ns)
        return there ? judge(g, call, now_ns, deadline_ns) : INSIST_NS;
    uint64_t left_ns = clamp_pause(deadline_ns - used_ns);
    return left_ns < pause_ns ? left_ns : pause_ns;
}

static bool look_around(struct vm_watchdog *w, uint64_t *pause_ns) {
    bool active = false;
    for (struct vm_guard *g = w->guards; g; g = g->next) {
        uint64_t wanted_ns = look_at(g, &active);
        if (wanted_ns < *pause_ns)
            *pause_ns = wanted_ns;
    }
    return active;
}

/* Until a call begins. The flag is up before the last look, see guard_begin(). */
static void sleep_until_called(struct vm_watchdog *w) {
    uint64_t pause_ns = POLL_MAX_NS;
    atomic_store(&w->asleep, true);
    if (look_around(w, &pause_ns))
        atomic_store(&w->asleep, false);
    while (atomic_load(&w->asleep) && !w->stop)
        pthread_cond_wait(&w->called, &w->lock);
    atomic_store(&w->asleep, false);
}

static void *watch(void *arg) {
    struct vm_watchdog *w = arg;
    unsigned idle = 0;
    prctl(PR_SET_TIMERSLACK,
          1000UL); /* nanoseconds; the usual 50 us would double the shortest pause */
    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        uint64_t pause_ns = POLL_MAX_NS;
        idle = look_around(w, &pause_ns) ? 0 : idle + 1;
        if (idle > IDLE_POLLS) {
            sleep_until_called(w);
            idle = 0;
            continue;
        }
        pthread_mutex_unlock(&w->lock);
        nanosleep(&(struct timespec){ .tv_nsec = (long)pause_ns }, NULL);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

bool watchdog_asleep(const struct vm_watchdog *w) {
    return atomic_load(&w->asleep);
}

void watchdog_wake(struct vm_watchdog *w) {
    pthread_mutex_lock(&w->lock);
    atomic_store(&w->asleep, false);
    pthread_cond_signal(&w->called);
    pthread_mutex_unlock(&w->lock);
}

/* The watchdog takes no signals: those of the process are for threads that know what to do with
 * them. */
static int thread_start(struct vm_watchdog *w) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&w->thread, NULL, watch, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

struct vm_watchdog *vm_watchdog_new(void) {
    struct vm_watchdog *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->called, NULL);
    int error = 0;
    if (!text_find(&w->text))
        log_error(
            "LuaJIT must be linked as a shared library: policies could not be stopped otherwise");
    else if (handler_install() != 0 || (error = thread_start(w)) != 0)
        log_error("the watchdog of policies does not start: %s", strerror(error ? error : errno));
    else
        return w;
    pthread_cond_destroy(&w->called);
    pthread_mutex_destroy(&w->lock);
    free(w);
    return NULL;
}

void vm_watchdog_free(struct vm_watchdog *w) {
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    assert(!w->guards);
    w->stop = true;
    pthread_cond_signal(&w->called);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->called);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

/* ---- guards ---- */

struct vm_guard *vm_guard_open(struct vm_watchdog *w) {
    struct vm_guard *g = calloc(1, sizeof *g);
    if (!g)
        abort();
    g->watchdog = w;
    g->thread = pthread_self();
    int error = pthread_getcpuclockid(g->thread, &g->clock);
    assert(error == 0);
    (void)error;
    signal_unblock();
    pthread_mutex_lock(&w->lock);
    g->next = w->guards;
    w->guards = g;
    pthread_mutex_unlock(&w->lock);
    return g;
}

void vm_guard_close(struct vm_guard *g) {
    if (!g)
        return;
    struct vm_watchdog *w = g->watchdog;
    assert(pthread_equal(g->thread, pthread_self()));
    pthread_mutex_lock(&w->lock);
    struct vm_guard **link = &w->guards;
    while (*link != g)
        link = &(*link)->next;
    *link = g->next;
    pthread_mutex_unlock(&w->lock);
    /* A signal under way still points to the guard. */
    while (atomic_load(&g->answered) != g->sent)
        sched_yield();
    free(g);
}

uint64_t vm_guard_kills(const struct vm_guard *g) {
    return g->kills;
}
