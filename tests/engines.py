"""Both engines and the gateway as plain processes on loopback, with what is rendered for their pods."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.rackstart.cluster.plugins.module_utils import gateway, gateway_keys, inference, store, vllm

from lab.engine import build as engine
from lab.model import build as weights
from lab.model.revision import GGUF_FILE, GGUF_REPOSITORY, REPOSITORY, gguf_revision, revision
from lab.ollama import build as ollama
from tests import haproxy
from tests.loopback import free, program

POD: dict[str, Any] = {"inherited": {"PATH": os.environ["PATH"]}, "seconds": 600}  # nothing else of this machine is in a pod either
KEY, ENGINE_KEY = "rk-good", "rs-engine"
VLLM: dict[str, Any] = {
    "name": "tiny", "engine": "vllm", "served_name": "tiny", "replicas": 1, "gpus_per_replica": 1, "node_selector": {}, "dtype": "bfloat16",
    "context_length": 256, "startup_seconds": 120, "resources": {}, "golden_prompts": [], "extra_args": ["--enforce-eager"],
}  # fmt: skip
OLLAMA: dict[str, Any] = {
    "name": "tiny-gguf", "engine": "ollama", "served_name": "tiny-gguf", "replicas": 1, "gpus_per_replica": 0, "node_selector": {},
    "context_length": 256, "startup_seconds": 120, "resources": {}, "file": GGUF_FILE,
    "golden_prompts": [{"prompt": "Say hello.", "expect": "Hello from two replicas."}],
}  # fmt: skip


def ask(port: int, method: str, path: str, body: Any = None, key: str = "") -> tuple[int, Any]:
    """Status and JSON, or text."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    return status, json.loads(text) if text.startswith("{") else text


def container(model: dict[str, Any]) -> dict[str, Any]:
    images, claims = {"vllm": "", "ollama": ""}, {model["name"]: ""}
    settings: inference.Settings = {
        "images": images, "claims": claims, "read_only_root": True, "gpu_memory_utilization": 0.1, "shm_size": "1Gi", "key": "",
    }  # fmt: skip
    found: dict[str, Any] = inference.deployment(model, settings)["spec"]["template"]["spec"]["containers"][0]
    return found


@dataclass(frozen=True)
class Ollama:
    """A running server. place: what its pod has at /model; home: what it has at /cache."""

    port: int
    place: Path
    home: Path
    environment: dict[str, str]

    def probe(self, name: str, model: dict[str, Any] = OLLAMA) -> subprocess.CompletedProcess[str]:
        command = [part.replace("/model/", f"{self.place}/") for part in container(model)[name]["exec"]["command"]]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=120)


@contextlib.contextmanager
def ollama_server(folder: Path) -> Iterator[Ollama]:
    """Ollama as its pod starts it, with the lab's model as the store publishes it; nothing is loaded yet."""
    staged, shelf, port = folder / "staged", folder / "store", free()
    shelf.mkdir()
    shutil.copytree(weights.artifact() / GGUF_REPOSITORY / gguf_revision(), staged)
    store.publish(shelf, GGUF_REPOSITORY, gguf_revision(), staged, {path.name: store.digests(path)[0] for path in staged.iterdir()})
    declared = {entry["name"]: entry["value"] for entry in container(OLLAMA)["env"]}
    home = folder / "cache"
    home.mkdir()
    environment = declared | {
        "HOME": str(home), "OLLAMA_MODELS": str(home / "models"), "OLLAMA_HOST": f"127.0.0.1:{port}",
        "PATH": f"{ollama.artifact()}:{os.environ['PATH']}",
    }  # fmt: skip
    with program(folder / "log", ollama.artifact() / "ollama", *container(OLLAMA)["args"], **POD, **environment) as until:
        until(lambda: ask(port, "GET", container(OLLAMA)["livenessProbe"]["httpGet"]["path"])[0] == 200)
        yield Ollama(port, store.directory(shelf, GGUF_REPOSITORY, gguf_revision()), home, environment)


@contextlib.contextmanager
def vllm_server(folder: Path) -> Iterator[int]:
    """The port of vLLM with the same weights."""
    port = free()
    _, *arguments = [argument for argument in container(VLLM)["args"] if not argument.startswith("--port")]
    command = [engine.artifact() / "bin/vllm", "serve", weights.artifact() / REPOSITORY / revision(), *arguments]
    own = {"HOME": folder, "VLLM_CACHE_ROOT": folder / "cache", "XDG_CONFIG_HOME": folder, "VLLM_API_KEY": ENGINE_KEY}
    with program(folder / "log", *command, "--host=127.0.0.1", f"--port={port}", **POD, **vllm.environment(VLLM) | own) as until:
        until(lambda: ask(port, "GET", vllm.HEALTH)[0] == 200)
        yield port


@contextlib.contextmanager
def gateway_before(folder: Path, ports: dict[str, int]) -> Iterator[int]:
    """The port of HAProxy as the gateway before the models at these ports, once it has found them up."""
    port, health, keys = free(), free(), folder / "keys.map"
    keys.write_text(gateway_keys.line(gateway_keys.Key(hashlib.sha256(KEY.encode()).hexdigest(), "client")) + "\n")
    models = [
        {
            "name": model["name"],
            "served_name": model["served_name"],
            "health": inference.ENGINES[model["engine"]].HEALTH,
            "servers": [f"server r0 127.0.0.1:{ports[model['name']]}"],
        }
        for model in (VLLM, OLLAMA)
    ]
    settings: gateway.Settings = {
        "bind": f"127.0.0.1:{port}", "health": f"127.0.0.1:{health}", "runtime": f"ipv4@127.0.0.1:{free()}", "keys": str(keys),
        "body": 1 << 20, "connections": 64, "answer": 120,
    }  # fmt: skip
    (folder / "haproxy.cfg").write_text(gateway.configuration(models, settings))
    with program(folder / "log", *haproxy.command(folder / "haproxy.cfg"), **POD, ENGINE_KEY=ENGINE_KEY) as until:
        up = [f'haproxy_backend_active_servers{{proxy="{name}"}} 1' for name in ports]
        until(lambda: all(line in ask(health, "GET", "/metrics")[1] for line in up))
        yield port
