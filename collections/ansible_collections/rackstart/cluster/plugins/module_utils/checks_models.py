"""Preflight's checks of the declared models."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ansible_collections.rackstart.cluster.plugins.module_utils import gpus, inference
from ansible_collections.rackstart.cluster.plugins.module_utils.findings import Finding, finding, told

FIELDS = ("name", "repo", "revision", "engine", "served_name", "replicas", "gpus_per_replica", "dtype", "context_length", "startup_seconds")
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+$")
REVISION = re.compile(r"[0-9a-f]{40}$")
NAME = re.compile(r"(?!vllm(-|$))[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")
UTILIZATION = 0.92  # of a GPU's memory, as the engine is told
OVERHEAD = 2 << 30  # bytes beside the weights: activations, graphs, the runtime
NODE_PORTS = "30000-32767"  # where k3s is not told another range
BFLOAT16_FROM = "8.0"  # compute capability
UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "": 1}


def check(look: dict[str, Any]) -> Iterator[Finding]:
    for number, model in enumerate(look["models"]):
        fields = lacking(model)
        target = f"models/{model.get('name', number)}"
        yield finding("model.fields", target, not fields, f"no {told(fields)}" if fields else "all there", fields=told(fields))
    models = complete(look["models"])
    counted = {field: Counter(model.get(field) for model in models) for field in ("name", "served_name", "node_port")}
    for model in models:
        yield from _declaration(model, counted)
        yield from _node_port(model, counted["node_port"], look)
        yield from _arguments(model, look["arguments"])
        yield from _placement(model, look)
        yield from _dtype(model, look)
        yield from _access(model, look)
        yield from _memory(model, look)
        yield from _load_time(model, look)
    yield from _room(models, look)


def lacking(model: dict[str, Any]) -> list[str]:
    """Fields that a model must have and does not."""
    return [field for field in FIELDS if field not in model]


def complete(models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Models that can be judged any further."""
    return [model for model in models if not lacking(model)]


def _finding(id: str, model: dict[str, Any], *said: Any, **values: object) -> Finding:
    return finding(id, f"models/{model['name']}", *said, **values)


def _declaration(model: dict[str, Any], counted: dict[str, Counter[Any]]) -> Iterator[Finding]:
    repo, revision, served = model["repo"], str(model["revision"]), model["served_name"]
    yield _finding("model.repo", model, bool(REPOSITORY.match(repo)), repo)
    yield _finding("model.revision", model, bool(REVISION.match(revision)), revision)
    yield _finding("model.name", model, bool(NAME.match(model["name"])) and counted["name"][model["name"]] == 1, model["name"])
    yield _finding("model.served_name", model, counted["served_name"][served] == 1, served)
    yield _finding("model.engine", model, model["engine"] == "vllm", model["engine"])
    prompts = model.get("golden_prompts") or []
    yield _finding("model.golden_prompts", model, bool(prompts), len(prompts))


def _node_port(model: dict[str, Any], counted: Counter[Any], look: dict[str, Any]) -> Iterator[Finding]:
    port = model.get("node_port")
    if port is None:
        return
    ports = str(look["k3s_config"].get("server", {}).get("service-node-port-range", NODE_PORTS))
    bounds = re.fullmatch(r"(\d+)-(\d+)", ports)
    inside = bounds is not None and int(bounds[1]) <= int(port) <= int(bounds[2])
    yield _finding("model.node_port", model, inside and counted[port] == 1, port, ports=ports)


