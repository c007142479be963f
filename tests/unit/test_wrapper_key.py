"""`key` from outside: what the playbook is told, what is shown, and that the key itself goes nowhere else."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ansible_runner
import pytest

from rackstart import cli, key
from rackstart.errors import ConfigurationError
from rackstart.paths import Project

DAY = 86400
AS_BEFORE: dict[str, Any] = {"models": [], "rate": 0, "expires": 0}
LISTED = [
    {"client": "app", "models": ["tiny"], "rate": 60, "expires": "", "created": "2026-11-24T00:00:00+00:00", "sha256": "0123456789ab"}
]
Asked = list[dict[str, Any]]


@pytest.fixture
def asked(project: Project, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Asked:
    """What the playbook was told, each time that it ran; the gateway is played. Its parameter: whether a client was given a key before."""
    given = getattr(request, "param", False)
    seen: Asked = []

    def run(*, playbook: str, cmdline: str, event_handler: Callable[[dict[str, Any]], bool], **_: Any) -> SimpleNamespace:
        [file] = re.findall(r"-e @(\S+)", cmdline)
        seen.append({"playbook": playbook, **json.loads(Path(file).read_text())["gateway_key"]})
        if seen[-1]["client"] == "nobody":
            data = {"host": "localhost", "task": "Keep", "task_path": "key.yml:14", "res": {"msg": "no client nobody has a key"}}
            event_handler({"event": "runner_on_failed", "event_data": data})
            return SimpleNamespace(status="failed")
        made = [{**LISTED[0], "client": "first", "sha256": seen[-1]["sha256"][:12]}] if seen[-1]["state"] == "first" and not given else []
        result = {"keys": [*LISTED, *made], "told": ["gateway-1", "gateway-2"]}
        event_handler({"event": "runner_on_ok", "event_data": {"host": "localhost", "res": result}})
        return SimpleNamespace(status="successful")

    monkeypatch.setattr(ansible_runner, "run", run)
    return seen


def rackstart(project: Project, *arguments: str) -> int:
    return cli.main(["--inventory", "rack", "key", *arguments], project.root)


def test_a_new_key_is_shown_once_and_only_its_hash_goes_on(project: Project, asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert rackstart(project, "add", "app", "--model", "tiny", "--model", "big", "--rate", "60", "--expires", "2100-01-01") == 0
    [shown] = re.findall(r"rk-\S+", capsys.readouterr().out)
    wanted = {"state": "present", "client": "app", "models": ["tiny", "big"], "rate": 60, "expires": 4102444800}
    assert asked == [{"playbook": "playbooks/day2/key.yml", "sha256": hashlib.sha256(shown.encode()).hexdigest(), **wanted}]
    assert not [path for path in project.state.rglob("*") if path.is_file() and shown in path.read_text()]
    assert list((project.state / "day2").iterdir()) == []


def test_no_two_keys_are_the_same(project: Project, asked: Asked) -> None:
    assert rackstart(project, "add", "one") == rackstart(project, "add", "two") == 0
    assert len({told["sha256"] for told in asked}) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["revoke", "app"], {"state": "absent", "client": "app"}),
        (["list"], {"state": "listed", "client": ""}),
        (["rotate", "app", "--overlap", "90m"], {"state": "rotated", "client": "app", "overlap": 5400, **AS_BEFORE}),
        (["rotate", "app"], {"state": "rotated", "client": "app", "overlap": DAY, **AS_BEFORE}),
        (
            ["rotate", "app", "--rate", "5", "--model", "big", "--expires", "2100-01-01"],
            {"state": "rotated", "client": "app", "overlap": DAY, "models": ["big"], "rate": 5, "expires": 4102444800},
        ),
    ],
)
def test_what_the_playbook_is_told(project: Project, asked: Asked, arguments: list[str], told: dict[str, Any]) -> None:
    assert rackstart(project, *arguments) == 0
    assert [{name: value for name, value in entry.items() if name not in ("playbook", "sha256")} for entry in asked] == [told]


def test_clients_are_listed_with_what_they_may(project: Project, asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert rackstart(project, "list") == 0
    assert re.search(r"app +tiny +60 +never +2026-11-24T00:00:00\+00:00 +0123456789ab\.\.\.", capsys.readouterr().out)


def test_a_refusal_says_why_and_where_the_log_is(project: Project, asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert rackstart(project, "revoke", "nobody") == 1
    said = capsys.readouterr().err
    assert "no client nobody has a key" in said
    assert "go on" not in said
    [log] = project.state.glob("day2/*/key.log")
    assert log.parent.name in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add"], "say which client"),
        (["list", "app"], "takes no client"),
        (["revoke", "app", "--rate", "5"], "are for key add and key rotate"),
        (["add", "app", "--expires", "soon"], "30m, 12h or 90d"),
        (["add", "app", "--expires", "2001-01-01"], "is over"),
        (["rotate", "app", "--overlap", "1w"], "30m, 12h or 90d"),
        (["add", "a b"], "'a b' is no name of a client: up to 63 letters"),
        (["rotate", "--", "-a"], "'-a' is no name of a client"),
        (["revoke", "a" * 64], "is no name of a client"),
        (["bogus"], "is not one of"),
    ],
)
def test_wrong_usage_touches_nothing(
    project: Project, asked: Asked, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert rackstart(project, *arguments) == 2
    assert said in capsys.readouterr().err
    assert asked == []


def test_a_time_from_now_on() -> None:
    assert key.expiry("90d", 1000) == 1000 + 90 * DAY
    with pytest.raises(ConfigurationError):
        key.expiry("1970-01-02", 2 * DAY)


@pytest.mark.parametrize(
    ("asked", "clients", "made"),
    [(False, ["rackstart"], True), (False, ["app", "rackstart"], False), (True, ["rackstart"], False)],
    ids=["nobody has one", "somebody has one", "all were ended"],
    indirect=["asked"],
)
def test_the_first_run_ends_with_a_key(project: Project, asked: Asked, clients: list[str], made: bool) -> None:
    shown = cli._first_key(project, clients, cli._console())
    assert bool(shown) == made
    assert [(told["state"], told["client"]) for told in asked] == ([("first", "first")] if clients == [key.OWN] else [])
    assert not shown or asked[0]["sha256"] == hashlib.sha256(shown.encode()).hexdigest()
