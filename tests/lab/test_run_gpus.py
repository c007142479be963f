"""GPUs: each of the three sources that count them has a gate of its own, a dead device plugin is named, and a GPU must compute."""

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


PROOF = "rackstart.dev/gpu-smoke"


def free_gpu() -> tuple[str, int]:
    """A GPU host with GPUs that no pod holds, and how many it has."""
    counts = dict.fromkeys(("gpu-1", "gpu-2"), 2)
    for pod in CoreV1Api(api()).list_pod_for_all_namespaces(field_selector="status.phase!=Succeeded,status.phase!=Failed").items:
        if pod.spec.node_name in counts:
            limits = [(container.resources.limits or {}).get("nvidia.com/gpu", "0") for container in pod.spec.containers]
            counts[pod.spec.node_name] -= sum(map(int, limits))
    return max(counts.items(), key=lambda item: item[1])


def proof(node: str) -> str | None:
    return (CoreV1Api(api()).read_node(node).metadata.annotations or {}).get(PROOF)


def smoke_pods() -> list[str]:
    found = CoreV1Api(api()).list_namespaced_pod("gpu-operator", label_selector="app.kubernetes.io/name=gpu-smoke").items
    return [pod.metadata.name for pod in found]


def test_a_gpu_that_does_not_compute_is_named_although_the_driver_lists_it(bootstrap: Bootstrap, inventory: Path) -> None:
    only = ("--inventory", str(inventory), "--only", "gpu_operator")
    node, free = free_gpu()
    assert free > 0
    before = proof(node)
    assert before
    folder = "/etc/nvidia-stand-in"
    on(node, f"mkdir {folder}; echo uvm >{folder}/fault")
    try:
        listed = on(node, "nvidia-smi --query-gpu=uuid --format=csv,noheader").split()
        CoreV1Api(api()).patch_node(node, {"metadata": {"annotations": {PROOF: None}}})
        failed = bootstrap(*only, "--json")
        left, kept = smoke_pods(), proof(node)
    finally:
        on(node, f"rm -r {folder}")
    assert failed.code == 1, failed
    assert f"Node {node}: not every GPU computes" in failed.reasons
    assert len([uuid for uuid in listed if f"GPU {uuid}: exit code 1" in failed.reasons]) == free
    for words in ("error code unknown error", "nvidia-modprobe -u -c 0", f"/dev/nvidia-uvm` on {node}"):
        assert words in failed.reasons
    assert failed.changes == set()
    assert (left, kept) == ([], None)

    dry = bootstrap(*only, "check", "--json")
    proven = bootstrap(*only, "--json")
    assert proven.code == 0, proven
    assert [(stage, host) for stage, _, host in proven.changes] == [("gpu_operator", "localhost")]
    assert dry.changes == proven.changes
    assert (smoke_pods(), proof(node)) == ([], before)

    again = bootstrap(*only, "--json")
    assert (again.code, again.changes) == (0, set()), again
