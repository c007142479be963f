"""The further arguments of an engine, judged by the table of the pinned parser."""

from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import engine_arguments

from tests.unit.checks_look import ENGINE

ADAPTERS = (
    "--lora-modules serves adapters by names of their own, and the gateway leads to served_name alone: declare merged weights as a model"
)
POOLING = "makes it an embedding or classifying model, which Rackstart does not serve yet: declare one that chats"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--max-num-seqs=64", "--enforce-eager", "--cudagraph-capture-sizes", 1, 2, "-O3", "--compilation-config.mode=3"], []),
        (["--num-gpu-blocks-override", -1], []),
        (["--max_num_batched_tokens=8k"], []),
        (["--max-num-seqs=many"], ["--max-num-seqs takes a whole number"]),
        (["--cpu-offload-gb", "half"], ["--cpu-offload-gb takes a number"]),
        (["--max-num-batched-tokens=all"], ["--max-num-batched-tokens takes a number, with k, M or G"]),
        (["--enforce-eager", "true"], ["--enforce-eager takes no value: write --no-enforce-eager to turn it off"]),
        (["-tp", 2], ["-tp is set from the model's own fields"]),
        (["--device-memory-utilization=0.5"], ["--device-memory-utilization is set from the model's own fields"]),
        (["--data-parallel-size=1"], []),
        (["-dp=2"], ["-dp wants GPUs beyond those of a replica: set gpus_per_replica alone"]),
        (["--runner=generate", "--convert=none"], []),
        (["--runner", "pooling"], [f"--runner=pooling {POOLING}"]),
        (["--convert=embed"], [f"--convert=embed {POOLING}"]),
        (["--convert=classify"], [f"--convert=classify {POOLING}"]),
        (["--enforce-eagre"], ["--enforce-eagre is unknown, did you mean --enforce-eager?"]),
        (["--enable-lora", "--max-loras=2"], []),
        (["--lora_modules", "a=/model/a"], [ADAPTERS]),
        (["--lora-modules=a=/model/a"], [ADAPTERS]),
        (["--block-size 16"], ["'--block-size 16' is one argument: write --block-size=16"]),
    ],
)
def test_an_engines_arguments(arguments: list[Any], said: list[str]) -> None:
    own = ["--tensor-parallel-size", "--gpu-memory-utilization"]
    assert engine_arguments.problems(arguments, own, ENGINE["arguments"]) == said


def test_a_choice_is_taken_in_both_forms() -> None:
    for arguments in (["--kv-cache-dtype=fp9"], ["--kv_cache_dtype", "fp9"]):
        assert engine_arguments.problems(arguments, [], ENGINE["arguments"])[0].startswith("--kv-cache-dtype takes one of auto, bfloat16")
    assert engine_arguments.values(None) == {}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["-ep"], {"--enable-expert-parallel": ""}),
        (["-q", "awq"], {"--quantization": "awq"}),
        (["--no-enable-expert-parallel"], {"--no-enable-expert-parallel": ""}),
        (["--no-such=1"], {"--no-such": "1"}),
    ],
)
def test_a_flag_has_one_name(arguments: list[Any], named: dict[str, str]) -> None:
    assert engine_arguments.named(arguments, ENGINE["arguments"]) == named
