// The SDK as every spec here uses it: its own retries, its own time-outs; the last answer's headers are kept, because the stream helpers
// do not show them.
import OpenAI from "openai";

import { KEY } from "../support/gateway.mjs";

export function connect(house, options = {}) {
  const kept = {};
  const client = new OpenAI({
    baseURL: `${house.url}/v1`,
    apiKey: KEY,
    fetch: async (...args) => {
      const response = await fetch(...args);
      kept.headers = response.headers;
      return response;
    },
    ...options,
  });
  return { client, kept };
}
