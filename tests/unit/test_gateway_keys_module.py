"""Keys are kept whoever else writes them, and a replica that cannot be told of them is named."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.rackstart.cluster.plugins.module_utils import api, gateway_keys, gateway_replicas
from ansible_collections.rackstart.cluster.plugins.modules import gateway_keys as module
from kubernetes.client.exceptions import ApiException

from rackstart.paths import ROOT

OLD, OTHERS, NEW, OWN = (
    gateway_keys.Key(digit * 64, name) for digit, name in (("a", "old"), ("b", "others"), ("c", "new"), ("d", gateway_keys.OWN))
)


class Cluster:
    """The Secret, into which somebody else writes OTHERS just before the first `races` writes; `ready` of two replicas are."""

    def __init__(self, keys: list[gateway_keys.Key] | None, races: int = 0, ready: int = 2) -> None:
        self.keys, self.races, self.ready = keys, races, ready
        self.version = 1
        self.annotations: dict[str, dict[str, str] | None] = {}  # by name of a Secret or a pod
        self.patched: list[str] = []

    def get(self, *_: object) -> dict[str, Any] | None:
        meta = {"resourceVersion": str(self.version), "annotations": self.annotations.get("gateway-keys")}
        return None if self.keys is None else {"metadata": meta}

    def secret(self, *_: object) -> dict[str, str]:
        return {"keys.map": gateway_keys.text(self.keys or [])}

    def resource(self, *_: object) -> Cluster:
        return self

    def list(self, *_: object) -> list[dict[str, Any]]:
        status = [{"type": "Ready", "status": str(number < self.ready)} for number in range(2)]
        metas = [{"name": name, "namespace": "llm", "annotations": self.annotations.get(name)} for name in ("gateway-0", "gateway-1")]
        return [{"metadata": meta, "status": {"conditions": [ready]}} for meta, ready in zip(metas, status, strict=True)]

    def patch(self, body: dict[str, Any], name: str, **_: object) -> None:
        self.patched.append(name)
        if name == "gateway-gone":
            raise ApiException(404)
        self.annotations[name] = body["metadata"]["annotations"]

    def create(self, body: dict[str, Any], namespace: str) -> None:
        self.replace(body, namespace)

    def replace(self, body: dict[str, Any], namespace: str) -> None:
        if self.races:
            self.races, self.version = self.races - 1, self.version + 1
            self.keys = [*(self.keys or []), OTHERS] if OTHERS not in (self.keys or []) else self.keys
        if self.keys is not None and body["metadata"].get("resourceVersion") != str(self.version):
            raise ApiException(409)
        self.keys = gateway_keys.read(base64.b64decode(body["data"]["keys.map"]).decode())
        self.annotations["gateway-keys"] = body["metadata"].get("annotations")


def stored(cluster: Any, dry: bool = False) -> tuple[list[gateway_keys.Key], bool]:
    return module.store(cluster, lambda keys, _: gateway_keys.added(keys, NEW, 0), dry)


@pytest.mark.parametrize(("before", "races", "after"), [(None, 0, [NEW]), ([OLD], 0, [OLD, NEW]), ([OLD], 2, [OLD, OTHERS, NEW])])
def test_what_others_write_meanwhile_is_kept(before: list[gateway_keys.Key] | None, races: int, after: list[gateway_keys.Key]) -> None:
    cluster = Cluster(before, races)
    assert stored(cluster) == (after, True)
    assert cluster.keys == after


def test_somebody_who_never_stops_writing_is_told() -> None:
    with pytest.raises(api.ClusterError, match="run again"):
        stored(Cluster([OLD], races=99))


def test_a_dry_run_keeps_nothing() -> None:
    cluster = Cluster([OLD])
    assert stored(cluster, dry=True) == ([OLD, NEW], True)
    assert cluster.keys == [OLD]


def test_nothing_new_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster: Any = Cluster([OLD])
    monkeypatch.setattr(cluster, "replace", None)
    assert module.store(cluster, lambda keys, _: keys, False) == ([OLD], False)


def test_a_replica_that_is_not_ready_is_named_to_who_ends_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_replicas, "told", lambda *_: True)
    one_short: Any = Cluster([OLD], ready=1)
    assert module.tell(one_short, 1, patient=False) == (["gateway-0"], True)
    with pytest.raises(api.TimeoutReached, match=r"gateway-1 is not ready.*delete pod"):
        module.tell(one_short, 1, patient=True)
    assert module.tell(Cluster([OLD]), 1, patient=True) == (["gateway-0", "gateway-1"], True)  # type: ignore[arg-type]


def test_a_replica_on_its_way_out_is_told_too_and_need_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clients' open connections go on with the keys that it has."""
    cluster: Any = Cluster([OLD])
    stays = cluster.list()

    def leaving(name: str, state: str) -> dict[str, Any]:
        meta = {"name": name, "namespace": "llm", "deletionTimestamp": "2026-11-24T00:00:00Z"}
        return {"metadata": meta, "status": {"containerStatuses": [{"state": {state: {}}}]}}

    going = [leaving("gateway-going", "running"), leaving("gateway-silent", "running"), leaving("gateway-over", "terminated")]
    asked: list[str] = []

    def told(_: object, pod: str, *__: object) -> bool:
        asked.append(pod)
        if pod == "gateway-silent":
            raise api.ClusterError("no answer")
        return True

    monkeypatch.setattr(cluster, "list", lambda *_: [*going, *stays])
    monkeypatch.setattr(gateway_replicas, "told", told)
    assert module.tell(cluster, 1, patient=True) == (["gateway-0", "gateway-1"], True)
    assert sorted(asked) == ["gateway-0", "gateway-1", "gateway-going", "gateway-silent"]
    assert set(cluster.patched) == {"gateway-0", "gateway-1"}
    assert gateway_replicas.ready(cluster) == ["gateway-0", "gateway-1"]


