"""Every series, label and value that rules and dashboards name is in the live metrics of the pinned version, or recorded as what is not."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import programs
import pytest
import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import certificates, gateway_keys, monitoring, scraping
from expressions import parse
from test_alerts import RULES, promtool
from test_gateway import CHAT, OTHER, Gateway, free, line

from lab.images import debian
from rackstart.paths import ROOT

SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
Series = dict[str, dict[str, set[str]]]

RULE_LIST = [rule for file in RULES for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
DECLARED = monitoring.declared([{"name": "tiny", "replicas": 2}])["groups"][0]["rules"]
RECORDS = {rule["record"]: rule for rule in [*RULE_LIST, *DECLARED] if "record" in rule}
DASHBOARDS = sorted(ROOT.glob("roles/monitoring/files/dashboards/*.json"))
PANELS = {
    f"{file.stem}: {panel['title']} {target['refId']}": target["expr"]
    for file in DASHBOARDS
    for panel in json.loads(file.read_text())["panels"]
    for target in panel["targets"]
}
EXPRESSIONS = {rule.get("alert") or rule["record"]: rule["expr"] for rule in RULE_LIST} | PANELS


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
        return text
    finally:
        running.end()


def of_apiserver(folder: Path) -> str:
    with programs.api_server(folder, (free(), free())) as kubectl:
        for verb in ("create", "delete"):
            kubectl(verb, "configmap", "one")
        return programs.get(f"https://{programs.LOOPBACK}:6443/metrics", programs.ADMIN)


class Checks:
    """checks.sh on weights of two files, keys and a certificate that all are good."""

    def __init__(self, folder: Path) -> None:
        self.weights, self.out, self.state = (folder / name for name in ("weights/tiny", "out", "state"))
        for path in (self.weights, self.out, self.state):
            path.mkdir(parents=True)
        (self.weights / "a").write_text("a")
        self.write("b c", publish=True)
        keys = [gateway_keys.Key("", "soon", expires=2000), gateway_keys.Key("", "soon", expires=9000), gateway_keys.Key("", "never")]
        keys.append(gateway_keys.Key("", "never", expires=5))
        (folder / "keys.map").write_text("".join(f"{line('rk', key)}\n" for key in keys))
        self.certificate = certificates.read(certificates.made({}, {}, ["127.0.0.1"])[1])[0]
        (folder / "tls.crt").write_text(certificates.pem(self.certificate))
        script = ROOT / "roles/monitoring/files/checks.sh"
        shell = [debian.artifact() / "tools/bin/busybox", "sh"]
        self.command = [*shell, script, folder / "weights", folder / "keys.map", folder / "tls.crt", self.out, self.state, "0.1"]
        self.log = folder / "log"

    def write(self, text: str, publish: bool) -> None:
        """Another content of one of the files; publish: and of the manifest."""
        (self.weights / "b c").write_text(text)
        if publish:
            sums = subprocess.run(["sha256sum", "a", "b c"], cwd=self.weights, check=True, capture_output=True, text=True).stdout
            (self.weights / "MANIFEST.sha256").write_text(sums)

    def metrics(self) -> str:
        return (self.out / "metrics.txt").read_text()


def of_checks(folder: Path) -> str:
    checks = Checks(folder)
    with programs.program(checks.log, *checks.command) as until:
        return str(until(checks.metrics))


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
    assert parsed.series, f"names no series: {expression}"
    for name, asked in parsed.series.items():
        job = next((job for job, series in known.items() if name in series), "")
        labels: dict[str, set[str]] = {"instance": set(), "job": set(scraping.JOBS)}
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


@pytest.mark.parametrize("where", EXPRESSIONS)
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


def metric(text: str, name: str) -> dict[str, Any]:
    """Values of a series by its labels."""
    return {labels: float(value) for labels, value in re.findall(rf"^{name}(\{{.*\}})? (\S+)$", text, re.M)}


def test_the_checks_see_weights_keys_and_certificate(tmp_path: Path) -> None:
    checks, good = Checks(tmp_path), 'rackstart_weights_good{model="tiny"}'
    with programs.program(checks.log, *checks.command) as until:
        text = until(checks.metrics)
        assert metric(text, "rackstart_key_expiry_timestamp_seconds") == {'{client="soon"}': 9000}
        ends = checks.certificate.not_valid_after_utc.timestamp()
        assert metric(text, "rackstart_certificate_expiry_timestamp_seconds") == {"": ends}
        assert f"{good} 1\n" in text
        for publish in (False, True):  # a file alone, and with a manifest that agrees
            checks.write("b d", publish)
            until(lambda: f"{good} 0\n" in checks.metrics())
            checks.write("b c", publish)
            until(lambda: f"{good} 1\n" in checks.metrics())
        checks.write("b d", True)
        until(lambda: f"{good} 0\n" in checks.metrics())

        def time() -> float:
            return float(metric(checks.metrics(), "rackstart_checked_timestamp_seconds")[""])

        before = time()
        until(lambda: time() > before + 1)  # many rounds later, when every file was found to be as in the manifest
        assert f"{good} 0\n" in checks.metrics()
