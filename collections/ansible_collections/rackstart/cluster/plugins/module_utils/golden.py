"""Golden prompts: questions with one right answer, and what a replica runs to ask itself before it takes any request."""

from __future__ import annotations

import json
import typing as t

# In the engine's own container, before the first request: a replica with other weights is healthy by its own account.
# It waits for the engine itself: the kubelet writes an event of each attempt that fails, and soon holds back events of a pod with many.
# What is refused now is refused later too, but for the codes that ask to come again.
ASK = """
import json, os, sys, time, urllib.request
port, wait, limit, tries, questions = json.loads(sys.argv[1])
head = {"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["VLLM_API_KEY"]}
end = time.monotonic() + wait
for request, expected, patience in questions:
    body = json.dumps(request).encode()
    left = tries
    while left:
        began = time.monotonic()
        try:
            asked = urllib.request.Request("http://127.0.0.1:%d/v1/chat/completions" % port, body, head)
            answer = json.load(urllib.request.urlopen(asked, timeout=patience))
        except OSError as error:
            code = getattr(error, "code", 0)
            if 400 <= code < 500 and code not in (408, 429):
                sys.exit("golden prompt: HTTP %d: %s" % (code, error.read().decode(errors="replace")[:200]))
            if time.monotonic() >= end:
                sys.exit("no answer yet: %s" % error)
            time.sleep(1)
            continue
        seconds = time.monotonic() - began
        choice = answer["choices"][0]
        said = choice["message"].get("content") or ""
        cut = "; cut off after %d tokens: raise max_tokens" % request["max_tokens"] if choice.get("finish_reason") == "length" else ""
        if expected not in said:
            sys.exit("golden prompt: answered %r, not %r%s" % (said[-200:], expected, cut))
        if not limit or seconds <= limit:
            break
        left -= 1
    else:
        sys.exit("golden prompt: answered after %.1f s; golden_seconds is %s" % (seconds, limit))
"""
TRIES = 2  # of an answer that takes longer than golden_seconds: the first one after a start warms up
END = 200  # characters of a wrong answer
TOKENS = 1024  # of an answer at most, where nothing else is declared: for models that think before they answer


def request(model: dict[str, t.Any], prompt: dict[str, t.Any]) -> dict[str, t.Any]:
    """Body of a chat completion that always gets the same answer."""
    return {
        "model": model["served_name"],
        "messages": [{"role": "user", "content": prompt["prompt"]}],
        "temperature": 0,
        "seed": 0,
        "max_tokens": prompt.get("max_tokens") or min(TOKENS, model["context_length"] // 2),
    }


def right(expected: str, answer: str) -> bool:
    """The answer holds the expected text."""
    return bool(expected.strip()) and expected.strip() in answer


def problem(request: dict[str, t.Any], choice: dict[str, t.Any], expected: str) -> str:
    """The end of a wrong answer, and whether it has used up its tokens; nothing of a right one."""
    answer = choice["message"].get("content") or ""
    if right(expected, answer):
        return ""
    cut = f"; cut off after {request['max_tokens']} tokens: raise max_tokens" if choice.get("finish_reason") == "length" else ""
    return f"{answer[-END:]!r}{cut}"


def patience(request: dict[str, t.Any]) -> int:
    """Seconds for one answer of a replica that has just started: a minute, and a second for ten tokens."""
    return 60 + int(request["max_tokens"]) // 10


def command(model: dict[str, t.Any], port: int, wait: int) -> list[str]:
    """What a replica's probe runs to ask itself; its exit code is 0 once every answer is right. wait: seconds until there are answers."""
    requests = [(request(model, prompt), prompt["expect"].strip()) for prompt in model["golden_prompts"]]
    questions = [(body, expected, patience(body)) for body, expected in requests]
    return ["python3", "-c", ASK, literally(json.dumps([port, wait, model.get("golden_seconds"), TRIES, questions]))]


def literally(text: str) -> str:
    """An argument of a container's command or probe, in which Kubernetes replaces `$(NAME)`, and `$$` by `$`."""
    return text.replace("$", "$$")
