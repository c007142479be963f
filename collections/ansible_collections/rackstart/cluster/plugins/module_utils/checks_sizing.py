"""Preflight's checks of whether each model fits its GPUs, foretold from its config.json and the bytes of its weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.rackstart.cluster.plugins.module_utils import engine_arguments, gpus, sizing, sizing_change, sizing_config
from ansible_collections.rackstart.cluster.plugins.module_utils.checks_models import complete, metadata, pool, reported
from ansible_collections.rackstart.cluster.plugins.module_utils.engines import on_gpu
from ansible_collections.rackstart.cluster.plugins.module_utils.findings import Finding, Look, told

MOST_PARTS = 16
LONGER = "VLLM_ALLOW_LONG_MAX_MODEL_LEN"


class Case:
    """A model with what is known of it and of its pool."""

    def __init__(self, model: dict[str, Any], look: Look) -> None:
        self.model, self.look, self.hosts = model, look, pool(model, look)
        size = metadata(model, look)
        self.weights, self.error = size.get("weights"), size.get("error", "not asked")
        self.shape = sizing_config.read(size["config"]) if size.get("config") else None
        self.values = engine_arguments.named(model.get("extra_args"), look["arguments"])
        self.parts = model["gpus_per_replica"]
        devices = {gpu["device_id"] for host in self.hosts.values() for gpu in (host["probe"] or {}).get("pci_gpus", [])}
        self.gpus = [gpu for device in sorted(devices) if (gpu := gpus.find(device))]
        self.compute = min((float(gpu.compute) for gpu in self.gpus), default=None)
        self.seen = told((f"{gpu.model} ({gpu.compute})" for gpu in self.gpus), "GPUs that were not seen")
        self.method = self.values.get("--quantization") or (self.shape.method if self.shape else "")
        self.least = look["quantizations"].get(self.method, 0) / 10

    def finding(self, id: str, ok: object, seen: object, **values: object) -> Finding:
        return reported(id, self.model, ok, seen, **values)


def check(look: Look) -> Iterator[Finding]:
    """Of Ollama the memory of GPUs alone: it cuts and computes as the file says."""
    for model in filter(on_gpu, complete(look["models"])):
        case = Case(model, look)
        yield _memory(case)
        if model["engine"] != "vllm":
            continue
        able = None if case.compute is None else case.compute >= sizing.KERNELS
        yield case.finding("model.compute", able, case.seen, least=sizing.KERNELS)
        # What a GPU without kernels could compute with is no advice.
        for theme in (_parts, _context) if able is False else (_parts, _context, _dtype, _quantization, _fp8):
            yield theme(case)


def _memory(case: Case) -> Finding:
    """Of the smallest GPU of the pool. What is not known counts nothing, so that a model can be too large all the same."""
    look, model = case.look, case.model
    mib = min((host["gpu_memory_mib"] for host in case.hosts.values()), default=0)
    plan = sizing.plan(model, case.weights or 0, mib, case.values, float(look["engine"]["gpu_memory_utilization"]))
    found = sizing.estimate(case.shape, plan)
    sizes = f"weights {sizing.gib(found.weights)} + {sizing.gib(found.overhead)} besides"
    if case.shape:
        sizes += f" + {sizing.gib(found.request)} for {plan.context} tokens"
    seen = f"{sizes} = {sizing.gib(found.need)} of {sizing.gib(found.budget)} GiB per GPU"
    if found.tokens is not None and found.fits:
        seen += f"; the cache holds {found.tokens} tokens, {found.tokens / plan.context:.1f} such requests"
    if case.shape and case.shape.unsure:
        seen += f" (an estimate: {case.shape.unsure})"
    known = case.weights is not None and case.shape is not None
    remedy = "more gpus_per_replica, GPUs with more memory by node_selector, or a quantized model"
    if known and case.shape and not found.fits:
        most = max((host["gpu_count"] for host in case.hosts.values()), default=0)
        others = {
            name: host["gpu_memory_mib"]
            for name, host in look["hosts"].items()
            if "gpu" in host["groups"] and name not in case.hosts and host["gpu_count"] >= case.parts
        }
        remedy = ", or ".join(sizing_change.changes(case.shape, plan, case.compute, most, others, case.least))
    if "--kv-cache-memory-bytes" in case.values:
        return case.finding("model.memory", None, "--kv-cache-memory-bytes is set, and decides", remedy=remedy)
    if not known and found.fits:
        seen = case.error if case.weights is None else f"{seen}, without the cache: config.json could not be read"
    return case.finding("model.memory", found.fits if known or not found.fits else None, seen, remedy=remedy)


def _parts(case: Case) -> Finding:
    if not case.shape:
        return case.finding("model.tensor_parallel", None, "config.json could not be read", parts=case.parts, legal="")
    spread = "--enable-expert-parallel" in case.values
    problem = sizing_config.divisible(case.shape, case.parts, spread)
    legal = [parts for parts in range(1, MOST_PARTS + 1) if not sizing_config.divisible(case.shape, parts, spread)]
    seen = problem or f"{case.shape.heads} heads and {case.shape.kv_heads} key-value heads"
    return case.finding("model.tensor_parallel", not problem, seen, parts=case.parts, legal=told(legal))


def _context(case: Case) -> Finding:
    most, asked = case.shape.positions if case.shape else 0, int(case.model["context_length"])
    if not most:
        return case.finding("model.context", None, "config.json does not say how long it may be", most="?")
    stretched = str((case.model.get("env") or {}).get(LONGER, "0")) in ("1", "true", "True") or "--hf-overrides" in case.values
    return case.finding("model.context", asked <= most or stretched, asked, most=most)


def _dtype(case: Case) -> Finding:
    """bfloat16 came with Ampere, and float16 is too narrow for some models."""
    dtype, kind = case.model["dtype"], case.shape.kind if case.shape else ""
    narrow = kind in sizing_config.NO_FLOAT16
    old = case.compute is not None and case.compute < sizing.BFLOAT16
    if dtype in ("half", "float16") and narrow:
        remedy = "float32" if old else "bfloat16"
        return case.finding("model.dtype", False, f"{dtype}, which {kind} overflows", remedy=remedy)
    wrong = dtype == "bfloat16" and old
    remedy = "float32" if narrow else "float16"
    return case.finding("model.dtype", None if case.compute is None else not wrong, f"{dtype} on {case.seen}", remedy=remedy)


def _quantization(case: Case) -> Finding:
    known = case.look["quantizations"]
    if case.method and case.method not in known:
        return case.finding("model.quantization", False, f"{case.method}, which is none of the pinned vLLM's", least="as vLLM asks")
    if not case.method:
        return case.finding("model.quantization", True if case.shape else None, "none" if case.shape else "not known", least="any")
    ok = None if case.compute is None else case.compute >= case.least
    return case.finding("model.quantization", ok, f"{case.method} on {case.seen}", least=case.least)


def _fp8(case: Case) -> Finding:
    """Older GPUs unpack 8 bits as they go, which is slower, and some kernels refuse the cache."""
    eight = [word for word in (case.method, case.values.get("--kv-cache-dtype", "")) if word.startswith("fp8")]
    ok = None if eight and case.compute is None else not eight or (case.compute or 0) >= sizing.NATIVE_FP8
    return case.finding("model.fp8", ok, f"{told(eight)} on {case.seen}" if eight else "none", least=sizing.NATIVE_FP8)
