"""What measurements share: the request they send, and the processes they start, each on its core and ended by its id."""
import glob
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

BODY = json.dumps({"model": "bench/mock-small", "messages": [
    {"role": "system", "content": "You are a helpful assistant. Answer in one sentence."},
    {"role": "user", "content": "What does a router for language models do, and why would one want it?"}]})
POLICY = 'return function(req, fleet)\n  return fleet:able():cheapest():take(2)\nend\n'
KEY = "pl-bench-1f0c6a5be2d94c7f8a3b"
HEADERS = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
# What a request is charged to: nothing at all, or a key and its project with limits and caps that are never reached, recorded twice.
LIMITS = "rpm = 100000000, tpm = 1000000000, concurrent = 100000, daily_usd = 1000000, monthly_usd = 10000000"
ACCOUNTS = {
    "bare": "ledger = false,",
    "full": f"""
  client_keys = {{ {{ secret = "{KEY}", id = "bench", project = "bench", {LIMITS} }} }},
  projects = {{ bench = {{ {LIMITS} }} }}, account = {{ daily_usd = 1000000, monthly_usd = 10000000 }},
  access_log = "access.jsonl",""",
}
BEHIND = {"ledger", "lines"}  # threads that no answer waits for: they fold the ledger, and write the access log


ASKED = "What does a router for language models do, and why would one want it?"
# Clients by their dialect: the path, and the members of a small request.
CLIENTS = {
    "openai_chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": ASKED}]}),
    "openai_responses": ("/v1/responses", {"input": ASKED}),
    "anthropic_messages": ("/v1/messages", {"max_tokens": 500, "messages": [{"role": "user", "content": ASKED}]}),
}
# Providers by the dialect they are spoken to in: whom they are like, and the path of their base URL.
SPOKEN = {
    "openai_chat": ("openai_compatible", "/v1"), "openai_responses": ("openai_compatible", "/v1"),
    "anthropic_messages": ("anthropic", "/v1"), "gemini": ("google", "/v1beta"), "bedrock_converse": ("bedrock", ""),
}
EVENTS = 64  # of content, in each streamed answer of theirs


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A process under test or beside it; ended by its own id."""

    def __init__(self, name, argv, port, core, env=None, cwd=None):
        self.name, self.port = name, port
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(["taskset", "-c", str(core)] + argv, stdout=self.log, stderr=self.log,
                                        env={**os.environ, **(env or {})}, cwd=cwd)
        self.wait()

    def wait(self):
        until = time.time() + 120
        while time.time() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.02)
        self.log.seek(0)
        raise SystemExit(f"{self.name} did not start:\n{self.log.read().decode(errors='replace')}")

    def cpu_seconds(self):
        """Processor time of the process and its children."""
        ticks = 0
        pids = [self.process.pid]
        while pids:
            pid = pids.pop()
            try:
                fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12])
                pids += map(int, open(f"/proc/{pid}/task/{pid}/children").read().split())
            except OSError:
                pass
        return ticks / os.sysconf("SC_CLK_TCK")

    def behind_seconds(self):
        """Processor time of its threads that no answer waits for."""
        ticks = 0
        for stat in glob.glob(f"/proc/{self.process.pid}/task/*/stat"):
            name, fields = open(stat).read().split("(", 1)[1].rsplit(")", 1)
            if name in BEHIND:
                ticks += sum(map(int, fields.split()[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def settle(self):
        """Returns when those threads have nothing left to do: whoever is measured next has the core alone."""
        before, until = -1, time.time() + 120
        while before != self.behind_seconds() and time.time() < until:
            before = self.behind_seconds()
            time.sleep(0.5)

    def rss_mb(self):
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{self.process.pid}/status").read()).group(1)) / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()


def start_mock(binary):
    port = free_port()
    return Server("mock", [binary, "mock", "--listen", f"127.0.0.1:{port}", "--workers", "1"], port, 1)


def start_nginx(mock, folder):
    port = free_port()
    conf = os.path.join(folder, "nginx.conf")
    with open(conf, "w") as f:
        f.write(f"""
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; tcp_nodelay on;
  upstream mock {{ server 127.0.0.1:{mock.port}; keepalive 512; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}
}}""")
    return Server("nginx", ["nginx", "-c", conf, "-p", folder], port, 0)


def start_perilune(binary, mock, folder, accounts="full", before=()):
    """`accounts`: of ACCOUNTS; `before`: what stands in front of the command, as a profiler does."""
    port = free_port()
    folder = os.path.join(folder, accounts)
    os.makedirs(os.path.join(folder, "policies"))
    with open(os.path.join(folder, "policies", "bench.lua"), "w") as f:
        f.write(POLICY)
    config = os.path.join(folder, "perilune.lua")
    with open(config, "w") as f:
        f.write(f"""
return {{
  listen = "127.0.0.1:{port}", admin = "127.0.0.1:{free_port()}", workers = 1, data_dir = "{folder}/state",
  policies = {{ default = "bench" }},
  providers = {{ bench = {{ like = "mock", base_url = "http://127.0.0.1:{mock.port}/v1" }} }},{ACCOUNTS[accounts]}
}}""")
    return Server(accounts, [*before, binary, "run", "-c", config, "--log", "warn"], port, 0, cwd=folder)


def start_translating(binary, mock, folder):
    """The gateway with a provider for each dialect, all of them the one mock."""
    port = free_port()
    config = os.path.join(folder, "translating.lua")
    providers = "".join(
        f"""
    {spoken} = {{ like = "{like}", dialect = "{spoken}", api_keys = {{ "sk-bench" }}, models = {{ "m" }},
      base_url = "http://127.0.0.1:{mock.port}/~events={EVENTS};bytes=6{path}" }},""" for spoken, (like, path) in SPOKEN.items())
    with open(config, "w") as f:
        f.write(f"""
return {{
  listen = "127.0.0.1:{port}", admin = "127.0.0.1:{free_port()}", workers = 1, data_dir = "{folder}/translating", ledger = false,
  providers = {{{providers}
  }},
}}""")
    return Server("translating", [binary, "run", "-c", config, "--log", "warn"], port, 0, cwd=folder)
