// What is not an answer of a model: keys, errors in the SDK's own classes, its retries and time-outs, the beta API, the list of models.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";

import { HASTY, KEY, POOR, start } from "../support/gateway.mjs";
import { FAULTS, PROMPT } from "../support/talk.mjs";
import { connect } from "./client.mjs";

let house;
let client;

before(async () => {
  house = await start();
  client = connect(house);
});

after(() => house?.stop());

const strict = { headers: { "x-route-strict": "1" } };
const ask = (model) => ({ model, max_tokens: 100, messages: [{ role: "user", content: PROMPT }] });

async function raised(promise, type, status, name) {
  const error = await promise.then(() => assert.fail("it answered"), (reason) => reason);
  assert.ok(error instanceof type, `${error}`);
  assert.equal(error.status, status);
  assert.equal(error.error.type, "error");
  assert.equal(error.error.error.type, name);
  assert.ok(error.requestID);
  return error;
}

test("a key goes in either header", async () => {
  for (const keys of [{ apiKey: KEY }, { apiKey: null, authToken: KEY }]) {
    const answer = await connect(house, keys).messages.create(ask("gemini/plain"));
    assert.equal(answer.content[0].text, `You said: ${PROMPT}`);
  }
});

test("a wrong key is AuthenticationError", async () => {
  for (const keys of [{ apiKey: "sk-stranger" }, { apiKey: null, authToken: "sk-stranger" }]) {
    const asked = connect(house, keys).messages.create(ask("gemini/plain"));
    await raised(asked, Anthropic.AuthenticationError, 401, "authentication_error");
  }
});

test("an unknown model is NotFoundError", async () => {
  await raised(client.messages.create(ask("nobody-has-it")), Anthropic.NotFoundError, 404, "not_found_error");
});

test("a wrong type is BadRequestError that names the field", async () => {
  const body = { ...ask("gemini/plain"), messages: [{ role: "user", content: 7 }] };
  const error = await raised(client.messages.create(body), Anthropic.BadRequestError, 400, "invalid_request_error");
  assert.match(error.message, /messages\.0\.content/);
});

test("a key that has spent its money is 402, and does not ask again", async () => {
  const asked = connect(house, { apiKey: POOR }).messages.create(ask("gemini/plain"));
  await raised(asked, Anthropic.APIError, 402, "billing_error");
});

test("a key over its own limit is RateLimitError, and told when to come again", async () => {
  const hasty = connect(house, { apiKey: HASTY, maxRetries: 0 });
  await hasty.messages.create(ask("gemini/plain"));
  const error = await raised(hasty.messages.create(ask("gemini/plain")), Anthropic.RateLimitError, 429, "rate_limit_error");
  assert.ok(Number(error.headers.get("retry-after")) > 0);
});

for (const fault of FAULTS) {
  test(`nothing is seen of ${fault} at the first target`, async () => {
    const whole = await client.messages.create(ask(`despite_${fault}`), { maxRetries: 0 });
    assert.equal(whole.content[0].text, `You said: ${PROMPT}`);
    assert.equal(await client.messages.stream(ask(`despite_${fault}`), { maxRetries: 0 }).finalText(), `You said: ${PROMPT}`);
  });
}

// Once the breakers are open, what was not asked is asked again, after a while; what was asked is not: so the upstream saw what the last
// answer says, the chain and one probe at most.
test("when everything fails, the SDK's retries multiply nothing", async () => {
  for (let i = 0; i < 4; i++) {
    const before = await house.count("gone");
    const asked = client.messages.create(ask("all_gone"), strict);
    const error = await raised(asked, Anthropic.InternalServerError, 503, "overloaded_error");
    const attempts = Number(error.headers.get("x-route-attempts"));
    assert.ok(attempts <= 2 + 1);
    assert.equal(error.headers.get("x-should-retry"), attempts > 0 ? "false" : null);
    assert.equal((await house.count("gone")) - before, attempts);
  }
});

// The gateway has tried the whole chain: the SDK must not ask again, though it retries such errors by itself.
for (const [model, type, status, name] of [
  ["limited", Anthropic.RateLimitError, 429, "rate_limit_error"],
  ["down", Anthropic.InternalServerError, 503, "overloaded_error"],
]) {
  test(`a provider that is ${model} is ${type.name}, and asked by the chain alone`, async () => {
    const before = await house.count(model);
    const error = await raised(client.messages.create(ask(`gemini/${model}`), strict), type, status, name);
    assert.equal(error.headers.get("x-should-retry"), "false");
    assert.equal((await house.count(model)) - before, Number(error.headers.get("x-route-attempts")));
  });
}

test("what takes too long is APIConnectionTimeoutError", async () => {
  const asked = client.messages.create(ask("openai_chat/hangs"), { ...strict, timeout: 100, maxRetries: 0 });
  await assert.rejects(asked, Anthropic.APIConnectionTimeoutError);
});

test("what is aborted is APIUserAbortError", async () => {
  const asked = client.messages.create(ask("openai_responses/hangs"), { ...strict, signal: AbortSignal.timeout(100) });
  await assert.rejects(asked, Anthropic.APIUserAbortError);
});

test("a stream that is aborted ends", async () => {
  const stream = client.messages.stream(ask("bedrock_converse/plain"));
  stream.on("text", () => stream.abort());
  await assert.rejects(stream.finalMessage(), Anthropic.APIUserAbortError);
});

test("what the beta API asks for reaches those that speak it, and no other", async () => {
  const betas = ["interleaved-thinking-2025-05-14"];
  for (const to of ["anthropic_messages", "gemini"]) {
    const answer = await client.beta.messages.create({ ...ask(`${to}/plain`), betas });
    assert.equal(answer.content[0].text, `You said: ${PROMPT}`);
    const { headers } = await house.last();
    assert.equal(headers["anthropic-beta"], to === "anthropic_messages" ? betas[0] : undefined);
  }
});

test("models are listed as Anthropic lists them, and told about one by one", async () => {
  const ids = [];
  for await (const model of client.models.list()) {
    assert.equal(model.type, "model");
    assert.ok(model.display_name);
    assert.ok(!Number.isNaN(Date.parse(model.created_at)));
    ids.push(model.id);
  }
  assert.ok(ids.includes("plain"));
  assert.ok(ids.includes("gemini/plain"));
  assert.equal((await client.models.retrieve("gemini/plain")).id, "gemini/plain");
  await raised(client.models.retrieve("nobody-has-it"), Anthropic.NotFoundError, 404, "not_found_error");
});
