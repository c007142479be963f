"""What is read from a model's config.json, what a request of it takes, and what to change when it does not fit."""

from typing import Any

import pytest
import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import sizing, sizing_change, sizing_config

from rackstart.paths import ROOT
from tests.unit.checks_look import CONFIG

GIB = 1 << 30
FULL, SLIDING = "full_attention", "sliding_attention"


def shape(**changed: Any) -> sizing_config.Shape:
    found = sizing_config.read(CONFIG | changed)
    assert found is not None
    return found


def plan(weights: float = 10, mib: int = 40960, parts: int = 1, context: int = 8192, dtype: str = "auto", **values: str) -> sizing.Plan:
    flags = {f"--{name.replace('_', '-')}": value for name, value in values.items()}
    return sizing.Plan(int(weights * GIB), mib, parts, context, dtype, 0.92, flags)


TOKENS = 100_000
LAYER = 2 * 8 * 128 * 2  # bytes of one token in one layer of the model of the other tests
SEEN = sizing.BATCH + 4096  # tokens that a layer keeps whose window is 4096


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        ({}, 32 * TOKENS * LAYER),
        ({"head_dim": 64}, 32 * TOKENS * LAYER // 2),
        ({"num_key_value_heads": None, "num_kv_heads": 4}, 32 * TOKENS * LAYER // 2),
        ({"num_key_value_heads": None, "multi_query_group_num": 2}, 32 * TOKENS * LAYER // 4),
        ({"multi_query": True}, 32 * TOKENS * LAYER // 8),
        ({"num_key_value_heads": None}, 32 * TOKENS * LAYER * 4),
        ({"kv_lora_rank": 512, "qk_rope_head_dim": 64}, 32 * TOKENS * 576 * 2),
        ({"torch_dtype": "float32"}, 32 * TOKENS * LAYER),
        ({"text_config": {"num_hidden_layers": 16}}, 16 * TOKENS * LAYER),
        ({"layer_types": [FULL, SLIDING] * 16, "sliding_window": 4096}, 16 * (TOKENS + SEEN) * LAYER),
        ({"model_type": "gemma3_text", "sliding_window": 4096}, (5 * TOKENS + 27 * SEEN) * LAYER),
        ({"model_type": "mistral", "sliding_window": 4096}, 32 * SEEN * LAYER),
        ({"model_type": "qwen2", "sliding_window": 4096, "use_sliding_window": False}, 32 * TOKENS * LAYER),
        ({"full_attention_interval": 4}, 8 * TOKENS * LAYER),
        ({"hybrid_override_pattern": "M-M*-M*-"}, 2 * TOKENS * LAYER),
        ({"layers_block_type": ["mamba", "attention"] * 16}, 16 * TOKENS * LAYER),
    ],
)
def test_the_cache_of_a_request(changed: dict[str, Any], kept: int) -> None:
    assert sizing.cache(shape(**changed), plan(), TOKENS) == kept


@pytest.mark.parametrize(
    ("values", "share"),
    [
        ({}, 1), ({"parts": 2}, 2), ({"parts": 8}, 8), ({"parts": 16}, 8), ({"kv_cache_dtype": "fp8"}, 2), ({"dtype": "float32"}, 0.5),
        ({"dtype": "float32", "kv_cache_dtype": "bfloat16"}, 1),
    ],
)  # fmt: skip
def test_the_share_of_a_gpu(values: dict[str, Any], share: float) -> None:
    assert sizing.per_token(shape(), plan(**values)) == LAYER / share


def test_latent_values_are_on_every_gpu() -> None:
    latent = shape(kv_lora_rank=512, qk_rope_head_dim=64)
    assert sizing.per_token(latent, plan(parts=8)) == sizing.per_token(latent, plan()) == 576 * 2


@pytest.mark.parametrize(
    ("changed", "asked", "gib"),
    [
        ({}, {}, 10), ({}, {"parts": 2}, 5), ({}, {"dtype": "float32"}, 20), ({"torch_dtype": "float32"}, {}, 5),
        ({"quantization_config": {"quant_method": "fp8"}}, {"dtype": "float32"}, 10), ({}, {"cpu_offload_gb": "4"}, 6),
        ({}, {"cpu_offload_gb": "much"}, 10),
    ],
)  # fmt: skip
def test_the_weights_of_a_gpu(changed: dict[str, Any], asked: dict[str, Any], gib: float) -> None:
    assert sizing.estimate(shape(**changed), plan(**asked)).weights == gib * GIB


@pytest.mark.parametrize(
    ("changed", "longest"),
    [
        ({}, 8192),
        ({"max_position_embeddings": None}, 0),
        ({"max_position_embeddings": None, "n_positions": 1024}, 1024),
        ({"model_max_length": 131072}, 131072),
        ({"rope_scaling": {"type": "linear", "factor": 4.0}}, 32768),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, 8192),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, 8192),
    ],
)
def test_the_longest_context(changed: dict[str, Any], longest: int) -> None:
    assert shape(**changed).positions == longest


def test_what_is_an_estimate_says_why() -> None:
    said = {"num_experts": 8, "text_config": {"num_hidden_layers": 4}, "full_attention_interval": 4}
    assert shape(**said).unsure == "more than text, layers without attention, experts"
    assert shape(index_head_dim=128).unsure == "an index of tokens"
    assert shape().unsure == ""


@pytest.mark.parametrize(
    "config",
    [{}, {"num_hidden_layers": 2}, CONFIG | {"quantization_config": "fp8"}, CONFIG | {"layer_types": 3}, CONFIG | {"rope_scaling": [1]}],
)
def test_a_config_that_nobody_can_make_out_is_none(config: dict[str, Any]) -> None:
    assert sizing_config.read(config) is None


@pytest.mark.parametrize(
    ("asked", "compute", "most", "others", "first"),
    [
        ({"mib": 20480, "context": 131072}, 8.9, 1, {}, "context_length: 49712"),
        ({"mib": 13780, "context": 2500}, 8.9, 1, {}, "extra_args: [--kv-cache-dtype=fp8]"),  # 1300 tokens fit: of no use
        ({"mib": 13780, "context": 2500}, 8.0, 2, {}, "gpus_per_replica: 2"),
        ({"mib": 13780, "context": 2500}, None, 1, {"big": 81559, "small": 40960}, "a node_selector that leads to small"),
        ({"mib": 13780, "context": 2500, "dtype": "bfloat16"}, 7.5, 1, {}, "GPUs such as L4"),
        ({"weights": 100, "context": 1 << 20, "mib": 40960}, 8.0, 4, {}, "gpus_per_replica: 4 and context_length: "),
        ({"weights": 1000}, 9.0, 8, {}, "a smaller or a quantized model"),
    ],
)
def test_the_smallest_change(asked: dict[str, Any], compute: float | None, most: int, others: dict[str, int], first: str) -> None:
    assert sizing_change.changes(shape(), plan(**asked), compute, most, others)[0].startswith(first)


def test_preflight_judges_by_the_engines_own_defaults() -> None:
    role, preflight = (yaml.safe_load((ROOT / f"roles/{name}/defaults/main.yml").read_text()) for name in ("inference", "preflight"))
    engine = {name: role[f"inference_{name}"] for name in ("gpu_memory_utilization", "shm_size")}
    assert preflight["preflight_engine"] == engine
    assert engine["gpu_memory_utilization"] == sizing.UTILIZATION
    playbook = (ROOT / "playbooks/preflight.yml").read_text()
    assert all(f"inference_{name} | default({value!r})" in playbook for name, value in engine.items())
