"""Bytes of a model's weights by its shape, for the tests of sizing; preflight itself counts files."""

from typing import Any


def parameters(config: dict[str, Any]) -> tuple[int, int]:
    """How many parameters a decoder of the common kind has: in its vocabulary, and in its layers."""
    hidden, layers, inner = config["hidden_size"], config["num_hidden_layers"], config["intermediate_size"]
    head = config.get("head_dim") or hidden // config["num_attention_heads"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    experts = config.get("num_local_experts") or config.get("num_experts") or 1
    bias = queries + 2 * keys if config.get("attention_bias") else 0
    feeding = 3 * hidden * (config.get("moe_intermediate_size") or inner) * experts + (hidden * experts if experts > 1 else 0)
    layer = 2 * hidden * queries + 2 * hidden * keys + bias + feeding + 2 * hidden
    return 2 * config["vocab_size"] * hidden, layers * layer + hidden


def weights(config: dict[str, Any], said: str) -> int:
    """said: `N GB`, or `N bits`, of layers; the vocabulary is kept in 16."""
    number, unit = said.split()
    if unit == "GB":
        return int(float(number) * 1e9)
    vocabulary, layers = parameters(config)
    return 2 * vocabulary + layers * int(number) // 8
