import { examples } from "../support/examples.mjs";

examples(import.meta.url, "js", ["@ai-sdk/openai-compatible", "@ai-sdk/anthropic", '@ai-sdk/openai"']);
