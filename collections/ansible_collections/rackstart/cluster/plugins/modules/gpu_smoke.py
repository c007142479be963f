#!/usr/bin/python
"""Proves that every GPU computes."""

from __future__ import annotations

from ansible_collections.rackstart.cluster.plugins.module_utils import api, operator, smoke_pod, workloads
from ansible_collections.rackstart.cluster.plugins.module_utils import nodes as node_rules
from ansible_collections.rackstart.cluster.plugins.module_utils import smoke as rules

DOCUMENTATION = """
module: gpu_smoke
short_description: Proves that every GPU computes
description:
  - Runs CUDA's vectorAdd, from the image of the GPU Operator's validator, in one pod on every free GPU of a node at the same time, and
    compares the UUIDs of the GPUs that the pods got with those that the driver lists. A GPU that another pod holds counts as proven once
    that pod is ready.
  - Once per boot and driver; the annotation rackstart.dev/gpu-smoke of the node remembers it. The pods are removed in any case.
  - Fails with the GPU, the end of its pod's log and what to do. A node with a GPU whose pod is not ready within the time is left
    unproven, with a warning, and looked at again by the next run.
author: The Rackstart authors
options:
  nodes:
    description: Name of each GPU node and what its driver says; boot (id of the boot), driver (version) and uuids (of its GPUs).
    type: dict
    required: true
  seconds:
    description: Seconds for all nodes together.
    type: int
    required: true
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
requirements:
  - kubernetes >= 24.2.0
attributes:
  check_mode:
    description: Names the nodes without a proof and starts no pods.
    support: full
"""

EXAMPLES = """
- name: Let every GPU compute
  rackstart.cluster.gpu_smoke:
    nodes:
      gpu-1:
        boot: 5d3f3c8e-0a4e-4c35-9c0e-6f6f4a1b7f10
        driver: 580.173.02
        uuids: [GPU-4404041a-04cf-1ccf-9e70-f139a9b1e23c]
    seconds: 300
"""

RETURN = """
changes:
  description: Node/NAME of each node that was proven.
  type: list
  elements: str
  returned: success
proofs:
  description: Of each of them, computed (UUIDs of the GPUs of pods started for this) and in_use (NAMESPACE/NAME of pods with a GPU).
  type: dict
  returned: success
unproven:
  description: Nodes left for the next run, each with the pods whose GPU neither computed nor is in use.
  type: dict
  returned: success
"""

SPARE = 60  # seconds that a pod outlives the wait, after which it ends although a killed run has left it
GONE = 60  # seconds for deleted pods to go


