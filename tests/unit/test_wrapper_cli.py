"""The command line from outside: exit codes, reports, hooks, JSON. Ansible is played by a function."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import ansible_runner
import jsonschema
import pytest

from rackstart import cli, verdict
from rackstart.paths import ROOT, Project
from rackstart.stages import STAGES

Play = Callable[..., None]
GREEN = {
    "version": 1,
    "inventory": "rack",
    "generated": "2025-01-01T00:00:00+00:00",
    "green": True,
    "gates": [{"id": "nodes", "target": "gpu-1", "ok": True, "expected": "Ready", "seen": "Ready", "remedy": "", "stage": "nodes"}],
    "endpoints": [{"model": "tiny", "url": "https://10.0.0.1:30443/v1", "curl": "curl -sS https://10.0.0.1:30443/v1/models"}],
    "clients": ["first", "rackstart"],
    "caches": [
        {"model": "tiny", "pod": "tiny-1", "tokens": 1024, "started": 95},
        {"model": "tiny", "pod": "tiny-2", "tokens": None, "started": None},
    ],
}
RED_GATE = {
    "id": "labels",
    "target": "gpu-2",
    "ok": False,
    "expected": ["gpu=true"],
    "seen": [],
    "remedy": "run stage labels",
    "stage": "labels",
}
RED = GREEN | {"green": False, "gates": [*GREEN["gates"], RED_GATE]}  # type: ignore[misc]
CHECK = {
    "id": "gpu.count",
    "severity": "required",
    "target": "gpu-1",
    "ok": False,
    "seen": 1,
    "expected": 2,
    "remedy": "seat the card",
    "waived": "",
}
WAIVED = CHECK | {"id": "os.supported", "waived": "tried by hand"}


@pytest.fixture
def play(project: Project, monkeypatch: pytest.MonkeyPatch) -> Play:
    """play(STAGE="failed" or a report to write, with or without failing): what each stage does; the others pass."""
    for stage in STAGES:
        (project.root / "playbooks" / f"{stage.name}.yml").write_text("[]\n")

    def define(**stages: Any) -> None:
        def run(*, ident: str, event_handler: Callable[[dict[str, Any]], bool], **_: Any) -> SimpleNamespace:
            script = stages.get(ident, {})
            for name, report in script.get("reports", {}).items():
                (project.state / name).write_text(json.dumps(report))
            if not script.get("fails"):
                return SimpleNamespace(status="successful")
            host = script.get("host", "localhost")
            data = {"host": host, "task": "Judge", "task_path": f"{project.root}/playbooks/{ident}.yml:9", "res": {"msg": "it is red"}}
            event_handler({"event": "runner_on_failed", "event_data": data, "stdout": "fatal"})
            return SimpleNamespace(status="failed")

        monkeypatch.setattr(ansible_runner, "run", run)

    return define


def rackstart(project: Project, *arguments: str) -> int:
    return cli.main(["--inventory", "rack", *arguments], project.root)


def test_a_green_run_ends_with_verdict_endpoint_and_curl(project: Project, play: Play, capsys: pytest.CaptureFixture[str]) -> None:
    play(verify={"reports": {"verdict.json": GREEN}})
    assert rackstart(project) == 0
    output = capsys.readouterr().out
    assert "verdict: green, 1 of 1 gates" in output
    assert output.splitlines()[-1] == "curl -sS https://10.0.0.1:30443/v1/models"


@pytest.mark.parametrize(
    ("stages", "command", "code", "said"),
    [
        ({"driver": {"fails": True, "host": "gpu-1"}}, "run", 1, "go on     python bootstrap.py --inventory rack --resume"),
        ({"labels": {"fails": True}}, "run", 1, "labels failed; not run: gpu_operator, inference, gateway, monitoring, verify"),
        ({"preflight": {"fails": True, "reports": {"preflight.json": {"version": 1, "checks": [CHECK]}}}}, "run", 3, "seat the card"),
        ({"preflight": {"fails": True, "reports": {"preflight.json": {"version": 1, "checks": [CHECK]}}}}, "doctor", 3, "seat the card"),
        ({"preflight": {"fails": True}}, "run", 3, "it is red"),
        ({"verify": {"fails": True, "reports": {"verdict.json": RED}}}, "run", 4, "run stage labels"),
        ({"verify": {"fails": True, "reports": {"verdict.json": RED}}}, "verify", 4, "run stage labels"),
        ({"verify": {"fails": True}}, "verify", 4, "it is red"),
        (
            {"preflight": {"reports": {"preflight.json": {"version": 1, "checks": [WAIVED]}}}},
            "doctor",
            0,
            "waived  1     2         tried by hand",
        ),
        ({}, "check", 0, "nothing would change"),
    ],
)
def test_exit_codes_and_what_is_said(
    project: Project, play: Play, capsys: pytest.CaptureFixture[str], stages: dict[str, Any], command: str, code: int, said: str
) -> None:
    (project.state / "verdict.json").write_text(json.dumps(GREEN))  # of a former run, and so of no account
    play(**stages)
    assert rackstart(project, command) == code
    screen = capsys.readouterr()
    assert said in screen.out + screen.err
    assert "verdict: green" not in screen.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["--bogus"], "No such option '--bogus'"),
        (["--only", "bogus"], "there is no stage 'bogus'; stages: preflight, host,"),
        (["--only", "host", "--from", "host"], "exclude each other"),
        (["--limit", "bogus"], "matches no host"),
        (["-e", "bogus"], "write key=value"),
        (["-i", "bogus"], "there is no inventory 'bogus'; known: rack"),
        (["-i", ""], "say which inventory: --inventory NAME; known: rack"),
    ],
)
def test_wrong_usage_touches_nothing(
    project: Project, play: Play, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    play(preflight={"fails": True})
    assert rackstart(project, *arguments) == 2
    assert said in capsys.readouterr().err


def test_options_may_stand_before_or_behind_the_command(project: Project, play: Play, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--only", "verify", "plan"], ["plan", "--only", "verify"]):
        assert cli.main(["-i", "rack", *arguments], project.root) == 0
        rows = capsys.readouterr().out.splitlines()[1:]
        assert [row.split()[0] for row in rows] == ["verify"]


def test_json_is_all_there_is_on_standard_output(project: Project, play: Play, capsys: pytest.CaptureFixture[str]) -> None:
    play(verify={"fails": True, "reports": {"verdict.json": RED}})
    assert rackstart(project, "--json") == 4
    found = json.loads(capsys.readouterr().out)
    assert found["state"] == "red"
    assert found["verdict"] == RED
    assert [stage["stage"] for stage in found["stages"]] == [stage.name for stage in STAGES]
    assert rackstart(project, "status", "--json") == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["running"], status["last"]["state"], status["verdict"]) == (None, "red", RED)


def test_status_names_the_last_failure(project: Project, play: Play, capsys: pytest.CaptureFixture[str]) -> None:
    play(driver={"fails": True, "host": "gpu-1"})
    rackstart(project)
    capsys.readouterr()
    assert rackstart(project, "status") == 0
    assert "gpu-1: Judge (playbooks/driver.yml:9)" in capsys.readouterr().out


def test_status_shows_what_was_foretold_of_a_model_and_what_came_of_it(
    project: Project, play: Play, capsys: pytest.CaptureFixture[str]
) -> None:
    size = CHECK | {"id": "model.memory", "target": "models/tiny", "ok": True, "seen": "the cache holds 1000 tokens"}
    load = size | {"id": "model.load_time", "seen": "63 s to read"}
    play(preflight={"reports": {"preflight.json": {"version": 1, "checks": [size, load]}}}, verify={"reports": {"verdict.json": GREEN}})
    rackstart(project)
    capsys.readouterr()
    assert rackstart(project, "status") == 0
    shown = capsys.readouterr().out
    assert "tiny: foretold the cache holds 1000 tokens; 63 s to read" in shown
    assert (
        "  tiny-1: its cache holds 1024 tokens; ready 95 s after its start\n  tiny-2: does not say how many tokens its cache holds" in shown
    )


def write_hook(project: Project, text: str, mode: int = 0o755) -> None:
    hook = project.inventory / "hooks" / "before-run"
    hook.parent.mkdir()
    hook.write_text(text)
    hook.chmod(mode)


def test_the_hook_runs_first_and_what_it_writes_counts(project: Project, play: Play, capfd: pytest.CaptureFixture[str]) -> None:
    play()
    write_hook(project, '#!/bin/sh\necho "hook with $RACKSTART_PYTHON"\necho "files: {}" > "$RACKSTART_INVENTORY/artifacts.lock.yml"\n')
    for command, hooks in (("run", 1), ("check", 1), ("plan", 0), ("status", 0)):
        rackstart(project, command)
        assert capfd.readouterr().err.count(f"hook with {sys.executable}") == hooks
    assert rackstart(project, "plan", "--json") == 0
    assert all("same digest" in row["why"] for row in json.loads(capfd.readouterr().out)["stages"][:-1])


@pytest.mark.parametrize(("text", "mode", "code", "said"), [("#!/bin/sh\nexit 7\n", 0o755, 1, "exit 7"), ("", 0o644, 2, "chmod +x")])
def test_a_hook_that_cannot_do_its_work_stops_the_run(
    project: Project, play: Play, capsys: pytest.CaptureFixture[str], text: str, mode: int, code: int, said: str
) -> None:
    play()
    write_hook(project, text, mode)
    assert rackstart(project) == code
    assert said in capsys.readouterr().err


def test_the_published_schema_is_that_of_the_code() -> None:
    published = json.loads((ROOT / "rackstart" / "schemas" / "verdict.schema.json").read_text())
    assert published == verdict.schema()
    jsonschema.validate(RED, published)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(RED | {"gates": [{"id": "x"}]}, published)


def test_a_verdict_that_does_not_fit_is_not_believed(project: Project, play: Play, capsys: pytest.CaptureFixture[str]) -> None:
    play(verify={"reports": {"verdict.json": {"green": True}}})
    assert rackstart(project, "verify") == 1
    assert "verdict.json does not fit its schema" in capsys.readouterr().err


def test_help_imports_no_ansible_and_knows_every_command() -> None:
    code = "import sys; from rackstart import cli; cli.main(['--help']); sys.exit('ansible' in sys.modules or 'rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True, env=dict(os.environ))
    for word in ("run", "plan", "check", "verify", "status", "doctor", "lock", "cost", "--resume", "130 interrupted"):
        assert word in done.stdout
