"""The table of preflight's checks of models."""

from __future__ import annotations

from ansible_collections.rackstart.cluster.plugins.module_utils.checks_kind import Check, advice

# fmt: off
MODELS = {
    "model.fields": Check("each entry of `models`", "the fields that every model has", "add {fields} to it in group_vars/all/models.yml"),
    "model.options": Check("each entry of `models`, by what the [role inference](../roles/inference/README.md) takes",
        "what every part may be, and no part that it does not know", "mend it in group_vars/all/models.yml"),
    "model.repo": Check("each model's repository", "OWNER/NAME", "write it as the hub's page does"),
    "model.revision": Check("each model's revision", "40 hexadecimal digits",
        "take the commit from the repository's history on the hub: branches and tags move"),
    "model.name": Check("each model's name",
        "a DNS label of 46 characters at most, used once, not gateway, prometheus, checks, vllm or vllm-*",
        "rename it (a Service named vllm breaks vLLM, and the others are Rackstart's own)"),
    "model.served_name": Check("each model's `served_name`", "letters, digits and ._/:-, used once",
        "give each model a name of its own: the gateway tells them apart by it"),
    "model.engine": Check("each model's engine", "vllm or ollama, and vllm on GPUs alone",
        "set engine: vllm or ollama; without a GPU (gpus_per_replica: 0) only Ollama serves"),
    "model.ollama": Check("`file` and `served_name` of each model that Ollama serves",
        "one GGUF file, and a name that Ollama takes", "{problems}"),
    "model.golden_prompts": Check("each model's `golden_prompts`", "at least one golden prompt",
        "declare golden_prompts: only a known answer shows that the weights are right"),
    "model.arguments": Check("each model's `extra_args`", "arguments that the pinned vLLM accepts, and none for Ollama", "{problems}"),
    "model.gpus": Check("the GPUs of each model's pool, and all GPUs", "room for {replicas} replicas",
        "lower replicas, or add GPU hosts that match node_selector"),
    "model.host_memory": Check("the memory of the hosts of each model's pool",
        "room for {replicas} replicas that ask for {request} MiB each",
        "lower resources.requests.memory or replicas, or choose hosts with more memory by node_selector"),
    "model.access": Check("the hub's answer for a file of each model", "it may be read with hub_token", "{remedy}"),
    "model.size": advice("the hub's metadata of each model", "the hub tells the size of the files", "see stage models"),
    "model.memory": Check("the smallest GPU of each model's pool, against [what the model takes](sizing.md)",
        "weights, the cache of one request of full length, and what the engine needs besides", "take {remedy}"),
    "model.tensor_parallel": Check("each model's `gpus_per_replica`, against its config.json", "a model that can be cut for {parts} GPUs",
        "set gpus_per_replica to one of {legal}"),
    "model.context": Check("each model's `context_length`, against its config.json", "{most} tokens at most",
        "set context_length: {most}, or stretch the model with --hf-overrides where its page on the hub says how"),
    "model.dtype": Check("each model's `dtype`, against the GPUs of its pool", "one that they and the model compute with",
        "set dtype: {remedy}, or choose GPUs from Ampere on by node_selector"),
    "model.quantization": Check("how each model's weights are quantized, against the GPUs of its pool",
        "compute capability {least} or later", "choose later GPUs by node_selector, or weights that are quantized otherwise or not at all"),
    "model.fp8": advice("weights and caches of 8 bits, against the GPUs of each model's pool", "compute capability {least} or later",
        "choose GPUs from Ada on by node_selector, or a cache and weights in other types: older ones unpack them, or refuse"),
    "model.memory_limit": advice("`resources.limits.memory` of each model", "{least}Gi, for the weights to be read ahead",
        "set resources.limits.memory: {least}Gi, or the weights are read slowly, and a start may be killed"),
    "model.shm": Check("`inference_shm_size`", "{least} MiB for the processes of {parts} GPUs", "set inference_shm_size: 4Gi"),
    "model.load_time": advice("each model's weights over the speed of the store's disk and the network, and what a start takes besides",
        "under {budget} s, its startup_seconds",
        "set startup_seconds: {seconds}, or take a faster disk or network"),
}
# fmt: on
