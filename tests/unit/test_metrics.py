"""What Prometheus must read, what it says that it reads, and what the verdict sees of both."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import api, metrics, prometheus_objects, scraping, targets

URL = "http://10.42.0.9:9101/metrics.txt"


def target(job: str, name: str, health: str = "up", error: str = "", kind: str = "pod", at: str = "12:00:00") -> dict[str, Any]:
    discovered = {f"__meta_kubernetes_{kind}_name": name, "__meta_kubernetes_namespace": "llm"}
    read = {"health": health, "lastError": error, "lastScrape": at}
    return {"scrapePool": job, "scrapeUrl": URL, "discoveredLabels": discovered} | read


@pytest.mark.parametrize(
    ("active", "problems", "pending"),
    [
        ([target("a", "one"), target("a", "two"), target("b", "n", kind="node")], [], False),
        ([target("a", "one"), target("b", "n", kind="node")], ["a, two: is no target"], True),
        (
            [target("a", "one"), target("a", "two", "down", "refused"), target("b", "n", kind="node")],
            [f"a, two: {URL}: refused (at 12:00:00)"],
            False,
        ),
        ([target("a", "one"), target("a", "two", "unknown"), target("b", "n", kind="node")], [f"a, two: {URL}: not read yet"], True),
        ([target("a", "one"), target("a", "two"), target("b", "n", kind="node"), target("a", "gone", "down", "x")], [], False),
        ([target("a", "one"), target("b", "two"), target("b", "n", kind="node")], ["a, two: is no target"], True),
        ([], ["a, one: is no target", "a, two: is no target", "b, n: is no target"], True),
    ],
    ids=["all", "one too few", "one down", "one new", "one on its way out", "one of another job", "none"],
)
def test_targets_that_are_not_read_are_named(active: list[dict[str, Any]], problems: list[str], pending: bool) -> None:
    found = targets.states({"data": {"activeTargets": active}}, {"a": ["one", "two"], "b": ["n"], "c": []})
    assert (targets.target_problems(found), targets.pending({}, found)) == (problems, pending)


def node(name: str, ready: str = "True", **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


def pod(name: str, where: str = "gpu-1", phase: str = "Running", ready: bool = True, going: bool = False) -> dict[str, Any]:
    meta = {"name": name, "namespace": "llm"} | ({"deletionTimestamp": "now"} if going else {})
    return {
        "metadata": meta,
        "spec": {"nodeName": where},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


PROMETHEUS = "app.kubernetes.io/name=prometheus,app.kubernetes.io/component=monitoring"
GATEWAY, CHECKS = "app.kubernetes.io/component=gateway", "app.kubernetes.io/component=checks"
SERVER = node("server-1", **{"node-role.kubernetes.io/control-plane": "true"})


FILES = {"prometheus.yml": "{}", "store.yml": ""}


class Cluster:
    """Pods by selector; answers: what Prometheus says of its targets, one after the other, the last one for ever."""

    def __init__(self, pods: dict[str, list[Any]], answers: list[Any] | None = None, crds: tuple[str, ...] = (), nodes: Any = ()) -> None:
        self.pods, self.answers, self.crds, self.nodes = pods, answers or [], crds, nodes or [SERVER, node("gpu-1")]
        self.asked = 0
        self.files = FILES
        self.patches: list[dict[str, Any]] = []

    def resource(self, _version: str, kind: str) -> Any:
        assert kind == "Pod"
        return SimpleNamespace(patch=lambda **given: self.patches.append(given))

    def list(self, _version: str, kind: str, namespace: str | None = None, selector: str | None = None) -> list[dict[str, Any]]:
        return self.nodes if kind == "Node" else self.pods.get(selector or "", [])

    def get(self, _version: str, kind: str, name: str, *_: object) -> dict[str, Any] | None:
        if kind == "ConfigMap":
            return {"metadata": {"resourceVersion": "7"}, "data": self.files}
        return None

    def has_crd(self, name: str) -> bool:
        return name in self.crds

    def read(self, _namespace: str, name: str, port: int, path: str, _timeout: int) -> str:
        assert (name, port) == ("prometheus-1", 9090)
        if path == targets.RULES:
            mark = {"name": prometheus_objects.MARK, "health": "ok", "labels": {"mark": prometheus_objects.mark(FILES)}}
            return json.dumps({"data": {"groups": [{"file": "/etc/prometheus/store.yml", "rules": [mark]}]}})
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        return json.dumps({"data": {"activeTargets": answer}})


def names(cluster: Any) -> dict[str, list[str]]:
    return {job: found for job, found in metrics.expected(cluster).items() if found}


NODES = {"kubelet": ["gpu-1", "server-1"], "cadvisor": ["gpu-1", "server-1"], "apiserver": ["server-1"]}


@pytest.mark.parametrize(
    ("gateways", "nodes", "expected"),
    [
        ([pod("one"), pod("two")], (), {"gateway": ["one", "two"], **NODES}),
        (
            [pod("one"), pod("two", going=True), pod("three", phase="Failed"), pod("four", phase="Pending")],
            (),
            {"gateway": ["one"], **NODES},
        ),
        (
            [pod("one", "gpu-9"), pod("two")],
            (SERVER, node("gpu-1"), node("gpu-9", "Unknown")),
            {"gateway": ["two"], **NODES},
        ),
        ([pod("one")], (node("gpu-1"),), {"gateway": ["one"], "kubelet": ["gpu-1"], "cadvisor": ["gpu-1"]}),
    ],
    ids=["all", "only what runs", "not what is on a node that is away", "servers by their label"],
)
def test_what_must_be_read_is_what_runs(gateways: list[Any], nodes: Any, expected: dict[str, list[str]]) -> None:
    assert names(Cluster({GATEWAY: gateways, CHECKS: [pod("c")]}, nodes=nodes)) == expected | {"checks": ["c"]}


def test_a_pod_of_checks_there_must_be() -> None:
    assert names(Cluster({CHECKS: [pod("c", phase="Pending")]}))["checks"] == ["a pod of checks"]


OF_NODES = [target(job, name, kind="node") for job, found in NODES.items() for name in found]
GOOD = [*OF_NODES, target("checks", "c")]


def down(at: str) -> list[Any]:
    return [*OF_NODES, target("checks", "c", "down", "refused", at=at)]


STARTING = down("12:00:00")
PODS = {PROMETHEUS: [pod("prometheus-0", ready=False), pod("prometheus-1")], CHECKS: [pod("c")]}


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were slept, which is all the time that passes."""
    now = [0.0]
    monkeypatch.setattr(api.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(api.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


@pytest.mark.parametrize(
    ("answers", "problems", "waits"),
    [
        ([GOOD], [], 0),
        ([OF_NODES, [*OF_NODES, target("checks", "c", "unknown")], GOOD], [], 4),
        ([STARTING, STARTING, GOOD], [], 4),
        ([STARTING, STARTING, down("12:00:30")], [f"checks, c: {URL}: refused (at 12:00:30)"], 4),
        ([STARTING], [f"checks, c: {URL}: refused (at 12:00:00)"], metrics.SETTLED + 1),
        ([OF_NODES], ["checks, c: is no target"], metrics.SETTLED + 1),
        ([api.ClusterError("HTTP 503: starting")], ["Prometheus does not answer: HTTP 503: starting"], 0),
    ],
    ids=["all", "a new pod", "down, read again", "down twice", "down, read once", "never found", "no answer"],
)
def test_the_verdict_sees(answers: list[Any], problems: list[str], waits: float, slept: list[float]) -> None:
    found = metrics.observe(Cluster(PODS, answers))  # type: ignore[arg-type]
    assert found
    assert (metrics.problems(found), slept[0]) == (problems, waits)


def test_no_prometheus_is_told_at_once(slept: list[float]) -> None:
    found = metrics.observe(Cluster({PROMETHEUS: [pod("prometheus-0", ready=False)]}))  # type: ignore[arg-type]
    assert (found, slept[0]) == ({"problem": "no pod of Prometheus is ready", "jobs": {}, "rules": []}, 0)


def test_an_api_that_is_away_is_told(slept: list[float]) -> None:
    cluster: Any = Cluster(PODS)
    cluster.list = lambda *_, **__: (_ for _ in ()).throw(ConnectionRefusedError("refused"))
    found = metrics.observe(cluster)
    assert found
    assert "refused" in found["problem"]


def test_where_the_operator_is_there_is_nothing_of_ours_to_ask() -> None:
    assert metrics.observe(Cluster({}, crds=(metrics.OPERATORS,))) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({}, []),
        ({"other.yml": ""}, ["other.yml is not loaded", targets.OLD]),
        ({"store.yml": "groups: []"}, [targets.OLD]),
        ({"prometheus.yml": "alerting: {}"}, [targets.OLD]),
    ],
    ids=["all", "a new file", "other rules", "another configuration"],
)
def test_files_that_are_not_loaded_are_named(changes: dict[str, str], problems: list[str]) -> None:
    cluster: Any = Cluster(PODS, [GOOD])
    cluster.files = FILES | changes
    assert metrics.problems(metrics.look(cluster)) == problems


def test_a_pod_that_is_ready_is_changed_for_its_files_to_be_renewed() -> None:
    current = pod("prometheus-2")
    current["metadata"]["annotations"] = {metrics.FILES: "7"}
    cluster: Any = Cluster(PODS | {PROMETHEUS: [*PODS[PROMETHEUS], current]})
    metrics.refresh(cluster)
    [given] = cluster.patches
    assert (given["name"], given["namespace"]) == ("prometheus-1", "llm")
    assert given["body"] == {"metadata": {"annotations": {metrics.FILES: "7"}}}


def test_pods_of_every_job_are_looked_for() -> None:
    """One of each kind of pod is expected under the name of its job."""
    there = {job.selector: [pod(name)] for name, job in scraping.JOBS.items() if isinstance(job, scraping.Pods)}
    assert names(Cluster(there)) == {name: [name] for name, job in scraping.JOBS.items() if isinstance(job, scraping.Pods)} | NODES
