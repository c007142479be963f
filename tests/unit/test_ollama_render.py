"""What is rendered for a model that Ollama serves, and what its probe of readiness says of what is loaded."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import engines, inference, ollama, volumes

from tests.unit.test_inference_render import MODEL as OF_VLLM
from tests.unit.test_inference_render import SETTINGS as OTHERS

MODEL: dict[str, Any] = {key: value for key, value in OF_VLLM.items() if key != "dtype"} | {"engine": "ollama", "file": "tiny-q8_0.gguf"}
ON_CPU = MODEL | {"gpus_per_replica": 0, "node_selector": {}}
IMAGES = {"vllm": "docker.io/acme/vllm@sha256:aa", "ollama": "docker.io/acme/ollama@sha256:bb"}
SETTINGS: inference.Settings = {**OTHERS, "images": IMAGES}


def pod(model: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = inference.deployment(model, SETTINGS)["spec"]["template"]["spec"]
    return spec


def engine(model: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = pod(model)["containers"][0]
    return container


def test_without_gpus_nothing_asks_for_one() -> None:
    weights = volumes.objects([ON_CPU], "10.0.0.1", "/srv/models", [], "busybox")[-1]["spec"]["template"]["spec"]
    [pull] = [item["spec"]["template"]["spec"] for item in inference.foundation([ON_CPU], IMAGES) if item["kind"] == "DaemonSet"]
    for spec in (pod(ON_CPU), weights, pull):
        assert "runtimeClassName" not in spec
        assert (spec["nodeSelector"], spec["tolerations"]) == ({}, [])
        assert "nvidia" not in str(spec)
    assert engine(ON_CPU)["resources"]["limits"] == {"memory": "6Gi"}


def test_with_gpus_it_is_placed_as_vllm_is() -> None:
    mine, other = pod(MODEL), inference.deployment(OF_VLLM, SETTINGS)["spec"]["template"]["spec"]
    for field in ("nodeSelector", "tolerations", "runtimeClassName", "topologySpreadConstraints", "securityContext"):
        assert mine[field] == other[field]
    assert engine(MODEL)["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_clients_and_policies_see_no_difference() -> None:
    assert inference.service(MODEL) == inference.service(OF_VLLM)
    assert inference.disruption_budget(MODEL) == inference.disruption_budget(OF_VLLM)
    [port] = engine(MODEL)["ports"]
    assert {"name": "OLLAMA_HOST", "value": f"0.0.0.0:{port['containerPort']}"} in engine(MODEL)["env"]
    assert port["containerPort"] == inference.PORT


def test_budgets_hold_a_whole_start_and_a_whole_drain() -> None:
    spec, container = pod(MODEL), engine(MODEL)
    assert container["startupProbe"]["timeoutSeconds"] >= 2 * MODEL["startup_seconds"]
    assert spec["terminationGracePeriodSeconds"] > engines.PRESTOP + engines.DRAIN


def test_the_models_own_environment_comes_last() -> None:
    assert ollama.environment(MODEL | {"env": {"OLLAMA_NUM_PARALLEL": 4}})["OLLAMA_NUM_PARALLEL"] == "4"


def test_only_images_of_engines_that_are_used_are_pulled() -> None:
    def names(*models: dict[str, Any]) -> list[str]:
        return [item["metadata"]["name"] for item in inference.foundation(list(models), IMAGES) if item["kind"] == "DaemonSet"]

    assert names(OF_VLLM, OF_VLLM) == ["prepull-vllm"]
    assert names(OF_VLLM, MODEL, ON_CPU) == ["prepull-ollama-cpu", "prepull-ollama", "prepull-vllm"]


HEADER = "NAME           ID              SIZE      PROCESSOR    CONTEXT    UNTIL"


@pytest.mark.parametrize(
    ("processor", "on_gpu", "on_cpu"),
    [("100% GPU", 0, 0), ("100% CPU", 1, 0), ("48%/52% CPU/GPU", 1, 0), ("Unknown", 1, 0), (None, 1, 1)],
)
def test_what_is_not_all_on_the_gpu_is_not_ready(tmp_path: Path, processor: str | None, on_gpu: int, on_cpu: int) -> None:
    row = f"tiny:latest    4d605287c6fa    1.3 MB    {processor}     256        Forever" if processor else ""
    (tmp_path / "ollama").write_text(f"#!/bin/sh\nprintf '{HEADER.replace('%', '%%')}\\n{row.replace('%', '%%')}'\n")
    (tmp_path / "ollama").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "MODEL_NAME": "tiny", "OLLAMA_HOST": "0.0.0.0:1"}
    for model, code in ((MODEL, on_gpu), (ON_CPU, on_cpu)):
        done = subprocess.run(
            engine(model)["readinessProbe"]["exec"]["command"], env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode, bool(done.stdout)) == (code, bool(code)), done


class Engine(BaseHTTPRequestHandler):
    """Answers as Ollama does: JSON without spaces, and what a browser might take for markup escaped."""

    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][0]["content"]
        self.asked.append(question)
        status = int(question) if question in ("400", "404", "503") else 200
        choice = {"message": {"content": f"So: {question}"}, "finish_reason": "length" if question == "long" else "stop"}
        body = {"id": "chatcmpl-464", "choices": [choice]} if status == 200 else {"error": {"message": "no chat"}}
        answer = json.dumps(body, separators=(",", ":"))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(answer.replace("<", "\\u003c").replace("&", "\\u0026").encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Of a probe, beside an Ollama that has made its model."""
    (tmp_path / "ollama").write_text("#!/bin/sh\n")
    (tmp_path / "ollama").chmod(0o755)
    Engine.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {"PATH": f"{tmp_path}:{os.environ['PATH']}", "MODEL_NAME": "tiny", "OLLAMA_HOST": f"0.0.0.0:{server.server_port}"}
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("prompts", "limit", "said"),
    [
        ([("4", "4"), ('say "a<b & c"', '"a<b & c"'), ("one\ntwo", "one\ntwo"), ("$$x$ $(HOME)", "$$x$ $(HOME)")], None, ""),
        ([("4", "4")], 3600, ""),
        ([("4", "4"), ("5", "464")], None, "golden prompt: answered 'So: 5', not '464'"),
        ([("4", "4")], 1e-6, "golden prompt: answered after"),
        ([('"max_tokens": 7', "4")], None, "golden prompt: answered 'So: "),
        ([("long", "4")], None, "golden prompt: answered 'So: long', not '4'; cut off after 128 tokens: raise max_tokens\n"),
        ([("long", "long")], None, ""),
        ([("so" * 150, "4")], None, f"golden prompt: answered '{'so' * 100}', not '4'\n"),
        ([("400", "4")], None, 'golden prompt: HTTP 400: {"error":{"message":"no chat"}}\n'),
        ([("404", "4")], None, 'tiny does not answer: {"error":{"message":"no chat"}}\n'),
        ([("503", "4")], None, 'tiny does not answer: {"error":{"message":"no chat"}}\n'),
    ],
    ids=[
        "right",
        "in time",
        "only the answer counts",
        "late",
        "wrong",
        "cut off",
        "cut off after it",
        "only its end is told",
        "refused",
        "not made yet",
        "not yet",
    ],
)
def test_a_replica_asks_itself(environment: dict[str, str], prompts: list[tuple[str, str]], limit: float | None, said: str) -> None:
    golden = [{"prompt": prompt, "expect": expect} for prompt, expect in prompts]
    command = engine(MODEL | {"golden_prompts": golden, "golden_seconds": limit})["startupProbe"]["exec"]["command"]
    command = [part.replace("$$", "$") for part in command]  # as the kubelet does
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (bool(said), "")
    assert done.stdout.startswith(said)
    assert Engine.asked == [prompt for prompt, _ in prompts] * (2 if limit == 1e-6 else 1)


