// Whatever stands behind the gateway, what it answers is what the vendor of the endpoint has published, event by event.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { HASTY, KEY, POOR, start } from "../support/gateway.mjs";
import { DIALECTS, PROMPT, SCHEMA, TOOLS } from "../support/talk.mjs";
import { conforms, unseen } from "./schemas.mjs";

let house;

before(async () => (house = await start()));
after(() => house?.stop());

async function post(path, body, headers = {}) {
  const answer = await fetch(house.url + path, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${KEY}`, ...headers },
    body: JSON.stringify(body),
  });
  return { status: answer.status, text: await answer.text() };
}

// The events of a stream: [name, data], the data parsed but for [DONE].
function eventsOf(text) {
  const events = text.split("\n\n").filter((one) => one && !one.startsWith(":"));
  return events.map((one) => {
    const fields = Object.fromEntries(one.split("\n").map((line) => line.match(/^(\w+): (.*)$/).slice(1)));
    return [fields.event, fields.data === "[DONE]" ? fields.data : JSON.parse(fields.data)];
  });
}

// The endpoints: how each is asked, what its answer is, and what the events of its stream are.
const ENDPOINTS = {
  "/v1/chat/completions": {
    whole: "chat",
    error: "error",
    body: (model, { tools, thinks, most }) => ({
      model,
      messages: [{ role: "user", content: PROMPT }],
      max_completion_tokens: most,
      ...(tools && { tools: TOOLS.map((name) => ({ type: "function", function: { name, parameters: SCHEMA } })) }),
      ...(thinks && { reasoning_effort: "medium" }),
    }),
    streaming: { stream: true, stream_options: { include_usage: true } },
    check(events) {
      assert.deepEqual(events.pop(), [undefined, "[DONE]"]);
      events.forEach(([name, data]) => {
        assert.equal(name, undefined);
        conforms(data.error ? "error" : "chunk", data);
      });
    },
  },
  "/v1/responses": {
    whole: "response",
    error: "error",
    body: (model, { tools, thinks, most }) => ({
      model,
      input: PROMPT,
      max_output_tokens: most,
      ...(tools && { tools: TOOLS.map((name) => ({ type: "function", name, parameters: SCHEMA, strict: false })) }),
      ...(thinks && { reasoning: { effort: "medium", summary: "auto" } }),
    }),
    streaming: { stream: true },
    check(events) {
      events.forEach(([name, data], i) => {
        assert.equal(name, data.type);
        assert.equal(data.sequence_number, i);
        conforms("event", data);
      });
    },
  },
  "/v1/messages": {
    whole: "message",
    error: "message_error",
    body: (model, { tools, thinks, most }) => ({
      model,
      messages: [{ role: "user", content: PROMPT }],
      max_tokens: most,
      ...(tools && { tools: TOOLS.map((name) => ({ name, input_schema: SCHEMA })) }),
      ...(thinks && { thinking: { type: "enabled", budget_tokens: 2000 } }),
    }),
    streaming: { stream: true },
    check(events) {
      events.forEach(([name, data]) => {
        assert.equal(name, data.type);
        if (name === "ping") {
          assert.deepEqual(data, { type: "ping" });
        } else {
          conforms(name === "error" ? "message_error" : "message_event", data);
        }
      });
    },
  },
};

const LENGTH = /"finish_reason":"length"|"reason":"max_output_tokens"|"stop_reason":"max_tokens"/;

const SITUATIONS = {
  text: { model: "plain", most: 4000 },
  "tool calls": { model: "parallel", tools: true, most: 4000 },
  thoughts: { model: "thinker", thinks: true, most: 4000 },
  "an end for length": { model: "plain", most: 16, shows: LENGTH },
};

for (const [path, endpoint] of Object.entries(ENDPOINTS)) {
  for (const to of DIALECTS) {
    for (const [name, asked] of Object.entries(SITUATIONS)) {
      const body = endpoint.body(`${to}/${asked.model}`, asked);

      test(`${path} -> ${to}: ${name}`, async () => {
        const { status, text } = await post(path, body, { "x-route-trace": "1" });
        assert.equal(status, 200, text);
        assert.match(text, asked.shows ?? /./);
        conforms(endpoint.whole, JSON.parse(text));
      });

      test(`${path} -> ${to}: ${name}, streamed`, async () => {
        const { status, text } = await post(path, { ...body, ...endpoint.streaming });
        assert.equal(status, 200, text);
        assert.match(text, asked.shows ?? /./);
        const events = eventsOf(text);
        assert.ok(events.length > 2);
        endpoint.check(events);
      });
    }

    for (const model of ["breaks", "fails"]) {
      test(`${path} -> ${to}: a stream that ${model}`, async () => {
        const body = endpoint.body(`${to}/${model}`, { most: 4000 });
        const { status, text } = await post(path, { ...body, ...endpoint.streaming }, { "x-route-strict": "1" });
        assert.equal(status, 200, text);
        endpoint.check(eventsOf(text));
      });
    }
  }

  const wrong = {
    400: [{ ...endpoint.body("gemini/plain", { most: 10 }), model: 7 }],
    401: [endpoint.body("gemini/plain", { most: 10 }), { authorization: "Bearer sk-stranger" }],
    402: [endpoint.body("gemini/plain", { most: 10 }), { authorization: `Bearer ${POOR}` }],
    404: [endpoint.body("nobody-has-it", { most: 10 })],
    429: [endpoint.body("gemini/limited", { most: 10 }), { "x-route-strict": "1" }],
    503: [endpoint.body("gemini/down", { most: 10 }), { "x-route-strict": "1" }],
  };
  for (const [status, [body, headers]] of Object.entries(wrong)) {
    test(`${path}: an error, ${status}`, async () => {
      const answer = await post(path, body, headers);
      assert.equal(answer.status, Number(status), answer.text);
      conforms(endpoint.error, JSON.parse(answer.text));
    });
  }
}

test("a key's own limit", async () => {
  const ask = (path) => post(path, ENDPOINTS[path].body("gemini/plain", { most: 10 }), { authorization: `Bearer ${HASTY}` });
  assert.equal((await ask("/v1/messages")).status, 200);
  for (const [path, endpoint] of Object.entries(ENDPOINTS)) {
    const { status, text } = await ask(path);
    assert.equal(status, 429);
    conforms(endpoint.error, JSON.parse(text));
  }
});

test("completions, embeddings, counted tokens", async () => {
  const completion = await post("/v1/completions", { model: "gemini/plain", prompt: PROMPT });
  conforms("completion", JSON.parse(completion.text));
  const streamed = eventsOf((await post("/v1/completions", { model: "gemini/plain", prompt: PROMPT, stream: true })).text);
  assert.deepEqual(streamed.pop(), [undefined, "[DONE]"]);
  streamed.forEach(([, data]) => conforms("completion", data));
  const embeddings = await post("/v1/embeddings", { model: "openai_chat/vectors", input: PROMPT });
  conforms("embeddings", JSON.parse(embeddings.text));
  const messages = [{ role: "user", content: PROMPT }];
  conforms("tokens", JSON.parse((await post("/v1/messages/count_tokens", { model: "gemini/plain", messages })).text));
});

test("the list of models", async () => {
  const answer = await fetch(`${house.url}/v1/models`, { headers: { authorization: `Bearer ${KEY}` } });
  conforms("models", await answer.json());
});

test("a field nobody has published, a type that is another, a member that is missing: nothing of it would pass", async () => {
  const { text } = await post("/v1/chat/completions", ENDPOINTS["/v1/chat/completions"].body("gemini/plain", { most: 10 }));
  const answer = JSON.parse(text);
  conforms("chat", answer);
  assert.throws(() => conforms("chat", { ...answer, surprise: 1 }), /surprise/);
  assert.throws(() => conforms("chat", { ...answer, created: "now" }), /created/);
  assert.throws(() => conforms("chat", { ...answer, choices: undefined }), /choices/);
});

test("what is no vendor's is all there", () => {
  assert.deepEqual(unseen(), []);
});
