"""Filters on labels and taints."""

from __future__ import annotations

import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import nodes


def node_marks(hosts: list[t.Mapping[str, t.Any]]) -> list[nodes.Marks]:
    """What each host's node shall carry, from the host's variables."""
    return [
        {"labels": dict(host["rackstart_node_labels"]), "taints": [dict(taint) for taint in host["rackstart_node_taints"]]}
        for host in hosts
    ]


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"node_marks": node_marks, "taint_text": nodes.taint_text}
