/* ledger_test.c - processes that die at any moment lose and double nothing; what is newer, locked,
 * foreign
 * or damaged is refused in words; what can not be written stops spending and comes later.
 *
 *   money_ledger_test 300       kills so many processes, instead of all tests
 */
#include "money/ledger.h"

#include "base/clock.h"
#include "money/fold.h"
#include "money/journal.h"
#include "support/ledger_kit.h"
#include "support/records.h"
#include "support/unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOW UINT64_C(1790000000000000)

static char folder[64], path[128];
static struct records records;

static int set_up(void **state) {
    ledger_kit_folder(folder);
    snprintf(path, sizeof path, "%s/ledger.db", folder);
    records_init(&records, 1);
    signal(SIGXFSZ, SIG_IGN);
    return 0;
}

static int tear_down(void **state) {
    ledger_kit_remove(folder);
    return 0;
}

static struct ledger *start(const struct ledger_settings *more) {
    struct store_error error;
    struct ledger_settings s = more ? *more : (struct ledger_settings){ 0 };
    s.folder = span_of(folder);
    struct ledger *l = ledger_open(&s, &error);
    if (!l)
        fail_msg("%s", error.text);
    return l;
}

static struct journal *writer(struct ledger *l, size_t rotate) {
    struct journal_error error;
    struct journal_settings s = { .folder = ledger_journals(l), .rotate_bytes = rotate };
    struct journal *j = journal_open(&s, &error);
    assert_non_null(j);
    return j;
}

static int append(struct journal *j, unsigned number) {
    struct entry e;
    records_make(&records, number, NOW + number, &e);
    return journal_ended(j, &e);
}

static int64_t number(const char *sql) {
    struct sqlite3 *db;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    int64_t n = ledger_kit_number(db, sql);
    sqlite3_close(db);
    return n;
}

static void turns(struct ledger *l) {
    while (ledger_turn(l, NOW)) {
    }
}

static unsigned count_files(const char *ending) {
    char below[96];
    unsigned n = 0;
    snprintf(below, sizeof below, "%s/journal", folder);
    DIR *dir = opendir(below);
    for (struct dirent *e; (e = readdir(dir));)
        n += span_ends(span_of(e->d_name), span_of(ending));
    closedir(dir);
    return n;
}

/* --- the ordinary --- */

static void what_was_said_and_asked_is_folded_and_goes_in_its_time(void **state) {
    static char text[ENTRY_BODY_MAX];
    struct entry_body body = { .request = SPAN("r-0000001"), .until_us = NOW + 10 };
    struct entry_feedback said = { .request = SPAN("r-0000001"), .at_us = NOW, .score = 1 };
    struct ledger *l = start(NULL);
    struct journal *j = writer(l, 0);
    memset(text, 'x', sizeof text);
    body.bytes = (struct span){ text, sizeof text };
    assert_int_equal(append(j, 1), 0);
    assert_int_equal(journal_feedback(j, &said), 0);
    for (int i = 0; i < 300; i++) { /* more than a batch takes */
        body.part = i % ENTRY_PARTS;
        assert_int_equal(journal_body(j, &body), 0);
    }
    assert_true(ledger_turn(l, NOW));
    turns(l);
    assert_int_equal(number("SELECT count(*) FROM feedback WHERE score = 1"), 1);
    assert_int_equal(number("SELECT sum(length(bytes)) FROM bodies"), 2 * ENTRY_BODY_MAX);
    ledger_turn(l, NOW + 9);
    assert_int_equal(number("SELECT count(*) FROM bodies"), 2);
    ledger_turn(l, NOW + 10);
    assert_int_equal(number("SELECT count(*) FROM bodies"), 0);
    journal_close(j);
    ledger_close(l);
}

static void journals_are_folded_and_removed(void **state) {
    struct ledger_status status;
    struct ledger *l = start(NULL);
    struct journal *a = writer(l, 4000), *b = writer(l, 0);
    for (unsigned i = 0; i < 5000; i++)
        assert_int_equal(append(i % 2 ? a : b, i), 0);
    assert_true(count_files(".journal") > 10);
    assert_true(ledger_turn(l, NOW)); /* more than one batch */
    turns(l);
    assert_int_equal(count_files(".journal"), 2); /* those that are open */
    assert_int_equal(number("SELECT count(*) FROM requests"), 5000);
    ledger_status(l, &status);
    assert_true(status.folded == 5000 && status.unfolded == 0 && status.busy_us > 0);
    assert_true(status.health == LEDGER_WELL && !*status.trouble && ledger_may_spend(l));
    journal_close(a);
    journal_close(b);
    turns(l);
    assert_int_equal(count_files(".journal"), 0);
    ledger_close(l);
}

