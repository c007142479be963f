"""A real Prometheus finds its targets by a real API server, with no more rights than it is given; the API takes all objects of it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import programs
import pytest
import watched
import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import monitoring, scraping, targets
from expressions import RULES

from lab.images import build
from rackstart.paths import ROOT
from tests.loopback import free, program

MODEL = {"name": "tiny", "replicas": 2, "engine": "vllm", "gpus_per_replica": 1}
OLLAMA = {"name": "other", "replicas": 1, "engine": "ollama", "gpus_per_replica": 0}
SETTINGS: monitoring.Settings = {
    "image": watched.IMAGE,
    "checks_image": watched.IMAGE,
    "claims": {"tiny": "weights-tiny-0a"},
    "script": (ROOT / "roles/monitoring/files/checks.sh").read_text(),
    "rules": {file.name: file.read_text() for file in RULES},
    "dashboards": {file.name: file.read_text() for file in ROOT.glob("roles/monitoring/files/dashboards/*.json")},
    "storage_class": "",
    "storage_gib": 1,
    "retention": "1d",
    "alertmanagers": ["127.0.0.1:9"],
    "labels": {},
    "operator_namespace": "monitoring",
    "nodes_away": [],
}
OBJECTS = monitoring.objects([MODEL], SETTINGS, operator=False)
FILES = next(item["data"] for item in OBJECTS if (item["kind"], item["metadata"]["name"]) == ("ConfigMap", "prometheus"))
PODS = {item["metadata"]["name"]: item["spec"]["template"] for item in OBJECTS if item["kind"] == "Deployment"}
EXPECTED = {name: [name if isinstance(job, scraping.Pods) else "gpu-1"] for name, job in scraping.JOBS.items()}


class Prometheus:
    """The answers of a running one, the folder of its files, and how to wait for it."""

    def __init__(self, address: str, folder: Path, until: Callable[[Callable[[], Any]], Any]) -> None:
        self.address, self.folder, self.until = address, folder, until

    def ask(self, path: str) -> Any:
        return json.loads(programs.get(self.address + path))

    def query(self, expression: str) -> list[dict[str, str]]:
        return [found["metric"] for found in self.ask(f"/api/v1/query?query={quote(expression)}")["data"]["result"]]


def configuration(folder: Path) -> str:
    """The rendered one, but for where token, authority and API server are, and how often it looks."""
    config = yaml.safe_load(FILES["prometheus.yml"].replace(scraping.ACCOUNT, str(folder)))
    api = {"api_server": f"https://{programs.LOOPBACK}:6443", "tls_config": {"ca_file": f"{folder}/ca.crt"}}
    for scrape in config["scrape_configs"]:
        scrape["kubernetes_sd_configs"][0] |= {**api, "authorization": {"credentials_file": f"{folder}/token"}}
    often = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    return yaml.safe_dump(config | {"global": often})


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[programs.Kubectl]:
    """Of an API server that has taken all objects, each field of which it knows."""
    with programs.api_server(tmp_path_factory.mktemp("cluster"), (free(), free())) as kubectl:
        kubectl("create", "namespace", "gpu-operator")
        kubectl("apply", "--server-side", "--validate=strict", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": OBJECTS})
        yield kubectl


@pytest.fixture(scope="module")
def prometheus(kubectl: programs.Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder, port = kubectl.folder, free()
    (folder / "token").write_text(kubectl("create", "token", "prometheus", "-n", "llm").strip())
    for name, text in FILES.items():
        (folder / name).write_text(configuration(folder) if name == "prometheus.yml" else text)
    watched.inhabit(kubectl)
    own = {"--config.file": folder / "prometheus.yml", "--storage.tsdb.path": folder / "data"}
    given = PODS["prometheus"]["spec"]["containers"][0]["command"][1:]
    flags = [argument for argument in given if argument.partition("=")[0] not in own] + [f"{flag}={value}" for flag, value in own.items()]
    binary = build.prometheus()
    command = [binary, *flags, f"--web.listen-address=127.0.0.1:{port}"]
    with watched.targets(folder), program(folder / "prometheus.log", *command) as until:
        running = Prometheus(f"http://127.0.0.1:{port}", folder, until)
        until(lambda: not targets.target_problems(targets.states(running.ask(targets.TARGETS), EXPECTED)))
        until(lambda: running.query("model:replicas_declared"))
        yield running


@pytest.mark.parametrize("name", PODS)
def test_pods_are_admitted_to_the_namespace(name: str, kubectl: programs.Kubectl) -> None:
    """By the API server's own admission of restricted pods, which refuses one that may more."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "llm"}, "spec": PODS[name]["spec"]}
    kubectl("create", "--dry-run=server", "-f", "-", given=pod)
    with pytest.raises(AssertionError, match="violates PodSecurity"):
        kubectl("create", "--dry-run=server", "-f", "-", given={**pod, "spec": {**pod["spec"], "hostNetwork": True}})


