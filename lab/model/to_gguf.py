"""Writes a Llama of the lab as GGUF, for Ollama: to_gguf.py MODEL OUT, in the engine's Python, with the package gguf on its path.

The order of rows and the names are those of llama.cpp's own converter (convert_hf_to_gguf.py).
"""

import json
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy
from safetensors.torch import load_file

BF16, F32 = gguf.GGMLQuantizationType.BF16, gguf.GGMLQuantizationType.F32


def rotated(rows: Any, heads: int) -> Any:
    """Rows of queries or keys in GGUF's order: the halves that turn together lie side by side."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def tensors(model: Path, config: dict[str, Any], writer: gguf.GGUFWriter) -> None:
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    for file in sorted(model.glob("*.safetensors")):
        for name, tensor in load_file(file).items():
            values = tensor.float().numpy()
            kind = name.split(".")[-2]
            rows = rotated(values, heads[kind]) if kind in heads else values
            dtype = BF16 if rows.ndim > 1 else F32
            packed = gguf.quants.quantize(numpy.ascontiguousarray(rows), dtype)
            writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), packed, raw_dtype=dtype)


def tokenizer(model: Path, config: dict[str, Any], writer: gguf.GGUFWriter) -> None:
    found = json.loads((model / "tokenizer.json").read_text())
    special = {token["id"] for token in found["added_tokens"]}
    words = {number: word for word, number in found["model"]["vocab"].items()}
    kinds = {number: gguf.TokenType.CONTROL if number in special else gguf.TokenType.NORMAL for number in words}
    numbers = range(config["vocab_size"])  # more than there are words
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([words.get(number, f"[PAD{number}]") for number in numbers])
    writer.add_token_types([kinds.get(number, gguf.TokenType.UNUSED) for number in numbers])
    writer.add_token_merges([" ".join(pair) for pair in found["model"]["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(True)
    writer.add_chat_template((model / "chat_template.jinja").read_text())


def main(model: Path, out: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_name(out.stem)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    tokenizer(model, config, writer)
    tensors(model, config, writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
