#include "money/ledger.h"

#include "base/clock.h"
#include "base/log.h"
#include "money/fold.h"
#include "money/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    PATH_SIZE = 4096,
    NAME_SIZE = 64,
    CHUNK = 1 << 20, /* bytes read at once */
    NOT_READ = -1,   /* beside SQLite's results: no entry */
    LONG_FRAME = 8192,
    BATCH = 2048, /* frames a transaction: less than 100 ms, so that journals are synced in time */
    TURN_MS = 100,
    FAILING_MS = 1000, /* between tries while the database takes nothing */
    RETIRE_STEP = 200, /* requests deleted at once */
    RETIRE_US = 20000, /* of a turn */
    SOURCES_MAX = 256  /* open at once; more wait, the oldest writer's first */
};
#define UNFOLDED_MAX (UINT64_C(1) << 30)
#define DAY_US (UINT64_C(86400) * 1000000)

/* A journal that is there. */
struct source {
    char name[NAME_SIZE], path[PATH_SIZE + NAME_SIZE];
    int fd;
    struct fold_position folded, read; /* as the database has it; as this transaction has it */
    uint64_t size, synced;
    bool alive;  /* its writer has it open */
    bool ended;  /* nothing more can be read of it */
    bool broken; /* and that is because a frame is damaged */
};

/* A journal's name as a folder has it. */
struct listed {
    char name[NAME_SIZE];
    const char *folder;
};

struct ledger {
    char folder[PATH_SIZE], journals[PATH_SIZE], spill[PATH_SIZE], path[PATH_SIZE];
    uint32_t retention_days;
    uint64_t unfolded_max;
    int lock;
    struct sqlite3 *db;
    struct fold *fold;
    struct source *sources[SOURCES_MAX]; /* by name: a writer's files in their order */
    size_t n_sources;
    size_t waiting;    /* journals there are beside them */
    struct buf listed; /* struct listed of all there are */
    char *chunk;
    struct arena arena;
    struct ledger_status now; /* the folding thread's own */
    enum ledger_health told;  /* what the log has said */

    atomic_bool may_spend;
    pthread_mutex_t mutex; /* over what follows */
    pthread_cond_t wake;
    struct ledger_status status;
    bool stopping;
    bool has_thread;
    pthread_t thread;
};

/* --- opening ---------------------------------------------------------------------------------- */

static struct ledger *refuse(struct store_error *error, enum store_failure why, const char *what,
                             const char *path, const char *way_out) {
    error->why = why;
    snprintf(error->text, sizeof error->text, "the ledger %.400s can not be used: %.200s: %.200s",
             path, what, way_out);
    return NULL;
}

