#!/usr/bin/python
"""Objects of the cluster exactly as declared."""

from __future__ import annotations

from ansible_collections.rackstart.cluster.plugins.module_utils import api
from ansible_collections.rackstart.cluster.plugins.module_utils.applier import Applier
from ansible_collections.rackstart.cluster.plugins.module_utils.rollout import Rollout

DOCUMENTATION = """
module: apply
short_description: Objects of the cluster exactly as declared
description:
  - Applies many definitions by server-side apply in one connection, and says truthfully what changed.
  - Fields that somebody added to these objects with kubectl or a client library are taken over first, so that applying removes them;
    kubernetes.core.k8s leaves them. Fields of controllers stay, but of a PersistentVolume whose claim was deleted that claim's uid is
    removed, so that the next claim of its name gets the volume.
  - Removes objects of the given kinds and labels that are not declared, when asked to.
  - Waits until its Deployments and DaemonSets are rolled out, when asked to. Fails as soon as a container crashes again and again or a
    Deployment's own deadline is over, with the reason, the warnings about its pods and the end of the failing container's log.
author: The Rackstart authors
options:
  definitions:
    description: The objects, in the order to apply them.
    type: list
    elements: dict
    required: true
  prune:
    description: Removes what is not among the definitions any more.
    type: dict
    suboptions:
      kinds:
        description: API version and kind, such as apps/v1/Deployment, in the order to remove them.
        type: list
        elements: str
        required: true
      selector:
        description: Label selector of the objects that are ours.
        type: str
        required: true
      namespace:
        description: Namespace to look in; kinds without one are looked for in the whole cluster.
        type: str
        required: true
      keep:
        description: Names of objects that stay, declared or not.
        type: list
        elements: str
        default: []
      timeout:
        description: Seconds that removed objects may take to be gone.
        type: int
        default: 300
  wait_timeout:
    description: Seconds for every pod of the Deployments and DaemonSets to be of the newest template and available. 0 does not wait.
    type: int
    default: 0
  renew:
    description:
      - Names of its Deployments whose pods do not wait for what they hang on. One that was not ready before and is not a minute later is
        deleted, so that another mounts anew; if that cannot mount its volumes either, it is told two minutes later.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
requirements:
  - kubernetes >= 24.2.0
attributes:
  check_mode:
    description: By a dry run of the API server; nothing is waited for.
    support: full
  diff_mode:
    description: Shows each changed object before and after.
    support: full
"""

EXAMPLES = """
- name: Make the namespace and keep no other ConfigMap of ours in it
  rackstart.cluster.apply:
    definitions:
      - {apiVersion: v1, kind: Namespace, metadata: {name: llm}}
    prune:
      kinds: [v1/ConfigMap]
      selector: app.kubernetes.io/managed-by=rackstart
      namespace: llm
"""

RETURN = """
changes:
  description: KIND/NAME of every object that was made, changed or removed.
  type: list
  elements: str
  returned: success
"""


def main() -> None:
    module = api.module(
        {
            "definitions": {"type": "list", "elements": "dict", "required": True},
            "prune": {
                "type": "dict",
                "options": {
                    "kinds": {"type": "list", "elements": "str", "required": True},
                    "selector": {"type": "str", "required": True},
                    "namespace": {"type": "str", "required": True},
                    "keep": {"type": "list", "elements": "str", "default": []},
                    "timeout": {"type": "int", "default": 300},
                },
            },
            "wait_timeout": {"type": "int", "default": 0},
            "renew": {"type": "list", "elements": "str", "default": []},
        }
    )
    definitions = module.params["definitions"]
    try:
        applier = Applier(api.Cluster(module), module.check_mode)
        rollout = Rollout(applier.cluster, definitions, module.params["renew"])
        for definition in definitions:
            applier.apply(definition)
        if module.params["prune"]:
            declared = {(definition["kind"], definition["metadata"]["name"]) for definition in definitions}
            applier.prune(declared, **module.params["prune"])
        if module.params["wait_timeout"] and not module.check_mode:
            with api.telling("waiting"):
                rollout.wait(module.params["wait_timeout"])
    except (api.ClusterError, *api.ERRORS) as error:
        module.fail_json(msg=api.reason(error))
    names = applier.names + [f"Pod/{name}" for name in rollout.renewed]
    module.exit_json(changed=bool(names), changes=names, diff=applier.diff)


if __name__ == "__main__":
    main()
