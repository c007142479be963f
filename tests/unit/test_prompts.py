"""A golden prompt is asked once more when the way to a replica breaks or the answer is late, and no more often than that."""

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import api, prompts

MODEL = {
    "name": "tiny", "served_name": "tiny", "golden_prompts": [{"prompt": "2+2?", "expect": "4"}], "context_length": 64, "replicas": 1,
}  # fmt: skip
POD = {"metadata": {"name": "tiny-1"}, "spec": {"nodeName": "gpu-1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}


RIGHT, WRONG, CUT = ("4", "stop"), ("5", "stop"), (None, "length")
BROKEN = api.ClusterError("no answer within 30 s")
SLOW = api.ClusterError("timed out")
SLOW.__cause__ = TimeoutError("timed out")


class Cluster:
    """What comes of one request after the other, and how many seconds each takes."""

    def __init__(self, *outcomes: Any, seconds: tuple[float, ...] = (0,)) -> None:
        self.outcomes, self.seconds, self.now = list(outcomes), list(seconds), 10.0

    def list(self, *_: Any) -> list[dict[str, Any]]:
        return [POD]

    def secret(self, *_: Any) -> dict[str, str]:
        return {"key": "the-engines"}

    def post(self, *request: Any) -> dict[str, Any]:
        assert request[-1] == "the-engines"
        self.now += self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return {"choices": [{"message": {"content": outcome[0]}, "finish_reason": outcome[1]}]}


@pytest.mark.parametrize(
    ("outcomes", "seconds", "limit", "problem", "late"),
    [
        ([RIGHT], (3,), None, "", ""),
        ([RIGHT], (3,), 3, "", ""),
        ([WRONG], (0,), None, "'5'", ""),
        ([("", "stop")], (0,), None, "''", ""),
        ([CUT], (0,), None, "''; cut off after 32 tokens: raise max_tokens", ""),
        ([("so 4 is", "length")], (0,), None, "", ""),
        ([BROKEN, RIGHT], (0,), None, "", ""),
        ([BROKEN, BROKEN], (0,), None, "no answer within 30 s", ""),
        ([RIGHT, RIGHT], (3,), 2.5, "", "answered after 3.0 s; golden_seconds is 2.5"),
        ([RIGHT, RIGHT], (3, 1), 2.5, "", ""),
        ([RIGHT, BROKEN], (3,), 2.5, "", "answered after 3.0 s; golden_seconds is 2.5"),
        ([WRONG, WRONG], (3,), 2.5, "'5'", "answered after 3.0 s; golden_seconds is 2.5"),
        ([SLOW, SLOW], (5,), None, "", "no answer within 5 s"),
        ([SLOW, RIGHT], (5, 1), 2.5, "", ""),
        ([SLOW, BROKEN], (5, 1), None, "no answer within 30 s", ""),
    ],
)
def test_what_comes_late_takes_nothing_back_and_turns_the_verdict_red(
    monkeypatch: pytest.MonkeyPatch, outcomes: list[Any], seconds: tuple[float, ...], limit: float | None, problem: str, late: str
) -> None:
    def line(text: str) -> list[str]:
        return [f"tiny-1 on gpu-1: '2+2?': {text}, expected '4'"] if text else []

    cluster: Any = Cluster(*outcomes, seconds=seconds)
    monkeypatch.setattr(prompts, "time", SimpleNamespace(monotonic=lambda: cluster.now))
    model = MODEL | {"golden_seconds": limit}
    (answer,) = prompts.ask_all(cluster, model, 5)
    assert cluster.outcomes == []
    assert (prompts.wrong(answer), prompts.late(answer)) == (line(problem or late), line(late))
    cluster = Cluster(*outcomes, seconds=seconds)
    if problem:
        with pytest.raises(api.ClusterError, match="Wrong answers"):
            prompts.proved(cluster, [model], 5)
    else:
        assert prompts.proved(cluster, [model], 5) == [answer]
