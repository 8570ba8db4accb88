// The SDK as every spec here uses it: its own retries, its own time-outs.
import Anthropic from "@anthropic-ai/sdk";

import { KEY } from "../support/gateway.mjs";

export function connect(house, options = {}) {
  return new Anthropic({ baseURL: house.url, apiKey: KEY, ...options });
}
