"""Check mode on a half-built host: what it foretells is what the runs after it do, task by task, to the end."""

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COMMAND = ["ansible-playbook", "--inventory=molecule/inventory/hosts.yml", "molecule/half_built/converge.yml"]
# Before each of them a run is killed: what it has written is not yet in effect.
STOPS = [
    "host : Trust them", "host : Take over the service manager's settings", "nvidia_driver : Keep the driver loaded",
    "model_store : Install the client",
]  # fmt: skip
Changes = set[tuple[str, str]]  # task's place and its name


@dataclass
class Half:
    """A host on which a run was killed: what a dry run foretells of it, and what the run after it changes until it is killed itself."""

    foretold: Changes
    done: Changes


def play(record: Path, stop: str = "", *options: str) -> Changes:
    """What a run changed, or in a dry run would; killed before the task `stop`."""
    environment = os.environ | {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "record",
        "RACKSTART_RECORD": str(record),
        "RACKSTART_STOP": stop,
    }
    done = subprocess.run([*COMMAND, *options], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == (-signal.SIGKILL if stop else 0), done.stdout[-4000:] + done.stderr[-2000:]
    entries = [json.loads(line) for line in record.read_text().splitlines()]
    return {(entry["task"], entry["name"]) for entry in entries if entry.get("outcome") == "changed"}


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> list[Half]:
    """The host after each kill."""
    folder = tmp_path_factory.mktemp("half_built")
    assert play(folder / "begun", STOPS[0])
    return [
        Half(play(folder / f"{number}.foretold", "", "--check"), play(folder / f"{number}.done", stop))
        for number, stop in enumerate([*STOPS[1:], ""])
    ]


@pytest.mark.parametrize("number", range(len(STOPS)), ids=STOPS)
def test_check_mode_foretells_all_that_is_left_and_nothing_else(halves: list[Half], number: int) -> None:
    left = set().union(*(half.done for half in halves[number:]))
    assert halves[number].done
    assert halves[number].foretold == left


def test_then_nothing_is_left_to_do(halves: list[Half], tmp_path: Path) -> None:
    assert play(tmp_path / "foretold", "", "--check") == set()
    assert play(tmp_path / "done") == set()