def test_a_replica_that_does_not_answer_is_not_up_yet(environment: dict[str, str]) -> None:
    command = engine(MODEL | {"golden_prompts": [{"prompt": "4", "expect": "4"}]})["startupProbe"]["exec"]["command"]
    done = subprocess.run(command, env=environment | {"OLLAMA_HOST": "0.0.0.0:1"}, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "golden prompt" not in done.stdout


def test_a_replica_stops_once_nobody_is_connected(tmp_path: Path) -> None:
    """Sleep tells of itself, and hangs up when it was called the fourth time."""
    listening = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listening.getsockname())
    served, _ = listening.accept()
    log = tmp_path / "log"
    (tmp_path / "sleep").write_text(
        f"#!/bin/sh\necho $1 >>{log}\n[ $(wc -l <{log}) != 4 ] || {{ touch {log}.4; while [ -e {log}.4 ]; do :; done; }}\n"
    )
    (tmp_path / "sleep").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "OLLAMA_HOST": f"0.0.0.0:{listening.getsockname()[1]}"}
    stopping = subprocess.Popen(engine(MODEL)["lifecycle"]["preStop"]["exec"]["command"], env=environment)
    while not (fourth := tmp_path / "log.4").exists():
        assert stopping.poll() is None
    for end in (client, served, listening):
        end.close()
    fourth.unlink()
    assert stopping.wait(30) == 0
    assert log.read_text().split() == [str(engines.PRESTOP), "1", "1", "1"]
