#include "upstream/ca.h"

#include "base/log.h"

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

struct ca {
    X509_STORE *store;
};

static const char *readable(const char *path) {
    return path && access(path, R_OK) == 0 ? path : NULL;
}

/* Where this system keeps its bundle: curl's builder knew, else OpenSSL's. */
static const char *system_bundle(void) {
    const char *path = readable(curl_version_info(CURLVERSION_NOW)->cainfo);
    return path ? path : readable(X509_get_default_cert_file());
}

struct ca *ca_load(const char *file) {
    if (!file || !*file)
        file = getenv("SSL_CERT_FILE");
    bool named = file && *file;
    if (!named)
        file = system_bundle();

    struct ca *ca = malloc(sizeof *ca);
    if (!ca || !(ca->store = X509_STORE_new()))
        abort();
    /* As curl sets up its own: an intermediate in the bundle is an anchor as well. */
    X509_STORE_set_flags(ca->store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
    if (file && X509_STORE_load_file(ca->store, file) == 1)
        return ca;

    ERR_clear_error();
    if (named) {
        log_error("no certificates could be read from %s: give a readable PEM bundle", file);
        ca_free(ca);
        return NULL;
    }
    log_warn("this system has no bundle of CA certificates, so no https upstream will be trusted: "
             "install ca-certificates or set SSL_CERT_FILE");
    return ca;
}

void ca_free(struct ca *ca) {
    if (!ca)
        return;
    X509_STORE_free(ca->store);
    free(ca);
}

void ca_apply(const struct ca *ca, void *ssl_ctx) {
    X509_STORE_up_ref(ca->store);
    SSL_CTX_set_cert_store(ssl_ctx, ca->store);
}