static bool make_folder(const char *path) {
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

/* One process folds. */
static int take_lock(const char *folder) {
    char path[PATH_SIZE + 16];
    snprintf(path, sizeof path, "%s/ledger.lock", folder);
    return store_lock(path);
}

/* Files writers were about to make when they died. */
static void remove_unborn(const char *folder) {
    DIR *dir = *folder ? opendir(folder) : NULL;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        struct span name = span_of(e->d_name), writer;
        if (span_ends(name, SPAN(".new")) &&
            journal_named(span_sub(name, 0, name.len - 4), &writer))
            unlinkat(dirfd(dir), e->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

static bool set_paths(struct ledger *l, const struct ledger_settings *s) {
    if (s->folder.len > PATH_SIZE - 32 || s->spill.len > PATH_SIZE - 32)
        return false;
    snprintf(l->folder, sizeof l->folder, "%.*s", SPAN_ARGS(s->folder));
    snprintf(l->spill, sizeof l->spill, "%.*s", SPAN_ARGS(s->spill));
    snprintf(l->journals, sizeof l->journals, "%.*s/journal", SPAN_ARGS(s->folder));
    snprintf(l->path, sizeof l->path, "%.*s/ledger.db", SPAN_ARGS(s->folder));
    return true;
}

static bool is_there(void *owner, struct span name) {
    const struct ledger *l = owner;
    char path[PATH_SIZE + NAME_SIZE];
    snprintf(path, sizeof path, "%s/%.*s", l->journals, SPAN_ARGS(name));
    if (access(path, F_OK) == 0)
        return true;
    snprintf(path, sizeof path, "%s/%.*s", l->spill, SPAN_ARGS(name));
    return *l->spill && access(path, F_OK) == 0;
}

/* A folder's files are gone for good. */
static bool sync_folder(const char *path) {
    int fd = *path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    bool done = !*path || (fd >= 0 && fsync(fd) == 0);
    if (fd >= 0)
        close(fd);
    return done;
}

/* What the last process has left. */
static int tidy(struct ledger *l) {
    remove_unborn(l->journals);
    remove_unborn(l->spill);
    if (!sync_folder(l->journals) || !sync_folder(l->spill))
        return SQLITE_OK;
    int result = fold_begin(l->fold);
    if (result == SQLITE_OK)
        result = fold_forget_journals(l->fold, is_there, l);
    return result == SQLITE_OK ? fold_commit(l->fold) : result;
}

static struct ledger *open_parts(struct ledger *l, struct store_error *error) {
    if (!make_folder(l->folder) || !make_folder(l->journals) ||
        (*l->spill && !make_folder(l->spill)))
        return refuse(error, STORE_UNUSABLE, strerror(errno), l->folder,
                      "make the folders it stands in, and let this user write there");
    l->lock = take_lock(l->folder);
    if (l->lock == -EWOULDBLOCK)
        return refuse(error, STORE_LOCKED, "another process has locked it", l->path,
                      "end that process (its number is in ledger.lock), or use another folder");
    if (l->lock < 0)
        return refuse(error, STORE_UNUSABLE, strerror(-l->lock), l->path,
                      "let this user write in its folder");
    l->db = store_open(l->path, &fold_schema, error);
    if (!l->db)
        return NULL;
    l->fold = fold_new(l->db);
    int result = l->fold ? tidy(l) : sqlite3_errcode(l->db);
    if (result == SQLITE_OK)
        return l;
    store_explain(error, fold_schema.what, l->path, result);
    return NULL;
}

static void close_source(struct source *s) {
    if (s->fd >= 0)
        close(s->fd);
    free(s);
}

static void free_parts(struct ledger *l) {
    for (size_t i = 0; i < l->n_sources; i++)
        close_source(l->sources[i]);
    buf_deinit(&l->listed);
    fold_free(l->fold);
    sqlite3_close(l->db);
    if (l->lock >= 0)
        close(l->lock);
    free(l->chunk);
    arena_deinit(&l->arena);
    pthread_mutex_destroy(&l->mutex);
    pthread_cond_destroy(&l->wake);
    free(l);
}

struct ledger *ledger_open(const struct ledger_settings *s, struct store_error *error) {
    struct ledger *l = calloc(1, sizeof *l);
    if (!l || !(l->chunk = malloc(CHUNK)))
        abort();
    l->lock = -1;
    l->retention_days = s->retention_days;
    l->unfolded_max = s->unfolded_max ? s->unfolded_max : UNFOLDED_MAX;
    arena_init(&l->arena, 16384);
    atomic_init(&l->may_spend, true);
    pthread_mutex_init(&l->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&l->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    bool fine = set_paths(l, s);
    if (!fine)
        refuse(error, STORE_UNUSABLE, "its path is too long", "of data_dir", "use a shorter one");
    else
        fine = open_parts(l, error) != NULL;
    if (fine)
        return l;
    free_parts(l);
    return NULL;
}

struct span ledger_journals(const struct ledger *l) {
    return span_of(l->journals);
}

const char *ledger_path(const struct ledger *l) {
    return l->path;
}

/* --- finding journals ------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
    const struct source *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int by_listed_name(const void *a, const void *b) {
    const struct listed *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int name_to_source(const void *name, const void *source) {
    const struct source *const *s = source;
    return strcmp(name, (*s)->name);
}

static void list(struct ledger *l, const char *folder) {
    DIR *dir = *folder ? opendir(folder) : NULL;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        struct span name = span_of(e->d_name), writer;
        if (name.len >= NAME_SIZE || !journal_named(name, &writer))
            continue;
        struct listed one = { .folder = folder };
        memcpy(one.name, name.at, name.len);
        buf_append(&l->listed, &one, sizeof one);
    }
    if (dir)
        closedir(dir);
}

static int add_source(struct ledger *l, const struct listed *listed) {
    struct source *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    memcpy(s->name, listed->name, sizeof s->name);
    snprintf(s->path, sizeof s->path, "%s/%s", listed->folder, listed->name);
    s->fd = open(s->path, O_RDONLY | O_CLOEXEC);
    int result = s->fd < 0 ? SQLITE_OK : fold_position_of(l->fold, span_of(s->name), &s->folded);
    if (s->fd >= 0 && result == SQLITE_OK) {
        l->sources[l->n_sources++] = s;
        return result;
    }
    close_source(s);
    l->waiting++; /* for files that can be opened, say */
    return result;
}

/* Takes up the journals that are new, in the order of their names, as far as there is room. */
static int scan(struct ledger *l) {
    int result = SQLITE_OK;
    size_t known = l->n_sources;
    buf_clear(&l->listed);
    list(l, l->journals);
    list(l, l->spill);
    l->waiting = 0;
    size_t n = l->listed.len / sizeof(struct listed);
    struct listed *all = (struct listed *)(void *)l->listed.at;
    if (n)
        qsort(all, n, sizeof *all, by_listed_name);
    for (size_t i = 0; i < n && result == SQLITE_OK; i++) {
        if (bsearch(all[i].name, l->sources, known, sizeof *l->sources, name_to_source))
            continue;
        if (l->n_sources < SOURCES_MAX)
            result = add_source(l, &all[i]);
        else
            l->waiting++;
    }
    qsort(l->sources, l->n_sources, sizeof *l->sources, by_name);
    return result;
}

/* Whether the writer is alive has to be known before the file's size is: then the size of a dead
 * one's is
 * the last. */
static void look_at(struct source *s) {
    struct stat st;
    s->alive = flock(s->fd, LOCK_SH | LOCK_NB) != 0;
    if (!s->alive)
        flock(s->fd, LOCK_UN);
    s->size = fstat(s->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
    s->read = s->folded;
    s->ended = s->broken = false;
}

static int find_journals(struct ledger *l) {
    int result = scan(l);
    for (size_t i = 0; i < l->n_sources; i++)
        look_at(l->sources[i]);
    return result;
}

/* What was only in the kernel is on the disk. */
static void sync_journals(struct ledger *l) {
    for (size_t i = 0; i < l->n_sources; i++) {
        struct source *s = l->sources[i];
        if (s->synced < s->size && fdatasync(s->fd) == 0)
            s->synced = s->size;
    }
}

/* --- reading them ----------------------------------------------------------------------------- */

static bool is_all_zeros(struct span bytes) {
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.at[i])
            return false;
    return true;
}

static int fold_begun_frame(struct ledger *l, const struct source *s, struct span bytes) {
    struct span writer;
    struct entry_begun begun;
    journal_named(span_of(s->name), &writer);
    return entry_read_begun(bytes, &begun) ? fold_begun(l->fold, writer, &begun) : NOT_READ;
}

static int fold_ended_frame(struct ledger *l, const struct source *s, struct span bytes) {
    struct entry ended;
    arena_reset(&l->arena, CHUNK);
    if (!entry_read(bytes, &l->arena, &ended))
        return NOT_READ;
    l->now.folded++;
    return fold_ended(l->fold, &ended);
}

static int fold_feedback_frame(struct ledger *l, const struct source *s, struct span bytes) {
    struct entry_feedback said;
    return entry_read_feedback(bytes, &said) ? fold_feedback(l->fold, &said) : NOT_READ;
}

static int fold_body_frame(struct ledger *l, const struct source *s, struct span bytes) {
    struct entry_body body;
    return entry_read_body(bytes, &body) ? fold_body(l->fold, &body) : NOT_READ;
}

static int fold_frame(struct ledger *l, const struct source *s, const struct journal_frame *frame) {
    static int (*const folds[])(struct ledger *, const struct source *, struct span) = {
        [JOURNAL_BEGUN] = fold_begun_frame,
        [JOURNAL_ENDED] = fold_ended_frame,
        [JOURNAL_FEEDBACK] = fold_feedback_frame,
        [JOURNAL_BODY] = fold_body_frame,
    };
    int result = folds[frame->kind](l, s, frame->entry);
    if (result != NOT_READ)
        return result;
    log_error("%s: entry %llu can not be understood and is left out", s->path,
              (unsigned long long)frame->sequence);
    return SQLITE_OK;
}

/* What a frame takes of a batch: a long one as much as many. */
static unsigned share_of(const struct journal_frame *frame, unsigned left) {
    unsigned share = 1 + (unsigned)(frame->size / LONG_FRAME);
    return share < left ? share : left;
}

/* The whole frames at the front of the bytes, at most as many as are left of the batch. `*found` is
 * what the last look came to. */
static int fold_bytes(struct ledger *l, struct source *s, struct span bytes, unsigned *left,
                      enum journal_found *found) {
    struct journal_frame frame;
    *found = JOURNAL_FRAME;
    while (*left) {
        *found = journal_read(bytes, span_of(s->name), s->read.sequence + 1, &frame);
        if (*found != JOURNAL_FRAME)
            return SQLITE_OK;
        int result = fold_frame(l, s, &frame);
        if (result != SQLITE_OK)
            return result;
        bytes = span_sub(bytes, frame.size, SIZE_MAX);
        s->read.offset += frame.size;
        s->read.sequence = frame.sequence;
        *left -= share_of(&frame, *left);
    }
    return SQLITE_OK;
}

/* False when the file does not begin as a journal does. */
static bool read_head(struct ledger *l, struct source *s) {
    if (s->read.offset)
        return true;
    ssize_t n = pread(s->fd, l->chunk, JOURNAL_HEAD, 0);
    s->broken = n == JOURNAL_HEAD && !journal_head_is(l->chunk);
    s->ended = n != JOURNAL_HEAD || s->broken;
    s->read.offset = s->ended ? 0 : JOURNAL_HEAD;
    return !s->ended;
}

/* Up to the end of the file, or of the batch. A chunk holds the largest frame: where none is whole
 * at its
 * front, this is the end, for now or for good. */
static int read_source(struct ledger *l, struct source *s, unsigned *left) {
    int result = SQLITE_OK;
    if (!read_head(l, s))
        return result;
    while (*left && !s->ended && result == SQLITE_OK) {
        uint64_t from = s->read.offset;
        ssize_t n = pread(s->fd, l->chunk, CHUNK, (off_t)from);
        struct span bytes = { l->chunk, n > 0 ? (size_t)n : 0 };
        enum journal_found found;
        result = fold_bytes(l, s, bytes, left, &found);
        s->ended = s->read.offset == from;
        s->broken = s->ended && found == JOURNAL_BROKEN && !is_all_zeros(bytes);
    }
    return result;
}

static int read_sources(struct ledger *l, unsigned *left) {
    int result = SQLITE_OK;
    for (size_t i = 0; i < l->n_sources && *left && result == SQLITE_OK; i++) {
        struct source *s = l->sources[i];
        result = read_source(l, s, left);
        if (result == SQLITE_OK && s->read.offset != s->folded.offset)
            result = fold_position(l->fold, span_of(s->name), s->read);
    }
    return result;
}

/* Whether a writer still has a file: until its last one is read and gone, its attempts may end.
 * Files that
 * wait may be anybody's. */
static bool has_file(void *owner, struct span writer) {
    const struct ledger *l = owner;
    if (l->waiting)
        return true;
    for (size_t i = 0; i < l->n_sources; i++) {
        struct span its;
        if (journal_named(span_of(l->sources[i]->name), &its) && span_eq(its, writer))
            return true;
    }
    return false;
}

/* --- a turn ----------------------------------------------------------------------------------- */

static bool has_news(const struct ledger *l) {
    for (size_t i = 0; i < l->n_sources; i++)
        if (l->sources[i]->size > l->sources[i]->folded.offset)
            return true;
    return false;
}

/* One transaction: what can be said of dead writers, then a batch of frames. */
static int fold_batch(struct ledger *l, unsigned *left) {
    unsigned orphans = 0;
    int result = fold_begin(l->fold);
    if (result == SQLITE_OK)
        result = fold_orphans(l->fold, has_file, l, &orphans);
    if (result == SQLITE_OK)
        result = read_sources(l, left);
    if (result == SQLITE_OK)
        result = fold_commit(l->fold);
    l->now.orphans += orphans;
    return result;
}

/* The file of a dead writer that is read to its end. One with a damaged frame stays for people to
 * look at. */
static void remove_source(struct ledger *l, struct source *s) {
    char kept[sizeof s->path + 16];
    uint64_t rest = s->size - s->folded.offset;
    snprintf(kept, sizeof kept, "%s.damaged", s->path);
    if (s->broken) {
        l->now.broken++;
        log_error("%s is damaged from byte %llu on: %llu bytes are not in the ledger; kept as %s",
                  s->path, (unsigned long long)s->folded.offset, (unsigned long long)rest, kept);
    } else if (rest)
        log_warn("%s ends within an entry: %llu bytes nobody was told of are left out", s->path,
                 (unsigned long long)rest);
    if ((s->broken ? rename(s->path, kept) : unlink(s->path)) != 0)
        log_error("%s can not be put away: %s", s->path, strerror(errno));
}

/* What was read is in the database for good now: files nobody writes any more can go. Their
 * positions
 * stay until the next start: a file that comes back with a power loss is known to have been read.
 * */
static void remove_read(struct ledger *l) {
    size_t kept = 0;
    for (size_t i = 0; i < l->n_sources; i++) {
        struct source *s = l->sources[i];
        s->folded = s->read;
        if (!s->alive && (s->ended || s->read.offset == s->size)) {
            remove_source(l, s);
            close_source(s);
        } else
            l->sources[kept++] = s;
    }
    l->n_sources = kept;
}

static uint64_t count_unfolded(const struct ledger *l) {
    uint64_t n = 0;
    for (size_t i = 0; i < l->n_sources; i++) {
        const struct source *s = l->sources[i];
        /* It may have grown since it was looked at, and have been read as far as it had. */
        n += s->size > s->folded.offset ? s->size - s->folded.offset : 0;
    }
    return n;
}

static void judge(struct ledger *l, int result) {
    struct ledger_status *now = &l->now;
    now->unfolded = count_unfolded(l);
    now->health = LEDGER_WELL;
    now->trouble[0] = '\0';
    if (now->unfolded > l->unfolded_max) {
        now->health = LEDGER_BEHIND;
        snprintf(now->trouble, sizeof now->trouble,
                 "%llu MB of journals in %.400s wait for the ledger: give it a faster disk",
                 (unsigned long long)(now->unfolded >> 20), l->journals);
    }
    if (result != SQLITE_OK) {
        struct store_error error;
        store_explain(&error, fold_schema.what, l->path, result);
        memcpy(now->trouble, error.text, sizeof now->trouble);
        now->health = LEDGER_FAILING;
    }
    if (now->health != l->told)
        log_line(now->health == LEDGER_WELL ? LOG_INFO : LOG_ERROR, "%s",
                 now->health == LEDGER_WELL ? "the ledger is well again" : now->trouble);
    l->told = now->health;
    /* With somewhere to spill, a database that fails is no reason to stop: journals can wait. */
    bool may = now->unfolded <= l->unfolded_max && (now->health != LEDGER_FAILING || *l->spill);
    atomic_store_explicit(&l->may_spend, may, memory_order_relaxed);
    pthread_mutex_lock(&l->mutex);
    l->status = *now;
    pthread_mutex_unlock(&l->mutex);
}

/* Deletes by one of the two for a while; true when there is more to delete. */
static bool delete_old(struct ledger *l,
                       int (*delete)(struct fold *, uint64_t, unsigned, unsigned *),
                       uint64_t before_us) {
    uint64_t until = clock_us() + RETIRE_US;
    unsigned n = RETIRE_STEP;
    while (n == RETIRE_STEP && clock_us() < until)
        if (delete (l->fold, before_us, RETIRE_STEP, &n) != SQLITE_OK) {
            fold_abandon(l->fold);
            return false;
        }
    return n == RETIRE_STEP;
}

static bool retire(struct ledger *l, uint64_t now_us) {
    uint64_t age = l->retention_days * DAY_US;
    bool more = delete_old(l, fold_expire, now_us);
    if (l->retention_days && now_us > age)
        more |= delete_old(l, fold_retire, now_us - age);
    return more;
}

static uint64_t cpu_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

bool ledger_turn(struct ledger *l, uint64_t now_us) {
    uint64_t began = cpu_us();
    unsigned left = BATCH;
    struct ledger_status before = l->now;
    int result = find_journals(l);
    sync_journals(l);
    if (result == SQLITE_OK && (has_news(l) || fold_under_way(l->fold)))
        result = fold_batch(l, &left);
    bool more = false;
    if (result == SQLITE_OK) {
        remove_read(l);
        more = retire(l, now_us) || !left || (l->waiting && l->n_sources < SOURCES_MAX);
    } else {
        fold_abandon(l->fold);
        l->now = before;
    }
    l->now.busy_us += cpu_us() - began;
    judge(l, result);
    return more;
}

/* --- the thread ------------------------------------------------------------------------------- */

static struct timespec from_us(uint64_t us) {
    return (struct timespec){ .tv_sec = (time_t)(us / 1000000),
                              .tv_nsec = (long)(us % 1000000 * 1000) };
}

static void *run(void *arg) {
    struct ledger *l = arg;
    pthread_setname_np(pthread_self(), "ledger"); /* so that top -H tells what folding takes */
    pthread_mutex_lock(&l->mutex);
    while (!l->stopping) {
        pthread_mutex_unlock(&l->mutex);
        uint64_t began = clock_us();
        bool more = ledger_turn(l, clock_wall_ms() * 1000);
        uint64_t wait_ms = l->now.health == LEDGER_FAILING ? FAILING_MS : TURN_MS;
        struct timespec until = from_us(began + wait_ms * 1000);
        pthread_mutex_lock(&l->mutex);
        while (!more && !l->stopping &&
               pthread_cond_timedwait(&l->wake, &l->mutex, &until) != ETIMEDOUT) {
        }
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

void ledger_start(struct ledger *l) {
    if (pthread_create(&l->thread, NULL, run, l) != 0)
        abort();
    l->has_thread = true;
}

bool ledger_may_spend(const struct ledger *l) {
    return atomic_load_explicit(&l->may_spend, memory_order_relaxed);
}

void ledger_status(struct ledger *l, struct ledger_status *status) {
    pthread_mutex_lock(&l->mutex);
    *status = l->status;
    pthread_mutex_unlock(&l->mutex);
}

/* What there is, then what is known only once the last file of a writer is gone. At no time of day
 * nothing is old: deleting can wait. */
static void fold_all(struct ledger *l) {
    for (int i = 0; i < 2; i++)
        while (ledger_turn(l, 0)) {
        }
}

bool ledger_catch_up(struct ledger *l, struct store_error *error) {
    fold_all(l);
    if (l->now.health != LEDGER_FAILING)
        return true;
    error->why = STORE_UNUSABLE;
    memcpy(error->text, l->now.trouble, sizeof error->text);
    return false;
}

void ledger_close(struct ledger *l) {
    if (!l)
        return;
    if (l->has_thread) {
        pthread_mutex_lock(&l->mutex);
        l->stopping = true;
        pthread_cond_signal(&l->wake);
        pthread_mutex_unlock(&l->mutex);
        pthread_join(l->thread, NULL);
    }
    fold_all(l);
    free_parts(l);
}
