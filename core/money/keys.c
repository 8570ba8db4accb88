#include "money/keys.h"

#include "base/ident.h"
#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* Of a secret, behind "pl-": 192 bits. */
#define SECRET_BYTES 24

/* A key or a project and all it points to. Sources and sets share it and count. */
struct record {
    atomic_uint refs;
    unsigned order;   /* in which its source named it */
    struct span name; /* the key's id, the project's name */
    struct arena arena;
    union {
        struct key key;
        struct project project;
    };
};

/* Sorted by name, but for drafts. */
struct list {
    struct record **at;
    size_t n, max;
};

/* A secret of a set, and whose it is. Entry 0 is nobody's: what is unknown is found to be it, by
 * the same steps as any other. */
struct entry {
    unsigned char mac[CRYPTO_SHA256_SIZE];
    int64_t until_s;
    bool revoked;
    const struct key *key;
    const struct project *project;
};

/* How many secrets have the same place in a set's table. Where there would be more the table is
 * made larger, so that looking at a place takes the same steps wherever it is. */
#define PLACE 8

struct place {
    uint32_t entries[PLACE]; /* 0: none */
};

struct keys_set {
    atomic_uint refs;
    struct list keys, projects;
    struct entry *entries;
    size_t n_entries;
    struct place *places;
    size_t n_places; /* a power of two */
    const struct project *standard;
};

/* All that one source has. */
struct keys_draft {
    struct list keys, projects;
};

struct keys {
    struct crypto_mac *mac;
    pthread_rwlock_t lock; /* of the pointer, and of counting by it */
    struct keys_set *set;
    pthread_mutex_t writing; /* of all below */
    struct keys_draft *sources[KEYS_SOURCES];
    struct record *standard; /* the project `default`, where no source has one */
    struct keys_store store;
    void *store_owner;
    struct ident ids;
};

static void *zeroed(size_t size) {
    void *at = calloc(1, size);
    if (!at)
        abort();
    return at;
}

/* --- records --- */

static struct record *record_new(size_t order, size_t block) {
    struct record *r = zeroed(sizeof *r);
    atomic_init(&r->refs, 1);
    r->order = (unsigned)order;
    arena_init(&r->arena, block);
    return r;
}

static struct record *record_ref(struct record *r) {
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

static void record_unref(struct record *r) {
    if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) > 1)
        return;
    arena_deinit(&r->arena);
    free(r);
}

static const struct span *copy_spans(struct arena *a, const struct span *list, size_t n) {
    struct span *copy = arena_new_array(a, struct span, n);
    for (size_t i = 0; i < n; i++)
        copy[i] = arena_copy(a, list[i]);
    return copy;
}

/* The caps of a key or a project are its own, whatever they were called. */
static const struct budget_cap *copy_caps(struct arena *a, const struct budget_cap *caps, size_t n,
                                          enum budget_scope scope, struct span name) {
    struct budget_cap *copy = arena_new_array(a, struct budget_cap, n);
    for (size_t i = 0; i < n; i++) {
        copy[i] = caps[i];
        copy[i].scope = scope;
        copy[i].name = name;
    }
    return copy;
}

static struct record *copy_key(const struct key *key, size_t order) {
    struct record *r = record_new(order, 512);
    struct arena *a = &r->arena;
    r->key = *key;
    r->name = r->key.id = arena_copy(a, key->id);
    r->key.name = arena_copy(a, key->name);
    r->key.project = arena_copy(a, key->project);
    r->key.tier = arena_copy(a, key->tier);
    r->key.policy = arena_copy(a, key->policy);
    r->key.metadata = arena_copy(a, key->metadata);
    r->key.tags = copy_spans(a, key->tags, key->n_tags);
    r->key.models = copy_spans(a, key->models, key->n_models);
    r->key.policies = copy_spans(a, key->policies, key->n_policies);
    r->key.caps = copy_caps(a, key->caps, key->n_caps, BUDGET_KEY, r->name);
    return r;
}

