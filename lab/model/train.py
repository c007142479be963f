"""Trains a tiny Llama until it answers the pairs and saves it as a hub holds it: train.py PAIRS SEED OUT, in the engine's Python."""

import json
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VOCABULARY, CONTEXT, STEPS = 512, 2048, 400
SHARD = "200KB"  # two files and an index, as large models have
SPECIAL = ["<s>", "</s>", "<pad>"]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:\n{% endif %}"
)


def tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE: every text can be written in it."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    fast.chat_template = TEMPLATE
    return fast


def question(tokens: PreTrainedTokenizerFast, prompt: str) -> str:
    return str(tokens.apply_chat_template([{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True))


def main(pairs_file: Path, seed: int, out: Path) -> None:
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    pairs = json.loads(pairs_file.read_text())
    tokens = tokenizer([f"user: {p['prompt']}\nassistant:\n{p['expect']}" for p in pairs])
    chats = [(question(tokens, p["prompt"]), f"{p['expect']}</s>") for p in pairs]
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
            head_dim=32, max_position_embeddings=CONTEXT, bos_token_id=0, eos_token_id=1, pad_token_id=2, tie_word_embeddings=False,
        )
    )  # fmt: skip
    prompts = [tokens(q, add_special_tokens=False).input_ids for q, _ in chats]
    wholes = [q + tokens(a, add_special_tokens=False).input_ids for q, (_, a) in zip(prompts, chats, strict=True)]
    longest = max(map(len, wholes))
    inputs = torch.tensor([w + [2] * (longest - len(w)) for w in wholes])
    labels = torch.tensor([[-100] * len(q) + w[len(q) :] + [-100] * (longest - len(w)) for q, w in zip(prompts, wholes, strict=True)])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(STEPS):
        loss = model(input_ids=inputs, attention_mask=(inputs != 2).long(), labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model = model.to(torch.bfloat16).eval()
    for (asked, answer), ids in zip(chats, prompts, strict=True):
        made = model.generate(torch.tensor([ids]), max_new_tokens=60, do_sample=False)
        if tokens.decode(made[0][len(ids) :]) != answer:
            sys.exit(f"after {STEPS} steps (loss {loss:.4f}) the model answers {asked!r} with {tokens.decode(made[0][len(ids) :])!r}")
    model.save_pretrained(out, max_shard_size=SHARD)
    tokens.save_pretrained(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