static void the_thread_folds_by_itself(void **state) {
    struct ledger_status status = { 0 };
    struct ledger *l = start(NULL);
    ledger_start(l);
    struct journal *j = writer(l, 0);
    for (unsigned i = 0; i < 100; i++)
        append(j, i);
    while (status.folded < 100)
        ledger_status(l, &status);
    append(j, 100);
    journal_close(j);
    ledger_close(l); /* folds what is left */
    assert_int_equal(number("SELECT count(*) FROM requests"), 101);
    assert_int_equal(count_files(".journal"), 0);
}

static void begun_under_a_writer_that_lives_is_no_orphan(void **state) {
    struct entry_begun begun = { .request = SPAN("r-0000001"), .number = 1, .bound = 5 };
    struct ledger *l = start(NULL);
    struct journal *j = writer(l, 1);
    journal_begun(j, &begun);
    turns(l);
    turns(l);
    append(j, 1); /* in the next file */
    turns(l);
    begun.request = SPAN("lost");
    journal_begun(j, &begun);
    journal_close(j);
    turns(l); /* reads the last file and removes it */
    assert_int_equal(number("SELECT count(*) FROM requests WHERE outcome = 4"), 0);
    turns(l);
    assert_int_equal(number("SELECT count(*) FROM requests WHERE outcome = 4"), 1);
    assert_int_equal(number("SELECT count(*) FROM requests WHERE id = 'lost' AND most = 5"), 1);
    ledger_close(l);
}

/* More files than are open at once: what waits may hold the end of what began. */
static void many_files_wait_and_nobody_is_dead_meanwhile(void **state) {
    struct entry_begun begun = { .request = SPAN("r-0005000"), .number = 1, .bound = 5 };
    struct ledger *l = start(NULL);
    struct journal *older = writer(l, 1), *j = writer(l, 1);
    journal_begun(j, &begun);
    turns(l);
    for (unsigned i = 0; i < 1500; i++)
        append(older, i);
    append(j, 5000); /* in its next file, behind all those of the other */
    turns(l);
    assert_int_equal(number("SELECT count(*) FROM requests"), 1501);
    assert_int_equal(number("SELECT count(*) FROM requests WHERE outcome = 4"), 0);
    assert_int_equal(count_files(".journal"), 2);
    journal_close(older);
    journal_close(j);
    ledger_close(l);
}

static void old_requests_go(void **state) {
    struct ledger *l = start(&(struct ledger_settings){ .retention_days = 2 });
    struct journal *j = writer(l, 0);
    for (unsigned i = 0; i < 1000; i++)
        append(j, i);
    turns(l);
    ledger_turn(l, NOW + 2 * UINT64_C(86400000000));
    assert_int_equal(number("SELECT count(*) FROM requests"), 1000);
    while (ledger_turn(l, NOW + 2 * UINT64_C(86400000000) + 700)) {
    }
    assert_int_equal(number("SELECT count(*) FROM requests"), 300);
    assert_int_equal(number("SELECT sum(requests) FROM usage WHERE kind = 1"), 1000);
    journal_close(j);
    ledger_close(l);
}

/* --- what is refused --- */

static void refused(enum store_failure why, const char *words) {
    struct store_error error = { 0 };
    struct ledger_settings s = { .folder = span_of(folder) };
    assert_null(ledger_open(&s, &error));
    assert_int_equal(error.why, why);
    assert_non_null(strstr(error.text, path)); /* names the file */
    if (!strstr(error.text, words))
        fail_msg("\"%s\" does not say \"%s\"", error.text, words);
}

static void execute(const char *sql) {
    struct sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void a_newer_database_is_refused(void **state) {
    ledger_close(start(NULL));
    execute("PRAGMA user_version = 99");
    refused(STORE_NEWER, "run that version, or move the file away");
    assert_int_equal(number("PRAGMA user_version"), 99);
}

static void a_foreign_database_is_refused(void **state) {
    execute("CREATE TABLE theirs (x)");
    refused(STORE_FOREIGN, "move it away");
    assert_int_equal(number("SELECT count(*) FROM sqlite_schema"), 1);
}

static void what_is_no_database_is_refused(void **state) {
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 1000; i++)
        fputs("this is a text\n", file);
    fclose(file);
    refused(STORE_FOREIGN, "move it away");
}

