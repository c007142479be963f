"""How much of a GPU's memory a model takes, and how many tokens it keeps: foretold from config.json and the bytes of its weights. Pure.

docs/sizing.md has the formulas and a table worked out by this code.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from ansible_collections.rackstart.cluster.plugins.module_utils.sizing_config import Shape

UTILIZATION = 0.92  # of a GPU's memory: the default of inference_gpu_memory_utilization, and vLLM's own
USABLE = 0.992  # of what nvidia-smi prints as total, CUDA can use
OVERHEAD = 2 << 30  # bytes beside weights and cache: activations, graphs, the runtime
OVERHEAD_TOGETHER = 3 << 30  # the same on each of several GPUs
MARGIN = 0.01  # of the budget: what fits by less is not relied on
BATCH = 8192  # tokens of a step, which layers with a window keep beside it
GIB = 1 << 30
NATIVE_FP8 = 8.9  # compute capability from which on there are instructions for 8 bits
BFLOAT16 = 8.0  # and for bfloat16
KERNELS = 7.5  # and that the pinned vLLM's image is built for: CUDA 13 compiles for nothing older (vllm-project/vllm#39878)


class Estimate(NamedTuple):
    """Of one GPU, in bytes. budget: what the engine may take; request: the cache of one request of full length; tokens: how many the
    cache holds, None when that is not known."""

    budget: int
    weights: int
    overhead: int
    request: int
    tokens: int | None

    @property
    def need(self) -> int:
        return self.weights + self.overhead + self.request

    @property
    def fits(self) -> bool:
        return self.need <= self.budget * (1 - MARGIN)


class Plan(NamedTuple):
    """How a model is to be served. values: of the engine's further arguments by flag; mib: of one GPU, as nvidia-smi prints them."""

    weights: int
    mib: int
    parts: int
    context: int
    dtype: str
    utilization: float
    values: dict[str, str]


def plan(model: dict[str, Any], weights: int, mib: int, values: dict[str, str], utilization: float = UTILIZATION) -> Plan:
    return Plan(weights, mib, model["gpus_per_replica"], int(model["context_length"]), model.get("dtype", "auto"), utilization, values)


def size(name: str, auto: str = "float32") -> int:
    """Bytes of one value of a data type. auto: what the model's own is; float32 is then served in 16 bits."""
    if name == "auto":
        return 2 if auto == "float32" else size(auto)
    return 4 if name in ("float", "float32") else 2 if name in ("half", "float16", "bfloat16") else 1


def cache_size(shape: Shape, plan: Plan) -> int:
    kind = plan.values.get("--kv-cache-dtype", "auto")
    return size(plan.dtype, shape.dtype) if kind == "auto" else size(kind)


def per_token(shape: Shape, plan: Plan) -> int:
    """Bytes that one layer keeps of one token on one GPU: heads are shared out, each GPU has at least one, latent values are everywhere."""
    heads = 2 * max(1, shape.kv_heads // plan.parts) * shape.head_size
    return (shape.latent or heads) * cache_size(shape, plan)


def cache(shape: Shape, plan: Plan, tokens: int) -> int:
    """Bytes that one GPU keeps of a request of so many tokens."""
    kept = shape.layers * tokens + shape.windowed * min(tokens, shape.window + BATCH)
    return kept * per_token(shape, plan)


def longest(fits: Callable[[int], bool], most: int) -> int:
    """The greatest number up to `most` that fits, 0 when none does."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def estimate(shape: Shape | None, plan: Plan) -> Estimate:
    """Without a shape, what its weights alone say."""
    budget = int(plan.mib * (1 << 20) * USABLE * plan.utilization)
    served = plan.weights
    if shape and not shape.method and shape.dtype in ("float16", "bfloat16", "float32"):
        served = served * size(plan.dtype, shape.dtype) // size(shape.dtype)
    offloaded = plan.values.get("--cpu-offload-gb", "")
    aside = float(offloaded) * GIB if re.fullmatch(r"\d+(\.\d+)?", offloaded) else 0.0
    weights = max(0, int(served / plan.parts - aside))
    overhead = OVERHEAD if plan.parts == 1 else OVERHEAD_TOGETHER
    if not shape:
        return Estimate(budget, weights, overhead, 0, None)
    room = budget - weights - overhead
    tokens = _tokens(shape, plan, room)
    return Estimate(budget, weights, overhead, cache(shape, plan, plan.context), tokens)


def _tokens(shape: Shape, plan: Plan, room: int) -> int | None:
    """How many tokens the cache holds, of one request or of many; None where layers differ, and requests of each length take their own."""
    if shape.windowed or not shape.layers:
        return None
    return max(0, room) // (shape.layers * per_token(shape, plan))


def gib(bytes: float) -> str:
    return f"{bytes / GIB:.1f}"
