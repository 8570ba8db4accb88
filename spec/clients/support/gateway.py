"""A gateway and its mock for the SDKs' specs, set up by perilune.lua and mock.lua beside this file: started on free ports, ended by
their own handles."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
BINARY = os.environ.get("PERILUNE_BIN", HERE.parents[2] / "build" / "perilune")
# The keys of perilune.lua: one that may do all of it, one that has spent what it may, one that may ask once a minute, one that is told how
# often it may.
KEY = "sk-client"
POOR = "sk-poor"
HASTY = "sk-hasty"
PACED = "sk-paced"

# Straight to this machine, whatever proxies the environment names.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _free_ports(n):
    """All at once, so that no two are the same."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def _get(url):
    with _opener.open(url) as answer:
        return answer.read()


def _launch(args, folder, variables, url):
    """Starts `perilune ARGS` and waits until `url` answers."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **variables}
    with open(folder / f"{args[0]}.log", "wb") as log:
        child = subprocess.Popen([BINARY, *args], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    while True:
        if child.poll() is not None:
            raise RuntimeError(f"perilune {args[0]} ended while starting:\n{Path(log.name).read_text()}")
        try:
            _get(url)
            return child
        except urllib.error.URLError:
            time.sleep(0.005)


class House:
    """One gateway at `url`, with its mock."""

    def __init__(self):
        self._folder = Path(tempfile.mkdtemp(prefix="perilune-spec-"))
        port, admin, mock = _free_ports(3)
        self.url = f"http://127.0.0.1:{port}"
        self._upstream = f"http://127.0.0.1:{mock}"
        variables = {
            "SPEC_LISTEN": f"127.0.0.1:{port}",
            "SPEC_ADMIN": f"127.0.0.1:{admin}",
            "SPEC_STATE": str(self._folder / "state"),
            "SPEC_MOCK": self._upstream,
        }
        mock_args = ["mock", "--listen", f"127.0.0.1:{mock}", "--script", str(HERE / "mock.lua")]
        gateway_args = ["run", "-c", str(HERE / "perilune.lua")]
        self._children = []
        try:
            self._children.append(_launch(mock_args, self._folder, {}, f"{self._upstream}/_mock/stats"))
            self._children.append(_launch(gateway_args, self._folder, variables, f"{self.url}/ready"))
        except BaseException:
            self.stop()
            raise

    def last(self):
        """The latest request that reached a provider."""
        return json.loads(_get(f"{self._upstream}/_mock/last"))

    def count(self, model):
        """How many requests that reached providers named that model."""
        return json.loads(_get(f"{self._upstream}/_mock/stats"))["by_model"].get(model, 0)

    def stop(self):
        for child in reversed(self._children):
            child.terminate()
            child.wait()
        shutil.rmtree(self._folder)
