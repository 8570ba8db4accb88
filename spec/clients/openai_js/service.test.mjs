// What is not an answer of a model: errors in the SDK's own classes, its retries and time-outs, embeddings, the list of models.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import OpenAI from "openai";

import { HASTY, PACED, POOR, start } from "../support/gateway.mjs";
import { FAULTS, PROMPT } from "../support/talk.mjs";
import { connect } from "./client.mjs";

let house;
let client;

before(async () => {
  house = await start();
  ({ client } = connect(house));
});

after(() => house?.stop());

const messages = [{ role: "user", content: PROMPT }];
const strict = { headers: { "x-route-strict": "1" } };

// The two endpoints whose errors have OpenAI's shape.
const ENDPOINTS = {
  "chat.completions": (model, options, on = client) => on.chat.completions.create({ model, messages }, options),
  responses: (model, options, on = client) => on.responses.create({ model, input: PROMPT }, options),
};

async function raised(promise, type, status, code) {
  const error = await promise.then(() => assert.fail("it answered"), (reason) => reason);
  assert.ok(error instanceof type, `${error}`);
  assert.equal(error.status, status);
  assert.equal(error.code, code);
  assert.ok(error.requestID);
  return error;
}

for (const [name, ask] of Object.entries(ENDPOINTS)) {
  test(`${name}: an unknown model is NotFoundError`, async () => {
    await raised(ask("nobody-has-it"), OpenAI.NotFoundError, 404, "model_not_found");
  });

  test(`${name}: a wrong key is AuthenticationError`, async () => {
    const stranger = connect(house, { apiKey: "sk-stranger" }).client;
    await raised(ask("gemini/plain", {}, stranger), OpenAI.AuthenticationError, 401, "invalid_api_key");
  });

  test(`${name}: a wrong type is BadRequestError that names the field`, async () => {
    const error = await raised(ask(7), OpenAI.BadRequestError, 400, "invalid_request");
    assert.equal(error.param, "model");
  });

  test(`${name}: a key that has spent its money is 402, and does not ask again`, async () => {
    const poor = connect(house, { apiKey: POOR }).client;
    const error = await raised(ask("gemini/plain", {}, poor), OpenAI.APIError, 402, "cost_cap_reached");
    assert.equal(error.type, "insufficient_quota");
  });

  for (const fault of FAULTS) {
    test(`${name}: nothing is seen of ${fault} at the first target`, async () => {
      assert.match(JSON.stringify(await ask(`despite_${fault}`, { maxRetries: 0 })), /You said: /);
      assert.ok(fault === "connect" || (await house.count(fault)) > 0); // it was there, if it could be
    });
  }

  // Once the breakers are open, what was not asked is asked again, after a while; what was asked is not: so the upstream saw what the last
  // answer says, the chain and one probe at most.
  test(`${name}: when everything fails, the SDK's retries multiply nothing`, async () => {
    for (let i = 0; i < 4; i++) {
      const before = await house.count("gone");
      const error = await ask("all_gone", strict).then(() => assert.fail("it answered"), (reason) => reason);
      assert.ok(error instanceof OpenAI.InternalServerError, `${error}`);
      const attempts = Number(error.headers.get("x-route-attempts"));
      assert.ok(attempts <= 2 + 1);
      assert.equal(error.headers.get("x-should-retry"), attempts > 0 ? "false" : null);
      assert.equal((await house.count("gone")) - before, attempts);
    }
  });

  // The gateway has tried the whole chain: the SDK must not ask again, though it retries such errors by itself.
  for (const [model, type, status] of [["limited", OpenAI.RateLimitError, 429], ["down", OpenAI.InternalServerError, 503]]) {
    test(`${name}: a provider that is ${model} is ${type.name}, and asked by the chain alone`, async () => {
      const before = await house.count(model);
      const error = await raised(ask(`gemini/${model}`, strict), type, status, "fallbacks_exhausted");
      assert.equal(error.headers.get("x-should-retry"), "false");
      assert.equal((await house.count(model)) - before, error.error.route.attempts.length);
    });
  }

  test(`${name}: what takes too long is APIConnectionTimeoutError`, async () => {
    const asked = ask("anthropic_messages/hangs", { ...strict, timeout: 100, maxRetries: 0 });
    await assert.rejects(asked, OpenAI.APIConnectionTimeoutError);
  });

  test(`${name}: what is aborted is APIUserAbortError`, async () => {
    const asked = ask("openai_responses/hangs", { ...strict, signal: AbortSignal.timeout(100) });
    await assert.rejects(asked, OpenAI.APIUserAbortError);
  });
}

