"""Check mode on a half-built host: what it foretells is what the next run does, task by task, as far as that comes."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COMMAND = ["ansible-playbook", "--inventory=molecule/inventory/hosts.yml", "molecule/half_built/converge.yml"]
# Before each of them the run is killed; None goes to the end.
STOPS = [
    "nvidia_driver : Install the driver",
    "model_store : Install the client",
    "k3s_node : Start k3s, or restart it when what it read is older than its files",
    None,
]


def play(record: Path, stop: str | None = None, *options: str) -> dict[str, str]:
    """The outcome of every task that was reached; killed before the task `stop`."""
    environment = os.environ | {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "record",
        "RACKSTART_RECORD": str(record),
        "RACKSTART_STOP": stop or "",
    }
    done = subprocess.run([*COMMAND, *options], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == (-signal.SIGKILL if stop else 0), done.stdout[-4000:] + done.stderr[-2000:]
    entries = [json.loads(line) for line in record.read_text().splitlines()]
    return {f"{entry['task']} {entry['name']}": entry["outcome"] for entry in entries if "task" in entry}


def changed(outcomes: dict[str, str]) -> set[str]:
    return {task for task, outcome in outcomes.items() if outcome == "changed"}


@pytest.fixture(scope="module", autouse=True)
def begun(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A first run, killed early."""
    assert changed(play(tmp_path_factory.mktemp("begun") / "record", "host : Set the host name"))


@pytest.mark.parametrize("stop", STOPS)
def test_what_check_mode_foretells_is_what_the_run_does(tmp_path: Path, stop: str | None) -> None:
    foretold = play(tmp_path / "foretold", None, "--check")
    done = play(tmp_path / "done", stop)
    assert changed(done)
    assert changed({task: outcome for task, outcome in foretold.items() if task in done}) == changed(done)


def test_then_nothing_is_left_to_do(tmp_path: Path) -> None:
    assert changed(play(tmp_path / "foretold", None, "--check")) == set()
    assert changed(play(tmp_path / "done")) == set()
