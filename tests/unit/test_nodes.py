"""Labels and taints: what is ours, what is changed, what is left alone, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import nodes

GPU = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
OTHER = {"key": "other", "value": "x", "effect": "NoSchedule"}


def node(
    labels: dict[str, str] | None = None, taints: list[dict[str, str]] | None = None, owned: Any = None, owned_taints: Any = None
) -> nodes.Node:
    annotations = {}
    if owned is not None:
        annotations[nodes.LABELS] = owned if isinstance(owned, str) else json.dumps(owned)
    if owned_taints is not None:
        annotations[nodes.TAINTS] = json.dumps(owned_taints)
    return {"metadata": {"name": "n1", "labels": labels or {}, "annotations": annotations}, "spec": {"taints": taints} if taints else {}}


def want(labels: dict[str, str] | None = None, taints: list[dict[str, str]] | None = None) -> nodes.Marks:
    return {"labels": labels or {}, "taints": taints or []}


@pytest.mark.parametrize(
    ("case", "before", "wanted", "labels", "taints"),
    [
        ("nothing wanted, nothing done", node({"a": "b"}), want(), None, None),
        ("all there", node({"gpu": "true"}, [GPU], ["gpu"], ["nvidia.com/gpu:NoSchedule"]), want({"gpu": "true"}, [GPU]), None, None),
        ("set by hand to something else", node({"gpu": "no"}, owned=["gpu"]), want({"gpu": "true"}), {"gpu": "true"}, None),
        ("deleted by hand", node(owned=["gpu"]), want({"gpu": "true"}), {"gpu": "true"}, None),
        ("not wanted any more", node({"old": "1", "gpu": "true"}, owned=["gpu", "old"]), want({"gpu": "true"}), {"old": None}, None),
        ("of somebody else", node({"theirs": "1"}, owned=[]), want({"gpu": "true"}), {"gpu": "true"}, None),
        ("the annotation is broken", node({"gpu": "true", "old": "1"}, owned="{"), want({"gpu": "true"}), None, None),
        ("a taint beside another's", node(taints=[OTHER]), want(taints=[GPU]), None, [OTHER, GPU]),
        ("a taint with another value", node(taints=[GPU | {"value": "x"}, OTHER]), want(taints=[GPU]), None, [OTHER, GPU]),
        ("a taint taken back", node(taints=[GPU, OTHER], owned_taints=["nvidia.com/gpu:NoSchedule"]), want(), None, [OTHER]),
        ("another effect of the same key is another taint", node(taints=[GPU | {"effect": "NoExecute"}]), want(), None, None),
    ],
)
def test_patch(case: str, before: nodes.Node, wanted: nodes.Marks, labels: Any, taints: Any) -> None:
    patch = nodes.patch(before, wanted)
    assert patch.get("metadata", {}).get("labels") == labels, case
    assert patch.get("spec", {}).get("taints") == taints, case


def test_what_is_ours_is_remembered_and_the_second_patch_is_empty() -> None:
    wanted = want({"gpu": "true"}, [GPU])
    patch = nodes.patch(node(), wanted)
    assert patch["metadata"]["annotations"] == {nodes.LABELS: '["gpu"]', nodes.TAINTS: '["nvidia.com/gpu:NoSchedule"]'}
    after = node({"gpu": "true"}, [GPU])
    after["metadata"]["annotations"] = patch["metadata"]["annotations"]
    assert nodes.patch(after, wanted) == {}
    after["metadata"]["annotations"] = {}
    assert nodes.patch(after, wanted) == {"metadata": {"annotations": patch["metadata"]["annotations"]}}


READY, ILL, DOWN = ({"conditions": [{"type": "Ready", "status": status}]} for status in ("True", "False", "Unknown"))
CLUSTERS = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}


@pytest.mark.parametrize(
    ("case", "taints", "status", "after"),
    [
        ("still up", [GPU, OTHER], READY, [GPU, OTHER]),
        ("not Ready, and says so itself", [GPU, OTHER], ILL, [GPU, OTHER]),
        ("has never reported", [GPU], {}, [GPU]),
        ("down", [GPU, OTHER, CLUSTERS], DOWN, [OTHER, CLUSTERS, GPU, nodes.SHUT_DOWN]),
        ("down for long", [GPU, nodes.SHUT_DOWN], DOWN, [GPU, nodes.SHUT_DOWN]),
        ("up again, and not yet to be used", [GPU, nodes.SHUT_DOWN], READY, [GPU]),
    ],
)
def test_a_node_that_is_away_keeps_its_marks_and_is_given_up_while_it_is_down(
    case: str, taints: list[dict[str, str]], status: dict[str, Any], after: list[dict[str, str]]
) -> None:
    owned = [nodes.taint_id(taint) for taint in taints if taint in (GPU, nodes.SHUT_DOWN)]
    before = node({"gpu": "true", "theirs": "1"}, taints, ["gpu"], owned) | {"status": status}
    patch = nodes.patch(before, nodes.away(before))
    assert patch.get("metadata", {}).get("labels") is None
    assert patch.get("spec", {}).get("taints", taints) == after, case


def test_a_node_that_is_back_loses_the_taint_of_its_absence() -> None:
    back = node({"gpu": "true"}, [GPU, nodes.SHUT_DOWN], ["gpu"], [nodes.taint_id(GPU), nodes.taint_id(nodes.SHUT_DOWN)])
    assert nodes.patch(back, want({"gpu": "true"}, [GPU]))["spec"] == {"taints": [GPU]}


@pytest.mark.parametrize(
    ("case", "taints", "wants", "left"),
    [
        ("tainted by us", [], {"n1": want(taints=[GPU])}, []),
        ("no longer tainted by us", [GPU], {"n1": want()}, ["n1"]),
        ("tainted by somebody else", [OTHER], {"n1": want()}, []),
        ("down for now", [{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}], {"n1": want()}, ["n1"]),
        ("preferred only", [{"key": "x", "effect": "PreferNoSchedule"}], {"n1": want()}, ["n1"]),
        ("not of this inventory", [], {}, ["n1"]),
    ],
)
def test_the_last_schedulable_node_is_known(
    case: str, taints: list[dict[str, str]], wants: dict[str, nodes.Marks], left: list[str]
) -> None:
    owned = ["nvidia.com/gpu:NoSchedule"]
    assert nodes.last_schedulable([node(taints=taints, owned_taints=owned)], wants) == left, case


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (None, "has not reported yet"),
        ([{"type": "Ready", "status": "True"}], ""),
        (
            [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped"}],
            "NodeStatusUnknown: Kubelet stopped",
        ),
    ],
)
def test_why_a_node_is_not_ready(conditions: Any, expected: str) -> None:
    assert nodes.not_ready({"status": {"conditions": conditions}}) == expected


def test_a_node_that_is_not_there() -> None:
    assert "is not registered; " in nodes.not_ready(None)
