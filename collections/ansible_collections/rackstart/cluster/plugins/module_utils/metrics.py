"""What our Prometheus reads, by its own answers, against what the cluster has."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import (
    api,
    applier,
    nodes,
    pods,
    prometheus_objects,
    scraping,
    targets,
    workloads,
)

PATIENCE = 10  # seconds for one answer
SETTLED = 45  # seconds in which Prometheus finds a new target, and reads each once, every scraping.INTERVAL
FILES = "rackstart.io/files"  # annotation of its pod: version of the ConfigMap that the kubelet was made to look at last
OPERATORS = "prometheusrules.monitoring.coreos.com"  # a kind of Prometheus' operator: where it is known, there is no Prometheus of ours


class Metrics(t.TypedDict):
    """problem: why Prometheus does not answer; jobs: as targets.states says; rules: what is wrong with them."""

    problem: str
    jobs: dict[str, dict[str, str]]
    rules: list[str]


def expected(cluster: api.Cluster) -> dict[str, list[str]]:
    """Pods and nodes that each job must read. Of a node that is not Ready nothing is: it is told of by itself, or out of service."""
    all_nodes = cluster.list("v1", "Node")
    ready = {node["metadata"]["name"] for node in all_nodes if not nodes.not_ready(node)}
    found = {}
    for name, job in scraping.JOBS.items():
        if isinstance(job, scraping.Pods):
            there = cluster.list("v1", "Pod", job.namespace, job.selector)
            there = [pod for pod in there if pod["status"].get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")]
            there = [pod for pod in there if pod["spec"].get("nodeName") in ready]
        else:
            label, _, value = job.selector.partition("=")
            there = [node for node in all_nodes if not label or (node["metadata"].get("labels") or {}).get(label) == value]
            there = [node for node in there if node["metadata"]["name"] in ready]
        found[name] = sorted(one["metadata"]["name"] for one in there)
    # Without a pod of theirs nobody would miss them.
    found["checks"] = found["checks"] or ["a pod of checks"]
    return found


def _files(cluster: api.Cluster) -> api.Object:
    return cluster.get("v1", "ConfigMap", prometheus_objects.NAME, pods.NAMESPACE) or {"metadata": {}}


def _ready(cluster: api.Cluster) -> list[api.Object]:
    selector = ",".join(f"{key}={value}" for key, value in prometheus_objects.MATCH.items())
    return [pod for pod in cluster.list("v1", "Pod", pods.NAMESPACE, selector) if workloads.pod_ready(pod)]


def refresh(cluster: api.Cluster) -> None:
    """Have Prometheus' files written anew once they have changed."""
    version = _files(cluster)["metadata"].get("resourceVersion", "")
    for pod in _ready(cluster):
        applier.renew_files(cluster, pod, FILES, version)


def look(cluster: api.Cluster) -> Metrics:
    """Asks Prometheus once."""
    ready = _ready(cluster)
    found: Metrics = {"problem": "" if ready else "no pod of Prometheus is ready", "jobs": {}, "rules": []}
    if not ready:
        return found

    def ask(path: str) -> api.Object:
        return json.loads(cluster.read(pods.NAMESPACE, ready[0]["metadata"]["name"], prometheus_objects.PORT, path, PATIENCE))

    try:
        states = targets.states(ask(targets.TARGETS), expected(cluster))
        return found | {"jobs": states, "rules": targets.rule_problems(ask(targets.RULES), _files(cluster).get("data") or {})}
    except (api.ClusterError, ValueError) as error:
        return found | {"problem": f"Prometheus does not answer: {api.said(error)}"}


def problems(found: Metrics) -> list[str]:
    """All that is wrong, for a person."""
    return [found["problem"]] if found["problem"] else targets.target_problems(found["jobs"]) + found["rules"]


def observe(cluster: api.Cluster) -> Metrics | None:
    """The same for the verdict, which gives targets the time to be read, or to be read again; nothing where Prometheus is not ours."""
    if cluster.has_crd(OPERATORS):
        return None
    found: list[Metrics] = []

    def settled() -> Metrics | None:
        found.append(look(cluster))
        return None if targets.pending(found[0]["jobs"], found[-1]["jobs"]) else found[-1]

    try:
        return api.poll(settled, SETTLED, lambda: "Prometheus has not read every target")
    except api.TimeoutReached as error:
        return found[-1] if found else {"problem": str(error), "jobs": {}, "rules": []}
