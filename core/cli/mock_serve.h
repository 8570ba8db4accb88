/* mock_serve.h - one worker of the mock: which request is what, and which fault it gets.
 *
 * Owns          the worker's listener, connections, counts, JSON parser and script.
 * Fed by        mock.c, which runs its loop.
 * Feeds         mock_call with chat requests; mock.c with questions about the counts.
 * Must not know threads.
 *
 *   mock_serve_open(&s, &loop, &options, index, &events, owner);
 *   ... uv_run ...
 *   mock_serve_close(&s);      // stops accepting, closes all connections
 *   mock_serve_deinit(&s);     // once the loop has run out
 */
#ifndef PERILUNE_CLI_MOCK_SERVE_H
#define PERILUNE_CLI_MOCK_SERVE_H

#include "cli/mock_call.h"
#include "cli/mock_script.h"
#include "net/listener.h"

#include <pthread.h>

/* What is counted over all workers: fail_first= and every= by the words they stand in, and a
 * script's n. */
struct mock_turns {
    pthread_mutex_t lock;
    struct mock_tally by_words;
    uint64_t scripted;
};

void mock_turns_init(struct mock_turns *t);
void mock_turns_deinit(struct mock_turns *t);
void mock_turns_reset(struct mock_turns *t);

struct mock_options {
    struct sockaddr_storage address;
    unsigned workers;
    const char *script; /* NULL: none */
    struct span fault;  /* what a request that says nothing gets; SPAN_NONE: nothing */
    struct mock_turns *turns;
};

enum mock_question { MOCK_STATS, MOCK_RESET, MOCK_LAST, MOCK_REQUESTS };

struct mock_serve;

struct mock_serve_events {
    /* A client wants to know of all workers. Reply on `c`. */
    void (*on_question)(void *owner, struct conn *c, enum mock_question question);
};

struct mock_serve {
    const struct mock_options *options;
    const struct mock_serve_events *events;
    void *owner;
    struct conn_server server;
    struct listener *listener;
    struct mock_count count;
    struct mock_desk desk;
    struct json_parser *json;
    struct mock_script *script;
};

/* On false `error` holds one line and there is nothing to close. */
bool mock_serve_open(struct mock_serve *s, uv_loop_t *loop, const struct mock_options *options,
                     unsigned index, const struct mock_serve_events *events, void *owner,
                     struct buf *error);
void mock_serve_close(struct mock_serve *s);
void mock_serve_deinit(struct mock_serve *s);

#endif
