// Responses by the official OpenAI SDK.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

import { start } from "../support/gateway.mjs";
import { DIALECTS, FINISH, PIXEL, PROMPT, SCHEMA, pairs } from "../support/talk.mjs";
import { connect } from "./client.mjs";

let house;
let client;
let kept;

before(async () => {
  house = await start();
  ({ client, kept } = connect(house));
});

after(() => house?.stop());

const tool = (name) => ({ type: "function", name, parameters: SCHEMA, strict: false });

function bodyOf({ model, tools, reasoning }) {
  return {
    model,
    input: PROMPT,
    max_output_tokens: 4000,
    ...(tools.length && { tools: tools.map(tool) }),
    ...(reasoning && { reasoning: { effort: "medium", summary: "auto" } }),
  };
}

// A Response says that it is completed, whether it calls or not.
function toldOf({ model, status, output, output_text, usage }) {
  const calls = output.filter((item) => item.type === "function_call");
  const thoughts = output.filter((item) => item.type === "reasoning");
  assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens);
  assert.ok(output.every((item) => item.id && (item.type === "reasoning" || item.status === "completed")));
  return {
    text: output_text,
    thought: thoughts.flatMap((item) => [...item.summary, ...(item.content ?? [])]).map((part) => part.text).join(""),
    calls: calls.map((call) => ({ id: call.call_id, name: call.name, input: JSON.parse(call.arguments) })),
    finish: calls.length && status === "completed" ? "tool_calls" : FINISH[status],
    model,
    input: usage.input_tokens,
    cached: usage.input_tokens_details.cached_tokens,
    output: usage.output_tokens,
  };
}

pairs("openai_responses", async (question, streamed) => {
  if (!streamed) {
    const { data, response } = await client.responses.create(bodyOf(question)).withResponse();
    return { told: toldOf(data), headers: response.headers };
  }
  const told = toldOf(await client.responses.stream(bodyOf(question)).finalResponse());
  return { told, headers: kept.headers };
});

for (const to of DIALECTS) {
  test(`a turn with ${to} goes on with what its tools found`, async () => {
    const body = {
      model: `${to}/agent`,
      tools: ["look", "ask"].map(tool),
      reasoning: { effort: "medium" },
      include: ["reasoning.encrypted_content"],
      store: false,
    };
    const input = [{ role: "user", content: PROMPT }];
    for (const first of [
      await client.responses.create({ ...body, input }),
      await client.responses.stream({ ...body, input }).finalResponse(),
    ]) {
      const calls = first.output.filter((item) => item.type === "function_call");
      assert.deepEqual(calls.map((call) => call.name), ["look", "ask"]);
      const found = calls.map(({ call_id }) => ({ type: "function_call_output", call_id, output: "found it" }));
      const second = await client.responses.create({ ...body, input: [...input, ...first.output, ...found] });
      assert.equal(second.output_text, "All is found.");
    }
  });

  test(`an image reaches ${to}`, async () => {
    const content = [
      { type: "input_text", text: PROMPT },
      { type: "input_image", detail: "auto", image_url: `data:image/png;base64,${PIXEL}` },
    ];
    await client.responses.create({ model: `${to}/plain`, input: [{ role: "user", content }] });
    assert.ok((await house.last()).body.includes(PIXEL));
  });

  test(`an answer of ${to} parsed by a schema`, async () => {
    const format = zodTextFormat(z.object({ city: z.string(), rain: z.boolean() }), "weather");
    const body = { model: `${to}/json`, input: PROMPT, text: { format } };
    assert.deepEqual((await client.responses.parse(body)).output_parsed, { city: "Paris", rain: true });
    const streamed = await client.responses.stream(body).finalResponse();
    assert.deepEqual(streamed.output_parsed, { city: "Paris", rain: true });
  });

  for (const model of ["breaks", "fails"]) {
    test(`a stream of ${to} that ${model} is no success`, async () => {
      const stream = await client.responses.create({ model: `${to}/${model}`, input: PROMPT, stream: true });
      let text = "";
      let last = null;
      for await (const event of stream) {
        text += event.type === "response.output_text.delta" ? event.delta : "";
        last = event;
      }
      assert.equal(text, "one two ");
      assert.equal(last.type, "response.failed");
      assert.equal(last.response.status, "failed");
      assert.ok(last.response.error.message);
    });
  }

  test(`what breaks at ${to} before it began is answered by the next`, async () => {
    const whole = await client.responses.create({ model: `whole_${to}`, input: PROMPT });
    assert.equal(whole.output_text, `You said: ${PROMPT}`);
    assert.equal(kept.headers.get("x-route-attempts"), "2");
    const streamed = await client.responses.stream({ model: `stream_${to}`, input: PROMPT }).finalResponse();
    assert.equal(streamed.output_text, `You said: ${PROMPT}`);
    assert.equal(streamed.status, "completed");
    assert.equal(kept.headers.get("x-route-attempts"), "2");
  });

  test(`a request that ${to} refuses is BadRequestError`, async () => {
    for (const stream of [false, true]) {
      await assert.rejects(client.responses.create({ model: `${to}/refused`, input: PROMPT, stream }), (error) => {
        assert.ok(error instanceof OpenAI.BadRequestError);
        assert.match(error.message, /The mock does not like it/);
        return true;
      });
    }
  });
}
