"""The verdict: a cluster as declared is green, and each thing that is not so closes its own gate and no other."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import gates

GPU = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
PATH = "/srv/models/acme/tiny/0123"
PROMPT = {"prompt": "2+2?", "expect": "4"}
MODEL = {"name": "tiny", "replicas": 2, "gpus_per_replica": 1, "node_selector": {}, "golden_prompts": [PROMPT]}
DECLARED: gates.Declared = {
    "hosts": ["s1", "g1", "g2"],
    "servers": ["s1"],
    "away": ["g9"],
    "marks": {
        "s1": {"labels": {}, "taints": []},
        "g1": {"labels": {"gpu": "true"}, "taints": [GPU]},
        "g2": {"labels": {"gpu": "true"}, "taints": [GPU]},
    },
    "gpus": {"g1": 2, "g2": 1},
    "models": [MODEL],
    "stores": {"tiny": PATH},
    "storage": "s1",
    "gateways": 2,
}


def probe(gpus: int) -> gates.Probe:
    return {"pci_gpus": [{}] * gpus, "nvidia_smi": {"rc": 0, "gpus": [{}] * gpus, "error": ""}, "store": {}}


def node(gpus: int = 0, voter: bool = False) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True"}, *([{"type": "EtcdIsVoter", "status": "True"}] if voter else [])]
    return {
        "metadata": {"labels": {"gpu": "true"} if gpus else {}, "annotations": {}},
        "spec": {"taints": [GPU] if gpus else []},
        "status": {"conditions": conditions, "allocatable": {"nvidia.com/gpu": str(gpus)}},
    }


def answer(pod: str, text: str = "4", problem: str = "") -> dict[str, Any]:
    asked = {"prompt": "2+2?", "expect": "4", "answer": text, "problem": problem, "late": ""}
    return {"model": "tiny", "pod": pod, "node": "g1", "prompts": [asked]}


def world() -> dict[str, Any]:
    """What is seen of a rack on which all is as declared."""
    probes: dict[str, Any] = {"s1": probe(0), "g1": probe(2), "g2": probe(1)}
    probes["s1"]["store"] = {PATH: {"manifest_sha256": "aa", "files": 3}}
    served = {
        "volume": {"spec": {"accessModes": ["ReadOnlyMany"]}},
        "claim": {"status": {"phase": "Bound"}},
        "mounts": [{"node": name, "manifest": "aa", "read_only": True, "problem": ""} for name in ("g1", "g2")],
        "declared": 2,
        "answers": [answer("tiny-1"), answer("tiny-2")],
        "endpoint": "",
    }
    nodes = {"s1": node(voter=True), "g1": node(2), "g2": node(1), "g9": node()}
    gateway = {"ready": 2, "keys": {"gateway-1": "", "gateway-2": ""}, "refusals": {"no key": "HTTP 401", "a wrong key": "HTTP 401"}}
    seen: dict[str, Any] = {"nodes": nodes, "policy": {"status": {"state": "ready"}}, "models": {"tiny": served}, "gateway": gateway}
    seen["metrics"] = {"problem": "", "jobs": {"checks": {"checks-1": "up"}, "kubelet": {"g1": "up", "g2": "up"}, "dcgm": {}}, "rules": []}
    return {"probes": probes, "seen": seen}


def closed(state: dict[str, Any]) -> set[tuple[str, str, str]]:
    """(id, target, stage) of every closed gate, each of which must say what to do."""
    found = [gate for gate in gates.judge(DECLARED, state["probes"], state["seen"], "") if not gate["ok"]]
    assert all(gate["remedy"] for gate in found)
    return {(gate["id"], gate["target"], gate["stage"]) for gate in found}


def test_all_as_declared_is_green() -> None:
    assert closed(world()) == set()
    state = world()
    assert {gate["id"] for gate in gates.judge(DECLARED, state["probes"], state["seen"], "")} == gates.GATES.keys()


def change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Sets what lies at the path (parts joined by /), or removes it when the value is ...; a part that is a number is an index."""

    def apply(state: dict[str, Any]) -> None:
        *way, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        for part in way:
            state = state[part]  # type: ignore[index]
        if value is ...:
            del state[last]  # type: ignore[arg-type]
        else:
            state[last] = value  # type: ignore[index]

    return apply


