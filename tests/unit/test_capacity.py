"""How many tokens a replica's cache holds, by the line that the pinned vLLM writes into its metrics."""

from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import api, capacity

# As the engine's own CacheConfig and Prometheus client write it, but for the three values in capitals.
RECORDED = """# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{_block_size_resolved="True",block_size="SIZE",cache_dtype="auto",cache_hit_alignment_tokens="None",\
effective_attention_block_size="None",enable_mamba_shared_prefix_checkpoint="False",enable_prefix_caching="True",engine="0",\
gpu_memory_utilization="0.92",hash_block_size="None",is_attention_free="False",kv_cache_dtype_skip_layers="[]",kv_cache_layout="None",\
kv_cache_max_concurrency="None",kv_cache_memory_bytes="None",kv_cache_size_tokens="TOKENS",kv_offloading_backend="native",\
kv_offloading_size="None",kv_sharing_fast_prefill="False",mamba_block_size="None",mamba_cache_dtype="auto",mamba_cache_mode="none",\
mamba_page_size_padded="None",mamba_ssm_cache_dtype="auto",num_cpu_blocks="None",num_gpu_blocks="BLOCKS",num_gpu_blocks_override="None",\
prefix_cache_retention_interval="0",prefix_caching_hash_algo="sha256",prefix_match_unit="None",sliding_window="None"} 1.0
"""


@pytest.mark.parametrize(
    ("size", "blocks", "whole", "tokens"),
    [("16", "1024", "None", 16384), ("16", "1024", "16000", 16000), ("None", "1024", "None", None), ("16", "None", "None", None)],
)
def test_the_recorded_line(size: str, blocks: str, whole: str, tokens: int | None) -> None:
    assert capacity.tokens(RECORDED.replace("SIZE", size).replace("BLOCKS", blocks).replace("TOKENS", whole)) == tokens


def test_an_engine_without_the_line() -> None:
    assert capacity.tokens("# TYPE vllm:num_requests_running gauge\n") is None


class Cluster:
    """One of its two replicas does not answer."""

    def read(self, namespace: str, pod: str, port: int, path: str, timeout: int) -> str:
        assert (namespace, port, path) == ("llm", 8000, "/metrics")
        if pod == "tiny-2":
            raise api.ClusterError("no answer")
        return RECORDED.replace("SIZE", "16").replace("BLOCKS", "64")


MODEL = {"name": "tiny", "startup_seconds": 50}


def pod(name: str, ready: str = "True") -> dict[str, Any]:
    conditions = [
        {"type": "Initialized", "status": "True", "lastTransitionTime": "2026-11-28T11:59:58Z"},
        {"type": "Ready", "status": ready, "lastTransitionTime": "2026-11-28T12:01:35Z"},
    ]
    started = [{"name": "engine", "state": {"running": {"startedAt": "2026-11-28T12:00:00Z"}}}]
    return {"metadata": {"name": name}, "status": {"conditions": conditions, "containerStatuses": started}}


def test_a_container_that_starts_anew_has_no_start_yet() -> None:
    found = pod("tiny-1")
    found["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
    assert capacity.started(found, 100) is None


def test_one_that_was_not_ready_for_a_while_does_not_say_how_long_its_start_took() -> None:
    found = pod("tiny-1")
    found["status"]["conditions"][1]["lastTransitionTime"] = "2026-11-28T12:01:41Z"
    assert [entry["started"] for entry in capacity.caches(Cluster(), MODEL, [found])] == [None]


def test_a_replica_that_does_not_answer_is_no_fault() -> None:
    assert capacity.caches(Cluster(), MODEL, [pod("tiny-1"), pod("tiny-2", ready="False")]) == [
        {"model": "tiny", "pod": "tiny-1", "tokens": 1024, "started": 95},
        {"model": "tiny", "pod": "tiny-2", "tokens": None, "started": None},
    ]