def test_the_copy_that_a_replica_starts_with_is_renewed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """On its node: by a change of the pod, before the replica is told; also of one that is not ready, which may be starting over."""
    cluster: Any = Cluster([OLD], ready=1)
    seen: list[list[str]] = []
    monkeypatch.setattr(gateway_replicas, "told", lambda *_: seen.append(list(cluster.patched)) or False)
    for keys, patched in (([OLD], 2), ([OLD], 2), ([], 4), ([OLD], 6)):
        cluster.keys = keys
        assert module.tell(cluster, 1, patient=False) == (["gateway-0"], False)
        assert len(cluster.patched) == patched
        marks = {name: (cluster.annotations[name] or {})[gateway_replicas.MARK] for name in ("gateway-0", "gateway-1")}
        assert set(marks.values()) == {hashlib.sha256(gateway_keys.text(keys).encode()).hexdigest()[:16]}
    assert all("gateway-0" in before for before in seen)


def test_a_replica_that_goes_meanwhile_keeps_no_other_from_being_told(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster: Any = Cluster([OLD])
    there = cluster.list()
    gone = there[0] | {"metadata": {"name": "gateway-gone", "namespace": "llm"}}
    monkeypatch.setattr(cluster, "list", lambda *_: [gone, there[1]])
    monkeypatch.setattr(gateway_replicas, "told", lambda *_: True)
    assert module.tell(cluster, 1, patient=False) == (["gateway-1"], True)


@pytest.mark.parametrize("patient", [True, False])
@pytest.mark.parametrize("ended_at", ["gateway-0", "gateway-1"])
def test_a_key_that_is_ended_meanwhile_does_not_come_back(monkeypatch: pytest.MonkeyPatch, ended_at: str, patient: bool) -> None:
    """Who gave another key is about to tell this replica of both; who ends one of them gets in before, and is done at once."""
    cluster: Any = Cluster([OLD, NEW])
    held: dict[str, list[gateway_keys.Key]] = {}

    def told(_: object, pod: str, keys: list[gateway_keys.Key]) -> bool:
        if pod == ended_at and pod not in held:
            cluster.keys = [NEW]
            held.update({"gateway-0": [NEW], "gateway-1": [NEW]})
        changes = held.get(pod) != keys
        held[pod] = keys
        return changes

    monkeypatch.setattr(gateway_replicas, "told", told)
    monkeypatch.setattr(gateway_replicas, "AT_ONCE", 1)
    assert module.tell(cluster, 5, patient) == (["gateway-0", "gateway-1"], True)
    assert held == {"gateway-0": [NEW], "gateway-1": [NEW]}


def test_a_key_that_is_ended_while_a_replica_is_waited_for_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster: Any = Cluster([OLD, NEW], ready=1)
    held: dict[str, list[list[gateway_keys.Key]]] = {"gateway-0": [], "gateway-1": []}

    def end(_: float) -> None:
        cluster.keys, cluster.ready = [NEW], 2

    monkeypatch.setattr(gateway_replicas, "told", lambda _, pod, keys: held[pod].append(keys))
    monkeypatch.setattr(api.time, "sleep", end)
    module.tell(cluster, 5, patient=True)
    assert held == {"gateway-0": [[OLD, NEW], [NEW]], "gateway-1": [[NEW]]}


def test_keys_that_others_write_all_the_time_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster: Any = Cluster([])
    monkeypatch.setattr(gateway_replicas, "told", lambda *_: cluster.keys.append(OTHERS))
    with pytest.raises(api.TimeoutReached, match=r"Kept, but .*: others write keys all the time"):
        module.tell(cluster, 1, patient=False)


def first(cluster: Any) -> list[gateway_keys.Key]:
    """The keys once the first client was to be given one."""
    params = {"state": "first", "client": "new", "sha256": "c" * 64, "models": [], "served": None, "rate": 0, "expires": 0}
    kept, _ = module.store(cluster, lambda keys, given: module.change(params, keys, given, 0), False)
    return kept


@pytest.mark.parametrize("before", [None, [], [OWN]], ids=["no Secret", "no key", "our own key"])
def test_the_first_key_is_given_once(before: list[gateway_keys.Key] | None) -> None:
    """Whoever ends it has ended it: no further run gives another, until the Secret is gone as well."""
    cluster: Any = Cluster(before)
    assert first(cluster) == [*(before or []), NEW]
    module.store(cluster, lambda keys, _: gateway_keys.revoked(keys, "new"), False)
    module.store(cluster, lambda keys, _: gateway_keys.ensured(keys, gateway_keys.Key("e" * 64, gateway_keys.OWN)), False)
    assert [key.client for key in first(cluster)] == [gateway_keys.OWN]
    cluster.keys = cluster.annotations["gateway-keys"] = None
    assert first(cluster) == [NEW]


def test_no_first_key_where_clients_had_one_before_that_was_remembered() -> None:
    cluster: Any = Cluster([OWN, OLD])
    module.store(cluster, lambda keys, _: gateway_keys.revoked(keys, "old"), False)
    assert first(cluster) == [OWN]
    fresh: Any = Cluster(None)
    module.store(fresh, lambda keys, _: gateway_keys.ensured(keys, OWN), False)
    assert fresh.annotations["gateway-keys"] is None


ASKED = {"client": "new", "sha256": "c" * 64, "models": ["org/tiny:1"], "rate": 0, "expires": 0, "overlap": 60}


@pytest.mark.parametrize(("state", "before"), [("present", []), ("rotated", [NEW])])
def test_a_key_is_for_models_that_are_served(state: str, before: list[gateway_keys.Key]) -> None:
    for served, said in ((["tiny", "big"], "served: tiny, big"), ([], "served: none")):
        with pytest.raises(gateway_keys.KeyProblem, match=f"no model is served as org/tiny:1; {said}"):
            module.change({**ASKED, "state": state, "served": served}, before, False, 0)
    for right in (["big", "org/tiny:1"], None):
        kept = module.change({**ASKED, "state": state, "served": right}, before, False, 0)
        assert [key.models for key in kept if key.models] == [("org/tiny:1",)]


def test_rackstart_s_own_client_is_named_here_alone() -> None:
    own = {"state": "own", "client": "", "sha256": "d" * 64, "models": [], "served": None, "rate": 0, "expires": 0}
    assert [key.client for key in module.change(own, [OLD], True, 0)] == ["old", gateway_keys.OWN]


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ({"state": "present", "models": ["x"]}, ["org/tiny:1", "big"]),
        ({"state": "present", "models": []}, None),
        ({"state": "absent"}, None),
    ],
)
def test_the_playbook_says_what_is_served_when_models_are_named(asked: dict[str, Any], served: list[str] | None) -> None:
    [play] = yaml.safe_load((ROOT / "playbooks/day2/key.yml").read_text())
    [task] = play["tasks"]
    models = [{"name": "tiny", "served_name": "org/tiny:1"}, {"name": "big", "served_name": "big"}]
    variables = {"gateway_key": asked, "models": models} | {name: trust_as_template(text) for name, text in task["vars"].items()}
    told = Templar(loader=DataLoader(), variables=variables).template(trust_as_template(task["rackstart.cluster.gateway_keys"]))
    assert (told["state"], told.get("served")) == (asked["state"], served)
