"""What replicas came to: how many tokens their caches hold, as each engine says in its own metrics, and how long their starts took."""

from __future__ import annotations

import concurrent.futures
import datetime
import re
import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import api, engines, inference, pods, prompts

METRIC = "vllm:cache_config_info{"
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
PATIENCE = 20  # seconds for one answer


class Cache(t.TypedDict):
    """tokens: None when the replica does not say; started: seconds from its container's start until it was ready, for the last time."""

    model: str
    pod: str
    tokens: int | None
    started: int | None


def tokens(metrics: str) -> int | None:
    """What the engine gives as its size, or its blocks by their size where layers do not differ and it gives none."""
    line = next((line for line in metrics.splitlines() if line.startswith(METRIC)), "")
    labels = dict(LABEL.findall(line))
    whole = labels.get("kv_cache_size_tokens", "")
    blocks, size = labels.get("num_gpu_blocks", ""), labels.get("block_size", "")
    if whole.isdigit():
        return int(whole)
    return int(blocks) * int(size) if blocks.isdigit() and size.isdigit() else None


def _ask(cluster: api.Cluster, pod: str) -> int | None:
    try:
        return tokens(cluster.read(pods.NAMESPACE, pod, inference.PORT, "/metrics", PATIENCE))
    except api.ClusterError:
        return None


def started(pod: api.Object, most: int) -> int | None:
    """Seconds from the start of a pod's one container until the pod was ready; None for more than `most`.

    It has been ready before then, and does not say how long that took.
    """
    status = pod["status"]
    running = [one["state"]["running"]["startedAt"] for one in status.get("containerStatuses", []) if "running" in one["state"]]
    ready = [one["lastTransitionTime"] for one in status.get("conditions", []) if one["type"] == "Ready" and one["status"] == "True"]
    if not running or not ready:
        return None
    [end, start] = (datetime.datetime.fromisoformat(times[0]) for times in (ready, running))
    seconds = int((end - start).total_seconds())
    return seconds if seconds <= most else None


def caches(cluster: api.Cluster, model: engines.Model, replicas: list[api.Object]) -> list[Cache]:
    """Of each of a model's pods."""

    def one(pod: api.Object) -> Cache:
        name = pod["metadata"]["name"]
        return {"model": model["name"], "pod": name, "tokens": _ask(cluster, name), "started": started(pod, engines.startup_budget(model))}

    with concurrent.futures.ThreadPoolExecutor(prompts.AT_ONCE) as pool:
        return list(pool.map(one, replicas))