// Each endpoint whole and as a stream, read to its end.
const READ = {
  "chat.completions": (on) => ENDPOINTS["chat.completions"]("gemini/plain", {}, on),
  "chat.completions, streamed": async (on) => {
    for await (const chunk of await on.chat.completions.create({ model: "gemini/plain", messages, stream: true })) {
      assert.ok(chunk.id);
    }
  },
  responses: (on) => ENDPOINTS.responses("gemini/plain", {}, on),
};

for (const [name, read] of Object.entries(READ)) {
  test(`${name}: what was lost on its way is asked for again, and made once`, async () => {
    const answers = [];
    const losing = async (...args) => {
      const answer = await fetch(...args);
      answers.push(answer);
      if (answers.length === 1) {
        await answer.arrayBuffer();
        throw new TypeError("the connection broke");
      }
      return answer;
    };
    const { client: retrying } = connect(house, { fetch: losing });
    retrying.idempotencyHeader = "Idempotency-Key";
    const before = await house.count("plain");
    await read(retrying);
    assert.equal((await house.count("plain")) - before, 1);
    assert.equal(answers.length, 2);
    assert.equal(answers[1].headers.get("idempotent-replayed"), "true");
    assert.equal(answers[1].headers.get("x-idempotent-original"), answers[0].headers.get("x-request-id"));
  });
}

test("how a key stands with its limit is in the headers", async () => {
  const { client: paced } = connect(house, { apiKey: PACED });
  const { response, request_id } = await paced.chat.completions.create({ model: "gemini/plain", messages }).withResponse();
  assert.equal(response.headers.get("x-ratelimit-limit-requests"), "6000");
  assert.equal(response.headers.get("x-ratelimit-remaining-requests"), "5999");
  assert.match(response.headers.get("x-ratelimit-reset-requests"), /^\d+ms$/);
  assert.equal(request_id, response.headers.get("x-request-id"));
});

test("a key over its own limit is RateLimitError, and told when to come again", async () => {
  const { client: hasty } = connect(house, { apiKey: HASTY, maxRetries: 0 });
  await ENDPOINTS.responses("gemini/plain", {}, hasty);
  const error = await raised(ENDPOINTS.responses("gemini/plain", {}, hasty), OpenAI.RateLimitError, 429, "rate_limit_exceeded");
  assert.ok(Number(error.headers.get("retry-after")) > 0);
});

test("a base URL without its version", async () => {
  const { client: plain } = connect(house, { baseURL: house.url });
  const answer = await ENDPOINTS["chat.completions"]("gemini/plain", {}, plain);
  assert.equal(answer.choices[0].message.content, `You said: ${PROMPT}`);
});

test("embeddings, which the SDK asks for in base64", async () => {
  const body = { model: "openai_chat/vectors", input: ["one", "two"] };
  const packed = await client.embeddings.create(body);
  assert.match((await house.last()).body, /"encoding_format":"base64"/);
  const plain = await client.embeddings.create({ ...body, encoding_format: "float" });
  const rounded = plain.data.map((item) => item.embedding.map(Math.fround));
  assert.deepEqual(packed.data.map((item) => item.embedding.map(Math.fround)), rounded);
  assert.equal(plain.data.length, 2);
  assert.notDeepEqual(plain.data[0].embedding, plain.data[1].embedding);
  assert.ok(packed.usage.prompt_tokens > 0);
});

test("models are listed, and told about one by one", async () => {
  const ids = [];
  for await (const model of client.models.list()) {
    ids.push(model.id);
  }
  assert.ok(ids.includes("plain"));
  assert.ok(ids.includes("gemini/plain"));
  assert.equal((await client.models.retrieve("gemini/plain")).id, "gemini/plain");
  await raised(client.models.retrieve("nobody-has-it"), OpenAI.NotFoundError, 404, "model_not_found");
});
