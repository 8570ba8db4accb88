// The official OpenAI SDK against the gateway, as anybody's program would use it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import OpenAI from "openai";

import { start } from "../support/gateway.mjs";

let house;
let client;

before(async () => {
  house = await start({ a: "/~tokens=12", cut: "/~cut_after=3" });
  client = new OpenAI({ baseURL: `${house.url}/v1`, apiKey: "not-needed" });
});

after(() => house.stop());

const messages = [{ role: "user", content: "Say something." }];

test("a completion", async () => {
  const { data, response } = await client.chat.completions.create({ model: "a/m", messages }).withResponse();
  assert.ok(data.choices[0].message.content.length > 0);
  assert.equal(data.choices[0].finish_reason, "stop");
  assert.equal(data.model, response.headers.get("x-routed-model"));
  assert.ok(data.usage.total_tokens > 0);
});

test("a stream", async () => {
  const stream = await client.chat.completions.create({ model: "a/m", messages, stream: true });
  let text = "";
  let finish = null;
  for await (const chunk of stream) {
    text += chunk.choices[0].delta.content ?? "";
    finish = chunk.choices[0].finish_reason ?? finish;
    assert.equal(chunk.usage ?? null, null);
  }
  assert.ok(text.length > 0);
  assert.equal(finish, "stop");
});

test("a stream with its usage", async () => {
  const stream = await client.chat.completions.create({
    model: "a/m",
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  let usage = null;
  for await (const chunk of stream) {
    usage = chunk.usage ?? usage;
  }
  assert.ok(usage.total_tokens > 0);
});

test("a stream that breaks raises", async () => {
  const stream = await client.chat.completions.create({ model: "cut/m", messages, stream: true });
  let text = "";
  await assert.rejects(async () => {
    for await (const chunk of stream) {
      text += chunk.choices[0].delta.content ?? "";
    }
  }, OpenAI.APIError);
  assert.ok(text.length > 0);
});

test("an unknown model is NotFoundError, with its code", async () => {
  await assert.rejects(client.chat.completions.create({ model: "nobody-has-it", messages }), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, "model_not_found");
    assert.ok(error.requestID);
    return true;
  });
});

test("models are listed", async () => {
  const ids = [];
  for await (const model of client.models.list()) {
    ids.push(model.id);
  }
  assert.ok(ids.includes("m"));
});

test("a client that aborts is let go", async () => {
  const controller = new AbortController();
  const stream = await client.chat.completions.create(
    { model: "a/m", messages, stream: true },
    { signal: controller.signal },
  );
  for await (const chunk of stream) {
    assert.ok(chunk.id);
    controller.abort();
  }
});
