// A gateway and its mock for the SDKs' specs: started on free ports, ended by their own handle.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const binary = process.env.PERILUNE_BIN ?? fileURLToPath(new URL("../../../build/perilune", import.meta.url));

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

// Starts `perilune ARGS` and waits until `url` answers.
async function launch(args, dir, url) {
  const child = spawn(binary, args, { cwd: dir, env: { PATH: process.env.PATH, HOME: dir }, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (bytes) => (output += bytes));
  child.stderr.on("data", (bytes) => (output += bytes));
  for (;;) {
    if (child.exitCode !== null) {
      throw new Error(`perilune ${args[0]} ended while starting:\n${output}`);
    }
    const answer = await fetch(url).catch(() => null);
    if (answer?.ok) {
      return child;
    }
    await pause(5);
  }
}

async function end(child) {
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  await exited;
}

// `providers`: name -> path prefix of the mock that chooses a fault ("" for none).
export async function start(providers) {
  const dir = mkdtempSync(join(tmpdir(), "perilune-spec-"));
  const [port, adminPort, mockPort] = [await freePort(), await freePort(), await freePort()];
  const lines = Object.entries(providers).map(
    ([name, fault]) =>
      `["${name}"] = { like = "openai_compatible", base_url = "http://127.0.0.1:${mockPort}${fault}/v1", ` +
      `models = { "m" }, api_keys = { "sk-upstream" } },`,
  );
  writeFileSync(
    join(dir, "perilune.lua"),
    `return { listen = "127.0.0.1:${port}", admin = "127.0.0.1:${adminPort}", data_dir = "${dir}/state", ` +
      `providers = { ${lines.join(" ")} } }\n`,
  );
  const mock = await launch(["mock", "--listen", `127.0.0.1:${mockPort}`], dir, `http://127.0.0.1:${mockPort}/_mock/stats`);
  const gateway = await launch(["run"], dir, `http://127.0.0.1:${port}/ready`);
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      await end(gateway);
      await end(mock);
      rmSync(dir, { recursive: true });
    },
  };
}
