"""Preflight's checks of what a start of each model asks of the hosts of its pool, and of the store."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from ansible_collections.rackstart.cluster.plugins.module_utils import engine_arguments
from ansible_collections.rackstart.cluster.plugins.module_utils.checks_models import complete, metadata, places, pool, reported, slots
from ansible_collections.rackstart.cluster.plugins.module_utils.findings import Finding, Look, told

UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "": 1}
SHM = {False: 512, True: 1024}  # MiB of shared memory that processes of one GPU and of several ask for (measured: 400 and 700)
BESIDE = {"vllm": 8192, "ollama": 1024}  # MiB of a host's memory that an engine takes beside its weights
WORKER = 3072  # and each further GPU's process of vLLM (3.0 GiB of its own beside weights: vllm-project/vllm#57469)
# Share of the limit, less that memory, up to which weights are read ahead: vLLM's own, and with several processes, of which each judges for
# itself and takes for used what the others have read by then, room for a seventh of the weights besides.
CACHED = {False: 0.9, True: 0.8}
PREPARED, COMPILED = 180, 400  # seconds beside reading, without and with compilation and graphs (seen: 387 on two consumer GPUs)


def check(look: Look) -> Iterator[Finding]:
    for model in complete(look["models"]):
        yield _host_memory(model, look)
        yield _limit(model, look)
        if model["engine"] == "vllm":
            yield _shm(model, look)
        yield _load_time(model, look)


def _resource(model: dict[str, Any], kind: str) -> int:
    """MiB of memory that a replica requests, or is limited to; 0 for none."""
    return mebibytes(str(((model.get("resources") or {}).get(kind) or {}).get("memory", 0)))


def _host_memory(model: dict[str, Any], look: Look) -> Finding:
    hosts, replicas = pool(model, look), model["replicas"]
    request = _resource(model, "requests")
    unseen = [name for name, host in hosts.items() if not host["probe"]]
    roomy = sum(
        min(places(model, host), host["probe"]["memory_mib"] // request if request else places(model, host))
        for host in hosts.values()
        if host["probe"]
    )
    ok = True if roomy >= min(replicas, slots(model, look)) else None if unseen else False
    seen = f"room for {roomy}{'; not seen: ' + told(unseen) if unseen else ''}"
    return reported("model.host_memory", model, ok, seen, replicas=replicas, request=request)


def mebibytes(quantity: str) -> int:
    """MiB of a quantity as Kubernetes writes it, such as 24Gi; 0 for what is none."""
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]i|[kMGT]?)", quantity)
    return int(float(parts[1]) * UNITS[parts[2]]) >> 20 if parts else 0


def _limit(model: dict[str, Any], look: Look) -> Finding:
    limit, weights = _resource(model, "limits"), metadata(model, look).get("weights")
    further = max(0, model["gpus_per_replica"] - 1) if model["engine"] == "vllm" else 0
    beside = BESIDE.get(model["engine"], 0) + further * WORKER
    least = math.ceil((math.ceil((weights or 0) / CACHED[further > 0] / (1 << 20)) + beside) / 1024)
    ok = True if not limit else None if weights is None else limit >= least * 1024
    return reported("model.memory_limit", model, ok, f"{limit} MiB" if limit else "no limit", least=least)


def _shm(model: dict[str, Any], look: Look) -> Finding:
    shm, parts = mebibytes(str(look["engine"]["shm_size"])), model["gpus_per_replica"]
    return reported("model.shm", model, shm >= SHM[parts > 1], f"{shm} MiB", parts=parts, least=SHM[parts > 1])


def _load_time(model: dict[str, Any], look: Look) -> Finding:
    """Of all replicas at once from one store; judged where the disk's speed was measured on a published file."""
    hosts, budget, weights = look["hosts"], model["startup_seconds"], metadata(model, look).get("weights")
    disk = next((host["probe"]["read_speed"] for host in hosts.values() if (host["probe"] or {}).get("read_speed")), None)
    if not disk or not weights:
        seen = "no published file to measure on" if weights else "the size of the weights is not known"
        return reported("model.load_time", model, None, seen, budget=budget, seconds=budget)
    links = [_link(host) for host in hosts.values() if "storage" in host["groups"]]
    speed = min([disk["mb_per_s"], *(link / 8 for link in links if link)])
    reading = weights * model["replicas"] / 1e6 / speed
    compiles = model["engine"] == "vllm" and "--enforce-eager" not in engine_arguments.values(model.get("extra_args"))
    beside = COMPILED if compiles else PREPARED
    seen = f"{reading:.0f} s to read for {model['replicas']} replicas at {speed:.0f} MB/s, and {beside} s to prepare"
    seconds = math.ceil((reading + beside) / 60) * 60
    return reported("model.load_time", model, reading + beside <= budget, seen, budget=budget, seconds=seconds)


def _link(host: dict[str, Any]) -> int | None:
    """Mbit/s of the interface that has the host's address."""
    interfaces = (host["probe"] or {}).get("interfaces", [])
    return next((link["speed"] for link in interfaces if host["address"] in link["addresses"]), None)
