"""What systemctl is told of a unit, from what systemd says of it and when its files were written."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.rackstart.cluster.plugins.module_utils.units import written
from ansible_collections.rackstart.cluster.plugins.modules import units
from ansible_collections.rackstart.cluster.plugins.modules.units import verbs

RUNNING = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "UnitFileState": "enabled",
    "ConditionResult": "yes",
    "ConditionTimestampMonotonic": "100000000",
    "ExecMainStartTimestampMonotonic": "100000000",
}
STOPPED = RUNNING | {"ActiveState": "inactive"}
KEPT = STOPPED | {"UnitFileState": "static", "ConditionResult": "no", "ExecMainStartTimestampMonotonic": "0"}


@pytest.mark.parametrize(
    ("unit", "written", "told"),
    [
        (RUNNING, 99, []),
        (RUNNING, -5, []),
        (RUNNING, 101, ["restart"]),
        (RUNNING | {"ActiveState": "activating"}, 101, ["restart"]),
        (STOPPED, 99, ["start"]),
        (RUNNING | {"ActiveState": "failed"}, 99, ["start"]),
        (RUNNING | {"UnitFileState": "disabled"}, 99, ["enable"]),
        (RUNNING | {"UnitFileState": "static"}, 99, []),
        (STOPPED | {"UnitFileState": "enabled-runtime"}, 99, ["enable", "start"]),
        (STOPPED | {"LoadState": "masked", "UnitFileState": "masked"}, 99, ["unmask", "enable", "start"]),
        (STOPPED | {"LoadState": "not-found", "UnitFileState": ""}, 99, ["enable", "start"]),
        (KEPT, 99, []),  # its condition does not hold here
        (KEPT, 101, ["start"]),  # systemd has not tried since
        (KEPT | {"ConditionTimestampMonotonic": "0"}, -5, ["start"]),
    ],
)
def test_a_unit_is_told_what_it_lacks(unit: dict[str, str], written: float, told: list[str]) -> None:
    assert verbs(unit, written) == told


def test_a_file_that_came_later_is_found_by_a_wildcard(tmp_path: Path) -> None:
    pattern, before = f"{tmp_path}/rackstart-*.crt", time.monotonic()
    assert written([pattern]) < 0, "no such file, which is as old as the clock"
    (tmp_path / "other.crt").touch()
    assert written([pattern]) < 0
    (tmp_path / "rackstart-new.crt").touch()
    assert before - 1 < written([pattern]) < time.monotonic() + 1


def test_the_authorities_of_every_distribution_are_among_what_k3s_reads() -> None:
    roles = Path(__file__).parents[2] / "roles"
    read = yaml.safe_load((roles / "k3s_node/vars/main.yml").read_text())["__k3s_node_files"]
    families = yaml.safe_load((roles / "host/vars/main.yml").read_text())["__host_families"].values()
    assert {f"{family['anchors']}/rackstart-*.crt" for family in families} <= set(read)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (STOPPED | {"NeedDaemonReload": "no"}, "it did start a.service, but systemd shows it as inactive"),
        (RUNNING | {"NeedDaemonReload": "yes"}, "it did daemon-reload, but systemd has not read the files of a.service"),
    ],
)
def test_a_systemctl_that_lies_is_not_believed(
    state: dict[str, str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says that it has done something, after which systemd shows the unit as before."""
    result = told(tmp_path, state, monkeypatch, capsys)
    assert f"systemctl says that {says}" in result["msg"]
    assert "its last words" in result["msg"]


@pytest.mark.parametrize("state", [{}, RUNNING])
def test_a_systemctl_that_does_not_show_all_is_told_of(
    state: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "does not say all of a.service" in told(tmp_path, state, monkeypatch, capsys)["msg"]


def told(tmp_path: Path, state: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """How the module fails where systemctl does nothing, and goes on to show this."""
    shown = "\n".join(f"{name}={value}" for name, value in state.items())
    for name, script in {"systemctl": f'case $1 in show) echo "{shown}";; esac', "journalctl": "echo its last words"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with patch_module_args({"units": [{"name": "a.service"}]}), pytest.raises(SystemExit):
        units.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert result["failed"]
    assert "run again" in result["msg"]
    return result
