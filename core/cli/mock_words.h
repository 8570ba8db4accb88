/* mock_words.h - the words the mock understands, each with its line of help.
 *
 * Owns          the table: what a word is called, what its value is, how help explains it.
 * Fed by        whoever adds a word, here and in mock_fault.h.
 * Feeds         mock_fault, which reads words by it; `perilune help mock`, which prints it.
 * Must not know what a word does.
 *
 *   MOCK_SHAPE_WORDS(X)      X(kind, field of struct mock_shape, help)
 *   MOCK_HARM_WORDS(X)       the same of struct mock_harm
 *   MOCK_TURN_WORDS(X)       the same of struct mock_fault
 *
 * A word is called as its field. Help is laid out by hand: it is one literal.
 */
#ifndef PERILUNE_CLI_MOCK_WORDS_H
#define PERILUNE_CLI_MOCK_WORDS_H

#define MOCK_SHAPE_WORDS(X)                                                                        \
    X(TEXT, content, "content=TEXT         what it says (\"You said: ...\")")                      \
    X(NUMBER, tokens, "tokens=N             so many tokens of it")                                 \
    X(NUMBER, big, "big=BYTES            so many bytes of it")                                     \
    X(NUMBER, events, "events=N             content events of a stream")                           \
    X(NUMBER, bytes, "bytes=N              of content in each event")                              \
    X(NUMBER, gap_ms, "gap_ms=MS            between content events")                               \
    X(FLAG, reasoning, "reasoning            reasoning first")                                     \
    X(FLAG, tool, "tool                 a tool call, instead of content unless content= is there") \
    X(NUMBER, tools, "tools=N              so many calls at once (1000 at most)")                  \
    X(TEXT, tool_input, "tool_input=JSON      the arguments of each call")                         \
    X(FLAG, refusal, "refusal              the model refuses")                                     \
    X(FLAG, logprobs, "logprobs             of each piece of content (Chat Completions)")          \
    X(NUMBER, cached, "cached=N             prompt tokens read from a cache")                      \
    X(NUMBER, written, "written=N            prompt tokens written to a cache")                    \
    X(TEXT, model, "model=NAME           the answer names another model")                          \
    X(TEXT, finish, "finish=WORD          in the place of the reason it ends for")                 \
    X(TEXT, ratelimit, "ratelimit=LEFT/LIMIT headers of a rate limit, as the vendor has them")     \
    X(FLAG, lenient, "lenient              requests are hardly checked")                           \
    X(FLAG, extra, "extra                fields and events nobody knows")                          \
    X(FLAG, comment, "comment              a comment before the first event")                      \
    X(NUMBER, ping_ms, "ping_ms=MS           comments while the first content waits")              \
    X(FLAG, crlf, "crlf                 events end their lines in CR LF")                          \
    X(FLAG, bytewise, "bytewise             one byte a write")                                     \
    X(NUMBER, headers, "headers=N            a flood of them")                                     \
    X(FLAG, early_hints, "early_hints          103 before the answer")                             \
    X(FLAG, split_stop, "split_stop           the finish in a chunk of its own (Gemini)")

#define MOCK_QUIRK_WORDS(X)                                                                        \
    X(FLAG, no_index, "no_index             calls without an index")                               \
    X(FLAG, zero_index, "zero_index           index 0 for all calls")                              \
    X(FLAG, no_id, "no_id                calls without an id")                                     \
    X(FLAG, late_id_empty, "late_id_empty        id, type and name again, empty, in later deltas") \
    X(FLAG, args_object, "args_object          arguments as an object")                            \
    X(FLAG, args_empty, "args_empty           arguments as an empty text")                         \
    X(FLAG, interleave, "interleave           parallel calls by turns")                            \
    X(TEXT, usage_place, "usage_place=PLACE    x_groq, choice or last")                            \
    X(FLAG, think_details, "think_details        reasoning and reasoning_details")

#define MOCK_HARM_WORDS(X)                                                                         \
    X(NUMBER, status, "status=N             an error in the dialect's shape")                      \
    X(TEXT, code, "code=TEXT            of that error, and of one in a stream")                    \
    X(TEXT, type, "type=TEXT")                                                                     \
    X(TEXT, message, "message=TEXT")                                                               \
    X(TEXT, retry_after, "retry_after=S        the header, or what the vendor has instead")        \
    X(TEXT, redirect, "redirect=URL         302")                                                  \
    X(FLAG, html, "html                 a page, with 502 or status=")                              \
    X(FLAG, garbage, "garbage              broken JSON")                                           \
    X(FLAG, gzip, "gzip                 a compressed body")                                        \
    X(FLAG, reset, "reset                RST instead of an answer")                                \
    X(FLAG, hang, "hang                 no answer, ever")                                          \
    X(TEXT_OR_1, half_headers, "half_headers[=hang]  part of the head, then the end")              \
    X(NUMBER, slow, "slow=MS              before the answer")                                      \
    X(NUMBER, first_ms, "first_ms=MS          before a stream's first content")                    \
    X(NUMBER, cut_event,                                                                           \
      "cut_event=N          breaks off inside content event N (0: the opening)")                   \
    X(NUMBER, cut_after, "cut_after=N          ends well-formed behind N content events")          \
    X(NUMBER, error_after, "error_after=N        an error behind N content events")                \
    X(TEXT, cut, "cut=body             a whole answer shorter than it says")                       \
    X(FLAG, wrong_length, "wrong_length         a whole answer longer than it says")               \
    X(FLAG, no_usage, "no_usage             without usage")                                        \
    X(FLAG, no_finish, "no_finish            without a reason to end")                             \
    X(FLAG, no_done, "no_done              a stream without its last event")                       \
    X(FLAG, no_content, "no_content           without content")                                    \
    X(FLAG, frame_crc, "frame_crc            a frame with a wrong checksum (Bedrock)")             \
    X(FLAG, cut_frame,                                                                             \
      "cut_frame            ends well-formed, but inside of the event that tells why")

#define MOCK_TURN_WORDS(X)                                                                         \
    X(NUMBER, fail_first, "fail_first=N         only the first N requests with these words")       \
    X(NUMBER, every, "every=N              only each Nth of them")                                 \
    X(TEXT, name, "name=TEXT            a name for counts and scripts")

#endif
