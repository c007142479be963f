"""What of a model's config.json decides how much memory it takes and into how many parts it can be cut. Pure.

The names of fields, and what vLLM makes of them, are those of the pinned version: its convertor of configurations, its check of the longest
context, and its checks of quantized shapes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

Config = dict[str, Any]
LENGTHS = (
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length", "max_target_positions",
    "max_sequence_length", "max_seq_length", "seq_len",
)  # fmt: skip
KEY_VALUE_HEADS = ("n_head_kv", "num_kv_heads", "num_key_value_heads", "multi_query_group_num", "num_attention_groups")
SCALED = ("su", "longrope", "llama3", "yarn", "deepseek_yarn", "deepseek_llama_scaling", "default", "mrope")  # their length counts already
PATTERNS = {"gemma2": 2, "gemma3": 6, "gemma3_text": 6, "cohere2": 4}  # every so manieth layer sees all, where config.json does not say
NO_FLOAT16 = ("gemma2", "gemma3", "gemma3_text", "glm4")  # whose numbers overflow it: vLLM refuses
FINEST = 32  # values in a block of 8 bits that experts may be cut into


class Shape(NamedTuple):
    """layers: that keep keys and values of all tokens; windowed: of the last `window` tokens only; latent: values per token and layer of
    multi-head latent attention, else 0; positions: longest context, 0 when not said; unsure: why figures are an estimate, or ""."""

    kind: str
    layers: int
    windowed: int
    window: int
    heads: int
    kv_heads: int
    head_size: int
    latent: int
    experts: int
    inner: int
    hidden: int
    dtype: str
    method: str
    block: int
    positions: int
    unsure: str


def read(config: Config) -> Shape | None:
    """None when it does not say how many layers and heads there are, or in a way that nobody has met."""
    try:
        return _read(config)
    except (AttributeError, TypeError, ValueError, ZeroDivisionError):
        return None


def _read(config: Config) -> Shape | None:
    nested = next((config[key] for key in ("text_config", "llm_config", "language_config") if isinstance(config.get(key), dict)), {})
    text = {**config, **nested}
    layers, heads = _first(text, "num_hidden_layers", "n_layer", "num_layers"), _first(text, "num_attention_heads", "n_head")
    hidden = _first(text, "hidden_size", "n_embd", "d_model")
    if not layers or not heads:
        return None
    full, windowed, mixed = _layers(text, layers)
    latent = (text["kv_lora_rank"] + text.get("qk_rope_head_dim", 0)) if text.get("kv_lora_rank") else 0
    quantized = text.get("quantization_config") or text.get("compression_config") or {}
    experts = _first(text, "num_experts", "moe_num_experts", "n_routed_experts", "num_local_experts")
    reasons = {"more than text": nested, mixed: mixed, "experts": experts, "an index of tokens": text.get("index_head_dim")}
    return Shape(
        kind=str(text.get("model_type", "")),
        layers=full,
        windowed=windowed,
        window=int(text.get("sliding_window") or text.get("attention_chunk_size") or 0),
        heads=heads,
        kv_heads=1 if text.get("multi_query") else _first(text, *KEY_VALUE_HEADS) or heads,
        head_size=_first(text, "head_dim", "kv_channels") or hidden // heads,
        latent=latent,
        experts=experts,
        inner=(_first(text, "moe_intermediate_size") if experts else 0) or _first(text, "intermediate_size", "ffn_hidden_size"),
        hidden=hidden,
        dtype=str(text.get("dtype") or text.get("torch_dtype") or "float32").replace("torch.", ""),
        method=str(quantized.get("quant_method", "")).lower().replace("compressed_tensors", "compressed-tensors"),
        block=int((quantized.get("weight_block_size") or [quantized.get("group_size") or 0])[0]),
        positions=_positions(text),
        unsure=", ".join(word for word, so in reasons.items() if so),
    )


def _first(config: Config, *names: str) -> int:
    """The first of these that is a number; lists hold one for each layer."""
    for name in names:
        value = config.get(name)
        value = max(value, default=0) if isinstance(value, list) else value
        if isinstance(value, (int, float)) and value > 0:
            return int(value)
    return 0


def _layers(text: Config, layers: int) -> tuple[int, int, str]:
    """Layers that keep all tokens, layers that keep a window of them, and in a word what is mixed."""
    kinds = text.get("layer_types") or text.get("layers_block_type") or list(text.get("hybrid_override_pattern") or "")
    window = text.get("sliding_window")
    if kinds:
        full = sum(kind in ("full_attention", "attention", "*") for kind in kinds)
        windowed = sum(kind in ("sliding_attention", "chunked_attention") for kind in kinds)
        return full, windowed, "" if full == len(kinds) else "windows" if full + windowed == len(kinds) else "layers without attention"
    if text.get("full_attention_interval"):
        return layers // text["full_attention_interval"], 0, "layers without attention"
    every = text.get("sliding_window_pattern") or PATTERNS.get(text.get("model_type", ""), 0)
    if window and isinstance(every, int) and every > 1:
        return layers // every, layers - layers // every, "windows"
    if window and text.get("use_sliding_window", True) and "max_window_layers" not in text:
        return 0, layers, "windows"
    return layers, 0, ""


def _positions(text: Config) -> int:
    lengths = [text[name] for name in LENGTHS if isinstance(text.get(name), int)]
    rope = text.get("rope_scaling") or text.get("rope_parameters") or {}
    kind = rope.get("rope_type") or rope.get("type") or "default"
    factor = 1 if kind in SCALED or "gemma3" in str(text.get("model_type")) else rope.get("factor") or 1
    longest = int(min(lengths, default=0) * factor)
    return max(longest, int(text.get("model_max_length") or 0))


def divisible(shape: Shape, parts: int, spread: bool = False) -> str:
    """Why a model cannot be cut for so many GPUs, or "". spread: experts are dealt out whole (--enable-expert-parallel)."""
    if shape.heads % parts:
        return f"{shape.heads} attention heads do not divide by {parts}"
    if shape.kv_heads % parts and parts % shape.kv_heads and not shape.latent:
        return f"{shape.kv_heads} key-value heads and {parts} GPUs do not divide by one another"
    if parts == 1 or not shape.block or not shape.inner or (shape.experts and spread):
        return ""
    part = shape.inner / parts
    if shape.method == "awq" and not shape.experts and part % shape.block:
        return f"{shape.inner} weights in groups of {shape.block} do not divide by {parts}"
    if shape.method == "fp8":
        fine = math.gcd(shape.block, int(part), shape.hidden) >= FINEST if shape.experts else part % shape.block == 0
        return "" if fine and part == int(part) else f"{shape.inner} weights in blocks of {shape.block} do not divide by {parts}"
    return ""
