"""Clients of the endpoint as programs are: the `openai` package, through the gateway, with what the lab's user was given."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from openai import APIStatusError, DefaultHttpxClient, OpenAI

from tests.lab.drive import ADDRESS, MODEL, STATE

ENDPOINT = f"https://{ADDRESS['host']}:{ADDRESS['port']}/v1"
CLIENTS = 4


def openai(key: str) -> OpenAI:
    """Without the retries that would hide a request that was lost."""
    context = ssl.create_default_context(cafile=STATE / "gateway-ca.crt")
    return OpenAI(base_url=ENDPOINT, api_key=key, max_retries=0, timeout=120, http_client=DefaultHttpxClient(verify=context))


def streamed(client: OpenAI, model: dict[str, Any] = MODEL) -> str:
    """What is wrong with one streamed answer; nothing when it is right and whole."""
    [prompt, *_] = model["golden_prompts"]
    said, ended = "", None
    try:
        for part in client.chat.completions.create(
            model=model["served_name"], messages=[{"role": "user", "content": prompt["prompt"]}], stream=True, temperature=0, max_tokens=32
        ):
            for choice in part.choices:
                said += choice.delta.content or ""
                ended = choice.finish_reason or ended
    except APIStatusError as error:
        return f"{type(error).__name__} {error.status_code}, Retry-After {error.response.headers.get('retry-after')}"
    except Exception as error:  # also what its HTTP library raises amid a stream, which it passes on
        return f"{type(error).__name__}: {error}"
    return "" if ended and prompt["expect"] in said else f"answered {said!r}, and ended with {ended}"


@contextmanager
def load(key: str) -> Iterator[list[str]]:
    """Clients that stream one answer after the other; what came of each request."""
    ended, results = threading.Event(), list[str]()

    def stream() -> None:
        with openai(key) as client:
            while not ended.is_set():
                results.append(answer := streamed(client))
                ended.wait(1 if answer else 0.5)  # whoever comes again at once keeps a new replica from the processor it starts on

    clients = [threading.Thread(target=stream, daemon=True) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield results
    finally:
        ended.set()
        for client in clients:
            client.join(180)
        assert not any(client.is_alive() for client in clients), "a request hangs"
