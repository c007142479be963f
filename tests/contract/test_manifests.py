"""Kubernetes takes every manifest that is rendered for the models of the inventories, and the engine takes its arguments."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import (
    gateway_objects,
    inference,
    monitoring,
    operator,
    pods,
    smoke_pod,
    vllm,
    volumes,
)
from kubernetes_schema import problems

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "collections/ansible_collections/rackstart/cluster/plugins"
IMAGE = "docker.io/acme/image:v1@sha256:" + "0" * 64
IMAGES = {"vllm": IMAGE, "ollama": IMAGE}
DECLARED = {
    f"{inventory.name}-{model['name']}": model
    for inventory in sorted((ROOT / "inventories").iterdir())
    for model in yaml.safe_load((inventory / "group_vars/all/models.yml").read_text())["models"]
}
OLLAMA = DECLARED["site-llama-3-8b"] | {"engine": "ollama", "file": "llama-q4.gguf"}
EVERY = DECLARED | {"ollama": OLLAMA, "ollama-cpu": OLLAMA | {"gpus_per_replica": 0, "node_selector": {}}}
MODELS = [pytest.param(model, id=name) for name, model in EVERY.items()]
ON_VLLM = [pytest.param(model, id=name) for name, model in EVERY.items() if model["engine"] == "vllm"]


def manifests(model: dict[str, Any]) -> list[dict[str, Any]]:
    settings: inference.Settings = {
        "images": IMAGES,
        "claims": volumes.claims([model], "10.0.0.1", "/srv/models"),
        "read_only_root": True,
        "gpu_memory_utilization": 0.92,
        "shm_size": "4Gi",
        "key": pods.mark("key"),
    }
    gateway: gateway_objects.Settings = {
        "image": IMAGE, "replicas": 2, "service_type": "LoadBalancer", "annotations": {"a/b": "c"}, "node_port": 30443, "body_mib": 4,
        "connections": 512, "answer": 600, "marks": ["tls", "key"],
    }  # fmt: skip
    watched: monitoring.Settings = {
        "image": IMAGE, "checks_image": IMAGE, "claims": settings["claims"], "script": "", "rules": {}, "dashboards": {}, "storage_gib": 20,
        "storage_class": "fast", "retention": "15d", "alertmanagers": [], "labels": {}, "operator_namespace": "monitoring",
        "nodes_away": [],
    }  # fmt: skip
    return [
        *volumes.objects([model], "10.0.0.1", "/srv/models", ["ro"], IMAGE),
        *inference.foundation([model], IMAGES),
        *inference.objects([model]),
        *inference.deployments([model], settings),
        pods.secret({"key": "text"}, "engine-key", "inference"),
        *gateway_objects.objects([model], gateway),
        *monitoring.objects([model], watched, operator=False),
        operator.namespace(),
        smoke_pod.pod("gpu-1", {"spec": {"containers": [{"image": IMAGE}]}}, 60),
    ]


@pytest.mark.parametrize("model", MODELS)
def test_kubernetes_knows_every_field(model: dict[str, Any]) -> None:
    for manifest in manifests(model):
        assert problems(manifest) == [], manifest["kind"]


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("spec", "replica"), 1, ".spec.replica: unknown"),
        (("spec", "replicas"), "2", ".spec.replicas: '2' is not int"),
        (("spec", "selector"), ..., ".spec.selector: missing"),
        (("spec", "template", "spec", "containers"), {}, ".spec.template.spec.containers: not a list"),
    ],
)
def test_the_check_sees_what_is_wrong(path: tuple[str, ...], value: Any, problem: str) -> None:
    manifest = next(item for item in manifests(MODELS[0].values[0]) if item["kind"] == "Deployment")
    part = manifest
    for name in path[:-1]:
        part = part[name]
    if value is ...:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    assert problem in problems(manifest)


@pytest.mark.parametrize("model", MODELS)
def test_pods_fit_the_restricted_profile(model: dict[str, Any]) -> None:
    """Pod Security Standards, profile restricted: the namespace enforces it, so a pod that breaks it would never start."""
    for manifest in manifests(model):
        pod = manifest.get("spec", {}).get("template", {}).get("spec")
        if not pod:
            continue
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is (manifest["metadata"]["name"] == "prometheus")  # which asks the API for its targets
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert all(volume.keys() & {"persistentVolumeClaim", "emptyDir", "configMap", "secret"} for volume in pod["volumes"])
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert re.search(r"@sha256:[0-9a-f]{64}$", container["image"])


@pytest.mark.parametrize("model", ON_VLLM)
def test_the_pinned_engine_takes_every_argument(model: dict[str, Any]) -> None:
    known = json.loads((PLUGINS / "module_utils/vllm_0_32_0.json").read_text())["arguments"]
    flags = {flag: argument for argument in known for flag in argument["flags"]}
    model_path, *arguments = vllm.arguments(model)
    assert model_path == "/model"
    for text in arguments:
        flag, equals, value = text.partition("=")
        assert flag in flags, text
        assert bool(equals) == flags[flag]["takes_value"], text
        assert not flags[flag]["choices"] or value in flags[flag]["choices"], text
