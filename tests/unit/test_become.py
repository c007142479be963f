"""A task that hangs is ended with every process that it has started, and its result says so."""

import json
import subprocess
from pathlib import Path

from ansible_collections.rackstart.cluster.plugins.become.sudo import bounded

MARK = "a1b2c3d4"


def run(command: str, seconds: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(bounded(command, MARK, seconds), shell=True, capture_output=True, text=True, timeout=60)


def test_a_task_that_ends_is_left_alone() -> None:
    done = run("cat; echo 'it said \"so\"'; exit 3", 60)
    assert (done.returncode, done.stdout, done.stderr) == (3, 'it said "so"\n', "")


def test_a_task_that_hangs_is_ended_with_processes_in_sessions_of_their_own() -> None:
    done = run("setsid sleep 600 & trap '' TERM; sleep 600", 1)
    assert done.returncode in (124, 137)
    result = json.loads(done.stdout)
    assert result["failed"]
    assert "did not end within 1 s" in result["msg"]
    marked = f"RACKSTART_TASK={MARK}".encode()
    assert [path for path in Path("/proc").glob("[0-9]*/environ") if marked in read(path).split(b"\0")] == []


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has just ended, or is not ours
        return b""
