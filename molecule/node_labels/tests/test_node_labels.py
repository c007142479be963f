"""Role node_labels: what the nodes of a real API carry after the role ran."""

from collections.abc import Callable
from typing import Any


def test_labels_and_taints_are_as_declared(nodes: dict[str, Any]) -> None:
    assert nodes["mol-1"]["labels"]["tier"] == "control"
    assert "gpu" not in nodes["mol-1"]["labels"]
    assert nodes["mol-2"]["labels"].items() >= {("gpu", "true"), ("pool", "a100")}
    assert "nvidia.com/gpu=present:NoSchedule" in nodes["mol-2"]["taints"]
    assert nodes["mol-1"]["taints"] == set()


def test_marks_of_others_stay(nodes: dict[str, Any]) -> None:
    assert nodes["mol-2"]["labels"]["by-hand"] == "yes"
    assert "by-hand=yes:PreferNoSchedule" in nodes["mol-2"]["taints"]


def test_a_dry_run_finds_nothing_to_do(dry_run: Callable[[str], dict[str, int]]) -> None:
    assert dry_run("node_labels") == {"localhost": 0}