static void a_damaged_database_is_refused(void **state) {
    ledger_close(start(NULL));
    int fd = open(path, O_RDWR);
    char junk[512];
    memset(junk, 0x5a, sizeof junk);
    assert_int_equal(pwrite(fd, junk, sizeof junk, 100), sizeof junk); /* the page of the schema */
    close(fd);
    refused(STORE_DAMAGED, "put a backup in its place");
}

static void a_second_process_is_refused(void **state) {
    struct ledger *l = start(NULL);
    refused(STORE_LOCKED, "end that process");
    ledger_close(l);
    ledger_close(start(NULL));
}

static void a_database_somebody_else_writes_is_waited_for_then_refused(void **state) {
    struct sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL);
    refused(STORE_LOCKED, "end that process");
    sqlite3_close(db);
}

static void a_folder_that_can_not_be_is_refused(void **state) {
    struct store_error error = { 0 };
    assert_null(
        ledger_open(&(struct ledger_settings){ .folder = SPAN("/nowhere/at/all") }, &error));
    assert_int_equal(error.why, STORE_UNUSABLE);
    assert_non_null(strstr(error.text, "/nowhere/at/all"));
}

/* --- what goes wrong later --- */

static void limit(rlim_t bytes) {
    struct rlimit l;
    getrlimit(RLIMIT_FSIZE, &l);
    l.rlim_cur = bytes ? bytes : l.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void fill_up(const struct ledger_settings *s, bool may_spend) {
    struct ledger_status status;
    struct ledger *l = start(s);
    struct journal *j = writer(l, 0);
    for (unsigned i = 0; i < 500; i++)
        append(j, i);
    limit(4096); /* the database and its log can not grow */
    ledger_turn(l, NOW);
    limit(0);
    ledger_status(l, &status);
    assert_int_equal(status.health, LEDGER_FAILING);
    assert_non_null(strstr(status.trouble, path));
    assert_true(status.folded == 0 && status.unfolded > 0);
    assert_int_equal(ledger_may_spend(l), may_spend);
    turns(l); /* there is room again */
    ledger_status(l, &status);
    assert_true(status.health == LEDGER_WELL && status.folded == 500 && ledger_may_spend(l));
    assert_int_equal(number("SELECT count(*) FROM requests"), 500);
    assert_int_equal(number("SELECT sum(requests) FROM usage WHERE kind = 1"), 500);
    journal_close(j);
    ledger_close(l);
}

static void a_full_disk_stops_spending_and_loses_nothing(void **state) {
    fill_up(NULL, false);
}

static void with_somewhere_to_spill_spending_goes_on(void **state) {
    char spill[96];
    snprintf(spill, sizeof spill, "%s/spill", folder);
    fill_up(&(struct ledger_settings){ .spill = span_of(spill) }, true);
}

static void too_much_unfolded_stops_spending(void **state) {
    struct ledger_status status;
    struct ledger *l = start(&(struct ledger_settings){ .unfolded_max = 300000 });
    struct journal *j = writer(l, 0);
    for (unsigned i = 0; i < 4000; i++)
        append(j, i);
    assert_true(ledger_turn(l, NOW));
    ledger_status(l, &status);
    assert_int_equal(status.health, LEDGER_BEHIND);
    assert_true(status.unfolded > 300000 && *status.trouble);
    assert_false(ledger_may_spend(l));
    turns(l);
    assert_true(ledger_may_spend(l));
    journal_close(j);
    ledger_close(l);
}

/* Changes the only journal there is. */
static void change_journal(void (*change)(int fd, off_t size)) {
    char below[96], full[400];
    struct span its;
    snprintf(below, sizeof below, "%s/journal", folder);
    DIR *dir = opendir(below);
    for (struct dirent *e; (e = readdir(dir));)
        if (journal_named(span_of(e->d_name), &its))
            snprintf(full, sizeof full, "%s/%s", below, e->d_name);
    closedir(dir);
    struct stat st;
    int fd = open(full, O_RDWR);
    fstat(fd, &st);
    change(fd, st.st_size);
    close(fd);
}

static void cut(int fd, off_t size) {
    assert_int_equal(ftruncate(fd, size - 3), 0);
}

static void lengthen(int fd, off_t size) {
    assert_int_equal(ftruncate(fd, size + 5000), 0);
}

static void damage(int fd, off_t size) {
    assert_int_equal(pwrite(fd, "????", 4, size / 2), 4);
}

/* Ten requests in a journal whose writer is dead, then changed. */
static struct ledger_status after(void (*change)(int fd, off_t size)) {
    struct ledger_status status;
    struct ledger *l = start(NULL);
    struct journal *j = writer(l, 0);
    for (unsigned i = 0; i < 10; i++)
        append(j, i);
    journal_close(j);
    change_journal(change);
    turns(l);
    ledger_status(l, &status);
    assert_int_equal(count_files(".journal"), 0);
    ledger_close(l);
    return status;
}

static void a_torn_end_is_left_out(void **state) {
    struct ledger_status status = after(cut);
    assert_true(status.folded == 9 && status.broken == 0);
    assert_int_equal(count_files(".damaged"), 0);
}

static void an_end_of_zeros_is_left_out(void **state) {
    struct ledger_status status = after(lengthen);
    assert_true(status.folded == 10 && status.broken == 0);
}

static void a_damaged_journal_is_kept(void **state) {
    struct ledger_status status = after(damage);
    assert_true(status.folded > 2 && status.folded < 8 && status.broken == 1);
    assert_int_equal(count_files(".damaged"), 1);
}

/* --- processes that die --- */

enum { WRITERS = 2, NUMBERS = 50000 /* for each writer of a process */ };

/* What a child tells its parent before its "client" has the answer. */
struct told {
    uint64_t number;
    nanousd cost;
};

struct child_writer {
    struct ledger *ledger;
    int pipe;
    unsigned first; /* of its numbers: unlike those of any other */
};

/* Begins, perhaps fails, ends, tells; for ever. */
static void *write_for_ever(void *arg) {
    struct child_writer *c = arg;
    struct records r;
    struct journal *j = writer(c->ledger, 3000);
    records_init(&r, c->first);
    for (unsigned i = c->first;; i++) {
        struct entry e;
        records_make(&r, i, clock_wall_ms() * 1000 + i % 1000, &e);
        for (size_t k = 0; k < e.n_attempts; k++) {
            struct entry_begun begun = { .request = e.id,
                                         .number = e.attempts[k].number,
                                         .at_us = e.at_us,
                                         .began_us = e.attempts[k].began_us,
                                         .project = e.project,
                                         .target = e.attempts[k].target,
                                         .bound = 1000000000 };
            if (journal_begun(j, &begun) != 0)
                _exit(3);
        }
        if (journal_ended(j, &e) != 0)
            _exit(4);
        struct told told = { i, entry_sum(&e).cost };
        if (write(c->pipe, &told, sizeof told) != sizeof told)
            _exit(5);
    }
}

static void live(int pipe, unsigned first) {
    struct child_writer writers[WRITERS];
    pthread_t threads[WRITERS];
    struct ledger *l = start(NULL);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct child_writer){ l, pipe, first + i * NUMBERS };
        pthread_create(&threads[i], NULL, write_for_ever, &writers[i]);
    }
    for (;;)
        ledger_turn(l, clock_wall_ms() * 1000); /* the thread's work, without its pauses */
}

