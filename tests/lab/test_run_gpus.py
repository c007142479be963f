"""GPUs: each of the three sources that count them has a gate of its own, and a dead device plugin is named."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from kubernetes.client import CoreV1Api, CustomObjectsApi

from tests.lab.drive import SECOND_GPU, Finished, api, offered, on, one_gpu, until

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("cluster")]

Bootstrap = Callable[..., Finished]
Fault = Callable[[], AbstractContextManager[None]]


@contextmanager
def unlisted() -> Iterator[None]:
    """The driver of gpu-1 has lost a GPU that is on the bus."""
    folder = "/etc/nvidia-stand-in"
    on("gpu-1", f"mkdir {folder}; echo missing {SECOND_GPU} >{folder}/fault")
    try:
        offered("gpu-1", 1)
        yield
    finally:
        on("gpu-1", f"rm -r {folder}")
        offered("gpu-1", 2)


@contextmanager
def unoffered() -> Iterator[None]:
    """No device plugin runs on gpu-1, by the label with which the operator lets people keep it off a node."""
    core, label = CoreV1Api(api()), "nvidia.com/gpu.deploy.device-plugin"
    core.patch_node("gpu-1", {"metadata": {"labels": {label: "false"}}})
    try:
        offered("gpu-1", 0)
        yield
    finally:
        core.patch_node("gpu-1", {"metadata": {"labels": {label: "true"}}})
        offered("gpu-1", 2)


@pytest.mark.parametrize(
    ("gate", "fault"),
    [("gpu.pci", lambda: one_gpu("gpu-1")), ("gpu.driver", unlisted), ("gpu.allocatable", unoffered)],
    ids=["bus", "driver", "cluster"],
)
def test_a_wrong_source_closes_its_own_gate_and_no_other(bootstrap: Bootstrap, gate: str, fault: Fault) -> None:
    with fault():
        verify = bootstrap("--inventory", "lab", "verify", "--json")
    assert verify.code == 4, verify
    closed = [(found["id"], found["target"]) for found in verify.json["verdict"]["gates"] if not found["ok"]]
    assert closed == [(gate, "gpu-1")]


def policy() -> str:
    """State of the operator's ClusterPolicy."""
    found = CustomObjectsApi(api()).get_cluster_custom_object("nvidia.com", "v1", "clusterpolicies", "cluster-policy")
    return str(found["status"]["state"])


def test_a_dead_device_plugin_is_the_reason_that_the_stage_gives(bootstrap: Bootstrap, inventory: Path) -> None:
    socket = "/var/lib/kubelet/device-plugins/kubelet.sock"
    # Without the socket that it registers at, it does not come back.
    on("gpu-1", f"mv {socket} {socket}.away; pkill --signal KILL --full '^[^ ]*gpu-operator device-plugin$'")
    try:
        until(lambda: policy() == "notReady", "the ClusterPolicy is notReady")
        failed = bootstrap("--inventory", str(inventory), "--only", "gpu_operator", "-e", "gpu_operator_timeout=5", "--json")
    finally:
        on("gpu-1", f"mv {socket}.away {socket}")
    assert failed.code == 1, failed
    for words in ("ClusterPolicy cluster-policy is notReady", "nvidia-device-plugin-daemonset: 1 of 2 pods ready", " on gpu-1"):
        assert words in failed.reasons
    assert failed.changes == set()

    again = bootstrap("--inventory", str(inventory), "--only", "gpu_operator", "--only", "verify", "--json")
    assert (again.code, again.changes) == (0, set()), again
