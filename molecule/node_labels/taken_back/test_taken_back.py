"""Role node_labels: marks that the inventory wants no more are gone, and only those."""

from typing import Any


def test_only_our_own_marks_are_removed(nodes: dict[str, Any]) -> None:
    assert "tier" not in nodes["mol-1"]["labels"]
    assert nodes["mol-2"]["labels"]["gpu"] == "true"
    assert "pool" not in nodes["mol-2"]["labels"]
    assert nodes["mol-2"]["labels"]["by-hand"] == "yes"
    assert nodes["mol-2"]["taints"] == {"by-hand=yes:PreferNoSchedule"}
