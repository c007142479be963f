"""What is wrong with an answer that the gateway passed on."""

import json
from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import gateway_client

MODEL = {"served_name": "tiny", "golden_prompts": [{"prompt": "2+2?", "expect": "4"}], "context_length": 64}


def choice(said: str | None, ended: str = "stop") -> str:
    return json.dumps({"choices": [{"message": {"content": said}, "finish_reason": ended}]})


@pytest.mark.parametrize(
    ("status", "text", "problem"),
    [
        (200, choice("4"), ""),
        (200, choice("so 4 is", "length"), ""),
        (200, choice("5"), "answered '5', not '4'"),
        (200, choice(None, "length"), "answered ''; cut off after 32 tokens: raise max_tokens, not '4'"),
        (404, '{"detail": "Not Found"}', 'HTTP 404: {"detail": "Not Found"}'),
    ],
)
def test_what_is_wrong_with_an_answer(monkeypatch: pytest.MonkeyPatch, status: int, text: str, problem: str) -> None:
    monkeypatch.setattr(gateway_client, "ask", lambda *_: (status, text))
    address: Any = {}
    assert gateway_client.answer_problem(address, "a-key", MODEL, 5) == problem
