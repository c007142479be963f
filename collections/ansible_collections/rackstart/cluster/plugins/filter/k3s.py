"""Filters of the k3s roles; the rules are in module_utils/k3s.py."""

from __future__ import annotations

import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import artifacts, k3s


def k3s_join(
    own: dict[str, t.Any], mode: str, name: str, servers: dict[str, str], asked: list[dict[str, t.Any]], dry: bool = False
) -> dict[str, t.Any]:
    """How a host gets into the cluster: {"config", "via", "problem"}, problem being empty when it may.

    own: result of rackstart.cluster.k3s_state for this host; servers: name -> address.
    asked: results of the same module looped over the other servers' names. An agent asks none: what answers on the network is enough.
    """
    found = {result["item"]: result for result in asked if "ready" in result}
    seen: list[k3s.Server] = [
        {
            "name": server,
            "address": address,
            "reachable": server in found,
            "datadir": bool(found.get(server, {}).get("datadir")),
            "ready": bool(found.get(server, {}).get("ready")) if mode == "server" else server in own["answering"],
        }
        for server, address in servers.items()
    ]
    try:
        k3s.refuse_other(name, mode, own["other"])
        return k3s.join(mode, name, bool(own["datadir"]), own["config"], seen, dry) | {"problem": ""}
    except k3s.JoinError as error:
        return {"config": {}, "via": "", "problem": str(error)}


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {
            "k3s_config_problems": k3s.config_problems,
            "k3s_environment": k3s.environment,
            "k3s_join": k3s_join,
            "k3s_registries": k3s.registries,
            "k3s_registry_auth_problem": artifacts.login_problem,
        }
