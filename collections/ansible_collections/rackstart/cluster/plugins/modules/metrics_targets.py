#!/usr/bin/python
"""Waits until Prometheus reads every target and has loaded every rule."""

from __future__ import annotations

import json

from ansible_collections.rackstart.cluster.plugins.module_utils import api, pods, prometheus_objects, scraping, targets, workloads

DOCUMENTATION = """
module: metrics_targets
short_description: Waits until Prometheus reads every target and has loaded every rule
description:
  - Compares what Prometheus says, by port-forward, with the pods and nodes that the cluster has. Each must be a target that is up.
author: The Rackstart authors
options:
  rules:
    description: Names of the files of rules.
    type: list
    elements: str
    required: true
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
    description: Waits for the same in check mode.
    support: full
"""

EXAMPLES = """
- name: Wait until everything is read
  rackstart.cluster.metrics_targets:
    rules: [serving.yml]
"""

RETURN = """
targets:
  description: Number of targets by job.
  type: dict
  returned: success
"""

PATIENCE = 10  # seconds for one answer


def expected(cluster: api.Cluster) -> dict[str, int]:
    """How many targets each job must have: what runs in the cluster."""
    found = {}
    for name, job in scraping.JOBS.items():
        if isinstance(job, scraping.Pods):
            there = cluster.list("v1", "Pod", job.namespace, job.selector)
            there = [pod for pod in there if pod["status"].get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")]
        else:
            there = cluster.list("v1", "Node", selector=job.selector or None)
        found[name] = len(there)
    return found


def problems(cluster: api.Cluster, rules: list[str]) -> list[str]:
    """What Prometheus does not read."""
    selector = ",".join(f"{key}={value}" for key, value in prometheus_objects.MATCH.items())
    ready = [pod["metadata"]["name"] for pod in cluster.list("v1", "Pod", pods.NAMESPACE, selector) if workloads.pod_ready(pod)]
    if not ready:
        return ["no pod of Prometheus is ready"]

    def ask(path: str) -> api.Object:
        return json.loads(cluster.read(pods.NAMESPACE, ready[0], prometheus_objects.PORT, path, PATIENCE))

    try:
        return targets.target_problems(ask(targets.TARGETS), expected(cluster)) + targets.rule_problems(ask(targets.RULES), rules)
    except (api.ClusterError, ValueError) as error:
        return [f"Prometheus does not answer: {api.said(error)}"]


def main() -> None:
    module = api.module({"rules": {"type": "list", "elements": "str", "required": True}, "timeout": {"type": "int", "default": 300}})
    seen: list[str] = []
    try:
        cluster = api.Cluster(module)

        def look() -> bool | None:
            seen[:] = problems(cluster, module.params["rules"])
            return None if seen else True

        api.poll(look, module.params["timeout"], lambda: "\n".join(["Prometheus does not read everything:", *seen]))
        module.exit_json(changed=False, targets=expected(cluster))
    except (api.ClusterError, *api.ERRORS) as error:
        module.fail_json(msg=api.reason(error))


if __name__ == "__main__":
    main()
