"""How many tokens the caches of replicas hold, as each engine says in its own metrics."""

from __future__ import annotations

import concurrent.futures
import re
import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import api, inference, pods, prompts

METRIC = "vllm:cache_config_info{"
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
PATIENCE = 20  # seconds for one answer


class Cache(t.TypedDict):
    """tokens: None when the replica does not say."""

    model: str
    pod: str
    tokens: int | None


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


def caches(cluster: api.Cluster, model: str, replicas: list[str]) -> list[Cache]:
    """Of each of a model's pods."""
    with concurrent.futures.ThreadPoolExecutor(prompts.AT_ONCE) as pool:
        found = pool.map(lambda pod: _ask(cluster, pod), replicas)
        return [{"model": model, "pod": pod, "tokens": held} for pod, held in zip(replicas, found, strict=True)]
