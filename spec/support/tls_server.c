#include "support/tls_server.h"

#include <assert.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static X509 *make_certificate(EVP_PKEY *key, const struct tls_script *script) {
    X509 *x = X509_new();
    char alt[128];
    snprintf(alt, sizeof alt, "DNS:%s", script->name);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -2 * 86400);
    X509_gmtime_adj(X509_getm_notAfter(x), script->expired ? -86400 : 86400);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)"perilune spec", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alt);
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
    X509_sign(x, key, EVP_sha256());
    return x;
}

static void write_bundle(struct tls_server *s, X509 *certificate) {
    strcpy(s->ca_file, "/tmp/perilune-spec-ca-XXXXXX");
    int fd = mkstemp(s->ca_file);
    FILE *file = fdopen(fd, "w");
    assert(file);
    PEM_write_X509(file, certificate);
    fclose(file);
}

/* The whole request is read before the answer: closing on unread bytes would reset the connection.
 * */
static bool read_request(SSL *ssl) {
    char bytes[16384];
    size_t have = 0;
    while (have < sizeof bytes - 1) {
        int n = SSL_read(ssl, bytes + have, (int)(sizeof bytes - 1 - have));
        if (n <= 0)
            return false;
        bytes[have += (size_t)n] = 0;
        char *end = strstr(bytes, "\r\n\r\n");
        char *length = strstr(bytes, "Content-Length: ");
        if (end &&
            have >= (size_t)(end + 4 - bytes) + (length ? strtoul(length + 16, NULL, 10) : 0))
            return true;
    }
    return false;
}

static void answer(struct tls_server *s, SSL *ssl) {
    char bytes[8192];
    int len = snprintf(bytes, sizeof bytes,
                       "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                       s->script.body + (s->script.torn ? 1 : 0));
    bool fine = SSL_write(ssl, bytes, len) > 0;
    for (size_t at = 0; fine && at < s->script.body;) {
        size_t n = 0;
        while (n < sizeof bytes && at < s->script.body)
            bytes[n++] = tls_server_byte(at++);
        fine = SSL_write(ssl, bytes, (int)n) > 0;
    }
    if (!s->script.torn)
        SSL_shutdown(ssl);
}

static void *serve(void *arg) {
    struct tls_server *s = arg;
    while (!s->ending) {
        int fd = accept(s->listener, NULL, NULL);
        if (fd < 0)
            break;
        SSL *ssl = SSL_new(s->context);
        SSL_set_fd(ssl, fd);
        if (SSL_accept(ssl) == 1) {
            s->handshakes++;
            s->resumed += SSL_session_reused(ssl) ? 1 : 0;
            if (read_request(ssl))
                answer(s, ssl);
        }
        SSL_free(ssl);
        close(fd);
    }
    return NULL;
}

void tls_server_open(struct tls_server *s, const struct tls_script *script) {
    memset(s, 0, sizeof *s);
    s->script = *script;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = make_certificate(key, script);
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(context, certificate);
    SSL_CTX_use_PrivateKey(context, key);
    s->context = context;
    write_bundle(s, certificate);
    X509_free(certificate);
    EVP_PKEY_free(key);

    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int failed = bind(s->listener, (struct sockaddr *)&address, len) || listen(s->listener, 128) ||
                 getsockname(s->listener, (struct sockaddr *)&address, &len) ||
                 pthread_create(&s->thread, NULL, serve, s);
    assert(!failed);
    (void)failed;
    s->port = ntohs(address.sin_port);
}

void tls_server_close(struct tls_server *s) {
    s->ending = true;
    shutdown(s->listener, SHUT_RDWR); /* wakes accept() */
    pthread_join(s->thread, NULL);
    close(s->listener);
    SSL_CTX_free(s->context);
    unlink(s->ca_file);
}
