#!/usr/bin/python
"""Removes volumes of weights that nothing needs, and tells which weights are needed."""

from __future__ import annotations

from ansible_collections.rackstart.cluster.plugins.module_utils import api, pods, weights_use
from ansible_collections.rackstart.cluster.plugins.module_utils.applier import Applier

DOCUMENTATION = """
module: weights_unused
short_description: Removes volumes of weights that nothing needs, and tells which weights are needed
description:
  - Weights are needed when a model is declared with them, when a Deployment remembers that it can be taken back to them (annotation
    rackstart.io/good), and while any pod, or the template of what makes pods, mounts them, in whichever namespace.
  - Fails, and removes nothing, when the cluster cannot be looked at as a whole.
author: The Rackstart authors
options:
  models:
    description: The models as the inventory declares them.
    type: list
    elements: dict
    required: true
  server:
    description: Address of the NFS server.
    type: str
    required: true
  export:
    description: Directory of the store as clients mount it.
    type: str
    required: true
  keep:
    description: Further claims that are needed.
    type: list
    elements: str
    default: []
  ignored:
    description:
      - Components (label app.kubernetes.io/component) of Rackstart's own whose objects do not count. The pods that check the volumes
        never do.
    type: list
    elements: str
    default: []
  strict:
    description: Fail, and remove nothing, when it cannot be told which weights some object needs.
    type: bool
    default: false
  timeout:
    description: Seconds that removed objects may take to be gone, which mount them until replicas have drained.
    type: int
    default: 720
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
requirements:
  - kubernetes >= 24.2.0
attributes:
  check_mode:
    description: By a dry run of the API server.
    support: full
  diff_mode:
    description: Shows each removed object.
    support: full
"""

EXAMPLES = """
- name: Remove volumes that nothing uses
  rackstart.cluster.weights_unused:
    models: "{{ models }}"
    server: 10.0.0.1
    export: /srv/models
"""

RETURN = """
changes:
  description: KIND/NAME of every object that was removed.
  type: list
  elements: str
  returned: success
needed:
  description: Directories of the store that are needed, below its root, each with the reason.
  type: dict
  returned: success
"""

ADVICE = "Run the stages volumes and inference, or remove the object that names the claim, then run again."
CHECK = "weights"  # component of the volumes and of the pods that check them
KINDS = ["apps/v1/DaemonSet", "v1/PersistentVolumeClaim", "v1/PersistentVolume"]
SELECTOR = f"app.kubernetes.io/managed-by=rackstart,app.kubernetes.io/component={CHECK}"


def main() -> None:
    module = api.module(
        {
            "models": {"type": "list", "elements": "dict", "required": True},
            "server": {"type": "str", "required": True},
            "export": {"type": "str", "required": True},
            "keep": {"type": "list", "elements": "str", "default": []},
            "ignored": {"type": "list", "elements": "str", "default": []},
            "strict": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 720},
        }
    )
    params = module.params
    try:
        applier = Applier(api.Cluster(module), module.check_mode)
        with api.telling("looking for weights that nothing uses"):
            seen = weights_use.look(applier.cluster)
        needs = weights_use.needs(seen, params["models"], params["server"], params["export"], params["keep"], {CHECK, *params["ignored"]})
        if needs.lost and params["strict"]:
            raise api.ClusterError("\n".join(["It cannot be told which weights are needed; nothing was removed.", *needs.lost, ADVICE]))
        applier.prune(set(), KINDS, SELECTOR, pods.NAMESPACE, params["timeout"], list(needs.claims))
    except (api.ClusterError, *api.ERRORS) as error:
        module.fail_json(msg=api.reason(error))
    module.exit_json(changed=bool(applier.changes), changes=applier.names, diff=applier.diff, needed=needs.paths)


if __name__ == "__main__":
    main()
