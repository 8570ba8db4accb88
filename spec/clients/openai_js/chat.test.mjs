// Chat Completions by the official OpenAI SDK, as anybody's program would use it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
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

const messages = [{ role: "user", content: PROMPT }];

function bodyOf({ model, tools, reasoning }) {
  return {
    model,
    messages,
    max_completion_tokens: 4000,
    ...(tools.length && { tools: tools.map((name) => ({ type: "function", function: { name, parameters: SCHEMA } })) }),
    ...(reasoning && { reasoning_effort: "medium" }),
  };
}

function toldOf({ model, choices, usage }, thought) {
  const { message, finish_reason } = choices[0];
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  return {
    text: message.content ?? "",
    thought,
    calls: (message.tool_calls ?? []).map((call) => ({
      id: call.id, name: call.function.name, input: JSON.parse(call.function.arguments),
    })),
    finish: FINISH[finish_reason],
    model,
    input: usage.prompt_tokens,
    cached: usage.prompt_tokens_details.cached_tokens,
    output: usage.completion_tokens,
  };
}

pairs("openai_chat", async (question, streamed) => {
  if (!streamed) {
    const { data, response } = await client.chat.completions.create(bodyOf(question)).withResponse();
    return { told: toldOf(data, data.choices[0].message.reasoning_content ?? ""), headers: response.headers };
  }
  let thought = "";
  const runner = client.chat.completions
    .stream({ ...bodyOf(question), stream_options: { include_usage: true } })
    .on("chunk", (chunk) => (thought += chunk.choices[0]?.delta.reasoning_content ?? ""));
  const data = await runner.finalChatCompletion();
  return { told: toldOf(data, thought), headers: kept.headers };
});

for (const to of DIALECTS) {
  test(`tools run by the SDK until ${to} is done`, async () => {
    const ran = [];
    const tool = (name) => ({
      type: "function",
      function: {
        name,
        parameters: SCHEMA,
        parse: JSON.parse,
        function: ({ text }) => {
          ran.push([name, text]);
          return `found it by ${name}`;
        },
      },
    });
    const body = { model: `${to}/agent`, messages, tools: [tool("look"), tool("ask")], reasoning_effort: "medium" };
    for (const stream of [false, true]) {
      ran.length = 0;
      const runner = client.chat.completions.runTools({ ...body, stream });
      assert.equal(await runner.finalContent(), "All is found.");
      assert.deepEqual(ran, [["look", PROMPT], ["ask", PROMPT]]);
    }
  });

  test(`an image reaches ${to}`, async () => {
    const content = [
      { type: "text", text: PROMPT },
      { type: "image_url", image_url: { url: `data:image/png;base64,${PIXEL}` } },
    ];
    await client.chat.completions.create({ model: `${to}/plain`, messages: [{ role: "user", content }] });
    assert.ok((await house.last()).body.includes(PIXEL));
  });

  test(`an answer of ${to} parsed by a schema`, async () => {
    const format = zodResponseFormat(z.object({ city: z.string(), rain: z.boolean() }), "weather");
    const body = { model: `${to}/json`, messages, response_format: format };
    const whole = await client.chat.completions.parse(body);
    assert.deepEqual(whole.choices[0].message.parsed, { city: "Paris", rain: true });
    const streamed = await client.chat.completions.stream(body).finalChatCompletion();
    assert.deepEqual(streamed.choices[0].message.parsed, { city: "Paris", rain: true });
  });

  for (const model of ["breaks", "fails"]) {
    test(`a stream of ${to} that ${model} raises`, async () => {
      const stream = await client.chat.completions.create({ model: `${to}/${model}`, messages, stream: true });
      let text = "";
      await assert.rejects(async () => {
        for await (const chunk of stream) {
          assert.equal(chunk.choices[0].finish_reason, null);
          text += chunk.choices[0].delta.content ?? "";
        }
      }, OpenAI.APIError);
      assert.equal(text, "one two ");
      const helper = client.chat.completions.stream({ model: `${to}/${model}`, messages });
      await assert.rejects(helper.finalChatCompletion(), OpenAI.APIError);
    });
  }

  test(`what breaks at ${to} before it began is answered by the next`, async () => {
    const whole = await client.chat.completions.create({ model: `whole_${to}`, messages });
    assert.equal(whole.choices[0].message.content, `You said: ${PROMPT}`);
    assert.equal(kept.headers.get("x-route-attempts"), "2");
    const streamed = await client.chat.completions.stream({ model: `stream_${to}`, messages }).finalChatCompletion();
    assert.equal(streamed.choices[0].message.content, `You said: ${PROMPT}`);
    assert.equal(streamed.choices[0].finish_reason, "stop");
    assert.equal(kept.headers.get("x-route-attempts"), "2");
    assert.notEqual(kept.headers.get("x-routed-provider"), to);
  });

  test(`a request that ${to} refuses is BadRequestError`, async () => {
    for (const stream of [false, true]) {
      await assert.rejects(client.chat.completions.create({ model: `${to}/refused`, messages, stream }), (error) => {
        assert.ok(error instanceof OpenAI.BadRequestError);
        assert.equal(error.status, 400);
        assert.match(error.message, /The mock does not like it/);
        return true;
      });
    }
  });
}

test("a stream without its usage", async () => {
  const stream = await client.chat.completions.create({ model: "openai_chat/plain", messages, stream: true });
  for await (const chunk of stream) {
    assert.equal(chunk.usage ?? null, null);
    assert.equal(chunk.choices.length, 1);
  }
});

test("a client that aborts is let go", async () => {
  const controller = new AbortController();
  const stream = await client.chat.completions.create(
    { model: "gemini/plain", messages, stream: true },
    { signal: controller.signal },
  );
  for await (const chunk of stream) {
    assert.ok(chunk.id);
    controller.abort();
  }
  assert.ok(controller.signal.aborted);
});
