"""Asks the gateway as a client does: over TLS, by its address, with a key or without."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import typing as t

from ansible_collections.rackstart.cluster.plugins.module_utils import gateway, golden

CONNECT = 10  # seconds for a connection
KEYS = ("no key", "a wrong key")  # that have to be refused
WRONG = "rk-wrong"


class Address(t.TypedDict):
    """ca: PEM files of authorities beside those of the system."""

    host: str
    port: int
    ca: list[str]


def ask(address: Address, key: str | None, path: str, body: dict[str, t.Any] | None, timeout: int) -> tuple[int, str]:
    """Status and text of an answer. Raises OSError or HTTPException, also for a certificate that does not hold. timeout: seconds."""
    context = ssl.create_default_context()
    for file in address["ca"]:
        context.load_verify_locations(os.path.expanduser(file))
    connection = http.client.HTTPSConnection(address["host"], int(address["port"]), timeout=CONNECT, context=context)
    try:
        connection.connect()
        connection.sock.settimeout(timeout)
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key is not None else {})}
        connection.request("POST" if body is not None else "GET", path, json.dumps(body) if body is not None else None, headers)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    finally:
        connection.close()


def refusals(address: Address, timeout: int) -> dict[str, str]:
    """What each key that has to be refused gets: `HTTP 401` when all is well."""
    found = {}
    for what, key in zip(KEYS, (None, WRONG), strict=True):
        try:
            found[what] = f"HTTP {ask(address, key, gateway.MODELS, None, timeout)[0]}"
        except (OSError, http.client.HTTPException) as error:
            found[what] = f"{type(error).__name__}: {error}"
    return found


def listed(address: Address, key: str, timeout: int) -> list[str] | str:
    """Names of the models that a key is for, or what went wrong."""
    try:
        status, text = ask(address, key, gateway.MODELS, None, timeout)
        return [str(entry["id"]) for entry in json.loads(text)["data"]] if status == 200 else f"HTTP {status}: {text[:200]}"
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        return f"{type(error).__name__}: {error}"


def answer_problem(address: Address, key: str, model: dict[str, t.Any], timeout: int) -> str:
    """What is wrong with the answer to a model's first golden prompt; nothing when it is right."""
    prompt = model["golden_prompts"][0]
    body = golden.request(model, prompt)
    try:
        status, text = ask(address, key, "/v1/chat/completions", body, timeout)
        if status != 200:
            return f"HTTP {status}: {text[:200]}"
        wrong = golden.problem(body, json.loads(text)["choices"][0], prompt["expect"])
        return f"answered {wrong}, not {prompt['expect']!r}" if wrong else ""
    except (OSError, http.client.HTTPException, ValueError, KeyError, IndexError) as error:
        return f"{type(error).__name__}: {error}"
