"""What the verdict sees of the cluster: read anew from the API, from inside pods and through the endpoints."""

from __future__ import annotations

import concurrent.futures
import http.client
import json
import typing as t
import urllib.parse

from ansible_collections.rackstart.cluster.plugins.module_utils import api, capacity, operator, pods, prompts, workloads

# Seconds for a connection: a replica on a host that is gone answers nothing, and would take the whole time of an answer.
CONNECT = 10
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


class Observed(t.TypedDict):
    """The cluster at one moment. nodes: by name; endpoint of a model: its problem, empty when it answers right."""

    nodes: dict[str, api.Object]
    policy: api.Object | None
    models: dict[str, Served]


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


def ask_endpoint(url: str, model: dict[str, t.Any], timeout: int) -> str:
    """What is wrong with the answer to the first golden prompt through an endpoint; nothing when it is right."""
    parts, prompt = urllib.parse.urlsplit(url), model["golden_prompts"][0]
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=CONNECT)
    try:
        connection.connect()
        connection.sock.settimeout(timeout)
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"{parts.path}/chat/completions", json.dumps(prompts.request(model, prompt)), headers)
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
        if response.status != 200:
            return f"HTTP {response.status}: {text[:200]}"
        answer = json.loads(text)["choices"][0]["message"].get("content") or ""
        return "" if prompts.right(prompt["expect"], answer) else f"answered {answer!r}, not {prompt['expect']!r}"
    except (OSError, http.client.HTTPException, ValueError, KeyError, IndexError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()


def backends(cluster: api.Cluster, service: str) -> str:
    """What is wrong with a Service that opens no port of the nodes: nothing when it has a ready replica behind it."""
    slices = cluster.list("discovery.k8s.io/v1", "EndpointSlice", pods.NAMESPACE, f"kubernetes.io/service-name={service}")
    ready = [item for part in slices for item in part.get("endpoints") or [] if (item.get("conditions") or {}).get("ready")]
    return "" if ready else "the Service has no ready replica behind it"


def observe(cluster: api.Cluster, models: list[dict[str, t.Any]], claims: dict[str, str], urls: dict[str, str], timeout: int) -> Observed:
    """Looks at everything once. urls: of the models that open a port; timeout: seconds for one answer."""
    seen: Observed = {
        "nodes": {node["metadata"]["name"]: node for node in cluster.list("v1", "Node")},
        "policy": cluster.get("nvidia.com/v1", "ClusterPolicy", operator.POLICY),
        "models": {},
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
            "caches": capacity.caches(cluster, name, [answer["pod"] for answer in answers]),
            "endpoint": ask_endpoint(urls[name], model, timeout) if name in urls else backends(cluster, name),
        }
    return seen
