"""A golden prompt is asked once more when the way to a replica breaks, and no more often than that; a late answer is a wrong one."""

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import api, prompts

MODEL = {"name": "tiny", "served_name": "tiny", "golden_prompts": [{"prompt": "2+2?", "expect": "4"}]}
POD = {"metadata": {"name": "tiny-1"}, "spec": {"nodeName": "gpu-1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}


class Cluster:
    """Its first requests break."""

    def __init__(self, broken: int) -> None:
        self.broken = broken

    def list(self, *_: Any) -> list[dict[str, Any]]:
        return [POD]

    def secret(self, *_: Any) -> dict[str, str]:
        return {"key": "the-engines"}

    def post(self, *request: Any) -> dict[str, Any]:
        assert request[-1] == "the-engines"
        self.broken -= 1
        if self.broken >= 0:
            raise api.ClusterError("no answer within 30 s")
        return {"choices": [{"message": {"content": "4"}}]}


@pytest.mark.parametrize(("broken", "wrong"), [(0, []), (1, []), (2, ["tiny-1 on gpu-1: '2+2?': no answer within 30 s, expected '4'"])])
def test_a_prompt_without_an_answer(broken: int, wrong: list[str]) -> None:
    (answer,) = prompts.ask_all(Cluster(broken), MODEL, 5)
    assert prompts.wrong(answer) == wrong


@pytest.mark.parametrize(
    ("limit", "wrong"), [(None, []), (3, []), (2.5, ["tiny-1 on gpu-1: '2+2?': answered after 3.0 s; golden_seconds is 2.5, expected '4'"])]
)
def test_an_answer_that_takes_three_seconds(monkeypatch: pytest.MonkeyPatch, limit: float | None, wrong: list[str]) -> None:
    clock = itertools.count(10.0, 3.0)
    monkeypatch.setattr(prompts, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    (answer,) = prompts.ask_all(Cluster(0), MODEL | ({"golden_seconds": limit} if limit else {}), 5)
    assert prompts.wrong(answer) == wrong
