"""Role node_labels: marks that the inventory wants no more are gone, and only those."""

from typing import Any


def test_only_our_own_marks_are_removed(nodes: dict[str, Any]) -> None:
    assert "tier" not in nodes["mol-server"]["labels"]
    assert nodes["mol-gpu"]["labels"]["gpu"] == "true"
    assert "pool" not in nodes["mol-gpu"]["labels"]
    assert nodes["mol-gpu"]["labels"]["by-hand"] == "yes"
    assert nodes["mol-gpu"]["taints"] == {"by-hand=yes:PreferNoSchedule"}
