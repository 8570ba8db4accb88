/* mock.h - `perilune mock`: a scripted provider, for specs, demos and measurements.
 *
 * Owns          worker threads with their listeners, the counts of what was
 *               served, the last requests.
 * Fed by        the command line; `perilune run`, which starts one when there is nothing else.
 * Feeds         clients, who get answers that are right, or wrong in the way they asked for.
 * Must not know the gateway.
 *
 *   m = mock_start("127.0.0.1:0", url, sizeof url);     // url: "http://127.0.0.1:PORT/v1"
 *   mock_stop(m);
 *
 * It speaks all dialects under any prefix (mock_route.c lists the paths). What it answers is made
 * from the request alone; requests a vendor would refuse, it refuses. mock_words.h lists what else
 * it can be asked for.
 */
#ifndef PERILUNE_CLI_MOCK_H
#define PERILUNE_CLI_MOCK_H

#include <stddef.h>

struct mock;

/* Serves on its own thread. `url` gets the base URL. NULL when the address can not be had; the
 * complaint has been printed. */
struct mock *mock_start(const char *address, char *url, size_t size);

/* Closes all connections and every handle, ends the threads, frees it. */
void mock_stop(struct mock *m);

#endif
