// The ways in which programs of LangChain come to the gateway: each gives a chat model, which asks for what was named and for nothing else
// if it is to be strict.
import { ChatAnthropic } from "@langchain/anthropic";
import { ChatOpenAI } from "@langchain/openai";

import { KEY } from "../support/gateway.mjs";

const headers = (strict) => (strict ? { "x-route-strict": "1" } : {});

const openai = (useResponsesApi) => (house, model, { strict, ...options } = {}) =>
  new ChatOpenAI({
    model,
    apiKey: KEY,
    configuration: { baseURL: `${house.url}/v1`, defaultHeaders: headers(strict) },
    useResponsesApi,
    ...options,
  });

export const WAYS = {
  ChatOpenAI: openai(false),
  "ChatOpenAI by Responses": openai(true),
  ChatAnthropic: (house, model, { strict, ...options } = {}) =>
    new ChatAnthropic({
      model,
      apiKey: KEY,
      anthropicApiUrl: house.url,
      clientOptions: { defaultHeaders: headers(strict) },
      maxTokens: 4000,
      ...options,
    }),
};
