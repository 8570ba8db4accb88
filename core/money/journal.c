#include "money/journal.h"

#include "base/clock.h"
#include "base/ident.h"

#define XXH_INLINE_ALL
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum {
    ROTATE = 64 << 20,
    KEPT_MAX = 1 << 20, /* of what could not be written */
    PATH_SIZE = 4096,
    NAME_SIZE = 64
};

static const char head[JOURNAL_HEAD] = { 'P', 'L', 'J', 'R', 'N', 'L', '0', '1' };

struct journal {
    char folder[PATH_SIZE], spill[PATH_SIZE]; /* "": none */
    bool spilled;                             /* the file is in the spill folder */
    size_t rotate;
    bool power;
    char writer[IDENT_SIZE];
    unsigned number; /* of the file */
    char name[NAME_SIZE];
    int fd;
    uint64_t size;     /* of the file, up to the end of its last whole frame */
    uint64_t sequence; /* of its last frame */
    struct buf kept;   /* what is not in the file yet: length, kind, bytes; one entry mostly */
    struct buf frames; /* the same with sequences and checksums, while it is written */
    char trouble[512]; /* "": none */
};

static void put32(char *at, uint32_t n) {
    memcpy(at, &n, sizeof n);
}

static void put64(char *at, uint64_t n) {
    memcpy(at, &n, sizeof n);
}

static uint32_t get32(const char *at) {
    uint32_t n;
    memcpy(&n, at, sizeof n);
    return n;
}

static uint64_t get64(const char *at) {
    uint64_t n;
    memcpy(&n, at, sizeof n);
    return n;
}

/* Of a frame's first 16 bytes and its entry. Seeded by the file: blocks of another one that a file
 * system
 * gives back after a power loss do not pass for frames. */
static uint64_t checksum(const char *frame, struct span entry, struct span name) {
    uint64_t seed = XXH3_64bits(name.at, name.len);
    seed = XXH3_64bits_withSeed(frame, 16, seed);
    return XXH3_64bits_withSeed(entry.at, entry.len, seed);
}

/* --- files ------------------------------------------------------------------------------------ */

/* Makes the writer's next file under another name, locked and with its head, and only then lets it
 * be
 * seen: who finds a journal without a lock takes its writer for dead. */
static int make_file(struct journal *j, const char *folder, unsigned number) {
    char name[NAME_SIZE], path[PATH_SIZE + NAME_SIZE], hidden[PATH_SIZE + NAME_SIZE + 4];
    snprintf(name, sizeof name, "%s-%06u.journal", j->writer, number);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(hidden, sizeof hidden, "%s.new", path);
    int fd = open(hidden, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int error = EIO;
    errno = 0;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 || write(fd, head, JOURNAL_HEAD) != JOURNAL_HEAD ||
        rename(hidden, path) != 0) {
        error = errno ? errno : ENOSPC;
        unlink(hidden);
        close(fd);
        return -error;
    }
    if (j->fd >= 0)
        close(j->fd); /* lets go of its lock */
    j->fd = fd;
    j->number = number;
    memcpy(j->name, name, sizeof name);
    j->size = JOURNAL_HEAD;
    j->sequence = 0;
    return 0;
}

static int spill_file(struct journal *j) {
    int result = make_file(j, j->spill, j->number + 1);
    j->spilled |= result == 0;
    return result;
}

/* A new file in the folder; when that takes none, in the spill folder. */
static int next_file(struct journal *j) {
    int result = make_file(j, j->folder, j->number + 1);
    if (result == 0)
        j->spilled = false;
    return result == 0 || !*j->spill ? result : spill_file(j);
}

static bool copy_path(char out[PATH_SIZE], struct span path) {
    if (path.len >= PATH_SIZE)
        return false;
    memcpy(out, path.at ? path.at : "", path.len);
    out[path.len] = '\0';
    return true;
}

