"""A golden prompt is asked once more when the way to a replica breaks, and no more often than that."""

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
