"""`bench` from outside: the cluster and the load generator are played, and everything between them is real."""

import hashlib
import json
import os
import re
import signal
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ansible_runner
import pytest
import yaml

from rackstart import bench, bench_environment, bench_prompts, bench_target, cli
from rackstart.errors import ConfigurationError
from rackstart.paths import ROOT, Project

MODELS = [
    {"name": "tiny", "served_name": "org/tiny:1", "gpus_per_replica": 2, "context_length": 256},
    {"name": "big", "served_name": "big", "gpus_per_replica": 1, "context_length": 8192},
]
FIGURES = {
    "completed_request_count": {"avg": 32}, "request_count": {"avg": 31}, "good_request_count": {"avg": 31},
    "request_latency": {"avg": 312.5}, "input_sequence_length": {"avg": 128}, "output_sequence_length": {"avg": 64},
    "time_to_first_token": {"p50": 100, "p95": 200, "p99": 300}, "inter_token_latency": {"p50": 10, "p95": 20, "p99": 30},
    "total_osl": {"avg": 2000}, "total_isl": {"avg": 4000},
}  # fmt: skip
GENERATOR = """#!{python}
import json, os, pathlib, signal, sys, time
pathlib.Path("seen.json").write_text(json.dumps({{"argv": sys.argv, "environ": dict(os.environ), "pid": os.getpid()}}))
pathlib.Path("out").mkdir()
pathlib.Path("out/profile_export_aiperf.json").write_text('{figures}')
{then}
"""
Told = list[dict[str, Any]]


class Cluster:
    """The playbook of `key`: what it was told, the keys that are kept, and what happens as one is added."""

    def __init__(self) -> None:
        self.told: Told = []
        self.keys: list[dict[str, str]] = []
        self.keeps, self.fails, self.signals = True, False, False

    def run(self, *, cmdline: str, event_handler: Callable[[dict[str, Any]], bool], **_: Any) -> SimpleNamespace:
        [file] = re.findall(r"-e @(\S+)", cmdline)
        told = json.loads(Path(file).read_text())["gateway_key"]
        self.told.append(told)
        if self.signals and told["state"] == "present":
            os.kill(os.getpid(), signal.SIGTERM)
        if told["state"] == "present" and self.keeps:
            self.keys.append({"client": told["client"], "sha256": told["sha256"][:12]})
        if told["state"] == "absent":
            self.keys = [key for key in self.keys if key["client"] != told["client"]]
        if told["state"] == "present" and self.fails:
            event_handler({"event": "runner_on_failed", "event_data": {"host": "localhost", "task": "Keep", "res": {"msg": "not all"}}})
            return SimpleNamespace(status="failed")
        event_handler({"event": "runner_on_ok", "event_data": {"host": "localhost", "res": {"keys": self.keys, "told": ["gateway-1"]}}})
        return SimpleNamespace(status="successful")

    @property
    def states(self) -> list[str]:
        return [told["state"] for told in self.told]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    played = Cluster()
    monkeypatch.setattr(ansible_runner, "run", played.run)
    return played


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Plays the load generator, which writes down how it was started and then does what it is told."""

    def play(then: str = "") -> None:
        program = tmp_path / "aiperf"
        program.write_text(GENERATOR.format(python=sys.executable, figures=json.dumps(FIGURES), then=then))
        program.chmod(0o755)
        monkeypatch.setattr(bench_environment, "aiperf", lambda say: program)
        monkeypatch.setattr(bench_prompts, "words", lambda *_: 5)

    play()
    return play


def serve(project: Project, *names: str, green: bool = True) -> None:
    """A verdict that has these models, and the inventory's word of them."""
    (project.inventory / "group_vars/all").mkdir(parents=True)
    (project.inventory / "group_vars/all/models.yml").write_text(yaml.safe_dump({"models": MODELS, "gpu_memory_mib": 40960}))
    gates = [
        {
            "id": "replica.count",
            "target": name,
            "ok": green,
            "expected": {},
            "seen": {"asked_for": 2, "ready": 2},
            "remedy": "",
            "stage": "x",
        }
        for name in names
    ]
    endpoints = [{"model": name, "url": "https://gateway:30443/v1", "curl": ""} for name in names]
    verdict = {"version": 1, "inventory": "rack", "generated": "", "green": green, "gates": gates, "endpoints": endpoints, "clients": []}
    (project.state / "verdict.json").write_text(json.dumps(verdict))


def rackstart(project: Project, *arguments: str) -> int:
    return cli.main(["--inventory", "rack", "bench", *arguments], project.root)


def seen(project: Project, level: int = 1) -> dict[str, Any]:
    [file] = project.state.glob(f"bench/*/level-{level}/seen.json")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


Generator = Callable[[str], None]


