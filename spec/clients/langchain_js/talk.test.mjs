// LangChain for JavaScript, by its chat models of OpenAI and Anthropic, with its own retries and time-outs.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { z } from "zod";

import { POOR, start } from "../support/gateway.mjs";
import { DIALECTS, FAULTS, PROMPT, TOOLS } from "../support/talk.mjs";
import { WAYS } from "./client.mjs";

let house;

before(async () => (house = await start()));
after(() => house?.stop());

const SAID = `You said: ${PROMPT}`;
const finder = (name) =>
  tool(() => "found it", { name, description: name, schema: z.object({ text: z.string(), call: z.number().optional() }) });

// Whole, and as a stream whose pieces are put together as LangChain has it.
const ASKED = {
  whole: (model, input, options) => model.invoke(input, options),
  streamed: async (model, input, options) => {
    let sum;
    for await (const piece of await model.stream(input, options)) {
      sum = sum ? sum.concat(piece) : piece;
    }
    return sum;
  },
};

// One that has not failed yet: of one that has, it is known when to come again, and LangChain waits.
const providers = DIALECTS.values();

const raised = (promise) => promise.then(() => assert.fail("it answered"), (reason) => reason);

for (const [way, make] of Object.entries(WAYS)) {
  // Of a stream of Messages, LangChain takes the input from its beginning, where no other provider has counted it yet.
  const home = way === "ChatAnthropic" ? "anthropic_messages" : "gemini";

  describe(way, () => {
    for (const [how, ask] of Object.entries(ASKED)) {
      test(`${how}: text and its usage`, async () => {
        const answer = await ask(make(house, `${home}/plain`), PROMPT);
        assert.equal(answer.text, SAID);
        assert.equal(answer.usage_metadata.input_tokens, 4000);
        assert.equal(answer.usage_metadata.input_token_details.cache_read, 3000);
        assert.ok(answer.usage_metadata.output_tokens > 0);
      });

      test(`${how}: parallel calls`, async () => {
        const answer = await ask(make(house, "bedrock_converse/parallel").bindTools(TOOLS.map(finder)), PROMPT);
        assert.deepEqual(answer.tool_calls.map((call) => call.name), TOOLS);
        assert.deepEqual(answer.tool_calls.map((call) => call.args.text), [PROMPT, PROMPT, PROMPT]);
        assert.equal(new Set(answer.tool_calls.map((call) => call.id)).size, TOOLS.length);
      });

      test(`${how}: a turn goes on with what its tools found`, async () => {
        const model = make(house, "gemini/agent").bindTools([finder("look"), finder("ask")]);
        const first = await ask(model, [new HumanMessage(PROMPT)]);
        assert.deepEqual(first.tool_calls.map((call) => call.name), ["look", "ask"]);
        const found = first.tool_calls.map((call) => new ToolMessage({ tool_call_id: call.id, content: "found it" }));
        const second = await ask(model, [new HumanMessage(PROMPT), first, ...found]);
        assert.equal(second.text, "All is found.");
      });

      for (const fault of FAULTS) {
        test(`${how}: nothing is seen of ${fault} at the first target`, async () => {
          const answer = await ask(make(house, `despite_${fault}`, { maxRetries: 0 }), PROMPT);
          assert.equal(answer.text, SAID);
        });
      }

      for (const [status, what] of Object.entries({
        400: { model: "anthropic_messages/refused", name: "BadRequestError" },
        401: { model: "openai_chat/plain", apiKey: "sk-stranger", name: "AuthenticationError" },
        402: { model: "openai_chat/plain", apiKey: POOR, name: "APIError" },
        404: { model: "nobody-has-it", name: "NotFoundError" },
      })) {
        test(`${how}: ${status} is raised at once`, async () => {
          const { model, name, ...options } = what;
          const error = await raised(ask(make(house, model, options), PROMPT));
          assert.equal(error.constructor.name, name);
          assert.equal(error.status, Number(status));
        });
      }

      test(`${how}: what is aborted ends`, async () => {
        // With retries, ChatAnthropic would go on asking when nobody waits for it any more.
        const model = make(house, "openai_responses/hangs", { strict: true, maxRetries: 0 });
        const asked = ask(model, PROMPT, { signal: AbortSignal.timeout(100) });
        await assert.rejects(asked);
      });
    }

    test("429 is raised at once, and asked by the chain alone", async () => {
      const before = await house.count("limited");
      const model = make(house, `${providers.next().value}/limited`, { strict: true });
      const error = await raised(model.invoke(PROMPT));
      assert.equal(error.constructor.name, "RateLimitError");
      assert.equal(error.lc_error_code, "MODEL_RATE_LIMIT");
      assert.equal((await house.count("limited")) - before, Number(error.headers.get("x-route-attempts")));
    });

    // LangChain asks again whatever `x-should-retry` says, unless it is told not to.
    test("when everything fails, the providers see the chain once", async () => {
      const before = await house.count("gone");
      const error = await raised(make(house, "all_gone", { strict: true, maxRetries: 0 }).invoke(PROMPT));
      const attempts = Number(error.headers.get("x-route-attempts"));
      assert.equal(error.status, 503);
      assert.ok(attempts <= 2 + 1);
      assert.equal((await house.count("gone")) - before, attempts);
    });

    // LangChain passes over `response.failed`, so that such a stream ends without a word: there is no finish to be found either.
    test("a stream that breaks is no success", async () => {
      let text = "";
      let sum;
      const read = async () => {
        for await (const piece of await make(house, "openai_chat/breaks", { strict: true }).stream(PROMPT)) {
          text += piece.text;
          sum = sum ? sum.concat(piece) : piece;
        }
      };
      if (way === "ChatOpenAI by Responses") {
        await read();
        assert.notEqual(sum.response_metadata.status, "completed");
        assert.equal(sum.usage_metadata, undefined);
      } else {
        await assert.rejects(read);
      }
      assert.equal(text, "one two ");
    });

    test("an answer by a schema", async () => {
      const schema = z.object({ city: z.string(), rain: z.boolean() });
      const model = make(house, "openai_chat/json").withStructuredOutput(schema, { method: "jsonSchema" });
      assert.deepEqual(await model.invoke(PROMPT), { city: "Paris", rain: true });
    });
  });
}
