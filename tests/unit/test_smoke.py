"""Proof that each GPU computes: which nodes need one, the pod that gives it, and what the pods of a node come to."""

from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import smoke, smoke_pod

Object = dict[str, Any]
HOST: smoke.Driven = {"boot": "boot-1", "driver": "580.1", "uuids": ["GPU-a", "GPU-b"]}
VALIDATOR = {
    "spec": {"runtimeClassName": "nvidia", "containers": [{"image": "nvcr.io/nvidia/gpu-operator:v1", "imagePullPolicy": "IfNotPresent"}]}
}
READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
UNREADY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}
CRASHING = UNREADY | {
    "containerStatuses": [{"name": "engine", "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
}


def node(gpus: int = 2, annotation: str | None = None) -> Object:
    annotations = {smoke.ANNOTATION: annotation} if annotation else None
    return {"metadata": {"name": "gpu-1", "annotations": annotations}, "status": {"allocatable": {"nvidia.com/gpu": str(gpus)}}}


def ours(name: str, uuid: str = "", phase: str = "Running", where: str = "gpu-1") -> Object:
    """A pod of ours; one that has said nothing is pending."""
    code = 1 if phase == "Failed" else 0
    said = [{"name": "proof", "state": {"terminated": {"exitCode": code, "message": f"{uuid}\n"}}}] if uuid else []
    status = (READY if phase == "Running" else {"phase": phase}) | {"initContainerStatuses": said}
    made = smoke_pod.pod(where, VALIDATOR, 60)
    return made | {"metadata": made["metadata"] | {"name": name}, "spec": made["spec"] | {"nodeName": where}, "status": status}


def user(status: Object = READY, gpus: int = 1, where: str = "gpu-1") -> Object:
    containers = [{"name": "engine", "resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}]
    return {"metadata": {"name": "llama-0", "namespace": "llm"}, "spec": {"nodeName": where, "containers": containers}, "status": status}


A, B = ours("a", "GPU-a"), ours("b", "GPU-b")
WAITING = ours("w", phase="Pending")
BROKEN = ours("b", "GPU-b", "Failed")


@pytest.mark.parametrize(
    ("change", "due"),
    [
        ({}, False),
        ({"uuids": ["GPU-b", "GPU-a"]}, False),
        ({"boot": "boot-2"}, True),
        ({"driver": "595.1"}, True),
        ({"uuids": ["GPU-a", "GPU-c"]}, True),
        ({"uuids": []}, False),
    ],
)
def test_a_proof_holds_for_one_boot_one_driver_and_the_same_gpus(change: Object, due: bool) -> None:
    found = [node(annotation=smoke.digest(HOST))]
    assert smoke.due(found, {"gpu-1": {**HOST, **change}}) == (["gpu-1"] if due else [])  # type: ignore[typeddict-item]


def test_a_node_without_an_annotation_or_not_there_yet_has_no_proof() -> None:
    assert smoke.due([node()], {"gpu-1": HOST}) == ["gpu-1"]
    assert smoke.due([], {"gpu-1": HOST}) == ["gpu-1"]


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        pytest.param([], {"lacking": 2, "proven": False}, id="nothing was started"),
        pytest.param([A], {"lacking": 1, "answers": ["GPU-a"]}, id="one GPU has no pod"),
        pytest.param([A, WAITING], {"pending": ["w"], "ended": False}, id="one has not said anything"),
        pytest.param([A, B], {"proven": True}, id="both compute"),
        pytest.param([A, BROKEN], {"failed": ["b"], "ended": True, "proven": False}, id="one does not compute"),
        pytest.param([A, BROKEN, WAITING], {"pending": [], "ended": True}, id="a pod that gets no GPU since one has failed"),
        pytest.param([A, ours("b", "GPU-b", where="gpu-2")], {"lacking": 1}, id="a pod of another node"),
        pytest.param([user(), B], {"users": ["llm/llama-0"], "proven": True}, id="one is in use"),
        pytest.param([user(where="gpu-2")], {"lacking": 2}, id="one of another node is in use"),
        pytest.param([user({"phase": "Succeeded"})], {"lacking": 2}, id="a pod that is done holds none"),
        pytest.param([user(gpus=2)], {"lacking": 0, "proven": True}, id="all are in use"),
        pytest.param([user(UNREADY), B], {"ended": True, "proven": False, "hopeless": False}, id="its user is not ready yet"),
        pytest.param([user(CRASHING), B], {"ended": True, "proven": False, "hopeless": True}, id="its user crashes"),
        pytest.param([user(), A, WAITING], {"pending": [], "proven": True}, id="a user came before our second pod"),
    ],
)
def test_how_far_a_node_is(every: list[Object], expected: Object) -> None:
    seen = smoke.state(node(), every, HOST)
    whole = seen._asdict() | {"proven": smoke.proven(seen), "ended": smoke.ended(seen)}
    names = {key: [pod["metadata"]["name"] for pod in whole[key]] for key in ("pending", "failed")}
    assert {key: (whole | names)[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("gpus", "every", "said"),
    [
        (2, [A, ours("b", "GPU-a")], "GPU-a was given to two pods"),
        (2, [A, ours("b", "GPU-z")], "'GPU-z', which the driver does not list"),
        (2, [A, ours("b")], "'', which the driver does not list"),
        (1, [A], "pods got 1 GPUs and other pods hold 0, the driver lists 2"),
    ],
)
def test_gpus_that_do_not_come_to_the_drivers(gpus: int, every: list[Object], said: str) -> None:
    seen = smoke.state(node(gpus), every, HOST)
    assert said in seen.wrong
    assert not smoke.proven(seen)


def test_a_failed_pod_names_its_gpu_and_why() -> None:
    assert smoke.reason(BROKEN) == "GPU GPU-b: exit code 1"
    refused = ours("c", phase="Failed")
    refused["status"] |= {"reason": "UnexpectedAdmissionError", "message": "Allocate failed"}
    assert smoke.reason(refused) == "GPU of pod c: UnexpectedAdmissionError Allocate failed"


def test_the_gpus_of_a_pod_are_counted_once() -> None:
    assert smoke.claimed(A) == 1
    assert smoke.claimed(user(gpus=3)) == 3
    assert smoke.claimed({"spec": {"containers": [{"name": "none"}]}}) == 0


def test_the_pod_is_let_onto_its_node_alone_and_ends_by_itself() -> None:
    spec = smoke_pod.pod("gpu-1", VALIDATOR, 60)["spec"]
    terms = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms == [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["gpu-1"]}]}]
    assert "nodeName" not in spec  # the scheduler has to count the GPU
    assert spec["activeDeadlineSeconds"] == 60
    assert {item["image"] for item in [*spec["initContainers"], *spec["containers"]]} == {"nvcr.io/nvidia/gpu-operator:v1"}


def test_what_a_probe_says_of_the_driver() -> None:
    probe = {"boot_id": "boot-1", "driver_version": "580.1", "nvidia_smi": {"gpus": [{"uuid": "GPU-a"}, {"uuid": "GPU-b"}]}}
    assert smoke.driven(probe) == HOST
