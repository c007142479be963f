"""One run at a time, and what a killed run leaves behind: with real processes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import TABLE

from rackstart import cli, journal, locking, processes
from rackstart.errors import Locked
from rackstart.paths import Project

SLEEP = "import os, time; open(os.environ['READY'], 'w').close(); time.sleep(60)"


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait for a condition that another process brings about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come about"
        time.sleep(0.02)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a sleeping process with a mark, and waits until it is up."""
    started: list[subprocess.Popen[bytes]] = []

    def start(mark: str, code: str = SLEEP, *arguments: str) -> subprocess.Popen[bytes]:
        ready = tmp_path / f"ready-{len(started)}"
        environment = {**os.environ, processes.MARK: mark, "READY": str(ready)}
        started.append(subprocess.Popen([sys.executable, "-c", code, *arguments], env=environment, start_new_session=True))
        until(ready.exists)
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_second_run_is_refused_with_who_holds_it(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    with locking.hold(project.state, project.control_path, "'run'", print):
        refusal = pytest.raises(Locked, match=rf"'run' of user \S+ \(process {os.getpid()}\) has held this inventory for 0 min")
        with refusal, locking.hold(project.state, project.control_path, "'check'", print):
            pass
        assert cli.main(["-i", "rack", "run"], project.root, TABLE) == 5
        assert str(os.getpid()) in capsys.readouterr().err
        holder = locking.holder(project.state)
        assert holder is not None
        assert holder["what"] == "'run'"
    assert locking.holder(project.state) is None


def test_the_lock_goes_with_its_process(project: Project) -> None:
    code = f"""
import os, pathlib
from rackstart import locking
with locking.hold(pathlib.Path({str(project.state)!r}), pathlib.Path("/nowhere"), "'run'", print):
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    with locking.hold(project.state, project.control_path, "'run'", print):
        pass


def test_a_dead_run_is_ended_exactly(
    project: Project, start: Callable[..., subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE", 0.5)
    dead, other = start("dead-run"), start("dead-run-2")
    stubborn = start("dead-run", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP)
    hook = start("")  # has no mark, but the journal names it
    writer = journal.Journal(project.state / "runs" / "dead-run")
    writer.write("run", command="run")
    writer.write("child", pid=hook.pid, started=processes.start_time(hook.pid), what="hooks/before-run")
    writer.write("child", pid=other.pid, started=1)  # the pid is another process's by now
    writer.close()
    told: list[str] = []
    with locking.hold(project.state, project.control_path, "'run'", told.append):
        assert [dead.wait(), stubborn.wait(), hook.wait()] == [-signal.SIGTERM, -signal.SIGKILL, -signal.SIGTERM]
        assert other.poll() is None
    assert told == ["run dead-run was killed; ended 3 processes that it left behind"]
    assert (journal.read(project.state / "runs" / "dead-run").ended or {})["state"] == "killed"
    with locking.hold(project.state, project.control_path, "'run'", told.append):
        assert len(told) == 1


def test_ssh_masters_are_found_by_their_socket(project: Project, start: Callable[..., subprocess.Popen[bytes]]) -> None:
    title = "import os, sys; os.execv(sys.executable, [sys.argv[1], '-c', sys.argv[2]])"
    other = project.control_path.with_name("ssh-of-another")
    mine, theirs = (start("", title, f"ssh: {folder}/0a1b2c [mux]", SLEEP) for folder in (project.control_path, other))
    assert processes.ssh_masters(project.control_path) == {mine.pid}
    assert processes.end_run("no-such-run", project.control_path) == 1
    assert mine.wait() == -signal.SIGTERM
    assert theirs.poll() is None


DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from conftest import TABLE
from rackstart import cli
sys.exit(cli.main(sys.argv[1:], Path({root!r}), TABLE))
"""


@pytest.fixture
def busy(project: Project, playbook: Callable[[str, str], None], tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts a run of stage host that waits in a task, and returns once it is there."""
    playbook(
        "host", f"    - name: Wait\n      ansible.builtin.shell: touch {tmp_path}/$$.there; exec sleep 60\n      changed_when: false\n"
    )
    code = DRIVER.format(tests=str(Path(__file__).parent), root=str(project.root))
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        arguments = [sys.executable, "-c", code, "--inventory", "rack", "--only", "host"]
        started.append(subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        until(lambda: len(list(tmp_path.glob("*.there"))) == (1 if (project.inventory / "hooks").exists() else 3))
        return started[-1]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()


def running(project: Project) -> set[int]:
    return {pid for record in journal.runs(project.state) for pid in processes.of_run(record.id)}


def test_a_killed_wrapper_loses_nothing_and_leaves_nothing(
    project: Project, playbook: Callable[[str, str], None], busy: Callable[[], subprocess.Popen[bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    wrapper = busy()
    wrapper.kill()
    wrapper.wait()
    assert len(running(project)) >= 4  # ansible-playbook, its workers and what they run outlive it
    (record,) = journal.runs(project.state)
    assert record.ended is None
    assert record.stages["host"]["kind"] == "stage_start"
    assert record.children[0]["pid"] in running(project)
    playbook("host", "    - name: Look\n      ansible.builtin.debug:\n        msg: fine\n")
    assert cli.main(["-i", "rack", "--only", "host"], project.root, TABLE) == 0
    assert not running(project)
    assert f"run {record.id} was killed; ended" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_its_children_and_says_so(
    project: Project, busy: Callable[[], subprocess.Popen[bytes]], number: signal.Signals
) -> None:
    wrapper = busy()
    wrapper.send_signal(number)
    assert wrapper.wait(120) == 130
    assert not running(project)
    (record,) = journal.runs(project.state)
    assert (record.ended or {})["state"] == record.stages["host"]["state"] == "interrupted"


def test_an_interrupted_hook_is_ended_with_all_it_started(
    project: Project, busy: Callable[[], subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    hook = project.inventory / "hooks" / "before-run"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\nsleep 60 & echo $! > {tmp_path}/pid; touch {tmp_path}/x.there; wait\n")
    hook.chmod(0o755)
    wrapper = busy()
    wrapper.send_signal(signal.SIGINT)
    assert wrapper.wait(120) == 130
    assert processes.start_time(int((tmp_path / "pid").read_text())) is None
    (record,) = journal.runs(project.state)
    assert ((record.ended or {})["state"], record.stages) == ("interrupted", {})
