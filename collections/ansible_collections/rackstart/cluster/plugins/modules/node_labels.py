#!/usr/bin/python
"""Labels and taints of nodes as the inventory wants them."""

from __future__ import annotations

import copy

import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import api
from ansible_collections.rackstart.cluster.plugins.module_utils import nodes as rules

DOCUMENTATION = """
module: node_labels
short_description: Labels and taints of nodes as the inventory wants them
description:
  - Sets labels and taints on nodes and remembers in two annotations which ones it set. Only those are changed or removed later;
    labels and taints of anybody else stay.
  - Refuses taints that would leave no node for pods without tolerations.
  - Gives a node that is away and reports no more Kubernetes' taint node.kubernetes.io/out-of-service, and takes it back afterwards.
author: The Rackstart authors
options:
  nodes:
    description: "What each node shall carry: name of the node to a dictionary of labels and a list of taints (key, value, effect)."
    type: dict
    required: true
  away:
    description: Nodes whose hosts are out of service. Those that are no node of the cluster are passed over.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
requirements:
  - kubernetes >= 24.2.0
attributes:
  check_mode:
    description: Says what would change.
    support: full
  diff_mode:
    description: Shows labels and taints before and after.
    support: full
"""

EXAMPLES = """
- name: Mark the GPU node
  rackstart.cluster.node_labels:
    nodes:
      gpu-1:
        labels: {gpu: "true"}
        taints: [{key: nvidia.com/gpu, value: present, effect: NoSchedule}]
    away: [gpu-2]
"""

RETURN = """
changes:
  description: Node/NAME of every node that was changed.
  type: list
  elements: str
  returned: success
"""


def view(node: api.Object, want: rules.Marks) -> dict:
    """What a diff shows of a node."""
    annotations = node["metadata"].get("annotations") or {}
    return {
        "labels": rules.owned_labels(node, want),
        "taints": sorted(map(rules.taint_text, rules.owned_taints(node, want))),
        "remembered": [annotations.get(key, "") for key in (rules.LABELS, rules.TAINTS)],
    }


def merged(node: api.Object, patch: dict) -> api.Object:
    """The node as it would be with the patch, as far as the rules look at it."""
    after = copy.deepcopy(node)
    for part, changes in patch.get("metadata", {}).items():
        values = (after["metadata"].get(part) or {}) | changes
        after["metadata"][part] = {key: value for key, value in values.items() if value is not None}
    after["spec"] |= patch.get("spec", {})
    return after


def main() -> None:
    module = api.module(
        {"nodes": {"type": "dict", "required": True}, "away": {"type": "list", "elements": "str", "default": []}},
    )
    declared: dict[str, rules.Marks] = module.params["nodes"]
    try:
        cluster = api.Cluster(module)
        resource = cluster.resource("v1", "Node")
        before, after = {}, {}
        for _attempt in range(5):  # somebody else may write a node between our look and our patch
            found = {node["metadata"]["name"]: node for node in cluster.list("v1", "Node")}
            missing = sorted(declared.keys() - found.keys())
            if missing:
                module.fail_json(msg=f"{', '.join(missing)} is not a node of the cluster. Run the stage nodes first.")
            wants = declared | {name: rules.away(found[name]) for name in module.params["away"] if name in found}
            patches = {name: patch for name, want in wants.items() if (patch := rules.patch(found[name], want))}
            if any("spec" in patch for patch in patches.values()) and not rules.last_schedulable(list(found.values()), declared):
                module.fail_json(
                    msg="These taints would leave no node for pods without tolerations, such as the cluster's DNS. "
                    "Set gpu_taint: false in group_vars/all/gpu.yml, or add a host that is not tainted."
                )
            try:
                for name, patch in patches.items():
                    before[name], after[name] = view(found[name], wants[name]), view(merged(found[name], patch), wants[name])
                    body = copy.deepcopy(patch)
                    body.setdefault("metadata", {})["resourceVersion"] = found[name]["metadata"]["resourceVersion"]
                    if not module.check_mode:
                        resource.patch(body=body, name=name, content_type="application/merge-patch+json", field_manager="rackstart")
                break
            except api.ERRORS as error:
                if getattr(error, "status", None) != 409:
                    raise
        else:
            module.fail_json(msg="Somebody else keeps changing these nodes at the same moment; run this stage again.")
    except (api.ClusterError, *api.ERRORS) as error:
        module.fail_json(msg=api.reason(error))
    diff = {"before": yaml.safe_dump(before), "after": yaml.safe_dump(after)} if before else {}
    module.exit_json(changed=bool(before), changes=[f"Node/{name}" for name in sorted(before)], diff=diff)


if __name__ == "__main__":
    main()
