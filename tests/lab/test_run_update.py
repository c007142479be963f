"""An update with every GPU taken. It comes last: what it changes stays, as the lab goes down after it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import CoreV1Api

from tests.lab.drive import MODEL, Finished, api, edit, one_gpu

pytestmark = pytest.mark.lab

GPU_HOSTS = ["gpu-1", "gpu-2"]


def replicas() -> dict[str, str]:
    """Pod -> node of the model's replicas."""
    ours = f"app.kubernetes.io/name={MODEL['name']},app.kubernetes.io/component=inference"
    pods = CoreV1Api(api()).list_namespaced_pod("llm", label_selector=ours, field_selector="status.phase=Running").items
    return {pod.metadata.name: pod.spec.node_name for pod in pods if not pod.metadata.deletion_timestamp}


def one_gpu_each(content: dict[str, Any]) -> None:
    for host in content["all"]["children"]["gpu"]["hosts"].values():
        host["gpu_count"] = 1


def test_an_update_completes_with_one_gpu_per_host(cluster: str, bootstrap: Callable[..., Finished], inventory: Path) -> None:
    edit(inventory / "hosts.yml", one_gpu_each)
    edit(inventory / "group_vars/all/models.yml", lambda content: content["models"][0].update(env={"UPDATED": "true"}))
    before = replicas()
    with one_gpu(*GPU_HOSTS):
        update = bootstrap("--inventory", str(inventory), "--only", "inference", "--only", "verify", "--json")
        after = replicas()
    assert update.code == 0, update
    assert update.json["verdict"]["green"]
    assert sorted(after.values()) == GPU_HOSTS
    assert after.keys().isdisjoint(before)
