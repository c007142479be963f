"""The prompts of `bench`, and how long they and their answers are."""

import contextlib
import random
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import httpx

from rackstart.bench_target import Target
from rackstart.bench_tool import TIMEOUT
from rackstart.errors import ConfigurationError, RackstartError

PROMPT, ANSWER = 1024, 256  # tokens on the mean, where the context holds them
SPREAD = 0.5  # of the mean, that lengths go below and above it: requests of one length stay in step, and come in bursts for ever
SHORTEST = 4  # tokens of an answer on the mean: the shortest has two, and a time between them
WORDS = (
    "above", "bridge", "carry", "dark", "early", "field", "green", "hand", "idea", "just", "kind", "light", "most", "near", "open",
    "paper", "quick", "river", "stone", "train", "under",
)  # fmt: skip


def prompt(words: int, seed: str) -> str:
    """Words in an order that no other seed has: an engine finds no beginning of it in its cache."""
    return " ".join(random.Random(seed).choices(WORDS, k=words))


@dataclass(frozen=True)
class Mix:
    """Tokens on the mean."""

    prompt: int
    answer: int


def mix(text: str, target: Target) -> Mix:
    """Of 1024/256; of no text what is usual, in a short context less of both. Raises ConfigurationError."""
    if not text:
        return Mix(min(PROMPT, target.context // 2), min(ANSWER, target.context // 8))
    found = Mix(0, 0)
    with contextlib.suppress(ValueError):
        prompt, answer = (int(part) for part in text.split("/"))
        found = Mix(prompt, answer)
    if found.prompt < 1 or found.answer < SHORTEST:
        raise ConfigurationError(f"--tokens {text}: write tokens of a prompt, /, tokens of an answer, {SHORTEST} or more, such as 1024/256")
    if (longest := ceil((found.prompt + found.answer) * (1 + SPREAD))) > target.context:
        raise ConfigurationError(
            f"--tokens {text}: the longest have {SPREAD:.0%} more, {longest} tokens in all, and the context of {target.model} holds "
            f"{target.context}; write less of both"
        )
    return found


def lengths(mean: int, number: int, seed: str) -> list[int]:
    """So many, evenly from half of the mean to half as much again; the seed is for their order alone, and their sum is always the same."""
    found = [round(mean * (1 + SPREAD * ((2 * place + 1) / number - 1))) for place in range(number)]
    random.Random(seed).shuffle(found)
    return found


def lines(words: int, answer: int, parts: tuple[int, ...], seed: str) -> Iterator[dict[str, Any]]:
    """Of AIPerf's file, for parts of so many requests: no seed has the words of another one, and every one the same lengths."""
    for part, number in enumerate(parts):
        for place, (long, asked) in enumerate(zip(lengths(words, number, "prompts"), lengths(answer, number, "answers"), strict=True)):
            yield {"text": prompt(long, f"{seed}/{part}/{place}"), "output_length": asked}


def words(target: Target, tokens: int, authority: Path, secret: str) -> int:
    """How many words a prompt of so many tokens has, as the server counts two. Raises RackstartError when it does not answer."""
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
    a_word = max(1.0, (counts[1] - counts[0]) / 16)
    return max(1, int((tokens - counts[0]) / a_word) + 8)
