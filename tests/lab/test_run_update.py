"""Updates of a rack in service: of the engine with every GPU taken, of the driver. They come last: what they change stays."""

from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import CoreV1Api, DiscoveryV1Api

from tests.lab.clients import CLIENTS, load
from tests.lab.conftest import LONGEST
from tests.lab.drive import MODEL, Finished, Running, api, edit, on, one_gpu

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


@pytest.mark.serving  # for its length
def test_an_update_with_every_gpu_in_use_and_its_rollback_lose_no_request(
    key: str, bootstrap: Callable[..., Finished], inventory: Path, record_property: Any
) -> None:
    edit(inventory / "hosts.yml", one_gpu_each)
    edit(inventory / "group_vars/all/models.yml", lambda content: content["models"][0].update(env={"UPDATED": "true"}))
    before = replicas()
    with one_gpu(*GPU_HOSTS), load(key) as results:
        update = bootstrap("--inventory", str(inventory), "--only", "inference", "--only", "verify", "--json")
        after, updated = replicas(), len(results)
        assert update.code == 0, update
        rollback = bootstrap("--inventory", str(inventory), "model", "rollback", MODEL["name"])
        back = replicas()
    assert rollback.code == 0, rollback
    assert update.json["verdict"]["green"]
    assert sorted(after.values()) == sorted(back.values()) == GPU_HOSTS
    assert len({*before, *after, *back}) == 3 * len(GPU_HOSTS)
    assert len(results) - updated > CLIENTS < updated
    record_property("requests", len(results))
    assert [result for result in results if result] == []


def cordoned() -> frozenset[str]:
    return frozenset(node.metadata.name for node in CoreV1Api(api()).list_node().items if node.spec.unschedulable)


def answering() -> int:
    """How many replicas the model's Service has ready."""
    slices = DiscoveryV1Api(api()).list_namespaced_endpoint_slice("llm", label_selector=f"kubernetes.io/service-name={MODEL['name']}").items
    return sum(bool(endpoint.conditions.ready) for found in slices for endpoint in found.endpoints or [])


def driver(host: str) -> set[str]:
    return set(on(host, "nvidia-smi --query-gpu=driver_version --format=csv,noheader").split())


@pytest.mark.chaos  # for its length
def test_a_driver_is_replaced_on_one_drained_node_after_the_other(
    cluster: str, bootstrap: Callable[..., Finished], start: Callable[..., Running], inventory: Path
) -> None:
    edit(inventory / "group_vars/all/gpu.yml", lambda content: content.update(gpu_driver_version="595.91.07-1"))
    assert [driver(host) for host in GPU_HOSTS] == [{"580.173.02"}] * 2
    drained, left = [cordoned()], [answering()]

    def look() -> bool:
        drained.append(cordoned())
        left.append(answering())
        return False

    only = [word for stage in ("driver", "gpu_operator", "verify") for word in ("--only", stage)]
    dry = bootstrap("--inventory", str(inventory), "--only", "driver", "check", "--json")
    assert cordoned() == set()
    update = start("--inventory", str(inventory), *only, "--json").wait(LONGEST, until=look)
    assert update is not None
    assert update.code == 0, update
    assert update.json["verdict"]["green"]
    moved = {("driver", task, host) for task in ("Cordon the node", "Drain the node", "Give the node back") for host in GPU_HOSTS}
    assert moved <= dry.changes
    assert moved <= update.changes
    assert [nodes for nodes, _ in groupby(filter(None, drained))] == [{"gpu-1"}, {"gpu-2"}]
    assert cordoned() == set()
    assert min(left) >= 1
    assert [driver(host) for host in GPU_HOSTS] == [{"595.91.07"}] * 2
