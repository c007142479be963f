"""How the memory of a model is foretold, with a table worked out by the code."""

from collections.abc import Iterator

import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import checks_start, sizing, sizing_change, sizing_config

from pages import ROOT
from pages.markdown import table, text

MODELS = {"llama-3-8b": 16_060_522_496, "llama-3-70b": 141_107_412_992, "qwen2.5-7b": 15_231_233_024}  # bytes of weights in 16 bits
WORKED = [  # model, GPUs of one replica, tokens, models of GPUs
    ("llama-3-8b", 1, 8192, ("T4", "L4")),
    ("llama-3-8b", 1, 131072, ("L4", "A100 40GB", "L40S", "H100 80GB")),
    ("llama-3-70b", 4, 8192, ("A100 40GB", "L40S")),
    ("llama-3-70b", 4, 131072, ("L40S", "H100 80GB")),
    ("llama-3-70b", 2, 8192, ("H100 80GB",)),
    ("llama-3-70b", 1, 8192, ("H200", "B200")),
    ("qwen2.5-7b", 1, 32768, ("T4", "L4")),
]
HOST = 8  # GPUs of the hosts of the table
HEAD = """# What a model takes

Generated from the code by `docs/generate.py`.

Preflight foretells whether a model fits its GPUs before anything is started. It asks the hub, or the mirror in its place, for the sizes of
the revision's files and for its config.json; a commit's files do not change, so nothing of it is recorded. The findings are
[model.memory](preflight.md#model.memory) and those after it. `status` shows what was foretold beside what the replicas say of themselves.

## Memory of one GPU
"""
BUDGET = f"{sizing.USABLE} x what nvidia-smi prints as total x `inference_gpu_memory_utilization` ({sizing.UTILIZATION})"
APART, TOGETHER = sizing.OVERHEAD >> 30, sizing.OVERHEAD_TOGETHER >> 30
PARTS = {
    "budget": BUDGET,
    "weights": "the files of one form of the weights / `gpus_per_replica`, less `--cpu-offload-gb`",
    "a token in a layer": "2 x key-value heads / `gpus_per_replica`, but one at least, x size of a head x bytes of a value",
    "the same with latent attention": "(`kv_lora_rank` + `qk_rope_head_dim`) x bytes of a value, on every GPU",
    "request": f"tokens of `context_length` in all layers; one with a window keeps that and the {sizing.BATCH} tokens of a step",
    "besides": f"{APART} GiB on one GPU, {TOGETHER} GiB on each of several: activations, graphs, the runtime",
}
FIT = f"""
A value has 2 bytes; `--kv-cache-dtype=fp8` makes it 1. A model fits when weights, one request and what is besides stay
{100 * sizing.MARGIN:.0f} % below the budget: vLLM does not start when its cache holds less than one request of full length. What is left
over holds further requests. Windows, layers without attention, experts and parts that see or hear make it an estimate, and the finding
says so.

When it does not fit, the finding names what to write, from the smallest change to the largest; each is enough by itself: a shorter
`context_length` ({sizing_change.SHORTEST} tokens at least), a cache in 8 bits where the GPUs have instructions for them (compute
capability {sizing.NATIVE_FP8}), more `gpus_per_replica` where heads and the groups of a quantization divide by them, GPUs of another pool,
other GPUs.

## Worked out

Weights in 16 bits, hosts of {HOST} GPUs, GiB per GPU.
"""
PREPARING = f"{checks_start.COMPILED} s to prepare ({checks_start.PREPARED} s with `--enforce-eager`)"
LIMIT = checks_start.BESIDE["vllm"] >> 10
ASKED = {
    "`startup_seconds`": f"weights x `replicas` / the speed of the store's disk or link, measured on a published file, + {PREPARING}",
    "`resources.limits.memory`": f"weights / {checks_start.CACHED[False]} + {LIMIT} GiB: so far NFS is read ahead; "
    f"on several GPUs weights / {checks_start.CACHED[True]} + {LIMIT} GiB + {checks_start.WORKER >> 10} GiB for each GPU after the first",
    "`inference_shm_size`": f"{checks_start.SHM[True]} MiB for several GPUs, {checks_start.SHM[False]} MiB for one",
}
TAIL = """
`startup_seconds` is declared and not measured at each run, since the startup probe and the rollout's deadline come of it: a speed that is
another each time would restart every replica. Preflight measures, and names the number to write when the declared one is too small.

The table of the arguments that `extra_args` may hold, and of the compute capabilities that quantizations ask for, is printed by the pinned
vLLM's own parser and classes (`lab/engine/arguments.py`); a test compares them. It knows `auto-round`, which vLLM takes for `inc`.

On several GPUs each process compares the weights with what is left of the limit, when the others have begun to read and their pages count
as used: hence the larger limit. The memory of such a process beside weights is what a kernel's report of one on four H20 shows
([vllm-project/vllm#57469](https://github.com/vllm-project/vllm/issues/57469)).

Tests hold all of this against [configurations that people posted](../tests/unit/sizing_cases/), each with its thread."""


def page() -> str:
    head = ("model", "GPU", "GPUs", "tokens", "weights", "request", "besides", "needed", "budget", "the cache holds", "what to write")
    parts, asked = table(("part", "bytes"), PARTS.items()), table(("what", "asked for"), ASKED.items())
    return text(HEAD, *parts, FIT, *table(head, _rows()), "\n## Start and host\n", *asked, TAIL)


def _rows() -> Iterator[list[str]]:
    shapes = yaml.safe_load((ROOT / "tests/unit/sizing_cases/shapes.yml").read_text())
    for name, parts, tokens, gpus in WORKED:
        shape = sizing_config.read(shapes[name])
        for gpu in gpus:
            mib, compute = sizing_change.SIZES[gpu]
            plan = sizing.Plan(MODELS[name], mib, parts, tokens, "auto", sizing.UTILIZATION, {})
            found = sizing.estimate(shape, plan)
            sizes = (found.weights, found.request, found.overhead, found.need, found.budget)
            advice = (
                "it fits" if found.fits else ", or ".join(f"`{change}`" for change in sizing_change.changes(shape, plan, compute, HOST, {}))
            )
            yield [name, gpu, str(parts), str(tokens), *map(sizing.gib, sizes), f"{found.tokens} tokens" if found.tokens else "-", advice]
