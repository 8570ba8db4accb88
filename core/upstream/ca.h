/* ca.h - the certificates upstreams are trusted by: one store a process.
 *
 * Owns          an OpenSSL certificate store, read once and never changed, so that threads share
 *               it.
 * Fed by        a PEM bundle.
 * Feeds         every TLS context curl makes. Left to itself, curl reads the bundle again for each
 *               of its handles, which costs tens of milliseconds of a loop's time.
 * Must not know pumps, transfers.
 *
 *   ca = ca_load(NULL);                     before threads start
 *   ... pump_options.ca = ca ...
 *   ca_free(ca);                            after the last pump has closed
 */
#ifndef PERILUNE_UPSTREAM_CA_H
#define PERILUNE_UPSTREAM_CA_H

struct ca;

/* Reads a PEM bundle: `file`, else the one SSL_CERT_FILE of the environment names, else the
 * system's. NULL with the reason logged when a named bundle can not be read. The system's is read
 * by a thread of its own, because that takes longer than the rest of a start; a system without any
 * gives an empty store and a warning: no TLS upstream is trusted then. */
struct ca *ca_load(const char *file);

/* Contexts that hold the store keep it alive. */
void ca_free(struct ca *ca);

/* Lets a TLS context (an SSL_CTX) trust this store and nothing else. Any thread. Waits for the
 * store if it is still being read. */
void ca_apply(struct ca *ca, void *ssl_ctx);

#endif
