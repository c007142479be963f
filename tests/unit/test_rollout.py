"""A pod that hangs since before the run is replaced, and a new one that cannot mount its volumes is told with the server's name."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import api, rollout

LABELS = {"app": "checks"}
META = {"name": "checks", "namespace": "llm", "generation": 1}
DEFINITION = {"kind": "Deployment", "metadata": META, "spec": {"replicas": 1, "selector": {"matchLabels": LABELS}}}


def pod(uid: str, ready: bool = False, mounted: bool = True, going: bool = False) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": str(ready)}, {"type": "PodReadyToStartContainers", "status": str(mounted)}]
    meta = {"name": f"checks-{uid}", "namespace": "llm", "uid": uid, "labels": {**LABELS, rollout.HASH: "h"}}
    volumes = [{"name": "weights", "persistentVolumeClaim": {"claimName": "weights-tiny"}}]
    return {
        "metadata": meta | ({"deletionTimestamp": "now"} if going else {}),
        "spec": {"volumes": volumes, "nodeName": "gpu-1"},
        "status": {"phase": "Running" if mounted else "Pending", "conditions": conditions},
    }


class Cluster:
    """A Deployment's pods. What is deleted goes, or with `stuck` is on its way out for ever, and `next` comes instead."""

    def __init__(self, pods: list[dict[str, Any]], later: dict[str, Any], stuck: bool = False) -> None:
        self.pods, self.next, self.stuck = pods, later, stuck
        self.deleted: list[str] = []

    def list(self, _version: str, kind: str, *_: object) -> list[dict[str, Any]]:
        return list(self.pods) if kind == "Pod" else []

    def get(self, _version: str, kind: str, *_: object) -> dict[str, Any] | None:
        if kind == "PersistentVolumeClaim":
            return {"spec": {"volumeName": "weights-tiny"}}
        if kind == "PersistentVolume":
            return {"spec": {"nfs": {"server": "10.0.0.1", "path": "/srv/tiny"}}}
        ready = sum(one["status"]["conditions"][0]["status"] == "True" for one in self.pods if "deletionTimestamp" not in one["metadata"])
        status = {"observedGeneration": 1, "updatedReplicas": 1, "replicas": 1, "availableReplicas": ready}
        return DEFINITION | {"status": status}

    def resource(self, *_: object) -> Cluster:
        return self

    def delete(self, name: str, namespace: str, body: dict[str, Any]) -> None:
        assert namespace == "llm"
        self.deleted.append(body["preconditions"]["uid"])
        [gone] = [one for one in self.pods if one["metadata"]["name"] == name]
        self.pods = [*(one for one in self.pods if one is not gone), self.next]
        if self.stuck:
            self.pods.append(gone | {"metadata": gone["metadata"] | {"deletionTimestamp": "now"}})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were slept, which is all the time that passes."""
    now = [0.0]
    monkeypatch.setattr(api.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(api.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


HUNG, NEW = pod("old"), pod("new", ready=True)
LATE = (rollout.RENEWED, rollout.RENEWED + 4)


@pytest.mark.parametrize(
    ("before", "applied", "later", "deleted", "within"),
    [
        ([HUNG], [HUNG], NEW, ["old"], LATE),
        ([pod("old", mounted=False)], [pod("old", mounted=False)], NEW, ["old"], LATE),
        ([pod("old", ready=True)], [pod("old", ready=True)], NEW, [], (0, 0)),
        ([HUNG], [pod("old", going=True), NEW], NEW, [], (0, 0)),  # what goes need not be gone
    ],
    ids=["hangs", "cannot mount", "is well", "is replaced by a new template"],
)
def test_what_hangs_since_before_is_replaced(
    clock: list[float],
    before: list[dict[str, Any]],
    applied: list[dict[str, Any]],
    later: dict[str, Any],
    deleted: list[str],
    within: tuple[float, float],
) -> None:
    for stuck in (False, True):
        clock[0] = 0
        cluster: Any = Cluster(before, later, stuck)
        seen = rollout.Rollout(cluster, [DEFINITION], ["checks"])
        cluster.pods = applied
        seen.wait(600)
        assert (cluster.deleted, seen.renewed) == (deleted, [f"checks-{uid}" for uid in deleted])
        assert within[0] <= clock[0] <= within[1]


@pytest.mark.parametrize("before", [[], [pod("old", mounted=False)]], ids=["none before", "one before"])
def test_a_volume_that_cannot_be_mounted_is_told_soon(clock: list[float], before: list[dict[str, Any]]) -> None:
    cluster: Any = Cluster(before, pod("new", mounted=False))
    seen = rollout.Rollout(cluster, [DEFINITION], ["checks"])
    cluster.pods = before or [pod("new", mounted=False)]
    with pytest.raises(api.ClusterError, match=r"not mounted yet: weights-tiny, NFS 10.0.0.1:/srv/tiny; look whether that server answers"):
        seen.wait(600)
    assert clock[0] <= rollout.GIVEN_UP + 4
    assert cluster.deleted == [one["metadata"]["uid"] for one in before]


def test_a_pod_on_its_way_out_is_left_to_it(clock: list[float]) -> None:
    """It was deleted already, and what it has not mounted is nobody's concern."""
    cluster: Any = Cluster([pod("old", mounted=False)], NEW)
    seen = rollout.Rollout(cluster, [DEFINITION], ["checks"])
    cluster.pods = [pod("old", mounted=False, going=True), pod("slow")]
    with pytest.raises(api.TimeoutReached, match="Not rolled out after 300 s"):
        seen.wait(300)
    assert cluster.deleted == []


def test_a_pod_that_came_with_the_run_is_given_its_time(clock: list[float]) -> None:
    cluster: Any = Cluster([], NEW)
    seen = rollout.Rollout(cluster, [DEFINITION], ["checks"])
    cluster.pods = [pod("slow")]
    with pytest.raises(api.TimeoutReached, match="Not rolled out after 300 s"):
        seen.wait(300)
    assert cluster.deleted == []


@pytest.mark.parametrize(("after", "fails"), [(rollout.BEGUN - 4, False), (rollout.BEGUN + 4, True)])
def test_what_the_controller_said_of_the_one_before_is_forgotten(clock: list[float], after: float, fails: bool) -> None:
    class Former(Cluster):
        def get(self, version: str, kind: str, *where: object) -> dict[str, Any] | None:
            found = super().get(version, kind, *where) or {}
            given_up = {"type": "Progressing", "status": "False", "message": "has exceeded its progress deadline"}
            if kind == "Deployment" and clock[0] < after:
                return found | {"status": found["status"] | {"availableReplicas": 0, "conditions": [given_up]}}
            return found

    waiting = rollout.Rollout(Former([NEW], NEW), [DEFINITION])  # type: ignore[arg-type]
    if fails:
        with pytest.raises(api.ClusterError, match="exceeded its progress deadline"):
            waiting.wait(600)
    else:
        waiting.wait(600)


def test_others_are_not_replaced(clock: list[float]) -> None:
    cluster: Any = Cluster([pod("old", mounted=False)], NEW)
    with pytest.raises(api.TimeoutReached):
        rollout.Rollout(cluster, [DEFINITION]).wait(600)
    assert (cluster.deleted, clock[0]) == ([], 600)
