"""Golden prompts: questions with one right answer, and what a replica runs to ask itself before it takes any request."""

from __future__ import annotations

import json
import typing as t

# In the engine's own container, before the first request: a replica with other weights is healthy by its own account.
ASK = """
import json, os, sys, time, urllib.request
port, patience, limit, tries, pairs = json.loads(sys.argv[1])
head = {"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["VLLM_API_KEY"]}
for request, expected in pairs:
    body = json.dumps(request).encode()
    for left in reversed(range(tries)):
        began = time.monotonic()
        try:
            asked = urllib.request.Request("http://127.0.0.1:%d/v1/chat/completions" % port, body, head)
            answer = json.load(urllib.request.urlopen(asked, timeout=patience))
        except OSError as error:
            sys.exit("no answer yet: %s" % error)
        seconds = time.monotonic() - began
        said = answer["choices"][0]["message"].get("content") or ""
        if expected not in said:
            sys.exit("golden prompt: answered %r, not %r" % (said, expected))
        if not limit or seconds <= limit:
            break
        if not left:
            sys.exit("golden prompt: answered after %.1f s; golden_seconds is %s" % (seconds, limit))
"""
TRIES = 2  # of an answer that takes longer than golden_seconds: the first one after a start warms up


def request(model: dict[str, t.Any], prompt: dict[str, t.Any]) -> dict[str, t.Any]:
    """Body of a chat completion that always gets the same answer."""
    return {
        "model": model["served_name"],
        "messages": [{"role": "user", "content": prompt["prompt"]}],
        "temperature": 0,
        "seed": 0,
        "max_tokens": prompt.get("max_tokens", 32),
    }


def right(expected: str, answer: str) -> bool:
    """The answer holds the expected text."""
    return bool(expected.strip()) and expected.strip() in answer


def command(model: dict[str, t.Any], port: int, patience: int) -> list[str]:
    """What a replica's probe runs to ask itself; its exit code is 0 once every answer is right. patience: seconds for one answer."""
    pairs = [(request(model, prompt), prompt["expect"].strip()) for prompt in model["golden_prompts"]]
    return ["python3", "-c", ASK, literally(json.dumps([port, patience, model.get("golden_seconds"), TRIES, pairs]))]


def literally(text: str) -> str:
    """An argument of a container's command or probe, in which Kubernetes replaces `$(NAME)`, and `$$` by `$`."""
    return text.replace("$", "$$")
