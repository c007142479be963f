#!/usr/bin/python
"""Waits until the GPU Operator offers every GPU."""

from __future__ import annotations

from ansible_collections.rackstart.cluster.plugins.module_utils import api, workloads
from ansible_collections.rackstart.cluster.plugins.module_utils import nodes as node_rules
from ansible_collections.rackstart.cluster.plugins.module_utils import operator as rules

DOCUMENTATION = """
module: gpu_operator
short_description: Waits until the GPU Operator offers every GPU
description:
  - Waits until Helm's release is the declared one, the ClusterPolicy is ready, and each node offers as many GPUs as its driver sees.
  - Fails with what the operator and the failing pods say.
  - What an earlier run has left failed is tried again first. Helm's record of that attempt and the job that gave up are removed, and
    nothing else; the release before it stands.
author: The Rackstart authors
options:
  version:
    description: Version of the chart.
    type: str
    required: true
  values:
    description: Values that the release must have.
    type: dict
    required: true
  gpus:
    description: Name of each GPU node and the number of GPUs that its driver lists.
    type: dict
    required: true
  timeout:
    description: Seconds for all of it together.
    type: int
    required: true
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
requirements:
  - kubernetes >= 24.2.0
attributes:
  check_mode:
    description: Does not look, and never fails.
    support: full
"""

EXAMPLES = """
- name: Wait for the GPUs
  rackstart.cluster.gpu_operator:
    version: v26.7.0
    values: {driver: {enabled: false}}
    gpus: {gpu-1: 8}
    timeout: 900
"""

RETURN = """
changed:
  description: Whether a failed release is tried again.
  type: bool
  returned: always
allocatable:
  description: GPUs that each node offers.
  type: dict
  returned: success
"""


class Operator:
    """The operator's objects as they were seen last."""

    def __init__(self, cluster: api.Cluster, version: str, values: dict, gpus: dict[str, int]) -> None:
        self.cluster, self.version, self.values, self.gpus = cluster, version, values, gpus
        self.problem = "not looked at"

    def offered(self) -> dict[str, int]:
        nodes = self.cluster.list("v1", "Node")
        return {node["metadata"]["name"]: node_rules.allocatable(node) for node in nodes if node["metadata"]["name"] in self.gpus}

    def job(self) -> api.Object | None:
        chart = self.cluster.get("helm.cattle.io/v1", "HelmChart", rules.RELEASE, "kube-system") or {}
        name = (chart.get("status") or {}).get("jobName")
        return self.cluster.get("batch/v1", "Job", name, "kube-system") if name else None

    def releases(self) -> list[api.Object]:
        """Secrets in which Helm keeps each revision of the release."""
        return self.cluster.list("v1", "Secret", rules.NAMESPACE, f"owner=helm,name={rules.RELEASE}")

    def take_up(self) -> bool:
        """Whether something was in the way of another attempt; helm-controller makes a new job for one that is gone."""
        job = self.job()
        release = rules.stuck(self.releases(), job)
        if release:
            self.cluster.resource("v1", "Secret").delete(name=release, namespace=rules.NAMESPACE)
        if job and rules.job_failed(job):
            body = {"propagationPolicy": "Background"}
            self.cluster.resource("batch/v1", "Job").delete(name=job["metadata"]["name"], namespace="kube-system", body=body)
            return True
        return bool(release)

    def look(self) -> dict[str, int] | None:
        """GPUs by node once all is as declared; None when not yet. Raises ClusterError when Helm gave up."""
        self.problem = rules.release_problem(rules.release(self.releases()), self.version, self.values)
        if self.problem:
            failed = rules.job_failed(self.job())
            if failed:
                raise api.ClusterError(f"Helm could not install the GPU Operator ({failed}).\n{self.explain()}")
            return None
        self.problem = rules.policy_problem(self.cluster.get("nvidia.com/v1", "ClusterPolicy", rules.POLICY))
        if self.problem:
            return None
        offered = self.offered()
        wrong = [f"{node} offers {offered.get(node, 0)} of {count}" for node, count in self.gpus.items() if offered.get(node) != count]
        self.problem = f"GPUs: {', '.join(wrong)}" if wrong else ""
        return None if wrong else offered

    def explain(self) -> str:
        lines = [self.problem]
        for namespace in (rules.NAMESPACE, "kube-system"):
            pods = self.cluster.list("v1", "Pod", namespace)
            if namespace == "kube-system":
                pods = [pod for pod in pods if pod["metadata"]["name"].startswith(f"helm-install-{rules.RELEASE}")]
            done = {"Succeeded"}
            failing = [pod for pod in pods if workloads.pod_problem(pod) and pod["status"].get("phase") not in done]
            lines += [workloads.pod_problem(pod) for pod in failing]
            names = {pod["metadata"]["name"] for pod in failing}
            lines += workloads.warnings(self.cluster.list("v1", "Event", namespace), names)
            if namespace == "kube-system":
                lines += [f"{name}: {self.cluster.logs(namespace, name)}" for name in sorted(names)[-1:]]
        return "\n".join(lines)


def main() -> None:
    module = api.module(
        {
            "version": {"type": "str", "required": True},
            "values": {"type": "dict", "required": True},
            "gpus": {"type": "dict", "required": True},
            "timeout": {"type": "int", "required": True},
        }
    )
    if module.check_mode:
        module.exit_json(changed=False, allocatable={})
    params = module.params
    try:
        operator = Operator(
            api.Cluster(module), params["version"], params["values"], {node: int(count) for node, count in params["gpus"].items()}
        )
        again = operator.take_up()
        offered = api.poll(
            operator.look, params["timeout"], lambda: f"The GPU Operator is not ready after {params['timeout']} s.\n{operator.explain()}"
        )
    except (api.ClusterError, *api.ERRORS) as error:
        module.fail_json(msg=api.reason(error))
    module.exit_json(changed=again, allocatable=offered)


if __name__ == "__main__":
    main()
