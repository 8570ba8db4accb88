// The ways in which programs of the AI SDK come to the gateway: each gives a function from a model's name to the SDK's model.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";

import { KEY } from "../support/gateway.mjs";

const MAKERS = {
  "openai.chat": (options) => createOpenAI(options).chat,
  "openai.responses": (options) => createOpenAI(options).responses,
  compatible: (options) =>
    createOpenAICompatible({ name: "perilune", includeUsage: true, supportsStructuredOutputs: true, ...options }),
  anthropic: createAnthropic,
};

export const WAYS = Object.keys(MAKERS);

export function connect(house, way, options = {}) {
  return MAKERS[way]({ baseURL: `${house.url}/v1`, apiKey: KEY, ...options });
}
