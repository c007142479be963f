"""Waits until workloads are rolled out, and says what stands in the way of those that are not."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import api
from ansible_collections.rackstart.cluster.plugins.module_utils import workloads as rules

KINDS = ("DaemonSet", "Deployment")
RENEWED, GIVEN_UP = 60, 180  # seconds until a pod is replaced that was not ready before, and until one is told that cannot mount
BEGUN = 20  # seconds in which the Deployment controller has begun with what was applied, and takes back that it gave up on the one before
HASH = "pod-template-hash"  # label that the Deployment controller tells the pods of one template by


class Rollout:
    """The workloads of some definitions as they were seen last. renew: those whose pods do not wait for what they hang on.

    Made before the definitions are applied: the pods that are not ready then are those that may hang on what was mended since.
    """

    def __init__(self, cluster: api.Cluster, definitions: list[api.Object], renew: t.Collection[str] = ()) -> None:
        self.cluster = cluster
        self.declared = [
            (one["kind"], one["metadata"]["name"], one["metadata"]["namespace"]) for one in definitions if one["kind"] in KINDS
        ]
        self.seen: dict[str, api.Object] = {}
        self.renew = [one for one in definitions if one["kind"] == "Deployment" and one["metadata"]["name"] in renew]
        self.late = {pod["metadata"]["uid"] for one in self.renew for pod in self.pods(one) if not rules.pod_ready(pod)}
        self.renewed: list[str] = []
        self.began = time.monotonic()

    def wait(self, seconds: int) -> None:
        """Returns once every pod is of the newest template and available; raises ClusterError, at once when waiting is of no use."""

        def look() -> bool | None:
            done = self.look()
            if not done and self.renew:
                self.hurry(time.monotonic() - self.began)
            return done

        api.poll(look, seconds, lambda: f"Not rolled out after {seconds} s.\n{self.explain()}")

    def hurry(self, waited: float) -> None:
        """Replaces pods that hang since before, and raises ClusterError when none can mount. waited: seconds."""
        there = [pod for one in self.renew for pod in self.pods(one)]
        waiting = [pod for pod in there if not rules.pod_ready(pod) and not pod["metadata"].get("deletionTimestamp")]
        if waited >= GIVEN_UP and any(rules.unmounted(pod) for pod in waiting):
            raise api.ClusterError(f"A volume is not mounted after {GIVEN_UP} s.\n{self.explain()}")
        for pod in waiting if waited >= RENEWED else []:
            name, namespace, uid = (pod["metadata"][key] for key in ("name", "namespace", "uid"))
            if uid in self.late:
                # Of this very pod: somebody else may have replaced it meanwhile.
                self.cluster.resource("v1", "Pod").delete(name=name, namespace=namespace, body={"preconditions": {"uid": uid}})
                self.renewed.append(name)

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
            # Of what was applied before, until the controller has begun with this.
            reason = rules.stuck(workload) if time.monotonic() - self.began >= BEGUN else ""
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
