#!/usr/bin/python
"""Says whether the cluster has a CustomResourceDefinition."""

from __future__ import annotations

from ansible_collections.rackstart.cluster.plugins.module_utils import api

DOCUMENTATION = """
module: crd_info
short_description: Says whether the cluster has a CustomResourceDefinition
description:
  - kubernetes.core.k8s_info would say the same, but waits for ever for an API that takes the request and never answers.
author: The Rackstart authors
options:
  name:
    description: Name of the CustomResourceDefinition.
    type: str
    required: true
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
requirements:
  - kubernetes >= 24.2.0
attributes:
  check_mode:
    description: Looks in check mode too.
    support: full
"""

EXAMPLES = """
- name: Ask for Prometheus' operator
  rackstart.cluster.crd_info:
    name: prometheusrules.monitoring.coreos.com
"""

RETURN = """
exists:
  description: Whether the cluster has it.
  type: bool
  returned: success
"""


def main() -> None:
    module = api.module({"name": {"type": "str", "required": True}})
    try:
        module.exit_json(changed=False, exists=api.Cluster(module).has_crd(module.params["name"]))
    except (api.ClusterError, *api.ERRORS) as error:
        module.fail_json(msg=f"{module.params['name']}: {api.reason(error)}")


if __name__ == "__main__":
    main()