def _arguments(model: dict[str, Any], table: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Underscores are accepted for hyphens, as the engine's parser does."""
    known = {flag: entry for entry in table for flag in entry["flags"]}
    own = {argument.split("=")[0] for argument in inference.arguments(model | {"extra_args": []}) if argument.startswith("--")}
    remedies = []
    for argument in map(str, model.get("extra_args") or []):
        if not argument.startswith("-"):
            continue
        flag, _, value = argument.partition("=")
        flag = flag.replace("_", "-")
        if flag in own:
            remedies.append(f"{flag} is set from the model's own fields")
        elif flag not in known:
            near = difflib.get_close_matches(flag, known, 1)
            remedies.append(f"{flag} is unknown{', did you mean ' + near[0] + '?' if near else ''}")
        elif value and known[flag]["choices"] and value not in known[flag]["choices"]:
            remedies.append(f"{flag} takes one of {', '.join(known[flag]['choices'])}")
    seen = " ".join(map(str, model.get("extra_args") or [])) or "none"
    yield _finding("model.arguments", model, not remedies, seen, problems="; ".join(remedies) or "none")


def _pool(model: dict[str, Any], look: dict[str, Any]) -> dict[str, dict[str, Any]]:
    wanted = (model.get("node_selector") or {}).items()
    gpus = {name: host for name, host in look["hosts"].items() if "gpu" in host["groups"]}
    return {name: host for name, host in gpus.items() if all(host["labels"].get(key) == value for key, value in wanted)}


def _slots(model: dict[str, Any], look: dict[str, Any]) -> int:
    return sum(host["gpu_count"] // model["gpus_per_replica"] for host in _pool(model, look).values())


def _placement(model: dict[str, Any], look: dict[str, Any]) -> Iterator[Finding]:
    pool, replicas, wide = _pool(model, look), model["replicas"], model["gpus_per_replica"]
    slots = _slots(model, look)
    seen = f"{len(pool)} GPU hosts match, with room for {slots} replicas of {wide} GPUs"
    yield _finding("model.gpus", model, slots >= replicas, seen, replicas=replicas)
    request = mebibytes(str(((model.get("resources") or {}).get("requests") or {}).get("memory", 0)))
    unseen = [name for name, host in pool.items() if not host["probe"]]
    roomy = sum(
        min(host["gpu_count"] // wide, host["probe"]["memory_mib"] // request if request else host["gpu_count"])
        for host in pool.values()
        if host["probe"]
    )
    ok = True if roomy >= min(replicas, slots) else None if unseen else False
    seen = f"room for {roomy}{'; not seen: ' + told(unseen) if unseen else ''}"
    yield _finding("model.host_memory", model, ok, seen, replicas=replicas, request=request)


def mebibytes(quantity: str) -> int:
    """MiB of a quantity as Kubernetes writes it, such as 24Gi; 0 for what is none."""
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]i|[kMGT]?)", quantity)
    return int(float(parts[1]) * UNITS[parts[2]]) >> 20 if parts else 0


def _room(models: list[dict[str, Any]], look: dict[str, Any]) -> Iterator[Finding]:
    have = sum(host["gpu_count"] for host in look["hosts"].values() if "gpu" in host["groups"])
    want = sum(model["replicas"] * model["gpus_per_replica"] for model in models)
    replicas = sum(model["replicas"] for model in models)
    yield _finding("model.gpus", {"name": "*"}, want <= have, f"{have} GPUs, and {want} wanted", replicas=replicas)


def _dtype(model: dict[str, Any], look: dict[str, Any]) -> Iterator[Finding]:
    """bfloat16 came with Ampere."""
    devices = {gpu["device_id"] for host in _pool(model, look).values() for gpu in (host["probe"] or {}).get("pci_gpus", [])}
    known = [gpu for device in sorted(devices) if (gpu := gpus.find(device))]
    old = [gpu.model for gpu in known if model["dtype"] == "bfloat16" and float(gpu.compute) < float(BFLOAT16_FROM)]
    seen = f"{model['dtype']} on {told((gpu.model for gpu in known), 'GPUs that were not seen')}"
    yield _finding("model.dtype", model, not old if known else None, seen)


def _access(model: dict[str, Any], look: dict[str, Any]) -> Iterator[Finding]:
    """Who may read: the remedy differs for no token, a refused one, and a licence that was not accepted."""
    size, token = look["sizes"].get(model["name"]) or {}, look["token"]
    if _published(model, look):
        yield _finding("model.access", model, True, "published already", remedy="none")
        return
    status = size.get("status") or size.get("access")
    refused = status in (401, 403)
    if not refused:
        seen = "not asked" if not status else f"the hub answers {status}"
        yield _finding("model.access", model, True if status == 200 else None, seen, remedy="none")
        return
    page = f"the page of {model['repo']} on the hub"
    if not token:
        remedy = f"accept the licence on {page} if it asks for it, make a token with read access, and set hub_token to it"
    elif status == 401:
        remedy = "hub_token is mistyped, expired or revoked: make a new one"
    else:
        remedy = f"accept the licence on {page} with the token's own account; a fine-grained token also needs access to gated repositories"
    seen = f"the hub answers {status} {'to the token' if token else 'without a token'}"
    yield _finding("model.access", model, False, seen, remedy=remedy)


def _published(model: dict[str, Any], look: dict[str, Any]) -> bool:
    path = f"{look['storage']['path']}/{model['repo']}/{model['revision']}"
    return any((host["probe"] or {}).get("store", {}).get(path) for host in look["hosts"].values())


def _memory(model: dict[str, Any], look: dict[str, Any]) -> Iterator[Finding]:
    size = look["sizes"].get(model["name"]) or {}
    told_size = "weights" in size
    seen = f"{size['store'] >> 20} MiB" if told_size else size.get("error", "not asked")
    yield _finding("model.size", model, told_size, seen)
    pool = _pool(model, look)
    need = (size.get("weights", 0) // model["gpus_per_replica"] + OVERHEAD) >> 20
    smallest = min((host["gpu_memory_mib"] for host in pool.values()), default=0)
    have = int(smallest * UTILIZATION)
    fits = need <= have
    yield _finding("model.memory", model, fits if told_size or not fits else None, f"{have} MiB at most", need=need)


def _load_time(model: dict[str, Any], look: dict[str, Any]) -> Iterator[Finding]:
    """Of all replicas at once from one store; judged where the disk's speed was measured on a published file."""
    budget, weights = model["startup_seconds"], (look["sizes"].get(model["name"]) or {}).get("weights")
    disk = next((host["probe"]["read_speed"] for host in look["hosts"].values() if (host["probe"] or {}).get("read_speed")), None)
    if not disk or not weights:
        seen = "no published file to measure on" if weights else "the size of the weights is not known"
        yield _finding("model.load_time", model, None, seen, budget=budget)
        return
    links = [_link(host) for host in look["hosts"].values() if "storage" in host["groups"]]
    speed = min([disk["mb_per_s"], *(link / 8 for link in links if link)])
    seconds = weights * model["replicas"] / 1e6 / speed
    seen = f"{seconds:.0f} s for {model['replicas']} replicas at {speed:.0f} MB/s"
    yield _finding("model.load_time", model, seconds < budget, seen, budget=budget)


def _link(host: dict[str, Any]) -> int | None:
    """Mbit/s of the interface that has the host's address."""
    interfaces = (host["probe"] or {}).get("interfaces", [])
    return next((link["speed"] for link in interfaces if host["address"] in link["addresses"]), None)
