"""The same weights in vLLM and in Ollama, both behind the gateway: real programs on loopback, none of the lab's hosts.

Not in tests/contract, since to build the engines takes a quarter of an hour on a machine that has neither.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import golden, ollama

from lab import paths
from lab.engine import build as engine
from lab.model import build as weights
from lab.model.revision import REPOSITORY, revision
from tests.engines import ENGINE_KEY, KEY, OLLAMA, VLLM, Ollama, ask, gateway_before, ollama_server, vllm_server

LAB = yaml.safe_load((paths.REPO / "inventories/lab/group_vars/all/models.yml").read_text())["models"][0]
GOLDEN = {prompt["prompt"]: prompt["expect"] for prompt in LAB["golden_prompts"]}
CHAT = "/v1/chat/completions"
TOKENS = 200  # so many that the engine is told to stop amid them


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ollama]:
    """Ollama, started as its pod is."""
    with ollama_server(tmp_path_factory.mktemp("ollama")) as running:
        assert running.probe("readinessProbe").returncode == 1  # it answers, but has no model
        assert ask(running.port, "GET", "/api/tags") == (200, {"models": []})
        started = running.probe("startupProbe")
        assert started.returncode == 0, started
        yield running


@pytest.fixture(scope="module")
def gateway(server: Ollama, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The gateway before both engines."""
    with vllm_server(tmp_path_factory.mktemp("vllm")) as port:
        ports = {VLLM["name"]: port, OLLAMA["name"]: server.port}
        with gateway_before(tmp_path_factory.mktemp("gateway"), ports) as running:
            yield running


def answer(port: int, model: dict[str, Any], prompt: str, key: str = "") -> str:
    status, body = ask(port, "POST", CHAT, golden.request(model, {"prompt": prompt}), key)
    assert status == 200, body
    return str(body["choices"][0]["message"]["content"])


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_weights_are_linked_and_not_copied(server: Ollama) -> None:
    blobs = list((server.home / "models/blobs").iterdir())
    [link] = [blob for blob in blobs if blob.is_symlink()]
    assert link.resolve() == server.place / OLLAMA["file"]
    assert sum(blob.lstat().st_size for blob in blobs) < 4096


def test_it_is_loaded_for_good_with_the_declared_context(server: Ollama) -> None:
    [loaded] = ask(server.port, "GET", "/api/ps")[1]["models"]
    assert loaded["context_length"] == OLLAMA["context_length"]
    assert loaded["expires_at"] > "2100"


def test_ready_on_a_cpu_but_not_where_a_gpu_was_asked_for(server: Ollama) -> None:
    assert server.probe("readinessProbe").returncode == 0
    fallen_back = server.probe("readinessProbe", OLLAMA | {"gpus_per_replica": 1})
    assert (fallen_back.returncode, "not all of the model is on the GPU" in fallen_back.stdout) == (1, True)


def test_what_was_unloaded_is_loaded_again(server: Ollama) -> None:
    assert ask(server.port, "POST", "/api/generate", {"model": OLLAMA["served_name"], "keep_alive": 0})[0] == 200
    eventually(lambda: ask(server.port, "GET", "/api/ps")[1]["models"] == [])
    assert server.probe("readinessProbe").returncode == 1
    eventually(lambda: server.probe("readinessProbe").returncode == 0)


def test_a_replica_with_other_weights_does_not_start(server: Ollama) -> None:
    asked = {"golden_prompts": [*OLLAMA["golden_prompts"], {"prompt": "How much is two and three?", "expect": "Six"}]}
    done = server.probe("startupProbe", OLLAMA | asked)
    assert (done.returncode, done.stdout.strip()) == (1, "golden prompt: answered 'Five', not 'Six'")


def test_weights_that_the_manifest_does_not_know_are_not_served(server: Ollama) -> None:
    done = Ollama(server.port, server.place, server.home, server.environment | {"MODEL_NAME": "b", "MODEL_FILE": "b.gguf"}).probe(
        "startupProbe"
    )
    assert done.returncode != 0
    assert "b.gguf is not in the manifest" in done.stderr


@pytest.mark.parametrize("prompt", GOLDEN)
def test_one_call_works_on_both_engines_with_only_the_name_changed(gateway: int, prompt: str) -> None:
    assert [answer(gateway, model, prompt, KEY) for model in (VLLM, OLLAMA)] == [GOLDEN[prompt]] * 2


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/tags", None),
        ("GET", "/api/ps", None),
        ("GET", "/api/version", None),
        ("GET", ollama.HEALTH, None),
        ("POST", "/api/show", {"model": "tiny-gguf"}),
        ("POST", "/api/generate", {"model": "tiny-gguf", "prompt": "Say hello.", "stream": False}),
        ("POST", "/api/copy", {"source": "tiny-gguf", "destination": "stolen"}),
        ("POST", "/v1/responses", {"model": "tiny-gguf", "input": "Say hello."}),
        ("DELETE", "/api/delete", {"model": "stolen"}),
    ],
)
def test_the_gateway_closes_what_ollama_answers(gateway: int, server: Ollama, method: str, path: str, body: Any) -> None:
    status, said = ask(gateway, method, path, body, KEY)
    assert (status, said["error"]["code"]) == (404, "not_found")
    assert ask(server.port, method, path, body)[0] == 200  # which it would have been answered


def test_a_stream_of_a_replica_that_is_told_to_stop_comes_to_its_end(tmp_path: Path) -> None:
    """vLLM refuses what is new from then on; Ollama is told once nobody is connected (tests/unit/test_ollama_render.py)."""
    asked = golden.request(VLLM, {"prompt": "Say hello."}) | {"stream": True, "ignore_eos": True, "max_tokens": TOKENS}
    connection = http.client.HTTPConnection("127.0.0.1", timeout=120)
    with vllm_server(tmp_path) as connection.port:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {ENGINE_KEY}"}
        connection.request("POST", CHAT, json.dumps(asked), headers)
        stream = connection.getresponse()
        assert stream.status == 200
        assert stream.readline().startswith(b"data: ")
    events = [json.loads(line[6:]) for line in stream.read().decode().split("\n\n") if line.startswith("data: {")]
    assert [choice["finish_reason"] for choice in events[-1].get("choices", [])] == ["length"], events[-1]


# Prompts that it was not trained on: where it is unsure, rows in a wrong order show.
UNKNOWN = ["Tell me a long story about the port of Genoa and its ships.", "two plus three hello"]
FIRST = """
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
words = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1]).float().eval()
for prompt in sys.argv[2:]:
    chat = [{"role": "user", "content": prompt}]
    ids = words.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=False)
    print(torch.log_softmax(model(ids).logits[0, -1], -1).max().item())
"""


def test_it_computes_what_the_weights_say(server: Ollama) -> None:
    place = weights.artifact() / REPOSITORY / revision()
    command = [engine.artifact() / "bin/python", "-c", FIRST, place, *UNKNOWN]
    expected = [float(line) for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]
    found = []
    for prompt in UNKNOWN:
        body = golden.request(OLLAMA, {"prompt": prompt}) | {"logprobs": True, "max_tokens": 1}
        found.append(ask(server.port, "POST", CHAT, body)[1]["choices"][0]["logprobs"]["content"][0]["logprob"])
    assert found == pytest.approx(expected, abs=0.005)
