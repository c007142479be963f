#!/usr/bin/python
"""A Secret of the cluster, of which nothing is shown."""

from __future__ import annotations

from ansible_collections.rackstart.cluster.plugins.module_utils import api, pods
from ansible_collections.rackstart.cluster.plugins.module_utils.applier import Applier

DOCUMENTATION = """
module: secret
short_description: A Secret of the cluster, of which nothing is shown
description:
  - Applies a Secret of the namespace C(llm). Its values are in no output, no diff and no invocation.
author: The Rackstart authors
options:
  name:
    description: Name of the Secret.
    type: str
    required: true
  component:
    description: Value of its label app.kubernetes.io/component.
    type: str
    required: true
  data:
    description: Texts by name.
    type: dict
    required: true
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
requirements:
  - kubernetes >= 24.2.0
attributes:
  check_mode:
    description: By a dry run of the API server.
    support: full
"""

EXAMPLES = """
- name: Keep a key
  rackstart.cluster.secret:
    name: engine-key
    component: inference
    data: {key: "{{ vault_engine_key }}"}
"""

RETURN = """
changes:
  description: KIND/NAME of every object that was made or changed.
  type: list
  elements: str
  returned: success
"""


def main() -> None:
    module = api.module(
        {
            "name": {"type": "str", "required": True},
            "component": {"type": "str", "required": True},
            "data": {"type": "dict", "required": True, "no_log": True},
        }
    )
    params = module.params
    try:
        applier = Applier(api.Cluster(module), module.check_mode)
        applier.apply(pods.secret(params["data"], params["name"], params["component"]))
    except (api.ClusterError, *api.ERRORS) as error:
        module.fail_json(msg=api.reason(error))
    module.exit_json(changed=bool(applier.changes), changes=applier.names)


if __name__ == "__main__":
    main()
