import { examples } from "../support/examples.mjs";

examples(import.meta.url, "js", ['from "openai"']);
examples(import.meta.url, "shell", ["curl"]);
