// A gateway and its mock for the SDKs' specs, set up by perilune.lua and mock.lua beside this file: started on free ports, ended by
// their own handles.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const binary = process.env.PERILUNE_BIN ?? fileURLToPath(new URL("../../../build/perilune", import.meta.url));
const beside = (name) => fileURLToPath(new URL(name, import.meta.url));

// All at once, so that no two are the same.
async function freePorts(n) {
  const servers = Array.from({ length: n }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

// Starts `perilune ARGS` and waits until `url` answers.
async function launch(args, dir, variables, url) {
  const env = { PATH: process.env.PATH, HOME: dir, ...variables };
  const child = spawn(binary, args, { cwd: dir, env, stdio: ["ignore", "pipe", "pipe"] });
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

// The keys of perilune.lua: one that may do all of it, one that has spent what it may, one that may ask once a minute, one that is told
// how often it may.
export const KEY = "sk-client";
export const POOR = "sk-poor";
export const HASTY = "sk-hasty";
export const PACED = "sk-paced";

export async function start() {
  const dir = mkdtempSync(join(tmpdir(), "perilune-spec-"));
  const [port, adminPort, mockPort] = await freePorts(3);
  const upstream = `http://127.0.0.1:${mockPort}`;
  const variables = {
    SPEC_LISTEN: `127.0.0.1:${port}`,
    SPEC_ADMIN: `127.0.0.1:${adminPort}`,
    SPEC_STATE: join(dir, "state"),
    SPEC_MOCK: upstream,
  };
  const children = [];
  const stop = async () => {
    for (const child of children.reverse()) {
      await end(child);
    }
    rmSync(dir, { recursive: true });
  };
  try {
    const mockArgs = ["mock", "--listen", `127.0.0.1:${mockPort}`, "--script", beside("mock.lua")];
    children.push(await launch(mockArgs, dir, {}, `${upstream}/_mock/stats`));
    const gatewayArgs = ["run", "-c", beside("perilune.lua")];
    children.push(await launch(gatewayArgs, dir, variables, `http://127.0.0.1:${port}/ready`));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url: `http://127.0.0.1:${port}`,
    // What reached the providers: the latest request, and how many named a model.
    async last() {
      return (await fetch(`${upstream}/_mock/last`)).json();
    },
    async count(model) {
      const stats = await (await fetch(`${upstream}/_mock/stats`)).json();
      return stats.by_model[model] ?? 0;
    },
    stop,
  };
}
