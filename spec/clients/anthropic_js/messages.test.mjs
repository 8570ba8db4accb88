// Messages by the official Anthropic SDK, as anybody's program would use it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";

import { start } from "../support/gateway.mjs";
import { DIALECTS, FINISH, PIXEL, PROMPT, SCHEMA, pairs } from "../support/talk.mjs";
import { connect } from "./client.mjs";

let house;
let client;

before(async () => {
  house = await start();
  client = connect(house);
});

after(() => house?.stop());

const messages = [{ role: "user", content: PROMPT }];
const strict = { headers: { "x-route-strict": "1" } };
const tool = (name) => ({ name, input_schema: SCHEMA });
const ask = (model, more) => ({ model, max_tokens: 4000, messages, ...more });

function bodyOf({ model, tools, reasoning }) {
  return ask(model, {
    ...(tools.length && { tools: tools.map(tool) }),
    ...(reasoning && { thinking: { type: "enabled", budget_tokens: 2000 } }),
  });
}

const joined = (content, type, field) =>
  content.filter((block) => block.type === type).map((block) => block[field]).join("");

// Input tokens are those that no cache knew.
function toldOf({ model, content, stop_reason, usage }) {
  const cached = usage.cache_read_input_tokens ?? 0;
  return {
    text: joined(content, "text", "text"),
    thought: joined(content, "thinking", "thinking"),
    calls: content.filter((block) => block.type === "tool_use").map(({ id, name, input }) => ({ id, name, input })),
    finish: FINISH[stop_reason],
    model,
    input: usage.input_tokens + cached + (usage.cache_creation_input_tokens ?? 0),
    cached,
    output: usage.output_tokens,
  };
}

pairs("anthropic_messages", async (question, streamed) => {
  if (!streamed) {
    const { data, response } = await client.messages.create(bodyOf(question)).withResponse();
    return { told: toldOf(data), headers: response.headers };
  }
  const { data, response } = await client.messages.stream(bodyOf(question)).withResponse();
  return { told: toldOf(await data.finalMessage()), headers: response.headers };
});

for (const to of DIALECTS) {
  test(`a turn with ${to} goes on with what its tools found`, async () => {
    const body = bodyOf({ model: `${to}/agent`, tools: ["look", "ask"], reasoning: true });
    for (const first of [await client.messages.create(body), await client.messages.stream(body).finalMessage()]) {
      const uses = first.content.filter((block) => block.type === "tool_use");
      assert.deepEqual(uses.map((use) => use.name), ["look", "ask"]);
      const found = uses.map(({ id }) => ({ type: "tool_result", tool_use_id: id, content: "found it" }));
      const turns = [...messages, { role: "assistant", content: first.content }, { role: "user", content: found }];
      const second = await client.messages.create({ ...body, messages: turns });
      assert.equal(joined(second.content, "text", "text"), "All is found.");
    }
  });

  // The SDK leaves the conversation with the server, where that is Anthropic; the others do not know what was said before, so that it has
  // to be told all of it.
  const threads = to === "anthropic_messages" ? { thread: false } : {};

  test(`tools run by the SDK until ${to} is done`, async () => {
    const ran = [];
    const runnable = (name) =>
      betaTool({
        name,
        description: name,
        inputSchema: SCHEMA,
        run: ({ text }) => {
          ran.push([name, text]);
          return `found it by ${name}`;
        },
      });
    for (const stream of [false, true]) {
      ran.length = 0;
      const runner = client.beta.messages.toolRunner(
        ask(`${to}/agent`, { stream, tools: [runnable("look"), runnable("ask")], ...threads }),
      );
      const last = await runner.runUntilDone();
      assert.equal(joined(last.content, "text", "text"), "All is found.");
      assert.deepEqual(ran.sort(), [["ask", PROMPT], ["look", PROMPT]]);
    }
  });

  test(`an image reaches ${to}`, async () => {
    const content = [
      { type: "text", text: PROMPT },
      { type: "image", source: { type: "base64", media_type: "image/png", data: PIXEL } },
    ];
    await client.messages.create(ask(`${to}/plain`, { messages: [{ role: "user", content }] }));
    assert.ok((await house.last()).body.includes(PIXEL));
  });

  test(`an answer of ${to} parsed by a schema`, async () => {
    const format = zodOutputFormat(z.object({ city: z.string(), rain: z.boolean() }));
    const body = ask(`${to}/json`, { output_config: { format } });
    assert.deepEqual((await client.messages.parse(body)).parsed_output, { city: "Paris", rain: true });
    assert.deepEqual((await client.messages.stream(body).finalMessage()).parsed_output, { city: "Paris", rain: true });
  });

  for (const model of ["breaks", "fails"]) {
    test(`a stream of ${to} that ${model} raises`, async () => {
      const stream = await client.messages.create(ask(`${to}/${model}`, { stream: true }), strict);
      let text = "";
      await assert.rejects(async () => {
        for await (const event of stream) {
          assert.notEqual(event.type, "message_stop");
          assert.ok(!event.delta?.stop_reason);
          text += event.delta?.text ?? "";
        }
      }, Anthropic.APIError);
      assert.equal(text, "one two ");
      const helper = client.messages.stream(ask(`${to}/${model}`), strict);
      await assert.rejects(helper.finalMessage(), Anthropic.APIError);
    });
  }

  test(`what breaks at ${to} before it began is answered by the next`, async () => {
    const { data, response } = await client.messages.create(ask(`whole_${to}`)).withResponse();
    assert.equal(joined(data.content, "text", "text"), `You said: ${PROMPT}`);
    assert.equal(response.headers.get("x-route-attempts"), "2");
    const streamed = await client.messages.stream(ask(`stream_${to}`)).withResponse();
    const message = await streamed.data.finalMessage();
    assert.equal(joined(message.content, "text", "text"), `You said: ${PROMPT}`);
    assert.equal(message.stop_reason, "end_turn");
    assert.equal(streamed.response.headers.get("x-route-attempts"), "2");
  });

  test(`a request that ${to} refuses is BadRequestError`, async () => {
    for (const stream of [false, true]) {
      await assert.rejects(client.messages.create(ask(`${to}/refused`, { stream })), (error) => {
        assert.ok(error instanceof Anthropic.BadRequestError);
        assert.equal(error.error.error.type, "invalid_request_error");
        assert.match(error.message, /The mock does not like it/);
        return true;
      });
    }
  });

  test(`tokens are counted for ${to}`, async () => {
    const body = { model: `${to}/plain`, messages };
    const few = await client.messages.countTokens(body);
    const more = await client.messages.countTokens({ ...body, system: "Be brief.", tools: [tool("look")] });
    assert.ok(few.input_tokens > 0);
    assert.ok(more.input_tokens > few.input_tokens);
  });
}
