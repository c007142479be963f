"""What is rendered for a model that Ollama serves, and what its probe of readiness says of what is loaded."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

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
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] >= engines.PRESTOP + engines.DRAIN
    assert spec["terminationGracePeriodSeconds"] > container["lifecycle"]["preStop"]["sleep"]["seconds"]


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