ALL_OF_A_HOST = {
    ("host.reachable", "g2", "preflight"),
    ("gpu.pci", "g2", "preflight"),
    ("gpu.driver", "g2", "driver"),
    ("gpu.allocatable", "g2", "gpu_operator"),
}
SERVED = "seen/models/tiny"


@pytest.mark.parametrize(
    ("case", "alter", "expected"),
    [
        ("a host is away", change("probes/g2", None), ALL_OF_A_HOST),
        ("a learner", change("seen/nodes/s1/status/conditions/1/status", "False"), {("etcd.voter", "s1", "control_plane")}),
        ("no word of etcd", change("seen/nodes/s1/status/conditions/1", ...), {("etcd.voter", "s1", "control_plane")}),
        ("a node is not ready", change("seen/nodes/g1/status/conditions/0/status", "Unknown"), {("node.ready", "g1", "nodes")}),
        ("a node too many", change("seen/nodes/x1", node()), {("node.set", "cluster", "nodes")}),
        (
            "a node is gone",
            change("seen/nodes/g2", ...),
            {
                ("node.ready", "g2", "nodes"),
                ("node.set", "cluster", "nodes"),
                ("node.labels", "g2", "labels"),
                ("node.taints", "g2", "labels"),
                ("gpu.allocatable", "g2", "gpu_operator"),
            },
        ),
        ("a label is gone", change("seen/nodes/g1/metadata/labels", {}), {("node.labels", "g1", "labels")}),
        ("a taint is gone", change("seen/nodes/g1/spec/taints", []), {("node.taints", "g1", "labels")}),
        (
            "an old label of ours",
            change("seen/nodes/s1/metadata", {"labels": {"gpu": "true"}, "annotations": {"rackstart.dev/owned-labels": '["gpu"]'}}),
            {("node.labels", "s1", "labels")},
        ),
        ("a label of others", change("seen/nodes/s1/metadata/labels/theirs", "1"), set()),
        (
            "a GPU fell off the bus, the rest believes in it",
            change("probes/g1/pci_gpus", [{}]),
            {("gpu.pci", "g1", "preflight"), ("gpu.driver", "g1", "driver")},
        ),
        (
            "the driver misses a GPU that the cluster offers",
            change("probes/g1/nvidia_smi/gpus", [{}]),
            {("gpu.driver", "g1", "driver"), ("gpu.allocatable", "g1", "gpu_operator")},
        ),
        ("the operator is not ready", change("seen/policy/status/state", "notReady"), {("gpu.operator", "cluster-policy", "gpu_operator")}),
        ("no operator", change("seen/policy", None), {("gpu.operator", "cluster-policy", "gpu_operator")}),
        ("a lost claim", change(f"{SERVED}/claim/status/phase", "Lost"), {("volume.bound", "tiny", "volumes")}),
        ("no claim", change(f"{SERVED}/claim", None), {("volume.bound", "tiny", "volumes")}),
        (
            "a volume for many writers",
            change(f"{SERVED}/volume/spec/accessModes", ["ReadWriteMany"]),
            {("volume.bound", "tiny", "volumes")},
        ),
        ("a pod could write", change(f"{SERVED}/mounts/0/read_only", False), {("volume.read_only", "tiny@g1", "volumes")}),
        ("another manifest in a pod", change(f"{SERVED}/mounts/1/manifest", "bb"), {("volume.manifest", "tiny@g2", "volumes")}),
        (
            "a node without the volume",
            change(f"{SERVED}/mounts/1", ...),
            {("volume.manifest", "tiny@g2", "volumes"), ("volume.read_only", "tiny@g2", "volumes")},
        ),
        (
            "nothing published",
            change("probes/s1/store", {PATH: None}),
            {("model.published", "tiny", "models"), ("volume.manifest", "tiny@g1", "volumes"), ("volume.manifest", "tiny@g2", "volumes")},
        ),
        ("scaled by hand", change(f"{SERVED}/declared", 1), {("replica.count", "tiny", "inference")}),
        ("no Deployment", change(f"{SERVED}/declared", None), {("replica.count", "tiny", "inference")}),
        ("a replica too few", change(f"{SERVED}/answers/1", ...), {("replica.count", "tiny", "inference")}),
        ("a wrong answer", change(f"{SERVED}/answers/0/prompts/0/problem", "'5'"), {("replica.answers", "tiny/tiny-1", "inference")}),
        (
            "a late answer",
            change(f"{SERVED}/answers/0/prompts/0/late", "answered after 9 s"),
            {("replica.answers", "tiny/tiny-1", "inference")},
        ),
        (
            "an error for an answer",
            change(f"{SERVED}/answers/1", answer("tiny-2", "", "HTTP 500")),
            {("replica.answers", "tiny/tiny-2", "inference")},
        ),
        ("a deaf endpoint", change(f"{SERVED}/endpoint", "ConnectionRefusedError"), {("endpoint.answers", "tiny", "gateway")}),
        ("a gateway too few", change("seen/gateway/ready", 1), {("gateway.replicas", "gateway", "gateway")}),
        ("a key of its own", change("seen/gateway/keys/gateway-2", "1 keys differ"), {("gateway.keys", "gateway-2", "gateway")}),
        ("no key is enough", change("seen/gateway/refusals/no key", "HTTP 200"), {("gateway.refuses", "no key", "gateway")}),
        ("a target is down", change("seen/metrics/jobs/kubelet/g2", "refused"), {("metrics.target", "kubelet/g2", "monitoring")}),
        ("a rule fails", change("seen/metrics/rules", ["A: boom"]), {("metrics.rules", "prometheus", "monitoring")}),
        ("no Prometheus", change("seen/metrics/problem", "no pod"), {("metrics.answers", "prometheus", "monitoring")}),
        ("another's Prometheus", change("seen/metrics", None), set()),
        ("no TLS", change("seen/gateway/refusals/a wrong key", "SSLError"), {("gateway.refuses", "a wrong key", "gateway")}),
    ],
)
def test_each_gate(case: str, alter: Callable[[dict[str, Any]], None], expected: set[tuple[str, str, str]]) -> None:
    state = copy.deepcopy(world())
    alter(state)
    assert closed(state) == expected, case


