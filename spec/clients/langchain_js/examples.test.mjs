import { examples } from "../support/examples.mjs";

examples(import.meta.url, "js", ["@langchain/openai", "@langchain/anthropic"]);
