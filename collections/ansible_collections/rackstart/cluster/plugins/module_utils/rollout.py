"""Waits until workloads are rolled out, and says what stands in the way of those that are not."""

from __future__ import annotations

from ansible_collections.rackstart.cluster.plugins.module_utils import api
from ansible_collections.rackstart.cluster.plugins.module_utils import workloads as rules

KINDS = ("DaemonSet", "Deployment")
HASH = "pod-template-hash"  # label that the Deployment controller tells the pods of one template by


class Rollout:
    """The workloads of some definitions as they were seen last."""

    def __init__(self, cluster: api.Cluster, definitions: list[api.Object]) -> None:
        self.cluster = cluster
        self.declared = [
            (one["kind"], one["metadata"]["name"], one["metadata"]["namespace"]) for one in definitions if one["kind"] in KINDS
        ]
        self.seen: dict[str, api.Object] = {}

    def wait(self, seconds: int) -> None:
        """Returns once every pod is of the newest template and available; raises ClusterError, at once when waiting is of no use."""
        api.poll(self.look, seconds, lambda: f"Not rolled out after {seconds} s.\n{self.explain()}")

    def pods(self, workload: api.Object) -> list[api.Object]:
        return self.cluster.list("v1", "Pod", workload["metadata"]["namespace"], rules.selector(workload))

    def look(self) -> bool | None:
        """True when all are rolled out, None when not yet. Raises ClusterError when waiting is of no use."""
        for kind, name, namespace in self.declared:
            workload = self.cluster.get("apps/v1", kind, name, namespace)
            if workload is None:
                raise api.ClusterError(f"Somebody has removed {kind}/{name} from the namespace {namespace}; run again.")
            self.seen[f"{kind}/{name}"] = workload
            if rules.rolled_out(workload):
                continue
            reason = rules.stuck(workload)
            crash = next((text for pod in self.newest(workload) if (text := rules.crashing(pod))), "")
            wrong = next((text for text in self.said(workload) if "golden prompt:" in text), "")
            if wrong:
                raise api.ClusterError(f"{kind}/{name}: {wrong.strip()}")
            if reason or crash:
                raise api.ClusterError(f"{kind}/{name}: {reason or f'its container {crash} crashes again and again'}\n{self.explain()}")
        return True if all(rules.rolled_out(workload) for workload in self.seen.values()) else None

    def newest(self, workload: api.Object) -> list[api.Object]:
        """Pods of the newest template: what is wrong with others is no reason to give it up."""
        if workload["kind"] != "Deployment":
            return self.pods(workload)
        if not rules.observed(workload):
            return []
        sets = self.cluster.list("apps/v1", "ReplicaSet", workload["metadata"]["namespace"], rules.selector(workload))
        hashes = {one["metadata"]["labels"][HASH] for one in sets if rules.revision(one) == rules.revision(workload)}
        return [pod for pod in self.pods(workload) if pod["metadata"]["labels"].get(HASH) in hashes]

    def said(self, workload: api.Object) -> list[str]:
        """Warnings about pods of the newest template that are not ready."""
        names = {pod["metadata"]["name"] for pod in self.newest(workload) if rules.pod_problem(pod)}
        return rules.warnings(self.cluster.list("v1", "Event", workload["metadata"]["namespace"]), names) if names else []

    def source(self, claim: str, namespace: str) -> str:
        """A claim and, where its volume is an NFS server's, which one."""
        found = self.cluster.get("v1", "PersistentVolumeClaim", claim, namespace) or {"spec": {}}
        volume = self.cluster.get("v1", "PersistentVolume", found["spec"].get("volumeName") or claim) or {"spec": {}}
        nfs = volume["spec"].get("nfs")
        return f"{claim}, NFS {nfs['server']}:{nfs['path']}; look whether that server answers" if nfs else claim

    def explain(self) -> str:
        """What stands in the way, for a person."""
        lines = []
        for workload in self.seen.values():
            if rules.rolled_out(workload):
                continue
            pods, namespace = self.pods(workload), workload["metadata"]["namespace"]
            lines.append(rules.progress(workload))
            lines += [text for pod in pods if (text := rules.pod_problem(pod))]
            claims = sorted({name for pod in pods for name in rules.unmounted(pod)})
            lines += [f"not mounted yet: {self.source(claim, namespace)}" for claim in claims]
            names = {pod["metadata"]["name"] for pod in pods} | {workload["metadata"]["name"]}
            lines += rules.warnings(self.cluster.list("v1", "Event", namespace), names)
            for pod in pods:
                container = rules.crashing(pod)
                if container:
                    text = self.cluster.logs(namespace, pod["metadata"]["name"], container, previous=True)
                    lines.append(f"End of the log of {container} in {pod['metadata']['name']}:\n{text}")
                    break
        return "\n".join(lines)
