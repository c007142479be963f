#!/usr/bin/python
"""Waits until workloads are rolled out."""

from __future__ import annotations

from ansible_collections.rackstart.cluster.plugins.module_utils import api
from ansible_collections.rackstart.cluster.plugins.module_utils import workloads as rules

DOCUMENTATION = """
module: rollout
short_description: Waits until workloads are rolled out
description:
  - Waits until every pod of the given Deployments and DaemonSets is of the newest template and available.
  - Fails as soon as a container crashes again and again or a Deployment's own deadline is over, with the reason,
    the warnings about its pods and the end of the failing container's log.
author: The Rackstart authors
options:
  namespace:
    description: Namespace of the workloads.
    type: str
    required: true
  workloads:
    description: KIND/NAME of each, such as Deployment/llama.
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
- name: Wait for the engines
  rackstart.cluster.rollout:
    namespace: llm
    workloads: [Deployment/llama]
    timeout: 900
"""

RETURN = """
pods:
  description: Names of the ready pods of each workload.
  type: dict
  returned: success
"""


class Rollout:
    """The workloads as they were seen last."""

    def __init__(self, cluster: api.Cluster, namespace: str, names: list[str]) -> None:
        self.cluster, self.namespace, self.names = cluster, namespace, names
        self.seen: dict[str, api.Object] = {}

    def pods(self, workload: api.Object) -> list[api.Object]:
        return self.cluster.list("v1", "Pod", self.namespace, rules.selector(workload))

    def look(self) -> bool | None:
        """True when all are rolled out, None when not yet. Raises ClusterError when waiting is of no use."""
        for name in self.names:
            kind, _, rest = name.partition("/")
            workload = self.cluster.get("apps/v1", kind, rest, self.namespace)
            if workload is None:
                raise api.ClusterError(f"There is no {name} in the namespace {self.namespace}.")
            self.seen[name] = workload
            if rules.rolled_out(workload):
                continue
            reason = rules.stuck(workload)
            crash = next((text for pod in self.pods(workload) if (text := rules.crashing(pod))), "")
            if reason or crash:
                raise api.ClusterError(f"{name}: {reason or f'its container {crash} crashes again and again'}\n{self.explain()}")
        return True if all(rules.rolled_out(workload) for workload in self.seen.values()) else None

    def source(self, claim: str) -> str:
        """A claim and, where its volume is an NFS server's, which one."""
        found = self.cluster.get("v1", "PersistentVolumeClaim", claim, self.namespace) or {"spec": {}}
        volume = self.cluster.get("v1", "PersistentVolume", found["spec"].get("volumeName") or claim) or {"spec": {}}
        nfs = volume["spec"].get("nfs")
        return f"{claim}, NFS {nfs['server']}:{nfs['path']}; look whether that server answers" if nfs else claim

    def explain(self) -> str:
        """What stands in the way, for a person."""
        lines = []
        for workload in self.seen.values():
            if rules.rolled_out(workload):
                continue
            pods = self.pods(workload)
            lines.append(rules.progress(workload))
            lines += [text for pod in pods if (text := rules.pod_problem(pod))]
            lines += [f"not mounted yet: {self.source(claim)}" for claim in sorted({name for pod in pods for name in rules.unmounted(pod)})]
            names = {pod["metadata"]["name"] for pod in pods} | {workload["metadata"]["name"]}
            lines += rules.warnings(self.cluster.list("v1", "Event", self.namespace), names)
            for pod in pods:
                container = rules.crashing(pod)
                if container:
                    text = self.cluster.logs(self.namespace, pod["metadata"]["name"], container, previous=True)
                    lines.append(f"End of the log of {container} in {pod['metadata']['name']}:\n{text}")
                    break
        return "\n".join(lines)


def main() -> None:
    module = api.module(
        {
            "namespace": {"type": "str", "required": True},
            "workloads": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "int", "required": True},
        }
    )
    if module.check_mode:
        module.exit_json(changed=False, pods={})
    budget = module.params["timeout"]
    try:
        rollout = Rollout(api.Cluster(module), module.params["namespace"], module.params["workloads"])
        api.poll(rollout.look, budget, lambda: f"Not rolled out after {budget} s.\n{rollout.explain()}")
        pods = {
            name: [pod["metadata"]["name"] for pod in rollout.pods(workload) if rules.pod_ready(pod)]
            for name, workload in rollout.seen.items()
        }
    except (api.ClusterError, *api.ERRORS) as error:
        module.fail_json(msg=api.reason(error))
    module.exit_json(changed=False, pods=pods)


if __name__ == "__main__":
    main()
