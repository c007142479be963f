"""Preflight's checks of the declared models."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ansible_collections.rackstart.cluster.plugins.module_utils import inference
from ansible_collections.rackstart.cluster.plugins.module_utils.findings import Finding, finding

REVISION = re.compile(r"[0-9a-f]{40}$")
NAME = re.compile(r"(?!vllm(-|$))[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")
UTILIZATION = 0.92  # of a GPU's memory, as the engine is told
OVERHEAD = 2 << 30  # bytes beside the weights: activations, graphs, the runtime


def check(look: dict[str, Any]) -> Iterator[dict[str, Any]]:
    names = Counter(model["name"] for model in look["models"])
    for model in look["models"]:
        yield from _declaration(model, names)
        yield from _arguments(model, look["arguments"])
        yield from _placement(model, look)
        yield from _memory(model, look)
    yield from _room(look)


def _finding(id: str, model: dict[str, Any], *told: Any, **values: object) -> Finding:
    return finding(id, f"models/{model['name']}", *told, **values)


def _declaration(model: dict[str, Any], names: Counter[str]) -> Iterator[dict[str, Any]]:
    revision = str(model["revision"])
    remedy = "take the commit from the repository's history on the hub: branches and tags move"
    yield _finding("model.revision", model, REVISION.match(revision), revision, remedy)
    ok = NAME.match(model["name"]) and names[model["name"]] == 1
    yield _finding("model.name", model, ok, model["name"], "rename it (a Service named vllm breaks vLLM)")
    yield _finding("model.engine", model, model["engine"] == "vllm", model["engine"], "set engine: vllm")
    prompts = model.get("golden_prompts") or []
    remedy = "declare golden_prompts: only a known answer shows that the weights are right"
    yield _finding("model.golden_prompts", model, bool(prompts), len(prompts), remedy)


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
    yield _finding("model.arguments", model, not remedies, seen, "; ".join(remedies) or "none")


def _pool(model: dict[str, Any], look: dict[str, Any]) -> dict[str, dict[str, Any]]:
    wanted = (model.get("node_selector") or {}).items()
    gpus = {name: host for name, host in look["hosts"].items() if "gpu" in host["groups"]}
    return {name: host for name, host in gpus.items() if all(host["labels"].get(key) == value for key, value in wanted)}


def _slots(model: dict[str, Any], look: dict[str, Any]) -> int:
    return sum(host["gpu_count"] // model["gpus_per_replica"] for host in _pool(model, look).values())


def _placement(model: dict[str, Any], look: dict[str, Any]) -> Iterator[dict[str, Any]]:
    pool, slots = _pool(model, look), _slots(model, look)
    seen = f"{len(pool)} GPU hosts match, with room for {slots} replicas of {model['gpus_per_replica']} GPUs"
    remedy = f"lower replicas to {slots}, or add GPU hosts that match node_selector"
    yield _finding("model.gpus", model, slots >= model["replicas"], seen, remedy, replicas=model["replicas"])


def _room(look: dict[str, Any]) -> Iterator[dict[str, Any]]:
    have = sum(host["gpu_count"] for host in look["hosts"].values() if "gpu" in host["groups"])
    want = sum(model["replicas"] * model["gpus_per_replica"] for model in look["models"])
    replicas, remedy = sum(model["replicas"] for model in look["models"]), "lower replicas, or add GPU hosts"
    yield _finding("model.gpus", {"name": "*"}, want <= have, f"{have} GPUs, and {want} wanted", remedy, replicas=replicas)


def _memory(model: dict[str, Any], look: dict[str, Any]) -> Iterator[dict[str, Any]]:
    size = look["sizes"].get(model["name"]) or {}
    if size.get("error"):
        yield _finding("model.size", model, False, size["error"], "see stage models")
        return
    pool = _pool(model, look)
    need = (size.get("weights", 0) // model["gpus_per_replica"] + OVERHEAD) >> 20
    smallest = min((host["gpu_memory_mib"] for host in pool.values()), default=0)
    have = int(smallest * UTILIZATION)
    remedy = "raise gpus_per_replica, choose GPUs with more memory by node_selector, or a quantized model"
    yield _finding("model.memory", model, need <= have, f"{have} MiB at most", remedy, need=need)
