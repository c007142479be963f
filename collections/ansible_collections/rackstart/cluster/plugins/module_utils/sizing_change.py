"""The smallest change to a model's settings, or to its GPUs, that makes it fit. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.rackstart.cluster.plugins.module_utils import sizing
from ansible_collections.rackstart.cluster.plugins.module_utils.sizing import Plan
from ansible_collections.rackstart.cluster.plugins.module_utils.sizing_config import Shape, divisible

SHORTEST = 2048  # tokens; a context below is no use to most
BLOCK = 16  # tokens that vLLM keeps together
# MiB that nvidia-smi prints for models of data centres, and their compute capability, to name one that is large enough.
SIZES = {
    "T4": (15360, 7.5), "L4": (23034, 8.9), "A100 40GB": (40960, 8.0), "L40S": (46068, 8.9), "H100 80GB": (81559, 9.0),
    "H200": (143771, 9.0), "B200": (183359, 10.0),
}  # fmt: skip


def changes(shape: Shape, plan: Plan, compute: float | None, most: int, others: dict[str, int], least: float = 0) -> list[str]:
    """What to write, from the smallest change to the largest; each is enough by itself.

    compute: capability of the GPUs, None when not known; most: GPUs of one host; others: MiB of a GPU of each host outside of the model's
    pool; least: capability that the weights ask for.
    """
    single = list(_single(shape, plan, compute, most, others, least))
    return single or list(_together(shape, plan, most)) or ["a smaller or a quantized model"]


def _fits(shape: Shape, plan: Plan) -> bool:
    return sizing.estimate(shape, plan).fits


def _context(shape: Shape, plan: Plan) -> int:
    """The longest context that fits, in whole blocks."""
    return sizing.longest(lambda tokens: _fits(shape, plan._replace(context=tokens)), plan.context) // BLOCK * BLOCK


def _parts(shape: Shape, plan: Plan, most: int) -> Iterator[Plan]:
    """The same on more GPUs of one host."""
    spread = "--enable-expert-parallel" in plan.values
    for parts in range(plan.parts + 1, most + 1):
        if not divisible(shape, parts, spread):
            yield plan._replace(parts=parts)


def _single(shape: Shape, plan: Plan, compute: float | None, most: int, others: dict[str, int], least: float) -> Iterator[str]:
    shorter = _context(shape, plan)
    if shorter >= SHORTEST:
        yield f"context_length: {shorter}"
    narrow = plan._replace(values={**plan.values, "--kv-cache-dtype": "fp8"})
    if compute and compute >= sizing.NATIVE_FP8 and sizing.cache_size(shape, plan) > 1 and _fits(shape, narrow):
        yield "extra_args: [--kv-cache-dtype=fp8]"
    wider = next((wide for wide in _parts(shape, plan, most) if _fits(shape, wide)), None)
    if wider:
        yield f"gpus_per_replica: {wider.parts}"
    fitting = {name: mib for name, mib in others.items() if mib > plan.mib and _fits(shape, plan._replace(mib=mib))}
    if fitting:
        name = min(fitting, key=lambda name: fitting[name])
        yield f"a node_selector that leads to {name}, whose GPUs have {fitting[name]} MiB"
    elif not wider:
        asked = sizing.BFLOAT16 if plan.dtype == "bfloat16" else 0
        able = {name: mib for name, (mib, known) in SIZES.items() if known >= max(asked, least)}
        large = next((name for name, mib in able.items() if mib > plan.mib and _fits(shape, plan._replace(mib=mib))), "")
        if large:
            yield f"GPUs such as {large} ({able[large]} MiB)"


def _together(shape: Shape, plan: Plan, most: int) -> Iterator[str]:
    """More GPUs and a shorter context at once."""
    for wide in _parts(shape, plan, most):
        shorter = _context(shape, wide)
        if shorter >= SHORTEST:
            yield f"gpus_per_replica: {wide.parts} and context_length: {shorter}"
            return
