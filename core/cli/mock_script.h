/* mock_script.h - a Lua file that says what the mock is to do.
 *
 * Owns          one Lua state.
 * Fed by        mock_serve, with what a request is.
 * Feeds         a struct mock_fault.
 * Must not know connections, JSON.
 *
 *   -- faults.lua
 *   return function(req)                        -- n, method, path, provider, model,
 *                                                  stream, headers, body
 *     if req.n <= 2 then return { status = 429, retry_after = 1 } end
 *   end
 *
 * The table has the words of mock_words.h; nothing means: as the header, the path or --fault say.
 */
#ifndef PERILUNE_CLI_MOCK_SCRIPT_H
#define PERILUNE_CLI_MOCK_SCRIPT_H

#include "cli/mock_answer.h"
#include "net/http1.h"

struct mock_script;

/* Reads and runs the file. NULL: `error` holds one line. */
struct mock_script *mock_script_new(const char *path, struct buf *error);
void mock_script_free(struct mock_script *s);

struct mock_script_request {
    uint64_t n; /* counts from 1, over all workers */
    const struct http_message *message;
    struct span path;     /* without a fault in front */
    struct span provider; /* the path's first segment or name=; SPAN_NONE */
    const struct mock_ask *ask;
};

enum mock_script_result { MOCK_SCRIPT_SILENT, MOCK_SCRIPT_SPOKE, MOCK_SCRIPT_FAILED };

/* Asks it. MOCK_SCRIPT_SPOKE: `fault`, which must be initialised, says what it said; texts are in
 * `arena`. MOCK_SCRIPT_FAILED: `error` holds one line. */
enum mock_script_result mock_script_ask(struct mock_script *s,
                                        const struct mock_script_request *request,
                                        struct mock_fault *fault, struct arena *arena,
                                        struct buf *error);

#endif
