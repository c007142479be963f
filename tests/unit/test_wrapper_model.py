"""`model` from outside, and what it does to a Deployment: what is in service, and back to what proved good before."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ansible_runner
import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import api, promotion, prompts
from ansible_collections.rackstart.cluster.plugins.modules import model_state

from rackstart import cli
from rackstart.paths import Project

ONE, TWO = "1" * 40, "2" * 40
FOUND = {
    "name": "tiny",
    "declared": TWO,
    "replicas": 2,
    "ready": 2,
    "service": {"revision": ONE, "image": "vllm@sha256:aa"},
    "back": {"revision": TWO, "image": "vllm@sha256:aa"},
}


@pytest.fixture
def asked(project: Project, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the playbook was told; the cluster is played."""
    seen: list[dict[str, Any]] = []

    def run(*, playbook: str, cmdline: str, event_handler: Callable[[dict[str, Any]], bool], **_: Any) -> SimpleNamespace:
        [file] = re.findall(r"-e @(\S+)", cmdline)
        seen.append({"playbook": playbook, **json.loads(Path(file).read_text())["model_asked"]})
        event_handler({"event": "runner_on_ok", "event_data": {"host": "localhost", "res": {"found": [FOUND]}}})
        return SimpleNamespace(status="successful")

    monkeypatch.setattr(ansible_runner, "run", run)
    return seen


def test_models_are_listed(project: Project, asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--inventory", "rack", "model", "list"], project.root) == 0
    assert re.search(r"tiny +2{12} +1{12} +2 of 2 +2{12}", capsys.readouterr().out)
    assert asked == [{"playbook": "playbooks/day2/model.yml", "state": "listed", "name": ""}]


def test_a_rollback_says_what_to_declare(project: Project, asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--inventory", "rack", "model", "rollback", "tiny"], project.root) == 0
    assert f"tiny is back to {ONE} with vllm@sha256:aa" in capsys.readouterr().out
    assert asked == [{"playbook": "playbooks/day2/model.yml", "state": "taken_back", "name": "tiny"}]


@pytest.mark.parametrize(("arguments", "said"), [(["rollback"], "say which model"), (["list", "tiny"], "takes no name")])
def test_wrong_usage_touches_nothing(
    project: Project, asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert cli.main(["--inventory", "rack", "model", *arguments], project.root) == 2
    assert said in capsys.readouterr().err
    assert asked == []


def definition(revision: str) -> dict[str, Any]:
    volume = {"name": "model", "persistentVolumeClaim": {"claimName": f"weights-{revision}"}}
    template = {"spec": {"containers": [{"image": "vllm@sha256:aa"}], "volumes": [volume]}}
    meta = {"name": "tiny", "namespace": "llm"}
    return {"kind": "Deployment", "metadata": meta, "spec": {"replicas": 2, "progressDeadlineSeconds": 5, "template": template}}


class Cluster:
    """One Deployment and what it remembers."""

    def __init__(self, known: list[dict[str, Any]]) -> None:
        self.known = known
        self.live = copy.deepcopy(known[0])

    def get(self, version: str, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
        if kind == "PersistentVolume":
            return {"spec": {"nfs": {"path": f"/srv/models/org/tiny/{name.removeprefix('weights-')}"}}}
        return {**self.live, "metadata": {"annotations": {promotion.GOOD: json.dumps(self.known)}}, "status": {"readyReplicas": 2}}

    def resource(self, *_: object) -> Any:
        def patch(body: dict[str, Any], **_: object) -> None:
            self.known = json.loads(body["metadata"]["annotations"][promotion.GOOD])

        return SimpleNamespace(patch=patch)


@pytest.fixture
def apply(monkeypatch: pytest.MonkeyPatch) -> Callable[[Cluster], Any]:
    """An applier that does what it is told, in a world in which every rollout comes to its end; the first golden answer is `4`."""
    answer = {"pod": "tiny-1", "node": "gpu-1", "prompts": [{"prompt": "2+2?", "expect": "4", "answer": "4", "problem": ""}]}
    monkeypatch.setattr(model_state, "Rollout", lambda *_: SimpleNamespace(wait=lambda seconds: None))
    monkeypatch.setattr(prompts, "ask_all", lambda *_: [answer, answer])
    return lambda cluster: SimpleNamespace(dry=False, apply=lambda one: setattr(cluster, "live", one))


MODEL = {"name": "tiny", "revision": TWO, "golden_prompts": []}


def test_back_and_forth(apply: Callable[[Cluster], Any]) -> None:
    cluster: Any = Cluster([definition(TWO), definition(ONE)])
    assert model_state.state(cluster, MODEL)["service"]["revision"] == TWO
    for now, before in ((ONE, TWO), (TWO, ONE)):
        model_state.take_back(cluster, apply(cluster), MODEL, 5)
        found = model_state.state(cluster, MODEL)
        assert (found["service"]["revision"], found["back"]["revision"], found["ready"]) == (now, before, 2)


def test_nothing_to_go_back_to_is_said(apply: Callable[[Cluster], Any]) -> None:
    cluster: Any = Cluster([definition(ONE)])
    with pytest.raises(api.ClusterError, match="only one template of it has proved good"):
        model_state.take_back(cluster, apply(cluster), MODEL, 5)
    assert model_state.state(cluster, MODEL)["back"] is None


def test_a_wrong_answer_after_it_is_not_remembered(apply: Callable[[Cluster], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    cluster: Any = Cluster([definition(TWO), definition(ONE)])
    wrong = {"pod": "tiny-1", "node": "gpu-1", "prompts": [{"prompt": "2+2?", "expect": "4", "answer": "5", "problem": ""}]}
    monkeypatch.setattr(prompts, "ask_all", lambda *_: [wrong, wrong])
    with pytest.raises(api.ClusterError, match="Wrong answers"):
        model_state.take_back(cluster, apply(cluster), MODEL, 5)
    assert cluster.known[0] == definition(TWO)
