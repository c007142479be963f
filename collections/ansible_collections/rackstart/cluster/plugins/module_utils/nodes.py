"""Labels and taints of nodes: which of them are ours, what a node should have, and what must never be done."""

from __future__ import annotations

import json
import typing as t

LABELS = "rackstart.dev/owned-labels"
TAINTS = "rackstart.dev/owned-taints"
_REPELS = ("NoSchedule", "NoExecute")

Node = dict[str, t.Any]
Taint = dict[str, str]
# Kubernetes' word for a node that was shut down: no DaemonSet counts it, and its pods are given up and started elsewhere.
SHUT_DOWN: Taint = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}


class Marks(t.TypedDict):
    """What the inventory wants a node to carry."""

    labels: dict[str, str]
    taints: list[Taint]


def taint_text(taint: Taint) -> str:
    """KEY=VALUE:EFFECT, as kubectl and k3s write a taint."""
    return f"{taint['key']}={taint.get('value') or ''}:{taint['effect']}"


def taint_id(taint: Taint) -> str:
    """What makes two taints the same one, whatever their value."""
    return f"{taint['key']}:{taint['effect']}"


def _remembered(node: Node, annotation: str) -> t.Any:
    """What an annotation says; None when somebody broke it."""
    try:
        return json.loads((node["metadata"].get("annotations") or {}).get(annotation, "[]"))
    except ValueError:
        return None


def _owned(node: Node, annotation: str) -> list[str]:
    """The keys that an annotation lists; one that was broken by hand owns nothing."""
    keys = _remembered(node, annotation)
    return [str(key) for key in keys] if isinstance(keys, list) else []


def owned_labels(node: Node, want: Marks) -> dict[str, str]:
    """Labels of the node that are ours: set by us before, or wanted now."""
    keys = {*_owned(node, LABELS), *want["labels"]}
    return {key: value for key, value in (node["metadata"].get("labels") or {}).items() if key in keys}


def owned_taints(node: Node, want: Marks) -> list[Taint]:
    """Taints of the node that are ours: set by us before, or wanted now."""
    ids = {*_owned(node, TAINTS), *map(taint_id, want["taints"])}
    return [taint for taint in node["spec"].get("taints") or [] if taint_id(taint) in ids]


def patch(node: Node, want: Marks) -> dict[str, t.Any]:
    """JSON merge patch that makes the node carry what is wanted; empty when it does. Labels and taints of others stay."""
    meta = node["metadata"]
    labels: dict[str, str | None] = dict.fromkeys(owned_labels(node, want).keys() - want["labels"].keys())
    labels |= {key: value for key, value in want["labels"].items() if (meta.get("labels") or {}).get(key) != value}
    remembered = {LABELS: sorted(want["labels"]), TAINTS: sorted(map(taint_id, want["taints"]))}
    annotations = {key: json.dumps(keys) for key, keys in remembered.items() if keys != _remembered(node, key)}
    have = owned_taints(node, want)
    result: dict[str, t.Any] = {}
    if labels:
        result.setdefault("metadata", {})["labels"] = labels
    if annotations:
        result.setdefault("metadata", {})["annotations"] = annotations
    if sorted(map(taint_text, have)) != sorted(map(taint_text, want["taints"])):
        foreign = [taint for taint in node["spec"].get("taints") or [] if taint not in have]
        result["spec"] = {"taints": foreign + want["taints"]}
    return result


def _ready(node: Node) -> dict[str, str]:
    """Its condition Ready; empty when it has none."""
    conditions = (node.get("status") or {}).get("conditions") or []
    return next((condition for condition in conditions if condition["type"] == "Ready"), {})


def away(node: Node) -> Marks:
    """What a node whose host is out of service carries: what we gave it before, and SHUT_DOWN once nobody hears of it.

    Never on one that reports, Ready or not, whose pods may run: kubernetes.io, "Non-graceful node shutdown handling".
    """
    nothing = Marks(labels={}, taints=[])
    taints = [taint for taint in owned_taints(node, nothing) if taint["key"] != SHUT_DOWN["key"]]
    return {"labels": owned_labels(node, nothing), "taints": [*taints, SHUT_DOWN] if _ready(node).get("status") == "Unknown" else taints}


def last_schedulable(nodes: list[Node], wants: dict[str, Marks]) -> list[str]:
    """Names of the nodes that may take pods without tolerations once every node carries what is wanted.

    Conditions that the cluster itself puts on a node that is down do not count: they pass.
    """
    names = []
    for node in nodes:
        name = node["metadata"]["name"]
        ours = owned_taints(node, wants[name]) if name in wants else []
        taints = [
            taint for taint in node["spec"].get("taints") or [] if taint not in ours and not taint["key"].startswith("node.kubernetes.io/")
        ]
        taints += wants[name]["taints"] if name in wants else []
        if not any(taint["effect"] in _REPELS for taint in taints):
            names.append(name)
    return names


def not_ready(node: Node | None) -> str:
    """Why a node is not Ready, or nothing when it is."""
    if node is None:
        return "is not registered; a node that was deleted comes back when k3s or k3s-agent is restarted on its host"
    ready = _ready(node)
    if not ready:
        return "has not reported yet"
    return "" if ready["status"] == "True" else f"{ready.get('reason')}: {ready.get('message')}"


def allocatable(node: Node, resource: str = "nvidia.com/gpu") -> int:
    """How many GPUs pods can ask for on the node."""
    return int(((node.get("status") or {}).get("allocatable") or {}).get(resource, 0))
