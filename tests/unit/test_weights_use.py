"""Which weights are needed, from objects of every kind; and that what could not be seen is never called unused."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.rackstart.cluster.plugins.module_utils import api, promotion, store_unused, volumes, weights_use
from ansible_collections.rackstart.cluster.plugins.modules import weights_unused
from kubernetes.client.exceptions import ApiException

SERVER, EXPORT = "10.0.0.1", "/srv/models"
ONE, TWO, THREE = (digit * 40 for digit in "123")
MODEL = {"name": "tiny", "repo": "org/tiny", "revision": ONE}


def place(revision: str) -> str:
    return f"org/tiny/{revision}"


def claim(revision: str) -> str:
    return volumes.claim(MODEL | {"revision": revision}, SERVER, EXPORT)


def mounts(*names: str, **volume: Any) -> dict[str, Any]:
    given = [{"persistentVolumeClaim": {"claimName": name}} for name in names]
    return {"volumes": [{"emptyDir": {}}, *given, *([volume] if volume else [])]}


def named(name: str, spec: dict[str, Any], namespace: str = "llm", component: str = "", **more: Any) -> dict[str, Any]:
    labels = {"app.kubernetes.io/managed-by": "rackstart", "app.kubernetes.io/component": component} if component else {}
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": spec, **more}


def template(name: str, revision: str, component: str = "", **spec: Any) -> dict[str, Any]:
    return named(name, {"template": {"spec": mounts(claim(revision))}, **spec}, component=component)


def deployment(*good: str, annotation: str = "") -> dict[str, Any]:
    """One that serves the first and can be taken back to the others."""
    known = [{"spec": {"template": {"spec": {**mounts(claim(one)), "containers": [{}]}}}} for one in good]
    one = template("tiny", good[0], "inference")
    one["metadata"]["annotations"] = {promotion.GOOD: annotation or json.dumps(known)}
    return one


def seen(*revisions: str, **objects: Any) -> dict[str, list[dict[str, Any]]]:
    """A cluster with the volumes of these revisions."""
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in weights_use.KINDS}
    for one in revisions:
        nfs = {"server": SERVER, "path": f"{EXPORT}/{place(one)}"}
        found["PersistentVolume"].append({"metadata": {"name": claim(one)}, "spec": {"nfs": nfs}})
        found["PersistentVolumeClaim"].append(named(claim(one), {"volumeName": claim(one)}))
    return found | objects


def needed(cluster: dict[str, Any], *models: dict[str, Any], ignored: tuple[str, ...] = ("weights",)) -> weights_use.Needs:
    return weights_use.needs(cluster, list(models), SERVER, EXPORT, ignored=ignored)


USES: dict[str, tuple[dict[str, Any], str]] = {
    "a pod": ({"Pod": [named("one", mounts(claim(TWO)))]}, "Pod llm/one"),
    "a pod that waits": ({"Pod": [named("one", mounts(claim(TWO)), status={"phase": "Pending"})]}, "Pod llm/one"),
    "a pod that is on its way out": ({"Pod": [named("one", mounts(claim(TWO)), deletionTimestamp="now")]}, "Pod llm/one"),
    "a pod that has ended": ({"Pod": [named("one", mounts(claim(TWO)), status={"phase": "Succeeded"})]}, ""),
    "the pod that checks the volume": ({"Pod": [named("one", mounts(claim(TWO)), component="weights")]}, ""),
    "the set of the pods that check it": ({"DaemonSet": [template("check", TWO, "weights")]}, ""),
    "a pod elsewhere that mounts the server itself": (
        {"Pod": [named("one", mounts(nfs={"server": SERVER, "path": f"{EXPORT}/{place(TWO)}"}), "default")]}, "Pod default/one",
    ),
    "a pod that mounts a part of it": ({"Pod": [named("one", mounts(nfs={"path": f"{EXPORT}/{place(TWO)}/sub/"}))]}, "Pod llm/one"),
    "a pod that mounts all of the store": ({"Pod": [named("one", mounts(nfs={"path": f"{EXPORT}/"}))]}, "Pod llm/one"),
    "a pod that mounts another store": ({"Pod": [named("one", mounts(nfs={"path": "/srv/models-2/org"}))]}, ""),
    "an export that begins like it": ({"Pod": [named("one", mounts(nfs={"path": f"{EXPORT}2/{place(TWO)}"}))]}, "Pod llm/one"),
    "an export of another name": ({"Pod": [named("one", mounts(nfs={"path": f"/pool/{place(TWO)}"}))]}, "Pod llm/one"),
    "a deployment of a user": ({"Deployment": [template("own", TWO)]}, "Deployment llm/own"),
    "a stateful set": ({"StatefulSet": [template("own", TWO)]}, "StatefulSet llm/own"),
    "a job": ({"Job": [template("own", TWO)]}, "Job llm/own"),
    "a replica set without replicas": ({"ReplicaSet": [template("old", TWO, "inference", replicas=0)]}, "ReplicaSet llm/old"),
    "a cron job": (
        {"CronJob": [named("own", {"jobTemplate": {"spec": {"template": {"spec": mounts(claim(TWO))}}}})]}, "CronJob llm/own",
    ),
    "what a model can be taken back to": ({"Deployment": [deployment(ONE, TWO)]}, "tiny can be taken back to it"),
    "even the last that it can": ({"Deployment": [deployment(ONE, THREE, TWO)]}, "tiny can be taken back to it"),
    "nobody": ({}, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", USES)
def test_who_needs_a_revision(name: str) -> None:
    objects, reason = USES[name]
    found = needed(seen(ONE, TWO, THREE, **objects), MODEL)
    assert store_unused.why(found.paths, place(ONE)) in ("declared: tiny", reason)
    assert store_unused.why(found.paths, place(TWO)) == reason
    assert found.lost == []
    through_claim = "nfs" not in str(objects)
    assert found.claims.get(claim(TWO), "") == (reason if through_claim else "")


def test_objects_of_ours_that_stay_out_of_it_do_not_count() -> None:
    cluster = seen(ONE, TWO, Deployment=[deployment(ONE, TWO)], Pod=[named("tiny-1", mounts(claim(TWO)), component="inference")])
    assert place(TWO) not in needed(cluster, MODEL, ignored=("weights", "inference")).paths
    assert weights_use.needs(cluster, [MODEL], SERVER, EXPORT, [claim(TWO)], ("weights", "inference")).claims.keys() == {
        claim(ONE), claim(TWO),
    }  # fmt: skip


LOST: dict[str, tuple[dict[str, Any], bool]] = {
    "of what it can be taken back to": ({"Deployment": [deployment(ONE, TWO)]}, True),
    "of a pod": ({"Pod": [named("one", mounts(claim(TWO)))]}, True),
    "of a replica set": ({"ReplicaSet": [template("new", TWO, replicas=1)]}, True),
    "of a replica set without replicas": ({"ReplicaSet": [template("old", TWO, replicas=0)]}, False),
    "of a pod with other volumes": ({"Pod": [named("one", mounts("mine"))]}, False),
    "of a pod elsewhere": ({"Pod": [named("one", mounts(claim(TWO)), "default")]}, False),
}


@pytest.mark.parametrize("name", LOST)
def test_a_volume_that_is_gone(name: str) -> None:
    objects, lost = LOST[name]
    found = needed(seen(ONE, **objects), MODEL)
    assert [text for text in found.lost if f"the volume of its claim {claim(TWO)} is gone" in text] == found.lost
    assert bool(found.lost) is lost


class Cluster:
    """Lists what it holds, deletes what it is told, and fails on a kind or lacks it when asked to."""

    def __init__(self, objects: dict[str, Any], broken: str = "", lacking: str = "") -> None:
        self.objects, self.broken, self.lacking = objects, broken, lacking
        self.deleted: list[str] = []

    def resource(self, version: str, kind: str) -> Any:
        if kind == self.lacking:
            return None

        def get(**_: object) -> Any:
            if kind == self.broken:
                raise ApiException(503)
            return SimpleNamespace(to_dict=lambda: {"items": self.objects[kind]})

        def delete(name: str, **_: object) -> None:
            self.deleted.append(f"{kind}/{name}")

        return SimpleNamespace(get=get, delete=delete, namespaced=kind != "PersistentVolume")

    def list(self, version: str, kind: str, *_: object) -> Any:
        return [one for one in self.objects[kind] if kind != "DaemonSet" or one["metadata"]["labels"]]

    def get(self, version: str, kind: str, name: str, _: str = "") -> Any:
        return None if f"{kind}/{name}" in self.deleted else {}


def run(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    monkeypatch.setattr(api, "Cluster", lambda _: cluster)
    arguments = {"models": [MODEL], "server": SERVER, "export": EXPORT, "strict": True, **options}
    with patch_module_args(arguments), pytest.raises(SystemExit):
        weights_unused.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_volumes_that_nothing_needs_go(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    objects = {"Deployment": [deployment(ONE, TWO)], "DaemonSet": [named(claim(one), {}, component="weights") for one in (ONE, TWO, THREE)]}
    cluster = Cluster(seen(ONE, TWO, THREE, **objects))
    found = run(cluster, monkeypatch, capsys)
    gone = [f"{kind}/{claim(THREE)}" for kind in ("DaemonSet", "PersistentVolumeClaim", "PersistentVolume")]
    assert (found["changes"], cluster.deleted) == (gone, gone)
    assert found["needed"] == {place(ONE): "declared: tiny", place(TWO): "tiny can be taken back to it"}


@pytest.mark.parametrize("kind", weights_use.KINDS)
@pytest.mark.parametrize("fault", ["broken", "lacking"])
def test_a_kind_that_cannot_be_listed_ends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str, fault: str
) -> None:
    cluster = Cluster(seen(ONE, TWO), **{fault: kind})
    found = run(cluster, monkeypatch, capsys)
    assert found["failed"]
    assert "run again" in found["msg"]
    assert cluster.deleted == []


@pytest.mark.parametrize(
    ("deployed", "said"),
    [
        (deployment(ONE, THREE), f"the volume of its claim {claim(THREE)} is gone"),
        (deployment(ONE, annotation="[{]"), "The annotation rackstart.io/good of Deployment tiny cannot be read"),
        (deployment(ONE, annotation='[{"spec": {}}]'), "cannot be read"),
        (deployment(ONE, annotation='"text"'), "cannot be read"),
    ],
)
def test_doubt_ends_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], deployed: dict[str, Any], said: str) -> None:
    cluster = Cluster(seen(ONE, TWO, Deployment=[deployed]))
    found = run(cluster, monkeypatch, capsys)
    assert said in found["msg"]
    assert cluster.deleted == []


def test_a_run_is_not_held_up_by_doubt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = Cluster(seen(ONE, TWO, Deployment=[template("checks", THREE, "checks")]))
    found = run(cluster, monkeypatch, capsys, strict=False, ignored=["inference"])
    assert found["changes"] == [f"{kind}/{claim(TWO)}" for kind in ("PersistentVolumeClaim", "PersistentVolume")]
