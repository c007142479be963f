"""Role node_labels: what the nodes of a real API carry after the role ran."""

from typing import Any


def test_labels_and_taints_are_as_declared(nodes: dict[str, Any]) -> None:
    assert nodes["mol-server"]["labels"]["tier"] == "control"
    assert "gpu" not in nodes["mol-server"]["labels"]
    assert nodes["mol-gpu"]["labels"].items() >= {("gpu", "true"), ("pool", "a100")}
    assert "nvidia.com/gpu=present:NoSchedule" in nodes["mol-gpu"]["taints"]
    assert nodes["mol-server"]["taints"] == set()


def test_marks_of_others_stay(nodes: dict[str, Any]) -> None:
    assert nodes["mol-gpu"]["labels"]["by-hand"] == "yes"
    assert "by-hand=yes:PreferNoSchedule" in nodes["mol-gpu"]["taints"]