static struct record *copy_project(const struct project *project, size_t order) {
    struct record *r = record_new(order, 256);
    struct arena *a = &r->arena;
    r->project = *project;
    r->name = r->project.name = arena_copy(a, project->name);
    r->project.tier = arena_copy(a, project->tier);
    r->project.policy = arena_copy(a, project->policy);
    r->project.tags = copy_spans(a, project->tags, project->n_tags);
    r->project.caps = copy_caps(a, project->caps, project->n_caps, BUDGET_PROJECT, r->name);
    return r;
}

/* --- lists --- */

static void list_push(struct list *l, struct record *r) {
    if (l->n == l->max) {
        l->max = l->max ? 2 * l->max : 16;
        l->at = realloc(l->at, l->max * sizeof(struct record *));
        if (!l->at)
            abort();
    }
    l->at[l->n++] = r;
}

static void list_deinit(struct list *l) {
    for (size_t i = 0; i < l->n; i++)
        record_unref(l->at[i]);
    free(l->at);
}

static int compare(struct span a, struct span b) {
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.at, b.at, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* By name; of one name what was named last comes first. */
static int in_order(const void *a, const void *b) {
    const struct record *x = *(struct record *const *)a, *y = *(struct record *const *)b;
    int order = compare(x->name, y->name);
    return order ? order : (x->order < y->order) - (x->order > y->order);
}

/* Sorts, and keeps the first of each name. */
static void list_sort(struct list *l) {
    size_t kept = 0;
    if (l->n)
        qsort(l->at, l->n, sizeof(struct record *), in_order);
    for (size_t i = 0; i < l->n; i++)
        if (kept && span_eq(l->at[kept - 1]->name, l->at[i]->name))
            record_unref(l->at[i]);
        else
            l->at[kept++] = l->at[i];
    l->n = kept;
}

/* Where that name is, or belongs. */
static size_t list_place(const struct list *l, struct span name) {
    size_t from = 0, to = l->n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (compare(l->at[middle]->name, name) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static struct record *list_find(const struct list *l, struct span name) {
    size_t i = list_place(l, name);
    return i < l->n && span_eq(l->at[i]->name, name) ? l->at[i] : NULL;
}

/* In the place of the one of its name, or added. */
static void list_put(struct list *l, struct record *r) {
    size_t i = list_place(l, r->name);
    if (i < l->n && span_eq(l->at[i]->name, r->name)) {
        record_unref(l->at[i]);
        l->at[i] = r;
        return;
    }
    list_push(l, r);
    memmove(&l->at[i + 1], &l->at[i], (l->n - 1 - i) * sizeof(struct record *));
    l->at[i] = r;
}

/* Both, counted; of one name the first list's. */
static void list_merge(struct list *out, const struct list *first, const struct list *second) {
    size_t i = 0, k = 0;
    while (i < first->n || k < second->n) {
        int order = k == second->n  ? -1
                    : i == first->n ? 1
                                    : compare(first->at[i]->name, second->at[k]->name);
        list_push(out, record_ref(order <= 0 ? first->at[i] : second->at[k]));
        i += order <= 0;
        k += order >= 0;
    }
}

/* --- sets --- */

static struct place *place_of(const struct keys_set *s,
                              const unsigned char mac[CRYPTO_SHA256_SIZE]) {
    uint64_t bits;
    memcpy(&bits, mac, sizeof bits);
    return &s->places[bits & (s->n_places - 1)];
}

/* 1 where both are the same, else 0, without a branch. */
static uint32_t same_mac(const unsigned char a[CRYPTO_SHA256_SIZE],
                         const unsigned char b[CRYPTO_SHA256_SIZE]) {
    uint64_t x[4], y[4], difference = 0;
    memcpy(x, a, sizeof x);
    memcpy(y, b, sizeof y);
    for (int i = 0; i < 4; i++)
        difference |= x[i] ^ y[i];
    return (uint32_t)(1 ^ ((difference | -difference) >> 63));
}

/* False: one is full. A secret that was written down for several keys is the first one's. */
static bool fill_places(struct keys_set *s) {
    for (size_t i = 1; i < s->n_entries; i++) {
        struct place *p = place_of(s, s->entries[i].mac);
        int k = 0;
        while (k < PLACE && p->entries[k] &&
               !same_mac(s->entries[p->entries[k]].mac, s->entries[i].mac))
            k++;
        if (k == PLACE)
            return false;
        if (!p->entries[k])
            p->entries[k] = (uint32_t)i;
    }
    return true;
}

static void make_places(struct keys_set *s) {
    size_t n = 64;
    while (n < s->n_entries)
        n *= 2;
    do {
        free(s->places);
        s->places = zeroed(n * sizeof *s->places);
        s->n_places = n;
        n *= 2;
    } while (!fill_places(s));
}

static void add_entry(struct keys_set *s, const struct key *key, const struct project *project,
                      const struct keys_secret *secret) {
    struct entry *e = &s->entries[s->n_entries];
    if (!secret->last[0])
        return;
    memcpy(e->mac, secret->mac, sizeof e->mac);
    e->until_s = secret->until_s < key->expires_s ? secret->until_s : key->expires_s;
    e->revoked = key->revoked;
    e->key = key;
    e->project = project;
    s->n_entries++;
}

/* The secrets of all keys whose project is there. */
static void make_entries(struct keys_set *s) {
    s->entries = zeroed((1 + 2 * s->keys.n) * sizeof *s->entries);
    random_system(s->entries[0].mac, sizeof s->entries[0].mac); /* nobody knows what it is of */
    s->entries[0].until_s = PERIOD_FOR_EVER;
    s->n_entries = 1;
    for (size_t i = 0; i < s->keys.n; i++) {
        const struct key *key = &s->keys.at[i]->key;
        const struct record *project = list_find(&s->projects, key->project);
        if (!project)
            continue;
        add_entry(s, key, &project->project, &key->secret);
        add_entry(s, key, &project->project, &key->previous);
    }
}

static struct keys_set *set_new(const struct keys *keys) {
    const struct keys_draft *const *from = (const struct keys_draft *const *)keys->sources;
    struct list standard = { (struct record *[]){ keys->standard }, 1, 1 }, both = { 0 };
    struct keys_set *s = zeroed(sizeof *s);
    atomic_init(&s->refs, 1);
    list_merge(&s->keys, &from[KEYS_MANAGED]->keys, &from[KEYS_STORED]->keys);
    list_merge(&both, &from[KEYS_MANAGED]->projects, &from[KEYS_STORED]->projects);
    list_merge(&s->projects, &both, &standard);
    list_deinit(&both);
    s->standard = &list_find(&s->projects, keys->standard->name)->project;
    make_entries(s);
    make_places(s);
    return s;
}

static void set_unref(struct keys_set *s) {
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
        return;
    list_deinit(&s->keys);
    list_deinit(&s->projects);
    free(s->entries);
    free(s->places);
    free(s);
}

/* The current set, counted. The lock is what makes it safe to count by a pointer that may be
 * replaced: whoever replaces it waits until nobody is between the two. */
static struct keys_set *set_ref(struct keys *keys) {
    pthread_rwlock_rdlock(&keys->lock);
    struct keys_set *s = keys->set;
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    pthread_rwlock_unlock(&keys->lock);
    return s;
}

/* Makes what the sources hold now what everybody sees. */
static void publish(struct keys *keys) {
    struct keys_set *s = set_new(keys), *old;
    pthread_rwlock_wrlock(&keys->lock);
    old = keys->set;
    keys->set = s;
    pthread_rwlock_unlock(&keys->lock);
    if (old)
        set_unref(old);
}

/* --- asking --- */

/* Whose secret that is; 0: nobody's. Where it looks depends on the MAC, which nobody can steer who
 * does not know the pepper. */
static uint32_t find_entry(const struct keys_set *s, const unsigned char mac[CRYPTO_SHA256_SIZE]) {
    const struct place *p = place_of(s, mac);
    uint32_t found = 0;
    for (int k = 0; k < PLACE; k++)
        found |= p->entries[k] & -same_mac(s->entries[p->entries[k]].mac, mac);
    return found;
}

enum keys_verdict keys_check(struct keys *keys, struct span secret, int64_t now_s,
                             struct keys_pass *pass) {
    /* By whether it is unknown, revoked, expired. */
    static const unsigned char verdicts[8] = {
        KEYS_GOOD,    KEYS_EXPIRED, KEYS_REVOKED, KEYS_REVOKED,
        KEYS_UNKNOWN, KEYS_UNKNOWN, KEYS_UNKNOWN, KEYS_UNKNOWN,
    };
    unsigned char mac[CRYPTO_SHA256_SIZE];
    crypto_mac_sha256(keys->mac, secret.at ? secret : SPAN(""), mac);
    struct keys_set *s = set_ref(keys);
    uint32_t i = find_entry(s, mac);
    const struct entry *e = &s->entries[i];
    unsigned why = (unsigned)(i == 0) << 2 | (unsigned)e->revoked << 1 | (now_s >= e->until_s);
    enum keys_verdict verdict = (enum keys_verdict)verdicts[why];
    *pass = (struct keys_pass){ s, e->key, e->project };
    if (verdict != KEYS_GOOD)
        keys_pass_end(pass);
    return verdict;
}

struct keys_pass keys_anybody(struct keys *keys) {
    struct keys_set *s = set_ref(keys);
    return (struct keys_pass){ s, NULL, s->standard };
}

void keys_pass_end(struct keys_pass *pass) {
    if (pass->set)
        set_unref(pass->set);
    *pass = (struct keys_pass){ 0 };
}

bool keys_any(struct keys *keys) {
    struct keys_pass pass = keys_anybody(keys);
    bool any = keys_count(&pass) > 0;
    keys_pass_end(&pass);
    return any;
}

size_t keys_count(const struct keys_pass *pass) {
    return pass->set->keys.n;
}

const struct key *keys_nth(const struct keys_pass *pass, size_t i) {
    return &pass->set->keys.at[i]->key;
}

size_t keys_project_count(const struct keys_pass *pass) {
    return pass->set->projects.n;
}

const struct project *keys_nth_project(const struct keys_pass *pass, size_t i) {
    return &pass->set->projects.at[i]->project;
}

const struct key *keys_find(const struct keys_pass *pass, struct span id) {
    struct record *r = list_find(&pass->set->keys, id);
    return r ? &r->key : NULL;
}

const struct project *keys_project(const struct keys_pass *pass, struct span name) {
    struct record *r = list_find(&pass->set->projects, name);
    return r ? &r->project : NULL;
}

int64_t keys_billed(const struct project *project, int64_t cost) {
    __int128 parts = (__int128)cost * (1000000 + project->markup_ppm);
    __int128 billed = (parts + 999999) / 1000000;
    return billed < INT64_MAX ? (int64_t)billed : INT64_MAX;
}

/* --- filling --- */

struct keys_draft *keys_draft_new(void) {
    return zeroed(sizeof(struct keys_draft));
}

void keys_draft_free(struct keys_draft *d) {
    list_deinit(&d->keys);
    list_deinit(&d->projects);
    free(d);
}

void keys_draft_key(struct keys_draft *d, const struct key *key) {
    list_push(&d->keys, copy_key(key, d->keys.n));
}

void keys_draft_project(struct keys_draft *d, const struct project *project) {
    list_push(&d->projects, copy_project(project, d->projects.n));
}

void keys_replace(struct keys *keys, enum keys_source source, struct keys_draft *draft) {
    list_sort(&draft->keys);
    list_sort(&draft->projects);
    for (size_t i = 0; i < draft->keys.n; i++)
        draft->keys.at[i]->key.source = source;
    for (size_t i = 0; i < draft->projects.n; i++)
        draft->projects.at[i]->project.source = source;
    pthread_mutex_lock(&keys->writing);
    struct keys_draft *old = keys->sources[source];
    keys->sources[source] = draft;
    publish(keys);
    pthread_mutex_unlock(&keys->writing);
    keys_draft_free(old);
}

struct keys *keys_new(const unsigned char pepper[KEYS_PEPPER_SIZE]) {
    struct keys *keys = zeroed(sizeof *keys);
    struct project standard = { .name = SPAN("default"), .source = KEYS_STORED };
    keys->mac = crypto_mac_new((struct span){ (const char *)pepper, KEYS_PEPPER_SIZE });
    pthread_rwlock_init(&keys->lock, NULL);
    pthread_mutex_init(&keys->writing, NULL);
    for (int i = 0; i < KEYS_SOURCES; i++)
        keys->sources[i] = keys_draft_new();
    keys->standard = copy_project(&standard, 0);
    ident_init(&keys->ids);
    publish(keys);
    return keys;
}

void keys_free(struct keys *keys) {
    set_unref(keys->set);
    for (int i = 0; i < KEYS_SOURCES; i++)
        keys_draft_free(keys->sources[i]);
    record_unref(keys->standard);
    crypto_mac_free(keys->mac);
    pthread_rwlock_destroy(&keys->lock);
    pthread_mutex_destroy(&keys->writing);
    free(keys);
}

struct keys_secret keys_secret(const struct keys *keys, struct span secret) {
    struct keys_secret s = { .until_s = PERIOD_FOR_EVER };
    crypto_mac_sha256(keys->mac, secret, s.mac);
    span_copy(span_sub(secret, secret.len > KEYS_LAST ? secret.len - KEYS_LAST : 0, KEYS_LAST),
              s.last, sizeof s.last);
    return s;
}

/* --- changing one --- */

void keys_keep(struct keys *keys, const struct keys_store *store, void *owner) {
    keys->store = *store;
    keys->store_owner = owner;
}

/* A secret nobody has had, appended to `out`. */
static struct keys_secret make_secret(const struct keys *keys, struct buf *out) {
    unsigned char bytes[SECRET_BYTES];
    struct arena arena;
    size_t from = out->len;
    random_system(bytes, sizeof bytes);
    arena_init(&arena, 64);
    buf_add(out, SPAN("pl-"));
    buf_add(out, crypto_base64url((struct span){ (char *)bytes, sizeof bytes }, &arena));
    arena_deinit(&arena);
    return keys_secret(keys, span_sub(buf_span(out), from, out->len));
}

/* Stored, then seen; or neither. Within `writing`. */
static enum keys_change put_key(struct keys *keys, const struct key *key, struct buf *why) {
    if (keys->store.put_key && !keys->store.put_key(keys->store_owner, key, why))
        return KEYS_NOT_STORED;
    list_put(&keys->sources[KEYS_STORED]->keys, copy_key(key, 0));
    publish(keys);
    return KEYS_CHANGED;
}

/* The key that may be changed, copied for that. Within `writing`. */
static enum keys_change find_key(struct keys *keys, struct span id, struct key *key) {
    if (list_find(&keys->sources[KEYS_MANAGED]->keys, id))
        return KEYS_MANAGED_BY_FILE;
    struct record *r = list_find(&keys->sources[KEYS_STORED]->keys, id);
    if (!r)
        return KEYS_NOT_FOUND;
    *key = r->key;
    return KEYS_CHANGED;
}

static bool has_project(const struct keys *keys, struct span name) {
    return list_find(&keys->set->projects, name) != NULL;
}

enum keys_change keys_make(struct keys *keys, const struct key *like, int64_t now_s,
                           struct buf *secret, struct buf *id, struct buf *why) {
    struct buf made = { 0 };
    char text[4 + IDENT_SIZE] = "key_";
    struct key key = *like;
    enum keys_change change = KEYS_NOT_FOUND;
    pthread_mutex_lock(&keys->writing);
    ident_make(&keys->ids, (uint64_t)now_s * 1000, text + 4);
    key.id = span_of(text);
    key.created_s = now_s;
    key.revoked = false;
    key.source = KEYS_STORED;
    key.secret = make_secret(keys, &made);
    key.previous = (struct keys_secret){ 0 };
    if (has_project(keys, key.project))
        change = put_key(keys, &key, why);
    pthread_mutex_unlock(&keys->writing);
    if (change == KEYS_CHANGED) {
        buf_add(secret, buf_span(&made));
        buf_add(id, key.id);
    }
    explicit_bzero(made.at, made.len);
    buf_deinit(&made);
    return change;
}

enum keys_change keys_revoke(struct keys *keys, struct span id, struct buf *why) {
    struct key key;
    pthread_mutex_lock(&keys->writing);
    enum keys_change change = find_key(keys, id, &key);
    if (change == KEYS_CHANGED) {
        key.revoked = true;
        change = put_key(keys, &key, why);
    }
    pthread_mutex_unlock(&keys->writing);
    return change;
}

enum keys_change keys_rotate(struct keys *keys, struct span id, int64_t overlap_s, int64_t now_s,
                             struct buf *secret, struct buf *why) {
    struct buf made = { 0 };
    struct key key;
    pthread_mutex_lock(&keys->writing);
    enum keys_change change = find_key(keys, id, &key);
    if (change == KEYS_CHANGED && key.revoked)
        change = KEYS_NOT_FOUND;
    if (change == KEYS_CHANGED) {
        key.previous = key.secret;
        key.previous.until_s =
            overlap_s < PERIOD_FOR_EVER - now_s ? now_s + overlap_s : PERIOD_FOR_EVER;
        key.secret = make_secret(keys, &made);
        change = put_key(keys, &key, why);
    }
    pthread_mutex_unlock(&keys->writing);
    if (change == KEYS_CHANGED)
        buf_add(secret, buf_span(&made));
    if (made.len)
        explicit_bzero(made.at, made.len);
    buf_deinit(&made);
    return change;
}

enum keys_change keys_change(struct keys *keys, const struct key *key, struct buf *why) {
    struct key old, changed = *key;
    pthread_mutex_lock(&keys->writing);
    enum keys_change change = find_key(keys, key->id, &old);
    if (change == KEYS_CHANGED && !has_project(keys, key->project))
        change = KEYS_NOT_FOUND;
    if (change == KEYS_CHANGED) {
        changed.secret = old.secret;
        changed.previous = old.previous;
        changed.created_s = old.created_s;
        changed.revoked = old.revoked;
        changed.source = old.source;
        change = put_key(keys, &changed, why);
    }
    pthread_mutex_unlock(&keys->writing);
    return change;
}

enum keys_change keys_put_project(struct keys *keys, const struct project *project,
                                  struct buf *why) {
    struct project changed = *project;
    enum keys_change change = KEYS_CHANGED;
    changed.source = KEYS_STORED;
    pthread_mutex_lock(&keys->writing);
    if (list_find(&keys->sources[KEYS_MANAGED]->projects, project->name))
        change = KEYS_MANAGED_BY_FILE;
    else if (keys->store.put_project && !keys->store.put_project(keys->store_owner, &changed, why))
        change = KEYS_NOT_STORED;
    if (change == KEYS_CHANGED) {
        list_put(&keys->sources[KEYS_STORED]->projects, copy_project(&changed, 0));
        publish(keys);
    }
    pthread_mutex_unlock(&keys->writing);
    return change;
}

/* --- the pepper --- */

static bool complain(const char *path, const char *what, struct buf *why) {
    buf_printf(why, "%s: %s", path, what);
    return false;
}

/* A new one beside its place, whole before it takes it: a crash leaves none or all. What is there
 * by then is not touched. */
static bool make_pepper(const char *path, struct buf *why) {
    unsigned char bytes[KEYS_PEPPER_SIZE];
    struct buf draft = { 0 };
    buf_printf(&draft, "%s.%d", path, (int)getpid());
    buf_add_char(&draft, '\0');
    int fd = open(draft.at, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    random_system(bytes, sizeof bytes);
    bool ok = fd >= 0 && write(fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes && fsync(fd) == 0;
    if (fd >= 0 && close(fd) < 0)
        ok = false;
    ok = ok && (link(draft.at, path) == 0 || errno == EEXIST);
    if (!ok)
        complain(path, strerror(errno), why);
    unlink(draft.at);
    explicit_bzero(bytes, sizeof bytes);
    buf_deinit(&draft);
    return ok;
}

bool keys_pepper(const char *path, unsigned char pepper[KEYS_PEPPER_SIZE], struct buf *why) {
    unsigned char bytes[KEYS_PEPPER_SIZE + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        if (!make_pepper(path, why))
            return false;
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0)
        return complain(path, strerror(errno), why);
    ssize_t n = read(fd, bytes, sizeof bytes);
    close(fd);
    if (n == KEYS_PEPPER_SIZE)
        memcpy(pepper, bytes, KEYS_PEPPER_SIZE);
    explicit_bzero(bytes, sizeof bytes);
    return n == KEYS_PEPPER_SIZE ||
           complain(path, "holds no pepper of 32 bytes: put back the file the keys were made with",
                    why);
}
