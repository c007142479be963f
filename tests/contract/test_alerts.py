"""Every alert fires when it shall and is silent when it shall, by promtool; and has a page that says what to do."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.rackstart.cluster.plugins.module_utils import monitoring
from expressions import RULE_LIST, RULES

from lab.images import build
from rackstart.paths import ROOT

CASES = sorted((Path(__file__).parent / "monitoring/alerts").glob("*.yml"))
OF_WHAT_IS_NOT_THERE = {"GatewayDown", "WeightsUnreadable"}  # which is so too where all is of others
ALWAYS = {"Watchdog"}  # is never silent
RUNBOOKS = ROOT / "docs/runbooks"
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for _, rule in RULE_LIST if "alert" in rule}


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([build.promtool(), *arguments], capture_output=True, text=True)


def cases() -> list[tuple[str, dict[str, Any]]]:
    return [(name, case) for file in CASES for name, found in yaml.safe_load(file.read_text()).items() for case in found]


def as_promtool_has_it(alert: str, case: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A file of promtool's with one test, with what every alert has filled in, and the rules that are made of the case's inventory."""
    declared = folder / "declared.yml"
    declared.write_text(yaml.safe_dump(monitoring.declared(case.get("models", []), case.get("away", []))))
    expected = []
    if "summary" in case:
        labels = {**case["labels"], "severity": ALERTS[alert]["labels"]["severity"]}
        expected = [
            {"exp_labels": labels, "exp_annotations": {"summary": case["summary"], "runbook": f"docs/runbooks/{alert}.md"}},
        ]
    test = {
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in case["series"].items()],
        "alert_rule_test": [{"alertname": alert, "eval_time": case["at"], "exp_alerts": expected}],
    }
    return {"rule_files": [str(file) for file in [*RULES, declared]], "tests": [test]}


def try_all(alert: str, found: list[dict[str, Any]], folder: Path) -> None:
    files = [folder / str(number) / "test.yml" for number in range(len(found))]
    for file, case in zip(files, found, strict=True):
        file.parent.mkdir()
        file.write_text(yaml.safe_dump(as_promtool_has_it(alert, case, file.parent)))
    tested = promtool("test", "rules", *files)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_the_rules_are_rules() -> None:
    checked = promtool("check", "rules", "--lint-fatal", *RULES)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_has_a_case_of_each_kind() -> None:
    fires = {name for name, case in cases() if "summary" in case}
    silent = {name for name, case in cases() if "summary" not in case}
    assert fires == ALERTS.keys()
    assert silent == ALERTS.keys() - ALWAYS


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_it_fires_and_is_silent(alert: str, tmp_path: Path) -> None:
    try_all(alert, [case for name, case in cases() if name == alert], tmp_path)


@pytest.mark.parametrize("alert", sorted(ALERTS.keys() - OF_WHAT_IS_NOT_THERE - ALWAYS))
def test_series_of_others_do_not_raise_it(alert: str, tmp_path: Path) -> None:
    found = [case for name, case in cases() if name == alert and "summary" in case]
    for case in found:
        del case["summary"]
        case["series"] = {re.sub('job="[^"]+"', 'job="another"', series): values for series, values in case["series"].items()}
    try_all(alert, found, tmp_path)


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    assert {rule["annotations"]["runbook"] for rule in ALERTS.values()} == {f"docs/runbooks/{name}.md" for name in ALERTS}
    assert {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"} == ALERTS.keys()


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_a_page_says_what_it_means_how_to_look_and_what_to_do(alert: str) -> None:
    text = (RUNBOOKS / f"{alert}.md").read_text()
    parts = [line for line in text.splitlines() if line.startswith("#")]
    assert parts == [f"# {alert}", "## Look", "## Do"]
    assert "```\n" in text.partition("## Look")[2].partition("## Do")[0], "no command to look with"
