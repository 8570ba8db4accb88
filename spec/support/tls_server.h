/* tls_server.h - a small HTTPS server on a thread of its own, with a certificate made for the spec.
 *
 * Owns          a listener on a free port of 127.0.0.1, a key, a self-signed certificate and its
 *               file.
 * Fed by        the code under test.
 * Feeds         nothing: each connection gets one answer and is closed.
 * Must not know what is tested.
 *
 *   tls_server_open(&s, &(struct tls_script){ .name = "localhost" });
 *   ... s.port, s.ca_file ...
 *   tls_server_close(&s);
 */
#ifndef PERILUNE_SPEC_TLS_SERVER_H
#define PERILUNE_SPEC_TLS_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct tls_script {
    const char *name; /* the certificate's: a host name */
    bool expired;     /* its time has passed */
    size_t body;      /* bytes of each answer, tls_server_byte() of each place */
    bool torn;        /* the length says one more, and the end comes without TLS saying so */
};

struct tls_server {
    struct tls_script script;
    int port;
    char ca_file[64]; /* the certificate, as a bundle */
    atomic_uint handshakes, resumed;
    /* kept by tls_server */
    int listener;
    pthread_t thread;
    void *context;
    atomic_bool ending;
};

void tls_server_open(struct tls_server *s, const struct tls_script *script);
void tls_server_close(struct tls_server *s);

static inline char tls_server_byte(size_t at) {
    return (char)('a' + (at * 7 + at / 251) % 26);
}

#endif