def test_levels_are_measured_with_a_key_that_then_ends(
    project: Project, cluster: Cluster, generator: Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(project, "tiny")
    assert rackstart(project, "--concurrency", "1,8", "--slo", "400/40", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert [(level["concurrency"], level["meets_slo"]) for level in result["levels"]] == [(1, True), (8, True)]
    assert (result["schema"], result["model"], result["replicas"]) == (1, "tiny", 2)
    assert (result["hardware"], result["generator"]) == ("2 GPU of 40960 MiB for each replica", bench_environment.name())
    assert cluster.states == ["present", "absent"]
    first = cluster.told[0]
    assert (first["client"], first["models"]) == ("bench", ["org/tiny:1"])
    assert 0 < first["expires"] - time.time() <= 86400
    [kept] = project.state.glob("bench/*/bench.json")
    assert json.loads(kept.read_text()) == result
    assert (kept.parent / "bench.svg").exists()
    prices = project.root / "prices.yml"
    for share, code in ((0.67, 0), (0.4, 2)):  # 4,000 of 6,000 tokens are prompts
        prices.write_text((ROOT / "docs/cost/post.yml").read_text().replace("input_share: 0.5", f"input_share: {share}"))
        assert cli.main(["cost", "--prices", str(prices), "--bench", str(kept), "--json"], project.root) == code
    said = capsys.readouterr()
    assert json.loads(said.out)["throughput"]["tokens_per_second"] == {"low": 2400, "high": 2400}  # 8 of 312.5 ms, and two replicas
    assert "bootstrap.py --inventory rack bench --model tiny --tokens 77/115" in said.err


@pytest.mark.parametrize(
    ("model", "hardware"),
    [
        ({}, "1 GPU of 40960 or 81920 MiB for each replica"),
        ({"node_selector": {"pool": "a100", "gpu": "true"}}, "1 GPU of 81920 MiB for each replica"),
        ({"gpus_per_replica": 0}, "no GPU"),
    ],
)
def test_the_hardware_is_that_of_the_model_s_own_hosts_in_service(project: Project, model: dict[str, Any], hardware: str) -> None:
    serve(project, "big")
    own = {"gpu-1": {"node_labels_extra": {"pool": "a100"}, "gpu_memory_mib": 81920}, "gpu-3": {"gpu_memory_mib": 24576}}
    for host, variables in own.items():
        (project.inventory / "host_vars").mkdir(exist_ok=True)
        (project.inventory / f"host_vars/{host}.yml").write_text(yaml.safe_dump(variables))
    hosts = yaml.safe_load((project.inventory / "hosts.yml").read_text())
    for group in ("gpu", "out_of_service"):
        hosts["all"]["children"][group] = {"hosts": {**((hosts["all"]["children"][group] or {}).get("hosts") or {}), "gpu-3": None}}
    (project.inventory / "hosts.yml").write_text(yaml.safe_dump(hosts))
    (project.inventory / "group_vars/all/models.yml").write_text(
        yaml.safe_dump({"models": [{**MODELS[1], **model}], "gpu_memory_mib": 40960})
    )
    assert bench_target.find(project, "big").hardware == hardware


def test_the_key_is_in_the_generator_s_environment_alone(
    project: Project, cluster: Cluster, generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(project, "tiny")
    monkeypatch.setenv("MY_TOKEN", "of-somebody-else")
    assert rackstart(project, "--concurrency", "1") == 0
    how = seen(project)
    secret = how["environ"].pop("OPENAI_API_KEY")
    assert hashlib.sha256(secret.encode()).hexdigest() == cluster.told[0]["sha256"]
    assert how["argv"][1:] == ["profile", "--config", how["argv"][3], "--ui", "none"]
    assert how["environ"]["SSL_CERT_FILE"] == str(project.state / "gateway-ca.crt")
    assert "of-somebody-else" not in how["environ"].values()
    holders = {path.name for path in project.state.rglob("*") if path.is_file() and secret in path.read_text()}
    assert holders == {"seen.json"}


def test_prompts_are_new_in_every_level_and_at_every_time(project: Project, cluster: Cluster, generator: Generator) -> None:
    serve(project, "tiny")
    assert rackstart(project, "--concurrency", "2,8") == 0
    lines = [line for file in project.state.glob("bench/*/level-*/prompts.jsonl") for line in file.read_text().splitlines()]
    assert len(lines) == 2 + 32 + 2 + 8 + 64 + 8
    assert len(set(lines)) > 0.99 * len(lines)  # five words may come again
    assert bench_prompts.prompt(5, "a") != bench_prompts.prompt(5, "b")


def test_a_generator_that_fails_leaves_no_key(
    project: Project, cluster: Cluster, generator: Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(project, "tiny")
    generator("sys.exit(3)")
    assert rackstart(project) == 1
    assert cluster.states == ["present", "absent"]
    [log] = project.state.glob("bench/*/level-1/aiperf.log")
    assert str(log) in capsys.readouterr().err


@pytest.mark.parametrize("sent", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_generator_and_the_key(project: Project, cluster: Cluster, generator: Generator, sent: str) -> None:
    serve(project, "tiny")
    generator(f"os.kill(os.getppid(), signal.{sent}); time.sleep(600)")
    assert rackstart(project) == 130
    assert cluster.states == ["present", "absent"]
    with pytest.raises(ProcessLookupError):
        os.kill(seen(project)["pid"], 0)


def test_a_signal_waits_until_the_key_is_made_and_then_ends_it(project: Project, cluster: Cluster, generator: Generator) -> None:
    serve(project, "tiny")
    cluster.signals = True
    assert rackstart(project) == 130
    assert (cluster.states, cluster.keys) == (["present", "absent"], [])
    assert not list(project.state.glob("bench/*/level-1"))


@pytest.mark.parametrize(("kept", "states"), [(True, ["present", "listed", "absent"]), (False, ["present", "listed"])])
def test_a_key_that_not_every_replica_got_ends_too_and_another_s_does_not(
    project: Project, cluster: Cluster, generator: Generator, kept: bool, states: list[str]
) -> None:
    serve(project, "tiny")
    cluster.fails, cluster.keeps = True, kept
    cluster.keys = [] if kept else [{"client": "bench", "sha256": "0123456789ab"}]
    assert rackstart(project) == 1
    assert cluster.states == states


@pytest.mark.parametrize(
    ("models", "arguments", "code", "said"),
    [
        ([], [], 2, "verify takes one"),
        (["tiny", "big"], [], 2, "say which model: --model NAME; served: tiny, big"),
        (["tiny"], ["--model", "big"], 2, "no model big is served; served: tiny"),
        (["other"], [], 2, "not in the inventory"),
        (["tiny"], ["--concurrency", "1,0"], 2, "write numbers above 0"),
        (["tiny"], ["--concurrency", "1,x"], 2, "write numbers above 0"),
        (["tiny"], ["--slo", "500"], 2, "such as 500/50"),
        (["tiny"], ["--slo", "500/0"], 2, "such as 500/50"),
        (["tiny"], ["--out", "/dev/null"], 2, "name a new folder"),
        (["tiny"], ["--tokens", "100"], 2, "such as 1024/256"),
        (["tiny"], ["--tokens", "100/x"], 2, "such as 1024/256"),
        (["tiny"], ["--tokens", "0/10"], 2, "such as 1024/256"),
        (["tiny"], ["--tokens", "100/3"], 2, "4 or more"),
        (["tiny"], ["--tokens", "100/71"], 2, "have 50% more, 257 tokens"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_there_is_a_key(
    project: Project, cluster: Cluster, generator: Generator, capsys: pytest.CaptureFixture[str],
    models: list[str], arguments: list[str], code: int, said: str,
) -> None:  # fmt: skip
    if models:
        serve(project, *models)
    assert rackstart(project, *arguments) == code
    assert said in capsys.readouterr().err
    assert cluster.told == []


def test_a_red_verdict_is_not_measured(project: Project, cluster: Cluster, generator: Generator) -> None:
    serve(project, "tiny", green=False)
    assert rackstart(project) == 4
    assert cluster.told == []


def test_a_site_s_certificate_is_checked_with_its_own_authorities(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(project, "tiny")
    (project.root / "site.crt").write_text("of the site")
    (project.root / "system.crt").write_text("of the system")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: SimpleNamespace(cafile=None))  # as of a Python that was built elsewhere
    monkeypatch.setattr(bench_target, "BUNDLES", ("/nowhere", str(project.root / "system.crt")))
    settings = {"gateway_certificate": "a.crt", "cluster_ca_certificates": [str(project.root / "site.crt")]}
    (project.inventory / "group_vars/all/gateway.yml").write_text(yaml.safe_dump(settings))
    assert bench_target.authority(project, project.state).read_text() == "of the system\nof the site"


def test_the_context_bounds_prompt_and_answer(project: Project, cluster: Cluster, generator: Generator) -> None:
    serve(project, "tiny", "big")
    wanted = (("tiny", "", 128, 32), ("big", "", 1024, 256), ("tiny", "70/100", 70, 100))
    for number, (model, tokens, prompt, answer) in enumerate(wanted):
        out = project.root / str(number)
        assert rackstart(project, "--model", model, "--concurrency", "1", "--tokens", tokens, "--out", str(out)) == 0
        assert json.loads((out / "bench.json").read_text())["tokens"] == {"prompt": prompt, "answer": answer}
        asked = [json.loads(line)["output_length"] for line in (out / "level-1/prompts.jsonl").read_text().splitlines()]
        assert sum(asked[1:-1]) == 32 * answer
        assert answer * 1.4 < max(asked) <= answer * 1.5


def test_options_are_read() -> None:
    assert bench.levels("1,2,2") == [1, 2, 2]
    assert bench.slo("500/37.5") == bench.Slo(500, 37.5)
    with pytest.raises(ConfigurationError):
        bench.levels("")
