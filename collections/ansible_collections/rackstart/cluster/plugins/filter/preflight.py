"""Filter that gathers what preflight judges of each host."""

from __future__ import annotations

import typing as t


def looks(hosts: list[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """From each host's variables: what the inventory declares, and what was seen or why nothing was."""
    found = []
    for host in hosts:
        look = host.get("rackstart_look") or {}
        found.append(
            {
                "probe": look.get("probe") or {},
                "reason": host.get("rackstart_refused") or (look.get("msg") if not look.get("probe") else "") or "",
                "address": host["ansible_host"],
                "port": int(host.get("ansible_port") or 22),
                "groups": list(host["group_names"]),
                "gpu_count": int(host.get("gpu_count") or 0),
                "gpu_memory_mib": int(host.get("gpu_memory_mib") or 0),
                "labels": dict(host["rackstart_node_labels"]),
                "taints": [dict(taint) for taint in host["rackstart_node_taints"]],
            }
        )
    return found


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"looks": looks}