def test_a_prometheus_that_does_not_answer_is_not_judged_by_what_it_reads() -> None:
    state = world()
    state["seen"]["metrics"] = {"problem": "no pod", "jobs": {}, "rules": []}
    found = [gate["id"] for gate in gates.judge(DECLARED, state["probes"], state["seen"], "") if gate["id"].startswith("metrics.")]
    assert found == ["metrics.answers"]


def test_too_few_gpus_on_offer() -> None:
    state = world()
    state["seen"]["nodes"]["g1"]["status"]["allocatable"]["nvidia.com/gpu"] = "1"
    assert closed(state) == {("gpu.allocatable", "g1", "gpu_operator")}
    state["probes"]["g1"]["nvidia_smi"]["gpus"] = [{}]  # the cluster cannot offer what the driver does not list
    assert closed(state) == {("gpu.driver", "g1", "driver")}


def test_a_model_is_looked_for_only_on_the_nodes_it_may_run_on() -> None:
    declared = copy.deepcopy(DECLARED)
    declared["models"][0]["node_selector"] = {"pool": "a"}
    declared["marks"]["g2"]["labels"]["pool"] = "a"
    state = world()
    targets = {gate["target"] for gate in gates.judge(declared, state["probes"], state["seen"], "") if gate["id"] == "volume.manifest"}
    assert targets == {"tiny@g2"}


def test_a_model_without_gpus_is_looked_for_on_the_nodes_without_a_taint() -> None:
    declared = copy.deepcopy(DECLARED)
    declared["models"][0]["gpus_per_replica"] = 0
    state = world()
    targets = {gate["target"] for gate in gates.judge(declared, state["probes"], state["seen"], "") if gate["id"] == "volume.manifest"}
    assert targets == {"tiny@s1"}


def test_without_an_api_the_verdict_is_red_and_speaks_of_hosts_only() -> None:
    found = gates.judge(DECLARED, world()["probes"], None, "no server is ready")
    assert [gate["id"] for gate in found if not gate["ok"]] == ["api.ready"]
    assert not [gate for gate in found if gate["id"].startswith(("node.", "volume.", "replica."))]
