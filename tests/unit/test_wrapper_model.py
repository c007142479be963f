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
    """One Deployment and what it remembers. applied: revisions, one after the other."""

    def __init__(self, known: list[dict[str, Any]]) -> None:
        self.known = known
        self.live = copy.deepcopy(known[0])
        self.applied: list[str] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def apply(self, one: dict[str, Any]) -> dict[str, Any]:
        assert "asked" not in one
        self.live = one
        self.applied += [claim.removeprefix("weights-")[0] for claim in promotion.claims([one])]
        return one

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
    answer = {
        "pod": "tiny-1",
        "node": "gpu-1",
        "prompts": [{"prompt": "2+2?", "expect": "4", "answer": "4", "problem": "", "late": "answered after 9 s"}],
    }
    for where in (model_state, promotion):
        monkeypatch.setattr(where, "Rollout", lambda cluster, _: SimpleNamespace(wait=lambda seconds: cluster.meanwhile()))
    monkeypatch.setattr(prompts, "ask_all", lambda *_: [answer, answer])
    monkeypatch.setattr(model_state, "Applier", lambda *_, dry: SimpleNamespace(apply=lambda one: one))
    return lambda cluster: SimpleNamespace(dry=False, apply=cluster.apply)


MODEL = {"name": "tiny", "revision": TWO, "golden_prompts": []}


def test_back_and_forth(apply: Callable[[Cluster], Any]) -> None:
    cluster: Any = Cluster([definition(TWO), definition(ONE)])
    assert model_state.state(cluster, MODEL)["service"]["revision"] == TWO
    for now, before in ((ONE, TWO), (TWO, ONE)):
        model_state.take_back(cluster, apply(cluster), MODEL, 5)
        found = model_state.state(cluster, MODEL)
        assert (found["service"]["revision"], found["back"]["revision"], found["ready"]) == (now, before, 2)


@pytest.mark.parametrize("known", [[definition(TWO), definition(ONE)], [definition(TWO)]])
def test_what_never_proved_good_is_taken_back_to_what_did_last(apply: Callable[[Cluster], Any], known: list[dict[str, Any]]) -> None:
    """A run that was killed has left it in service."""
    cluster: Any = Cluster(known)
    cluster.live = definition("3" * 40)
    assert model_state.state(cluster, MODEL)["back"]["revision"] == TWO
    model_state.take_back(cluster, apply(cluster), MODEL, 5)
    assert (cluster.applied, cluster.known) == (["2"], known)


def test_as_many_replicas_as_serve_are_taken_back(apply: Callable[[Cluster], Any]) -> None:
    cluster: Any = Cluster([definition(TWO), definition(ONE)])
    for one in cluster.known:
        one["spec"]["replicas"] = 1
    model_state.take_back(cluster, apply(cluster), MODEL, 5)
    assert [one["spec"]["replicas"] for one in (cluster.live, *cluster.known)] == [2, 2, 2]


def test_nothing_to_go_back_to_is_said(apply: Callable[[Cluster], Any]) -> None:
    cluster: Any = Cluster([definition(ONE)])
    with pytest.raises(api.ClusterError, match="only one template of it has proved good"):
        model_state.take_back(cluster, apply(cluster), MODEL, 5)
    assert model_state.state(cluster, MODEL)["back"] is None


def test_a_wrong_answer_after_it_is_not_remembered(apply: Callable[[Cluster], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    cluster: Any = Cluster([definition(TWO), definition(ONE)])
    wrong = {"pod": "tiny-1", "node": "gpu-1", "prompts": [{"prompt": "2+2?", "expect": "4", "answer": "5", "problem": "'5'", "late": ""}]}
    monkeypatch.setattr(prompts, "ask_all", lambda *_: [wrong, wrong])
    with pytest.raises(api.ClusterError, match=rf"(?s)Wrong answers.*\nTaken back: tiny to weights-{TWO} with vllm@sha256:aa\.$"):
        model_state.take_back(cluster, apply(cluster), MODEL, 5)
    assert cluster.known == [definition(TWO), definition(ONE)]
    assert cluster.applied == ["1", "2"]


@pytest.mark.parametrize(
    ("times", "said"), [(1, f"Taken back: tiny to weights-{TWO} with"), (2, "What proved good before does not come up either: it crashes")]
)
def test_what_does_not_come_up_is_replaced_by_what_served(apply: Callable[[Cluster], Any], times: int, said: str) -> None:
    cluster: Any = Cluster([definition(TWO), definition(ONE)])

    def crash() -> None:
        if len(cluster.applied) <= times:
            raise api.ClusterError("it crashes")

    cluster.meanwhile = crash
    with pytest.raises(api.ClusterError, match=f"^it crashes\n{said}"):
        model_state.take_back(cluster, apply(cluster), MODEL, 5)
    assert cluster.applied == ["1", "2"]
    assert cluster.known == [definition(TWO), definition(ONE)]


def test_what_somebody_else_applied_meanwhile_is_not_remembered(apply: Callable[[Cluster], Any]) -> None:
    cluster: Any = Cluster([definition(TWO), definition(ONE)])
    cluster.meanwhile = lambda: setattr(cluster, "live", definition("3" * 40))
    with pytest.raises(api.ClusterError, match=r"Somebody else has changed Deployment/tiny meanwhile, .* run again"):
        model_state.take_back(cluster, apply(cluster), MODEL, 5)
    assert (cluster.applied, cluster.known[0]) == (["1"], definition(TWO))


@pytest.mark.parametrize("kept", [True, False])
def test_a_rollback_is_asked_what_it_proved_good_with(apply: Callable[[Cluster], Any], monkeypatch: pytest.MonkeyPatch, kept: bool) -> None:
    """Or, where that was not remembered yet, what is declared now."""
    model = MODEL | {"served_name": "new", "golden_prompts": [{"prompt": "3+3?", "expect": "6"}], "golden_seconds": 2, "context_length": 64}
    former = {"name": "tiny", "served_name": "old", "golden_prompts": [{"prompt": "2+2?", "expect": "4"}], "context_length": 32}
    entries = [promotion.proved(definition(TWO), model), promotion.proved(definition(ONE), former) if kept else definition(ONE)]
    cluster: Any = Cluster(entries)
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(prompts, "ask_all", lambda _, model, *__: asked.append(model) or [{"prompts": []}] * 2)
    model_state.take_back(cluster, apply(cluster), model, 5)
    expected = {"revision": TWO, "replicas": 2} | former if kept else model | {"replicas": 2}
    assert asked == [expected]
    assert cluster.known == entries[::-1]
