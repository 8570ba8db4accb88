// The AI SDK of Vercel, by each of its providers that can be pointed somewhere else, with its own retries and time-outs.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { APICallError, Output, RetryError, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import { POOR, start } from "../support/gateway.mjs";
import { FAULTS, PROMPT, TOOLS } from "../support/talk.mjs";
import { WAYS, connect } from "./client.mjs";

let house;

before(async () => (house = await start()));
after(() => house?.stop());

const SAID = `You said: ${PROMPT}`;
const strict = { "x-route-strict": "1" };

// Whole and as a stream, which gives what is asked of it once it has been read; an error raises either way.
const ASKED = {
  whole: generateText,
  streamed: async (options) => {
    let broken;
    const stream = streamText({ ...options, onError: ({ error }) => (broken = error) });
    await stream.consumeStream();
    if (broken) {
      throw broken;
    }
    const [text, toolCalls, finishReason, usage, steps] = await Promise.all([
      stream.text, stream.toolCalls, stream.finishReason, stream.usage, stream.steps,
    ]);
    return { text, toolCalls, finishReason, usage, steps, output: await stream.output };
  },
};

const finder = (ran, name) =>
  tool({
    description: name,
    inputSchema: z.object({ text: z.string() }),
    execute: ({ text }) => {
      ran.push([name, text]);
      return "found it";
    },
  });

// What the gateway answered, which the SDK wraps when it has asked more than once.
async function raised(promise) {
  const error = await promise.then(() => assert.fail("it answered"), (reason) => reason);
  const last = RetryError.isInstance(error) ? error.lastError : error;
  assert.ok(APICallError.isInstance(last), `${error}`);
  return last;
}

for (const way of WAYS) {
  describe(way, () => {
    for (const [how, ask] of Object.entries(ASKED)) {
      test(`${how}: text and its usage`, async () => {
        const answer = await ask({ model: connect(house, way)("gemini/plain"), prompt: PROMPT });
        assert.equal(answer.text, SAID);
        assert.equal(answer.finishReason, "stop");
        assert.equal(answer.usage.inputTokens, 4000);
        assert.equal(answer.usage.inputTokenDetails.cacheReadTokens, 3000);
        assert.ok(answer.usage.outputTokens > 0);
      });

      test(`${how}: parallel calls`, async () => {
        const call = tool({ inputSchema: z.object({ text: z.string(), call: z.number().optional() }) });
        const tools = Object.fromEntries(TOOLS.map((name) => [name, call]));
        const model = connect(house, way)("bedrock_converse/parallel");
        const { toolCalls, finishReason } = await ask({ model, prompt: PROMPT, tools });
        assert.deepEqual(toolCalls.map((one) => one.toolName), TOOLS);
        assert.deepEqual(toolCalls.map((one) => one.input.text), [PROMPT, PROMPT, PROMPT]);
        assert.equal(new Set(toolCalls.map((one) => one.toolCallId)).size, TOOLS.length);
        assert.equal(finishReason, "tool-calls");
      });

      test(`${how}: tools are run and their results sent back`, async () => {
        const ran = [];
        const answer = await ask({
          model: connect(house, way)("gemini/agent"),
          prompt: PROMPT,
          tools: { look: finder(ran, "look"), ask: finder(ran, "ask") },
          providerOptions: { openai: { store: false } },
          stopWhen: stepCountIs(3),
        });
        assert.equal(answer.text, "All is found.");
        assert.equal(answer.steps.length, 2);
        assert.deepEqual(ran.sort(), [["ask", PROMPT], ["look", PROMPT]]);
      });

      test(`${how}: an answer by a schema`, async () => {
        const schema = z.object({ city: z.string(), rain: z.boolean() });
        const model = connect(house, way)("openai_chat/json");
        const { output } = await ask({ model, prompt: PROMPT, output: Output.object({ schema }) });
        assert.deepEqual(output, { city: "Paris", rain: true });
      });

      for (const fault of FAULTS) {
        test(`${how}: nothing is seen of ${fault} at the first target`, async () => {
          const answer = await ask({ model: connect(house, way)(`despite_${fault}`), prompt: PROMPT, maxRetries: 0 });
          assert.equal(answer.text, SAID);
        });
      }

      for (const [status, what] of Object.entries({
        400: { model: "anthropic_messages/refused" },
        401: { model: "openai_chat/plain", apiKey: "sk-stranger" },
        402: { model: "openai_chat/plain", apiKey: POOR },
        404: { model: "nobody-has-it" },
      })) {
        test(`${how}: ${status} is raised at once`, async () => {
          const { model, ...options } = what;
          const error = await raised(ask({ model: connect(house, way, options)(model), prompt: PROMPT }));
          assert.equal(error.statusCode, Number(status));
          assert.equal(error.isRetryable, false);
          assert.ok(error.message);
        });
      }

      test(`${how}: what is aborted ends`, async () => {
        const abortSignal = AbortSignal.timeout(100);
        const model = connect(house, way)("openai_responses/hangs");
        await assert.rejects(ask({ model, prompt: PROMPT, headers: strict, abortSignal }));
      });
    }

    // The SDK asks again whatever `x-should-retry` says, unless it is told not to.
    test("when everything fails, the providers see the chain once", async () => {
      const before = await house.count("gone");
      const error = await raised(
        generateText({ model: connect(house, way)("all_gone"), prompt: PROMPT, headers: strict, maxRetries: 0 }),
      );
      const attempts = Number(error.responseHeaders["x-route-attempts"]);
      assert.equal(error.statusCode, 503);
      assert.ok(attempts <= 2 + 1);
      assert.equal((await house.count("gone")) - before, attempts);
    });

    for (const [model, status] of [["limited", 429], ["down", 503]]) {
      test(`a provider that is ${model} is ${status}`, async () => {
        const before = await house.count(model);
        const to = connect(house, way)(`gemini/${model}`);
        const error = await raised(generateText({ model: to, prompt: PROMPT, headers: strict, maxRetries: 0 }));
        assert.equal(error.statusCode, status);
        assert.equal((await house.count(model)) - before, Number(error.responseHeaders["x-route-attempts"]));
      });
    }

    for (const model of ["breaks", "fails"]) {
      test(`a stream that ${model} raises`, async () => {
        const options = { model: connect(house, way)(`openai_chat/${model}`), prompt: PROMPT, headers: strict };
        let text = "";
        let broken;
        for await (const part of streamText({ ...options, onError() {} }).fullStream) {
          text += part.type === "text-delta" ? part.text : "";
          broken = part.type === "error" ? part.error : broken;
        }
        assert.equal(text, "one two ");
        assert.ok(broken);
      });
    }
  });
}
