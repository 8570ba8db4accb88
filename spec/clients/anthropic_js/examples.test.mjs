import { examples } from "../support/examples.mjs";

examples(import.meta.url, "js", ["@anthropic-ai/sdk"]);
