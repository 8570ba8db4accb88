#include "fuzz/spoken.h"

#include "base/ability.h"
#include "fuzz/played.h"

#include <stdlib.h>

const enum dialect spoken_clients[SPOKEN_CLIENTS] = { DIALECT_OPENAI_CHAT, DIALECT_OPENAI_RESPONSES,
                                                      DIALECT_ANTHROPIC_MESSAGES,
                                                      DIALECT_OPENAI_COMPLETIONS };
const enum dialect spoken_targets[SPOKEN_TARGETS] = { DIALECT_OPENAI_CHAT, DIALECT_OPENAI_RESPONSES,
                                                      DIALECT_ANTHROPIC_MESSAGES, DIALECT_GEMINI,
                                                      DIALECT_BEDROCK_CONVERSE };

/* Services as providers/ describes them, and stranger ones. */
static const char *const quirks[] = {
    NULL,
    "{}",
    "{\"unsupported\":[\"seed\",\"logprobs\"],\"max_stop\":1,\"max_n\":1,\"efforts\":[\"low\","
    "\"high\"],\"no_sampling\":true,\"no_images_by_url\":true,\"no_system_later\":true}",
    "{\"max_tokens\":\"max_completion_tokens\",\"system\":\"developer\",\"reasoning\":\"thinking\","
    "\"reasoning_back\":\"always\",\"tool_ids\":\"nine\",\"tool_result_name\":true,"
    "\"assistant_after_tool\":true,\"empty_content\":\"text\",\"required_choice\":\"any\"}",
    "{\"no_strict\":true,\"no_json_schema\":true,\"thinking_off_when_forced\":true,\"seed\":"
    "\"random_seed\",\"no_stream_options\":true,\"tools_from_history\":true,\"reasoning\":"
    "\"enable_thinking\",\"empty_content\":\"omit\"}",
    "{\"thinking\":\"adaptive\",\"no_prefill\":true,\"no_forced_tools\":true,\"no_output_format\":"
    "true,\"version_in_body\":\"v\",\"thinking_level\":true}",
    "{\"thinking\":\"budget\",\"no_output_format\":true,\"thinking_min\":128,\"proto_schema\":true,"
    "\"signatures\":true}",
};
enum { QUIRKS = sizeof quirks / sizeof *quirks };

static const struct pair params[] = {
    { { "temperature", 11 }, { "0.5", 3 } },
    { { "seed", 4 }, { 0 } },
    { { "max_tokens", 10 }, { "7", 1 } },
    { { "stop", 4 }, { "[\"x\"]", 5 } },
    { { "reasoning_effort", 16 }, { "\"low\"", 5 } },
    { { "extra", 5 }, { "{\"a\":{\"b\":[1]}}", 15 } },
};
enum { PARAMS = sizeof params / sizeof *params };

static const char CHAT[] =
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"tools\":[{\"type\":"
    "\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{\"type\":\"object\"}}},"
    "{\"type\":\"custom\",\"custom\":{\"name\":\"f\"}}],\"stream_options\":{\"include_usage\":true}"
    "}";
static const char RESPONSES[] =
    "{\"model\":\"m\",\"input\":\"Hi\",\"tools\":[{\"type\":\"function\",\"name\":\"get_weather\","
    "\"parameters\":{\"type\":\"object\"}},{\"type\":\"custom\",\"name\":\"f\"}]}";
static const char MESSAGES[] =
    "{\"model\":\"m\",\"max_tokens\":64,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],"
    "\"tools\":[{\"name\":\"get_weather\",\"input_schema\":{\"type\":\"object\"}}]}";
static const char COMPLETIONS[] = "{\"model\":\"m\",\"prompt\":\"Hi\"}";

static struct span request_of(enum dialect client) {
    switch (client) {
    case DIALECT_OPENAI_CHAT:
        return span_of(CHAT);
    case DIALECT_OPENAI_RESPONSES:
        return span_of(RESPONSES);
    case DIALECT_ANTHROPIC_MESSAGES:
        return span_of(MESSAGES);
    default:
        return span_of(COMPLETIONS);
    }
}

struct adapter *spoken_adapter(void) {
    static struct adapter *adapter;
    if (!adapter) {
        struct snapshot *snap = snapshot_new();
        snap->config.max_body = 8 << 20;
        snapshot_seal(snap);
        adapter = adapter_new(snap);
        fuzz_expect(adapter != NULL);
        snapshot_unref(snap);
    }
    return adapter;
}

void spoken_check(const char *why) {
    fuzz_expect(why && *why);
    if (strcmp(why, "The message could not be translated.") == 0 ||
        strcmp(why, "the adapter said nothing") == 0)
        fuzz_fail("%s", why);
}

static struct span recall(void *owner, struct span call_id) {
    return SPAN("{\"parts\":[{\"kind\":\"reasoning\",\"text\":\"hm\",\"state\":{\"kind\":"
                "\"signature\",\"value\":\"c2ln\",\"by\":\"gemini\"}}],\"signature\":\"c2ln\"}");
}

static void check_built(const struct adapter_setup *s) {
    struct json_value root;
    fuzz_expect(s->path.len && s->path.at[0] == '/');
    if (json_parse(played_parser(), buf_span(s->out), &root) != JSON_OK ||
        json_type(root) != JSON_OBJECT)
        fuzz_fail("no JSON object goes up: %.*s", SPAN_ARGS(buf_span(s->out)));
}

int spoken_open(enum dialect client, enum dialect spoken, struct span body, bool stream,
                uint16_t ways, struct buf *upstream) {
    const struct provider provider = { .name = SPAN("p"), .dialect = spoken };
    struct target target = { .id = SPAN("p/m"),
                             .model = SPAN("m"),
                             .upstream = SPAN("vendor-m"),
                             .provider = &provider,
                             .max_output = ways & 0x80 ? 4096 : 0,
                             .abilities = ways & 8 ? UINT32_MAX : ABILITY_CHAT };
    const char *quirk = quirks[(ways & 7) % QUIRKS];
    struct arena arena;
    arena_init(&arena, 4096);
    target.quirks = span_of(quirk);
    struct adapter_setup setup = {
        .client = client,
        .spoken = spoken,
        .target = &target,
        .body = body.at ? body : request_of(client),
        .stream = stream,
        .keep_usage = ways & 0x10,
        .refuse = ways & 0x20,
        .params = params,
        .n_params = ways & 0x40 ? (ways >> 8) % (PARAMS + 1) : 0,
        .id = SPAN("01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        .created_s = 1790000000,
        .input_tokens = 7,
        .recall = ways & 0x8000 ? recall : NULL,
        .arena = &arena,
        .out = upstream,
    };
    const char *why = NULL;
    int handle = adapter_open(spoken_adapter(), &setup, &why);
    if (handle)
        check_built(&setup);
    else
        spoken_check(why);
    arena_deinit(&arena);
    return handle;
}