struct journal *journal_open(const struct journal_settings *s, struct journal_error *error) {
    struct journal *j = calloc(1, sizeof *j);
    if (!j)
        abort();
    j->fd = -1;
    j->rotate = s->rotate_bytes ? s->rotate_bytes : ROTATE;
    j->power = s->power;
    struct ident ids;
    ident_init(&ids);
    ident_make(&ids, clock_wall_ms(), j->writer);
    int result = copy_path(j->folder, s->folder) && copy_path(j->spill, s->spill) ? next_file(j)
                                                                                  : -ENAMETOOLONG;
    if (result == 0)
        return j;
    snprintf(error->text, sizeof error->text,
             "no journal can be made in %.*s: %s; make room there, or make it writable",
             SPAN_ARGS(s->folder), strerror(-result));
    free(j);
    return NULL;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Frames of what is kept. */
static void frame_kept(struct journal *j) {
    buf_clear(&j->frames);
    uint64_t sequence = j->sequence;
    for (size_t at = 0; at < j->kept.len;) {
        struct span entry = { j->kept.at + at + 8, get32(j->kept.at + at) };
        char *frame = buf_reserve(&j->frames, JOURNAL_FRAME_HEAD + entry.len);
        memcpy(frame, j->kept.at + at, 8);
        put64(frame + 8, ++sequence);
        put64(frame + 16, checksum(frame, entry, span_of(j->name)));
        memcpy(frame + JOURNAL_FRAME_HEAD, entry.at, entry.len);
        j->frames.len += JOURNAL_FRAME_HEAD + entry.len;
        at += 8 + entry.len;
    }
}

static size_t count_kept(const struct journal *j) {
    size_t n = 0;
    for (size_t at = 0; at < j->kept.len; at += 8 + get32(j->kept.at + at))
        n++;
    return n;
}

/* One write of all that is kept, or none of it: a part is taken back, so that the next frame stands
 * where a reader looks for it. Where that fails, too, the file is done with: a new one has no such
 * end. */
static int write_kept(struct journal *j) {
    frame_kept(j);
    errno = 0;
    ssize_t wrote = write(j->fd, j->frames.at, j->frames.len);
    if (wrote == (ssize_t)j->frames.len) {
        j->size += j->frames.len;
        j->sequence += count_kept(j);
        buf_clear(&j->kept);
        return 0;
    }
    int error = wrote < 0 && errno ? errno : ENOSPC;
    if (wrote > 0 && ftruncate(j->fd, (off_t)j->size) != 0 && next_file(j) != 0)
        j->size = UINT64_MAX; /* the next call begins with a new file */
    return -error;
}

static void note_trouble(struct journal *j, int result) {
    if (result == 0)
        j->trouble[0] = '\0';
    else
        snprintf(j->trouble, sizeof j->trouble,
                 "the record can not be written in %.400s: %s; make room there",
                 j->spilled ? j->spill : j->folder, strerror(-result));
}

static int flush(struct journal *j) {
    if (!j->kept.len)
        return 0;
    int result = j->size >= j->rotate ? next_file(j) : 0;
    /* A full file goes on growing where no new one can be made, but for one with a torn end. */
    if (result == 0 || j->size != UINT64_MAX)
        result = write_kept(j);
    if (result < 0 && *j->spill && !j->spilled && spill_file(j) == 0)
        result = write_kept(j);
    return result;
}

int journal_flush(struct journal *j) {
    int result = flush(j);
    note_trouble(j, result);
    return result;
}

/* Room for one entry's length and kind; they are filled in behind it. */
static size_t open_kept(struct journal *j) {
    size_t at = j->kept.len;
    buf_reserve(&j->kept, 8);
    j->kept.len += 8;
    return at;
}

static int append(struct journal *j, size_t at, enum journal_kind kind) {
    size_t len = j->kept.len - at - 8;
    assert(len <= ENTRY_MAX);
    put32(j->kept.at + at, (uint32_t)len);
    put32(j->kept.at + at + 4, kind);
    return journal_flush(j);
}

/* Whether there is no room for what is less than a bill. */
static bool is_crowded(const struct journal *j) {
    return j->kept.len > KEPT_MAX;
}

int journal_begun(struct journal *j, const struct entry_begun *b) {
    if (is_crowded(j))
        return -ENOBUFS;
    size_t at = open_kept(j);
    entry_write_begun(&j->kept, b);
    return append(j, at, JOURNAL_BEGUN);
}

int journal_feedback(struct journal *j, const struct entry_feedback *f) {
    if (is_crowded(j))
        return -ENOBUFS;
    size_t at = open_kept(j);
    entry_write_feedback(&j->kept, f);
    return append(j, at, JOURNAL_FEEDBACK);
}

int journal_body(struct journal *j, const struct entry_body *b) {
    if (is_crowded(j))
        return -ENOBUFS;
    size_t at = open_kept(j);
    entry_write_body(&j->kept, b);
    return append(j, at, JOURNAL_BODY);
}

int journal_ended(struct journal *j, const struct entry *e) {
    size_t at = open_kept(j);
    entry_write(&j->kept, e);
    int result = append(j, at, JOURNAL_ENDED);
    if (result == 0 && j->power && fdatasync(j->fd) != 0) {
        result = -errno;
        note_trouble(j, result);
    }
    return result;
}

const char *journal_trouble(const struct journal *j) {
    return *j->trouble ? j->trouble : NULL;
}

void journal_close(struct journal *j) {
    if (!j)
        return;
    journal_flush(j);
    close(j->fd);
    buf_deinit(&j->kept);
    buf_deinit(&j->frames);
    free(j);
}

/* --- reading ---------------------------------------------------------------------------------- */

bool journal_named(struct span name, struct span *writer) {
    if (name.len < IDENT_LEN + 1 || name.at[IDENT_LEN] != '-' || !span_ends(name, SPAN(".journal")))
        return false;
    *writer = span_sub(name, 0, IDENT_LEN);
    return true;
}

bool journal_head_is(const char *bytes) {
    return memcmp(bytes, head, JOURNAL_HEAD) == 0;
}

enum journal_found journal_read(struct span bytes, struct span name, uint64_t sequence,
                                struct journal_frame *frame) {
    if (bytes.len < JOURNAL_FRAME_HEAD)
        return JOURNAL_NEED_MORE;
    uint32_t len = get32(bytes.at), kind = get32(bytes.at + 4);
    if (len > ENTRY_MAX || kind < JOURNAL_BEGUN || kind > JOURNAL_BODY ||
        get64(bytes.at + 8) != sequence)
        return JOURNAL_BROKEN;
    if (bytes.len - JOURNAL_FRAME_HEAD < len)
        return JOURNAL_NEED_MORE;
    *frame = (struct journal_frame){ .kind = (enum journal_kind)kind,
                                     .sequence = sequence,
                                     .entry = { bytes.at + JOURNAL_FRAME_HEAD, len },
                                     .size = JOURNAL_FRAME_HEAD + len };
    return get64(bytes.at + 16) == checksum(bytes.at, frame->entry, name) ? JOURNAL_FRAME
                                                                          : JOURNAL_BROKEN;
}
