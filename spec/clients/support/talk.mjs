// What is asked and what must come back, whichever SDK asks: a table of situations, held to for every dialect behind the gateway.
import assert from "node:assert/strict";
import { test } from "node:test";

export const DIALECTS = ["openai_chat", "openai_responses", "anthropic_messages", "gemini", "bedrock_converse"];

// Letters of two and four bytes, what JSON escapes, a line end.
export const PROMPT = 'The café is a "quiet" place \\ — at night.\nGood night 🌙, <b>&amp;</b> farewell.';
// One dark pixel.
export const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
export const TOOLS = ["find_it", "weigh-it", "tell"];
export const SCHEMA = {
  type: "object",
  properties: { text: { type: "string" }, call: { type: "integer" } },
  required: ["text"],
};

// What goes wrong at the first target of a chain despite_... before anything was said.
export const FAULTS = [
  "connect", "timeout", "first_token", "rate_limited", "overloaded", "server_error", "auth", "quota", "context_length", "not_found",
  "bad_response", "cut_stream",
];

// What the mock makes of it.
const THOUGHT = "Somebody said something, so I say it again.";
const calls = (n) =>
  TOOLS.slice(0, n).map((name, i) => ({ name, input: i ? { text: PROMPT, call: i } : { text: PROMPT } }));
const SITUATIONS = {
  text: { model: "plain", text: `You said: ${PROMPT}`, finish: "stop" },
  "a tool call": { model: "tool", calls: calls(1), finish: "tool_calls" },
  "parallel calls": { model: "parallel", calls: calls(3), finish: "tool_calls" },
  reasoning: { model: "thinker", thought: THOUGHT, text: `You said: ${PROMPT}`, finish: "stop" },
};

// Of every dialect the name for how an answer ended, and our word for it.
export const FINISH = {
  stop: "stop", tool_calls: "tool_calls", end_turn: "stop", tool_use: "tool_calls", completed: "stop",
};

// The tests of one client dialect. `ask({ model, tools, reasoning }, streamed)` has the SDK ask, by its own helper when streamed, and
// resolves to what it made of the answer: { told: { text, thought, calls: [{ id, name, input }], finish, model, input, cached, output },
// headers }.
export function pairs(dialect, ask) {
  for (const to of DIALECTS) {
    for (const [name, want] of Object.entries(SITUATIONS)) {
      for (const streamed of [false, true]) {
        test(`${dialect} -> ${to}: ${name}${streamed ? ", streamed" : ""}`, async () => {
          const question = { model: `${to}/${want.model}`, tools: want.calls ? TOOLS : [], reasoning: "thought" in want };
          check(want, to, await ask(question, streamed));
        });
      }
    }
  }
}

function check(want, to, { told, headers }) {
  assert.equal(told.text, want.text ?? "");
  assert.equal(told.thought, want.thought ?? "");
  assert.deepEqual(told.calls.map(({ name, input }) => ({ name, input })), want.calls ?? []);
  assert.equal(new Set(told.calls.map((call) => call.id)).size, told.calls.length);
  assert.ok(told.calls.every((call) => call.id));
  assert.equal(told.finish, want.finish);
  assert.equal(told.input, 4000);
  assert.equal(told.cached, 3000);
  assert.ok(told.output > 0);
  assert.equal(told.model, want.model);
  assert.equal(told.model, headers.get("x-routed-model"));
  assert.equal(headers.get("x-routed-provider"), to);
  assert.equal(headers.get("x-route-dropped"), null);
}
