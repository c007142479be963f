"""What the verdict sees of the cluster: read anew from the API, from inside pods and through the gateway."""

from __future__ import annotations

import concurrent.futures
import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import (
    api,
    capacity,
    gateway_client,
    gateway_replicas,
    metrics,
    operator,
    pods,
    prompts,
    workloads,
)

# Prints the manifest's hash, then what happens to somebody who writes.
LOOK = "sha256sum < /model/MANIFEST.sha256 | cut -d' ' -f1; if (: > /model/.written) 2>&1; then rm -f /model/.written; echo WRITABLE; fi"


class Mount(t.TypedDict):
    """A model's weights as a pod on one node sees them."""

    node: str
    manifest: str
    read_only: bool
    problem: str


class Served(t.TypedDict):
    """A model as the cluster serves it. declared: replicas that the Deployment asks for, None without one."""

    volume: api.Object | None
    claim: api.Object | None
    mounts: list[Mount]
    declared: int | None
    answers: list[prompts.Answer]
    caches: list[capacity.Cache]
    endpoint: str


class Gateway(t.TypedDict):
    """ready: replicas; keys: what is wrong with those of each; refusals: by gateway_client.KEYS; clients: that have a key."""

    ready: int
    keys: dict[str, str]
    refusals: dict[str, str]
    clients: list[str]


class Asked(t.TypedDict):
    """How the gateway is asked. key: Rackstart's own."""

    address: gateway_client.Address
    key: str


class Observed(t.TypedDict):
    """The cluster at one moment. nodes: by name; metrics: none where Prometheus is not ours.

    endpoint of a model: its problem, empty when the gateway gives a right answer.
    """

    nodes: dict[str, api.Object]
    gateway: Gateway
    policy: api.Object | None
    models: dict[str, Served]
    metrics: metrics.Metrics | None


def _mount(cluster: api.Cluster, pod: api.Object) -> Mount:
    found: Mount = {"node": pod["spec"].get("nodeName", ""), "manifest": "", "read_only": False, "problem": ""}
    if not workloads.pod_ready(pod):
        return found | {"problem": workloads.pod_problem(pod)}
    try:
        _, output = cluster.execute(pods.NAMESPACE, pod["metadata"]["name"], ["sh", "-c", LOOK])
    except api.ClusterError as error:
        return found | {"problem": str(error)}
    lines = output.splitlines()
    return found | {"manifest": lines[0] if lines else "", "read_only": "Read-only file system" in output and "WRITABLE" not in output}


def mounts(cluster: api.Cluster, claim: str) -> list[Mount]:
    """What every checking pod of a claim sees; a pod on its way out does not count."""
    found = cluster.list("v1", "Pod", pods.NAMESPACE, f"app.kubernetes.io/instance={claim}")
    with concurrent.futures.ThreadPoolExecutor(prompts.AT_ONCE) as pool:
        return list(pool.map(lambda pod: _mount(cluster, pod), (pod for pod in found if not pod["metadata"].get("deletionTimestamp"))))


def _gateway(cluster: api.Cluster, asked: Asked, timeout: int) -> Gateway:
    rows = gateway_replicas.stored(cluster)[1]
    return {
        "ready": len(gateway_replicas.ready(cluster)),
        "keys": gateway_replicas.problems(cluster),
        "refusals": gateway_client.refusals(asked["address"], timeout),
        "clients": sorted({key.client for key in rows}),
    }


def observe(cluster: api.Cluster, models: list[dict[str, t.Any]], claims: dict[str, str], asked: Asked, timeout: int) -> Observed:
    """Looks at everything once. timeout: seconds for one answer."""
    seen: Observed = {
        "nodes": {node["metadata"]["name"]: node for node in cluster.list("v1", "Node")},
        "gateway": _gateway(cluster, asked, timeout),
        "policy": cluster.get("nvidia.com/v1", "ClusterPolicy", operator.POLICY),
        "models": {},
        "metrics": None,
    }
    for model in models:
        name, claim = model["name"], claims[model["name"]]
        deployment = cluster.get("apps/v1", "Deployment", name, pods.NAMESPACE)
        answers = prompts.ask_all(cluster, model, timeout)
        seen["models"][name] = {
            "volume": cluster.get("v1", "PersistentVolume", claim),
            "claim": cluster.get("v1", "PersistentVolumeClaim", claim, pods.NAMESPACE),
            "mounts": mounts(cluster, claim),
            "declared": deployment["spec"]["replicas"] if deployment else None,
            "answers": answers,
            "caches": capacity.caches(cluster, model, prompts.replicas(cluster, model)),
            "endpoint": gateway_client.answer_problem(asked["address"], asked["key"], model, timeout),
        }
    seen["metrics"] = metrics.observe(cluster)
    return seen
