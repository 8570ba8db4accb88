/* journal_test.c - what is appended is read again, over many files; a disk that takes no more loses
 * nothing and leaves nothing half written. */
#include "money/journal.h"

#include "support/records.h"
#include "support/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], spill[80];
static struct records records;
static struct arena arena;

static int set_up(void **state) {
    strcpy(folder, "/tmp/journal_test.XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(spill, sizeof spill, "%s/spill", folder);
    mkdir(spill, 0700);
    records_init(&records, 1);
    arena_init(&arena, 4096);
    signal(SIGXFSZ, SIG_IGN);
    return 0;
}

static int list(const char *path, char names[][64], int max) {
    struct span writer;
    int n = 0;
    DIR *dir = opendir(path);
    for (struct dirent *e; (e = readdir(dir));)
        if (journal_named(span_of(e->d_name), &writer) && n < max)
            snprintf(names[n++], 64, "%s", e->d_name);
    closedir(dir);
    qsort(names, (size_t)n, 64, (int (*)(const void *, const void *))strcmp);
    return n;
}

static void empty(const char *path) {
    DIR *dir = opendir(path);
    for (struct dirent *e; (e = readdir(dir));)
        unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
    rmdir(path);
}

static int tear_down(void **state) {
    empty(spill);
    empty(folder);
    arena_deinit(&arena);
    return 0;
}

static struct journal *start(size_t rotate, bool spills) {
    struct journal_error error;
    struct journal_settings s = { .folder = span_of(folder), .rotate_bytes = rotate };
    if (spills)
        s.spill = span_of(spill);
    struct journal *j = journal_open(&s, &error);
    assert_non_null(j);
    return j;
}

static int append(struct journal *j, unsigned number) {
    struct entry e;
    records_make(&records, number, 1790000000000000 + number, &e);
    return journal_ended(j, &e);
}

static struct span load(const char *path, const char *name) {
    char full[256];
    struct stat st;
    snprintf(full, sizeof full, "%s/%s", path, name);
    int fd = open(full, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    char *bytes = arena_alloc(&arena, (size_t)st.st_size + 1);
    assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
    close(fd);
    assert_true(journal_head_is(bytes));
    return (struct span){ bytes + JOURNAL_HEAD, (size_t)st.st_size - JOURNAL_HEAD };
}

/* All whole frames of a file are ended requests that count up from *next; what follows them is
 * returned. */
static enum journal_found count(const char *path, const char *name, unsigned *next) {
    struct span bytes = load(path, name);
    struct journal_frame frame;
    struct entry e;
    char id[40];
    enum journal_found found;
    for (uint64_t sequence = 1;
         (found = journal_read(bytes, span_of(name), sequence, &frame)) == JOURNAL_FRAME;
         sequence++) {
        assert_int_equal(frame.kind, JOURNAL_ENDED);
        assert_true(entry_read(frame.entry, &arena, &e));
        snprintf(id, sizeof id, "r-%07u", (*next)++);
        assert_span(e.id, id);
        bytes = span_sub(bytes, frame.size, SIZE_MAX);
    }
    assert_int_equal(bytes.len, 0);
    return found;
}

static void entries_are_read_again(void **state) {
    char names[4][64];
    unsigned n = 0;
    struct journal *j = start(0, false);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(append(j, i), 0);
    assert_null(journal_trouble(j));
    assert_int_equal(list(folder, names, 4), 1);
    assert_int_equal(count(folder, names[0], &n), JOURNAL_NEED_MORE);
    assert_int_equal(n, 100);
    journal_close(j);
}

static void all_kinds_share_a_sequence(void **state) {
    char names[4][64];
    struct journal_frame frame;
    struct entry_begun begun = { .request = SPAN("r"), .number = 1, .bound = 5 };
    struct journal *j = start(0, false);
    assert_int_equal(journal_begun(j, &begun), 0);
    assert_int_equal(append(j, 0), 0);
    assert_int_equal(journal_feedback(j, &(struct entry_feedback){ .request = SPAN("r") }), 0);
    assert_int_equal(journal_body(j, &(struct entry_body){ .request = SPAN("r") }), 0);
    journal_close(j);
    assert_int_equal(list(folder, names, 4), 1);
    struct span bytes = load(folder, names[0]), name = span_of(names[0]);
    for (unsigned kind = JOURNAL_BEGUN; kind <= JOURNAL_BODY; kind++) {
        assert_int_equal(journal_read(bytes, name, kind, &frame), JOURNAL_FRAME);
        assert_int_equal(frame.kind, kind);
        bytes = span_sub(bytes, frame.size, SIZE_MAX);
    }
    assert_int_equal(bytes.len, 0);
}

static void any_changed_or_missing_byte_is_told(void **state) {
    char names[4][64];
    struct journal_frame frame;
    struct journal *j = start(0, false);
    append(j, 0);
    journal_close(j);
    list(folder, names, 4);
    struct span bytes = load(folder, names[0]), name = span_of(names[0]);
    char *at = (char *)bytes.at;
    for (size_t i = 0; i < bytes.len; i++) {
        at[i] ^= 16;
        assert_int_not_equal(journal_read(bytes, name, 1, &frame), JOURNAL_FRAME);
        at[i] ^= 16;
        assert_int_equal(journal_read(span_sub(bytes, 0, i), name, 1, &frame), JOURNAL_NEED_MORE);
    }
    assert_int_equal(journal_read(bytes, name, 2, &frame), JOURNAL_BROKEN);
    assert_int_equal(journal_read(bytes, SPAN("another"), 1, &frame), JOURNAL_BROKEN);
    assert_int_equal(journal_read(bytes, name, 1, &frame), JOURNAL_FRAME);
}

static void files_follow_each_other(void **state) {
    char names[64][64];
    unsigned n = 0;
    struct journal *j = start(2000, false);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(append(j, i), 0);
    int files = list(folder, names, 64);
    assert_true(files > 5);
    for (int i = 0; i < files; i++)
        count(folder, names[i], &n);
    assert_int_equal(n, 100);
    journal_close(j);
}

/* 1: somebody has it open. */
static int locked(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_RDONLY), result = flock(fd, LOCK_SH | LOCK_NB) != 0;
    close(fd);
    return result;
}

static void only_the_newest_is_locked(void **state) {
    char names[64][64];
    struct journal *j = start(2000, false);
    for (unsigned i = 0; i < 40; i++)
        append(j, i);
    int files = list(folder, names, 64);
    for (int i = 0; i < files; i++)
        assert_int_equal(locked(names[i]), i == files - 1);
    journal_close(j);
    assert_false(locked(names[files - 1]));
}

/* No file may grow over so many bytes; 0: any may. */
static void limit(rlim_t bytes) {
    struct rlimit l;
    getrlimit(RLIMIT_FSIZE, &l);
    l.rlim_cur = bytes ? bytes : l.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void what_does_not_fit_is_kept_and_comes_later(void **state) {
    char names[4][64];
    unsigned n = 0, i = 0;
    struct journal *j = start(0, false);
    limit(3000);
    while (append(j, i++) == 0)
        assert_true(i < 100);
    assert_non_null(strstr(journal_trouble(j), folder));
    assert_true(append(j, i++) < 0);
    assert_true(journal_flush(j) < 0);
    list(folder, names, 4);
    count(folder, names[0], &n); /* asserts that nothing half written is left */
    assert_int_equal(n, i - 2);
    limit(0);
    assert_int_equal(append(j, i++), 0);
    assert_null(journal_trouble(j));
    n = 0;
    count(folder, names[0], &n);
    assert_int_equal(n, i);
    journal_close(j);
}

static void begun_attempts_are_dropped_before_memory_is_full_of_them(void **state) {
    char names[4][64];
    unsigned n = 0, ended = 0;
    struct entry_begun begun = { .request = SPAN("r"), .number = 1, .bound = 5 };
    struct journal *j = start(0, false);
    limit(100);
    while (journal_begun(j, &begun) != -ENOBUFS)
        if (append(j, ended++) == 0)
            fail();
    assert_true(ended > 1000);
    assert_true(append(j, ended++) < 0); /* an ended request is kept all the same */
    limit(0);
    assert_int_equal(journal_flush(j), 0);
    journal_close(j);
    list(folder, names, 4);
    struct span bytes = load(folder, names[0]);
    struct journal_frame frame;
    for (uint64_t s = 1; journal_read(bytes, span_of(names[0]), s, &frame) == JOURNAL_FRAME; s++) {
        n += frame.kind == JOURNAL_ENDED;
        bytes = span_sub(bytes, frame.size, SIZE_MAX);
    }
    assert_int_equal(n, ended);
}

static void it_spills_where_there_is_room(void **state) {
    char names[4][64];
    unsigned n = 0;
    struct journal *j = start(0, true);
    append(j, 0);
    append(j, 1);
    limit(1500); /* what is in the folder may not grow; a new file may begin */
    unsigned i = 2;
    while (list(spill, names, 4) == 0)
        assert_int_equal(append(j, i++), 0);
    limit(0);
    append(j, i++);
    journal_close(j);
    assert_int_equal(list(folder, names, 4), 1);
    count(folder, names[0], &n);
    assert_int_equal(list(spill, names, 4), 1);
    count(spill, names[0], &n);
    assert_int_equal(n, i);
}

static void a_folder_that_is_not_there_is_named(void **state) {
    struct journal_error error;
    struct journal_settings s = { .folder = SPAN("/nowhere/at/all") };
    assert_null(journal_open(&s, &error));
    assert_non_null(strstr(error.text, "/nowhere/at/all"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(entries_are_read_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_kinds_share_a_sequence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_changed_or_missing_byte_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_follow_each_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_the_newest_is_locked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_kept_and_comes_later, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(begun_attempts_are_dropped_before_memory_is_full_of_them,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_spills_where_there_is_room, set_up, tear_down),
        cmocka_unit_test(a_folder_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
