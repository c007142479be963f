"""Filters of the k3s roles; the rules are in module_utils/k3s.py."""

from __future__ import annotations

import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import k3s


def k3s_join(asked: list[dict[str, t.Any]], mode: str, name: str, own: dict[str, t.Any], dry: bool = False) -> dict[str, t.Any]:
    """How a host gets into the cluster: {"config", "via", "problem"}, problem being empty when it may.

    asked: results of rackstart.cluster.k3s_state looped over dict2items(name -> address); own: the result for this host.
    """
    servers: list[k3s.Server] = [
        {
            "name": result["item"]["key"],
            "address": result["item"]["value"],
            "reachable": "ready" in result,
            "datadir": bool(result.get("datadir")),
            "ready": bool(result.get("ready")),
        }
        for result in asked
    ]
    try:
        return k3s.join(mode, name, bool(own["datadir"]), own["config"], servers, dry) | {"problem": ""}
    except k3s.JoinError as error:
        return {"config": {}, "via": "", "problem": str(error)}


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {
            "k3s_config_problems": k3s.config_problems,
            "k3s_environment": k3s.environment,
            "k3s_join": k3s_join,
            "k3s_registries": k3s.registries,
        }