/* All that was told, by all children. */
static struct {
    struct told *at;
    size_t n, room;
} all;

static void remember(struct told told) {
    if (all.n == all.room) {
        all.room = all.room ? 2 * all.room : 1024;
        all.at = realloc(all.at, all.room * sizeof *all.at);
        assert_non_null(all.at);
    }
    all.at[all.n++] = told;
}

/* Lets a child live until it has told so much and a moment longer, both by chance. Then it dies at
 * once. What it told before it died is in the pipe still. */
static void kill_one(struct random *random, unsigned round) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    uint64_t most = random_below(random, 400), wait_us = random_below(random, 3000), n = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        live(ends[1], round * WRITERS * NUMBERS);
    }
    close(ends[1]);
    struct told told;
    while (read(ends[0], &told, sizeof told) == sizeof told) {
        remember(told);
        if (n++ != most)
            continue;
        for (uint64_t until = clock_us() + wait_us; clock_us() < until;) {
        }
        kill(child, SIGKILL);
    }
    int status;
    waitpid(child, &status, 0);
    close(ends[0]);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static int by_number(const void *a, const void *b) {
    const struct told *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

static struct told *find_told(uint64_t which) {
    struct told key = { which, 0 };
    return all.n ? bsearch(&key, all.at, all.n, sizeof key, by_number) : NULL;
}

/* Each request that was told has one row with that cost; of others each writer can have one a
 * death.
 * Returns how many of them there are. */
static unsigned compare(unsigned deaths) {
    struct sqlite3 *db;
    unsigned untold = 0, found = 0, orphans = 0;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    struct sqlite3_stmt *s = store_prepare(db, "SELECT id, cost, outcome FROM requests");
    qsort(all.at, all.n, sizeof *all.at, by_number);
    while (sqlite3_step(s) == SQLITE_ROW) {
        struct told *t = find_told(strtoull((const char *)sqlite3_column_text(s, 0) + 2, NULL, 10));
        orphans += sqlite3_column_int(s, 2) == ENTRY_ORPHANED;
        if (!t) {
            untold++;
            continue;
        }
        assert_int_not_equal(sqlite3_column_int(s, 2), ENTRY_ORPHANED);
        assert_int_equal(sqlite3_column_int64(s, 1), t->cost);
        found++;
    }
    sqlite3_finalize(s);
    assert_int_equal(found, all.n);
    assert_true(untold <= deaths * WRITERS);
    assert_true(orphans <= untold);
    assert_int_equal(ledger_kit_number(db, "SELECT count(*) FROM begun"), 0);
    assert_int_equal(ledger_kit_number(db, "SELECT sum(requests) FROM usage WHERE kind = 1"),
                     found + untold);
    assert_int_equal(ledger_kit_number(db, "SELECT sum(cost) FROM usage WHERE kind = 1"),
                     ledger_kit_number(db, "SELECT total(cost) FROM attempts"));
    assert_int_equal(ledger_kit_number(db, "SELECT sum(most) FROM usage WHERE kind = 1"),
                     ledger_kit_number(db, "SELECT total(most) FROM attempts"));
    sqlite3_close(db);
    return untold;
}

/* One folder lives through all deaths, so that whatever one leaves behind is the next one's to
 * deal with. */
static void kill_many(unsigned deaths, uint64_t seed) {
    struct random random;
    random_seed(&random, seed);
    all.n = 0;
    for (unsigned i = 0; i < deaths; i++)
        kill_one(&random, i);
    ledger_close(start(NULL));
    assert_int_equal(count_files(".journal") + count_files(".new") + count_files(".damaged"), 0);
    size_t told = all.n;
    unsigned untold = compare(deaths);
    printf("%u deaths: %zu requests told, each once in the ledger; %u more were never told\n",
           deaths, told, untold);
    free(all.at);
    memset(&all, 0, sizeof all);
}

static void nothing_is_lost_or_doubled_by_death(void **state) {
    kill_many(20, 1);
}

int main(int argc, char **argv) {
    if (argc > 1) {
        set_up(NULL);
        kill_many((unsigned)strtoul(argv[1], NULL, 10), argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
        return tear_down(NULL);
    }
#define UNIT(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        UNIT(nothing_is_lost_or_doubled_by_death),
        UNIT(journals_are_folded_and_removed),
        UNIT(what_was_said_and_asked_is_folded_and_goes_in_its_time),
        UNIT(the_thread_folds_by_itself),
        UNIT(begun_under_a_writer_that_lives_is_no_orphan),
        UNIT(many_files_wait_and_nobody_is_dead_meanwhile),
        UNIT(old_requests_go),
        UNIT(a_newer_database_is_refused),
        UNIT(a_foreign_database_is_refused),
        UNIT(what_is_no_database_is_refused),
        UNIT(a_damaged_database_is_refused),
        UNIT(a_second_process_is_refused),
        UNIT(a_database_somebody_else_writes_is_waited_for_then_refused),
        UNIT(a_folder_that_can_not_be_is_refused),
        UNIT(a_full_disk_stops_spending_and_loses_nothing),
        UNIT(with_somewhere_to_spill_spending_goes_on),
        UNIT(too_much_unfolded_stops_spending),
        UNIT(a_torn_end_is_left_out),
        UNIT(an_end_of_zeros_is_left_out),
        UNIT(a_damaged_journal_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