class Smoke:
    """Nodes without a proof, as they were seen last."""

    def __init__(self, cluster: api.Cluster, hosts: dict[str, rules.Driven], due: list[str], seconds: int) -> None:
        self.cluster, self.hosts, self.due, self.seconds = cluster, hosts, due, seconds
        self.pods = cluster.resource("v1", "Pod")
        self.nodes: dict[str, api.Object] = {}
        self.seen: dict[str, rules.State] = {}

    def template(self) -> api.Object:
        """Pod template of the operator's own validator."""
        found = self.cluster.get("apps/v1", "DaemonSet", smoke_pod.VALIDATOR, operator.NAMESPACE)
        if found is None:
            missing = f"There is no DaemonSet {smoke_pod.VALIDATOR} in the namespace {operator.NAMESPACE}, whose image proves the GPUs"
            raise api.ClusterError(f"{missing}. Leave validator.enabled in gpu_operator_values as the chart has it.")
        return found["spec"]["template"]

    def look(self) -> bool | None:
        """True once no node is worth waiting for; starts the pods that are lacking. Raises ClusterError when a GPU does not compute."""
        every = self.cluster.list("v1", "Pod")
        self.nodes = {node["metadata"]["name"]: node for node in self.cluster.list("v1", "Node")}
        gone = [name for name in self.due if name not in self.nodes]
        if gone:
            raise api.ClusterError(f"{', '.join(gone)} is not a node of the cluster. Run the stage nodes first.")
        self.seen = {name: rules.state(self.nodes[name], every, self.hosts[name]) for name in self.due}
        lacking = [name for name, seen in self.seen.items() for _ in range(seen.lacking)]
        template = self.template() if lacking else {}
        for name in lacking:
            self.pods.create(body=smoke_pod.pod(name, template, self.seconds + SPARE), namespace=operator.NAMESPACE)
        if not all(map(rules.ended, self.seen.values())):
            return None
        if any(seen.failed for seen in self.seen.values()):
            raise api.ClusterError(self.explain())
        return True if all(rules.proven(seen) or seen.hopeless for seen in self.seen.values()) else None

    def explain(self) -> str:
        """What stands in the way, for a person."""
        lines = []
        events = self.cluster.list("v1", "Event", operator.NAMESPACE)
        for name, seen in self.seen.items():
            if rules.proven(seen):
                continue
            problem = node_rules.not_ready(self.nodes.get(name))
            lines.append(f"Node {name}: not every GPU computes.{f' It is not ready: {problem}' if problem else ''}")
            lines += [seen.wrong] if seen.wrong else []
            for pod in seen.failed:
                log = self.cluster.logs(operator.NAMESPACE, pod["metadata"]["name"], "proof")
                lines += [rules.reason(pod), *log.strip().splitlines()[-8:]]
            lines += [workloads.pod_problem(pod) for pod in seen.pending]
            lines += [f"A GPU is held by {text}" for text in seen.idle]
            lines += workloads.warnings(events, {pod["metadata"]["name"] for pod in [*seen.failed, *seen.pending]})
            lines.append(rules.REMEDY.format(node=name))
        return "\n".join(lines)

    def clear(self) -> None:
        """Remove every pod of ours, also one that a killed run has left."""

        def check() -> bool | None:
            left = self.cluster.list("v1", "Pod", operator.NAMESPACE, smoke_pod.SELECTOR)
            for pod in left:
                if not pod["metadata"].get("deletionTimestamp"):
                    self.pods.delete(name=pod["metadata"]["name"], namespace=operator.NAMESPACE)
            return None if left else True

        api.poll(check, GONE, lambda: f"Pods gpu-smoke-* in {operator.NAMESPACE} are not gone {GONE} s after their deletion.", 0.5)

    def prove(self) -> None:
        """Raises ClusterError unless every free GPU computes."""
        self.clear()
        try:
            api.poll(self.look, self.seconds, lambda: f"Not proven after {self.seconds} s.\n{self.explain()}", 1.0)
        except api.TimeoutReached:
            if not all(rules.ended(seen) and not seen.wrong for seen in self.seen.values()):
                raise
        finally:
            self.clear()

    def remember(self) -> dict[str, rules.State]:
        """Annotate the nodes that are proven, and return them."""
        proven = {name: seen for name, seen in self.seen.items() if rules.proven(seen)}
        resource = self.cluster.resource("v1", "Node")
        for name in proven:
            body = {"metadata": {"annotations": {rules.ANNOTATION: rules.digest(self.hosts[name])}}}
            resource.patch(body=body, name=name, content_type="application/merge-patch+json", field_manager="rackstart")
        return proven


def main() -> None:
    module = api.module({"nodes": {"type": "dict", "required": True}, "seconds": {"type": "int", "required": True}})
    hosts: dict[str, rules.Driven] = module.params["nodes"]
    proven: dict[str, rules.State] = {}
    unproven: dict[str, list[str]] = {}
    try:
        cluster = api.Cluster(module)
        due = rules.due(cluster.list("v1", "Node"), hosts)
        if due and not module.check_mode:
            smoke = Smoke(cluster, hosts, due, module.params["seconds"])
            smoke.prove()
            proven = smoke.remember()
            unproven = {name: seen.idle for name, seen in smoke.seen.items() if name not in proven}
    except (api.ClusterError, *api.ERRORS) as error:
        module.fail_json(msg=api.reason(error))
    for name, idle in unproven.items():
        module.warn(f"{name} is not proven: a GPU is held by {', '.join(idle)}. The next run looks at it again.")
    changed = due if module.check_mode else sorted(proven)
    proofs = {name: rules.summary(seen) for name, seen in proven.items()}
    module.exit_json(changed=bool(changed), changes=[f"Node/{name}" for name in sorted(changed)], proofs=proofs, unproven=unproven)


if __name__ == "__main__":
    main()
