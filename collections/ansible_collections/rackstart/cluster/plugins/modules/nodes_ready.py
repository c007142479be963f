#!/usr/bin/python
"""Waits until nodes are ready."""

from __future__ import annotations

from ansible_collections.rackstart.cluster.plugins.module_utils import api, workloads
from ansible_collections.rackstart.cluster.plugins.module_utils import nodes as rules

DOCUMENTATION = """
module: nodes_ready
short_description: Waits until nodes are ready
description:
  - Waits until every given node is registered and Ready, and says of each that is not why.
author: The Rackstart authors
options:
  nodes:
    description: Names of the nodes.
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds for all of them together.
    type: int
    required: true
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
requirements:
  - kubernetes >= 24.2.0
attributes:
  check_mode:
    description: Looks once and never fails.
    support: full
"""

EXAMPLES = """
- name: Wait for the nodes
  rackstart.cluster.nodes_ready:
    nodes: [server-1, gpu-1]
    timeout: 180
"""

RETURN = """
not_ready:
  description: Name of each node that is not ready, with the reason.
  type: dict
  returned: always
"""


def look(cluster: api.Cluster, names: list[str]) -> dict[str, str]:
    """Nodes that are not ready, and why."""
    found = {node["metadata"]["name"]: node for node in cluster.list("v1", "Node")}
    return {name: text for name in names if (text := rules.not_ready(found.get(name)))}


def main() -> None:
    module = api.module({"nodes": {"type": "list", "elements": "str", "required": True}, "timeout": {"type": "int", "required": True}})
    names, budget = module.params["nodes"], 0 if module.check_mode else module.params["timeout"]
    seen: dict[str, str] = dict.fromkeys(names, "not looked at")

    def check() -> bool | None:
        nonlocal seen
        seen = look(cluster, names)
        return None if seen else True

    def explain() -> str:
        lines = [f"{name}: {text}" for name, text in seen.items()]
        return "\n".join([f"Not ready after {budget} s:", *lines, *workloads.warnings(cluster.list("v1", "Event"), set(seen))])

    try:
        cluster = api.Cluster(module)
        api.poll(check, budget, explain)
    except (api.ClusterError, *api.ERRORS) as error:
        if not module.check_mode:
            module.fail_json(msg=api.reason(error), not_ready=seen)
    module.exit_json(changed=False, not_ready=seen)


if __name__ == "__main__":
    main()
