"""The prompts of `bench`, and how long they and their answers are."""

import random
import ssl
from pathlib import Path

import httpx

from rackstart.bench_target import Target
from rackstart.bench_tool import TIMEOUT
from rackstart.errors import RackstartError

PROMPT, ANSWER = 1024, 256  # tokens, where the context holds them
WORDS = (
    "above", "bridge", "carry", "dark", "early", "field", "green", "hand", "idea", "just", "kind", "light", "most", "near", "open",
    "paper", "quick", "river", "stone", "train", "under",
)  # fmt: skip


def prompt(words: int, seed: str) -> str:
    """Words in an order that no other seed has: an engine finds no beginning of it in its cache."""
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def answer(target: Target) -> int:
    """Tokens of an answer."""
    return min(ANSWER, target.context // 4)


def words(target: Target, authority: Path, secret: str) -> int:
    """How many words a prompt has, as the server counts two of them. Raises RackstartError when it does not answer."""
    context, counts = ssl.create_default_context(cafile=str(authority)), []
    with httpx.Client(verify=context, headers={"Authorization": f"Bearer {secret}"}, timeout=TIMEOUT, trust_env=False) as client:
        for length in (8, 24):
            body = {"model": target.served, "messages": [{"role": "user", "content": prompt(length, "words")}], "max_tokens": 1}
            try:
                response = client.post(f"{target.url}/chat/completions", json=body)
            except httpx.HTTPError as error:
                raise RackstartError(f"{target.url} does not answer: {error}") from None
            if response.status_code != httpx.codes.OK:
                raise RackstartError(f"{target.url} answers {response.status_code}: {response.text[:200]}")
            counts.append(int(response.json()["usage"]["prompt_tokens"]))
    tokens = min(PROMPT, target.context // 2)
    a_word = max(1.0, (counts[1] - counts[0]) / 16)
    return max(1, int((tokens - counts[0]) / a_word) + 8)
