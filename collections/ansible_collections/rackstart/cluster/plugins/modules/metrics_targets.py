#!/usr/bin/python
"""Waits until Prometheus reads every target and has loaded its files as they are."""

from __future__ import annotations

from ansible_collections.rackstart.cluster.plugins.module_utils import api, metrics

DOCUMENTATION = """
module: metrics_targets
short_description: Waits until Prometheus reads every target and has loaded its files as they are
description:
  - Compares what Prometheus says, by port-forward, with the pods and nodes that the cluster has. Each must be a target that is up.
    The rules and the configuration that are loaded must be those of its ConfigMap, which the kubelet is made to renew.
author: The Rackstart authors
options:
  timeout:
    description: Seconds until all is read.
    type: int
    default: 300
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
requirements:
  - kubernetes >= 24.2.0
attributes:
  check_mode:
    description: Waits for the same in check mode, and leaves it to the kubelet when to renew.
    support: full
"""

EXAMPLES = """
- name: Wait until everything is read
  rackstart.cluster.metrics_targets:
    timeout: 600
"""

RETURN = """
targets:
  description: Names of the pods and nodes that each job reads.
  type: dict
  returned: success
"""


def main() -> None:
    module = api.module({"timeout": {"type": "int", "default": 300}})
    seen: list[str] = []
    try:
        cluster = api.Cluster(module)

        def look() -> bool | None:
            if not module.check_mode:
                metrics.refresh(cluster)
            seen[:] = metrics.problems(metrics.look(cluster))
            return None if seen else True

        api.poll(look, module.params["timeout"], lambda: "\n".join(["Prometheus does not read everything:", *seen]))
        module.exit_json(changed=False, targets=metrics.expected(cluster))
    except (api.ClusterError, *api.ERRORS) as error:
        module.fail_json(msg=api.reason(error))


if __name__ == "__main__":
    main()
