#include "upstream/ca.h"

#include "base/log.h"

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ca {
    X509_STORE *store;
    char *file;
    pthread_mutex_t lock; /* of the two below */
    pthread_t loader;
    bool loading;
};

static const char *readable(const char *path) {
    return path && access(path, R_OK) == 0 ? path : NULL;
}

/* Where this system keeps its bundle: curl's builder knew, else OpenSSL's. */
static const char *system_bundle(void) {
    const char *path = readable(curl_version_info(CURLVERSION_NOW)->cainfo);
    return path ? path : readable(X509_get_default_cert_file());
}

static struct ca *ca_new(const char *file) {
    struct ca *ca = calloc(1, sizeof *ca);
    if (!ca || !(ca->store = X509_STORE_new()) || (file && !(ca->file = strdup(file))))
        abort();
    pthread_mutex_init(&ca->lock, NULL);
    /* As curl sets up its own: an intermediate in the bundle is an anchor as well. */
    X509_STORE_set_flags(ca->store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
    return ca;
}

static bool load(struct ca *ca) {
    bool loaded = ca->file && X509_STORE_load_file(ca->store, ca->file) == 1;
    ERR_clear_error();
    return loaded;
}

static void *load_system(void *arg) {
    if (!load(arg))
        log_warn("this system has no bundle of CA certificates, so no https upstream will be "
                 "trusted: install ca-certificates or set SSL_CERT_FILE");
    return NULL;
}

struct ca *ca_load(const char *file) {
    if (!file || !*file)
        file = getenv("SSL_CERT_FILE");
    if (file && *file) {
        struct ca *ca = ca_new(file);
        if (load(ca))
            return ca;
        log_error("no certificates could be read from %s: give a readable PEM bundle", file);
        ca_free(ca);
        return NULL;
    }
    struct ca *ca = ca_new(system_bundle());
    ca->loading = pthread_create(&ca->loader, NULL, load_system, ca) == 0;
    if (!ca->loading)
        load_system(ca);
    return ca;
}

static void await_loading(struct ca *ca) {
    pthread_mutex_lock(&ca->lock);
    if (ca->loading)
        pthread_join(ca->loader, NULL);
    ca->loading = false;
    pthread_mutex_unlock(&ca->lock);
}

void ca_free(struct ca *ca) {
    if (!ca)
        return;
    await_loading(ca);
    pthread_mutex_destroy(&ca->lock);
    X509_STORE_free(ca->store);
    free(ca->file);
    free(ca);
}

void ca_apply(struct ca *ca, void *ssl_ctx) {
    await_loading(ca);
    X509_STORE_up_ref(ca->store);
    SSL_CTX_set_cert_store(ssl_ctx, ca->store);
}
