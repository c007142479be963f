"""Every series, label and value that rules and dashboards name is in the live metrics of the pinned version, or recorded as what is not."""

import re
from collections.abc import Callable
from pathlib import Path

import programs
import pytest
import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import scraping
from expressions import EXPRESSIONS, PANELS, RECORDS, parse
from test_alerts import promtool
from test_checks import Checks
from test_gateway import CHAT, OTHER, Gateway

from tests.loopback import free, program

SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
Series = dict[str, dict[str, set[str]]]


def exposed(text: str) -> Series:
    """Series of a page of metrics: label -> values."""
    found: Series = {}
    for match in filter(None, map(SAMPLE.match, text.splitlines())):
        labels = found.setdefault(match[1], {})
        for name, value in LABEL.findall(match[2] or ""):
            labels.setdefault(name, set()).add(value)
    return found


def of_vllm(folder: Path) -> str:
    with programs.vllm(folder, free()) as address:
        return programs.get(f"{address}/metrics")


def of_gateway(folder: Path) -> str:
    running = Gateway(folder)
    try:
        running.chat("rk-good")
        running.ask("POST", CHAT, "rk-good", {"model": OTHER})
        text = programs.get(f"http://127.0.0.1:{running.health}/metrics")
        # What it refuses itself since no replica is ready counts as the model's, which GatewayErrors relies on.
        assert 'haproxy_backend_http_responses_total{proxy="other",code="5xx"} 1\n' in text
        # Of these are the replicas of Ollama that are up: both of one model, none of the other.
        up = {f'haproxy_backend_active_servers{{proxy="{name}"}} {number}' for name, number in {"tiny": 2, OTHER: 0}.items()}
        assert up <= set(text.splitlines())
        return text
    finally:
        running.end()


def of_apiserver(folder: Path) -> str:
    with programs.api_server(folder, (free(), free())) as kubectl:
        for verb in ("create", "delete"):
            kubectl(verb, "configmap", "one")
        return programs.get(f"https://{programs.LOOPBACK}:6443/metrics", programs.ADMIN)


def of_checks(folder: Path) -> str:
    checks = Checks(folder)
    with program(checks.log, *checks.command) as until:
        return str(until(lambda: "weights_good" in checks.metrics() and checks.metrics()))


LIVE: dict[str, Callable[[Path], str]] = {"inference": of_vllm, "gateway": of_gateway, "apiserver": of_apiserver, "checks": of_checks}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Series]:
    """Job -> series. Of those that are only recorded no values are known."""
    found = {job: exposed(ask(tmp_path_factory.mktemp(job))) for job, ask in LIVE.items()}
    for job, part in yaml.safe_load((Path(__file__).parent / "monitoring/recorded.yml").read_text()).items():
        recorded = {name: {label: set() for label in labels} for name, labels in part["series"].items()}
        assert not recorded.keys() & found.get(job, {}).keys(), "what is live need not be recorded"
        found.setdefault(job, {}).update(recorded)
    return found


def wrong(expression: str, known: dict[str, Series]) -> list[str]:
    """What an expression names that nobody has."""
    parsed, problems = parse(expression), []
    assert parsed.selectors, f"names no series: {expression}"
    for name, asked in parsed.selectors:
        job = next((job for job, series in known.items() if name in series), "")
        labels: dict[str, set[str]] = {"instance": set(), "job": set(map(scraping.label, scraping.JOBS))}
        if name in RECORDS:
            labels = {label: set() for label in parse(RECORDS[name]["expr"]).groups | set(RECORDS[name].get("labels", {}))}
        elif name == "up":
            labels |= {label: set() for one in scraping.JOBS.values() for label in getattr(one, "labels", {"node": ""})}
        elif job:
            labels |= {label: set() for label in getattr(scraping.JOBS[job], "labels", {"node": ""})} | known[job][name]
            if not re.fullmatch(scraping.JOBS[job].keep, name):
                problems.append(f"{name} is not kept of {job}")
        else:
            problems.append(f"nobody has {name}")
            continue
        problems += [f"{name} has no label {label}" for label in (asked.keys() | parsed.groups) - labels.keys()]
        problems += [
            f"{name} never has {label}={value}"
            for label, values in asked.items()
            for value in values
            if labels.get(label) and value not in labels[label]
        ]
    return problems


@pytest.mark.parametrize("where", sorted(EXPRESSIONS.keys() - {"cluster: Watchdog"}))
def test_what_is_named_is_there(where: str, known: dict[str, Series]) -> None:
    assert wrong(EXPRESSIONS[where], known) == []


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("sum(vllm:gpu_cache_usage_perc)", "nobody has vllm:gpu_cache_usage_perc"),
        ("vllm:num_requests_waiting{model='a'}", ""),
        ('rate(vllm:time_to_first_token_seconds_bucket{le="4.0"}[5m])', "vllm:time_to_first_token_seconds_bucket never has le=4.0"),
        ("sum by (served) (vllm:num_requests_waiting)", "vllm:num_requests_waiting has no label served"),
        ('haproxy_backend_http_responses_total{code=~"5xx|6xx"}', "haproxy_backend_http_responses_total never has code=6xx"),
        ("go_goroutines", "go_goroutines is not kept of apiserver"),
        ('up{job="vllm"}', "up never has job=vllm"),
    ],
)
def test_the_check_sees_what_is_wrong(expression: str, problem: str, known: dict[str, Series]) -> None:
    assert wrong(expression, known) == ([problem] if problem else [])


def test_every_job_is_known(known: dict[str, Series]) -> None:
    assert known.keys() == scraping.JOBS.keys()


def test_panels_are_expressions(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(PANELS.values())]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    checked = promtool("check", "rules", tmp_path / "panels.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
