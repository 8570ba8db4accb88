// The examples of docs/clients.md, each run as it stands there, but for the address.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { KEY, start } from "./gateway.mjs";

const PAGE = readFileSync(new URL("../../../docs/clients.md", import.meta.url), "utf8");
const run = promisify(execFile);

// Those in a language that mention a package.
function examplesOf(language, name) {
  const all = [...PAGE.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].filter((block) => block[1] === language);
  return all.map((block) => block[2]).filter((code) => code.includes(name));
}

// Tests for the examples of `packages`, or of a program, which are run in the folder of the spec at `url`.
export function examples(url, language, packages) {
  const cwd = fileURLToPath(new URL(".", url));
  let house;
  before(async () => (house = await start()));
  after(() => house?.stop());

  for (const name of packages) {
    const found = examplesOf(language, name);
    test(`there are examples of ${name}`, () => assert.ok(found.length > 0));
    found.forEach((example, i) => {
      test(`example ${i + 1} of ${name}`, async () => {
        const code = example.replaceAll("http://127.0.0.1:4100", house.url);
        const [program, ...args] = language === "shell" ? ["sh", "-c"] : [process.execPath, "--input-type=module", "-e"];
        const { stdout } = await run(program, [...args, code], { cwd, env: { ...process.env, PERILUNE_API_KEY: KEY } });
        assert.match(stdout, /You said: Say hello\./);
      });
    });
  }
}
