"""Packages are held, or the task says that they are not, whatever the manager claims."""

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.rackstart.cluster.plugins.module_utils import probe_system
from ansible_collections.rackstart.cluster.plugins.modules import packages_held

WANTED = ["nvidia-driver-cuda", "nvidia-fabricmanager"]
# The manager, which a test may have fail, or do nothing, at the command that holds.
PROGRAM = """#!/bin/sh
echo "${0##*/} $*" >>$FOLDER/told
case "${0##*/} $*" in
  "apt-mark showhold") cat $FOLDER/held 2>/dev/null; exit 0 ;;
  "apt-mark hold "*) shift 1; how=%s ;;
  "dnf --quiet versionlock add "*) shift 3; how=%s; end=-3:580.173.02-1.el9.'*' ;;
esac
[ $how = waits ] && mkdir $FOLDER/asked 2>/dev/null && { echo "dpkg: error: dpkg frontend lock was locked by process 7" >&2; exit 2; }
[ $how = fails ] && { echo "E: broken" >&2; exit 100; }
[ $how = lies ] || for name; do echo "$name$end" >>$FOLDER/held; done
"""


def run(folder: Path, manager: str, how: str, check: bool, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> tuple[dict[str, Any], str]:
    """What the module returns, and the commands that changed something."""
    for name in ("apt-mark", "dnf"):
        (folder / name).write_text(PROGRAM % (how, how))
        (folder / name).chmod(0o755)
    (folder / "told").touch()
    monkeypatch.setenv("FOLDER", str(folder))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    (folder / "etc/dnf/plugins").mkdir(parents=True)
    (folder / "etc/dnf/plugins/versionlock.list").symlink_to(folder / "held")
    seen = probe_system.locked_versions
    monkeypatch.setattr(probe_system, "locked_versions", lambda: seen(folder))
    monkeypatch.setattr(packages_held, "LOCK_PAUSE", 0)
    with patch_module_args({"name": WANTED, "manager": manager, "_ansible_check_mode": check}), pytest.raises(SystemExit):
        packages_held.main()
    told = [line for line in (folder / "told").read_text().splitlines() if "showhold" not in line]
    return json.loads(capsys.readouterr().out), "\n".join(told)


COMMANDS = {"apt": "apt-mark hold", "dnf": "dnf --quiet versionlock add"}


@pytest.mark.parametrize("manager", COMMANDS)
@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("works", []),
        ("fails", ["broken"]),
        ("lies", ["went well", "the next upgrade would replace nvidia-driver-cuda nvidia-fabricmanager", "run again"]),
    ],
)
def test_held_is_what_is_seen_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], manager: str, how: str, words: list[str]
) -> None:
    result, told = run(tmp_path, manager, how, False, monkeypatch, capsys)
    assert told == f"{COMMANDS[manager]} {' '.join(WANTED)}"
    assert result.get("failed", False) == bool(words)
    assert [word for word in words if word not in result["msg"]] == []


def test_another_at_work_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    result, told = run(tmp_path, "apt", "waits", False, monkeypatch, capsys)
    assert (result["changed"], told.count("apt-mark hold")) == (True, 2)


@pytest.mark.parametrize("manager", COMMANDS)
def test_check_mode_foretells_it_and_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], manager: str
) -> None:
    result, told = run(tmp_path, manager, "works", True, monkeypatch, capsys)
    assert (result["changed"], told) == (True, "")