def test_every_part_is_one_target_and_up(prometheus: Prometheus) -> None:
    active = prometheus.ask(targets.TARGETS)["data"]["activeTargets"]
    assert sorted(target["scrapePool"] for target in active) == sorted(scraping.JOBS)
    assert {target["health"] for target in active} == {"up"}


def test_targets_say_what_they_are_of(prometheus: Prometheus) -> None:
    found = {labels.pop("job"): labels for labels in prometheus.query("up")}
    at = {name: f"{programs.LOOPBACK}:{job.port}" if isinstance(job, scraping.Pods) else "gpu-1" for name, job in scraping.JOBS.items()}
    common = {name: {"__name__": "up", "instance": instance, "node": "gpu-1"} for name, instance in at.items()}
    common["inference"] |= {"model": "tiny", "pod": "inference"}
    common["gateway"]["pod"], common["checks"]["pod"] = "gateway", "checks"
    assert found == {scraping.label(name): labels for name, labels in common.items()}


def test_only_what_is_used_is_kept(prometheus: Prometheus) -> None:
    kept = {labels["__name__"] for labels in prometheus.query('{job=~".+"}')}
    assert kept & {"python_info", "haproxy_server_status", "go_threads", "machine_cpu_cores", "go_goroutines"} == set()
    assert kept >= {text.partition("{")[0].partition(" ")[0] for text in watched.TEXT.values()} | {"apiserver_storage_size_bytes"}


def test_a_gpu_s_own_labels_stay(prometheus: Prometheus) -> None:
    [labels] = prometheus.query("DCGM_FI_DEV_GPU_UTIL")
    assert (labels["pod"], labels["namespace"], labels["node"]) == ("tiny-0", "llm", "gpu-1")


def test_every_rule_is_loaded(prometheus: Prometheus) -> None:
    assert targets.rule_problems(prometheus.ask(targets.RULES), FILES) == []
    assert targets.rule_problems(prometheus.ask(targets.RULES), FILES | {"other.yml": ""}) == ["other.yml is not loaded", targets.OLD]


def test_alerts_go_where_they_are_to_go(prometheus: Prometheus) -> None:
    assert [one["url"] for one in prometheus.ask("/api/v1/alertmanagers")["data"]["activeAlertmanagers"]] == [
        "http://127.0.0.1:9/api/v2/alerts"
    ]


def test_other_models_are_loaded_as_it_runs(prometheus: Prometheus) -> None:
    """Files that are replaced as the kubelet does, by links to others."""
    others = next(item["data"] for item in monitoring.objects([MODEL, OLLAMA], SETTINGS, False) if "declared.yml" in item.get("data", {}))
    assert targets.rule_problems(prometheus.ask(targets.RULES), others) == [targets.OLD]
    (prometheus.folder / "new").mkdir()
    for name in ("declared.yml", "loaded.yml"):
        (prometheus.folder / "new" / name).write_text(others[name])
        (prometheus.folder / "link").symlink_to(f"new/{name}")
        (prometheus.folder / "link").replace(prometheus.folder / name)
    started = prometheus.ask("/api/v1/status/runtimeinfo")["data"]["startTime"]
    prometheus.until(lambda: targets.rule_problems(prometheus.ask(targets.RULES), others) == [])
    prometheus.until(lambda: {labels["model"] for labels in prometheus.query("model:replicas_declared")} == {"tiny", "other"})
    assert prometheus.ask("/api/v1/status/runtimeinfo")["data"]["startTime"] == started
