"""Processes that a run started: found by the run's mark in their environment, ended one by one.

ansible-playbook outlives a killed wrapper, and its workers leave its process group and session, but all of them keep the environment.
ssh's masters write their title over theirs, and are found by their control socket.
"""

import contextlib
import os
import select
import signal
import time
from pathlib import Path

MARK = "RACKSTART_RUN"  # environment variable of everything a run starts through ansible-runner
GRACE = 5.0  # seconds between asking and killing
_ROUNDS = 5  # what the kernel cannot end (a dead disk or NFS server holds it) is left behind


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; with the pid it names one process for good. None when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the command's name before it may hold anything
    return None if fields[0] == "Z" else int(fields[19])


def of_run(run: str) -> set[int]:
    """Pids of all living processes of a run, this process excepted."""
    return {pid for pid in _own() if _marked(pid, run)}


def ssh_masters(sockets: Path) -> set[int]:
    """Pids of the ssh masters whose control sockets lie in a directory."""
    return {pid for pid in _own() if _read(pid, "cmdline").startswith(os.fsencode(f"ssh: {sockets}/"))}


def of_session(pid: int, started: int) -> set[int]:
    """The process with that pid and start time and all of its session; empty when the pid has gone or is another's by now."""
    if start_time(pid) != started:
        return set()
    return {pid} | {other for other in _own() if _session(other) == pid}


def end(pids: set[int]) -> None:
    """Ask the processes to stop, kill those that stay. A pid that passes to another process meanwhile is never hit."""
    handles = {}
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            handles[pid] = os.pidfd_open(pid)
    try:
        for sent in (signal.SIGTERM, signal.SIGKILL):
            for handle in handles.values():
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, sent)
            _wait(set(handles.values()), GRACE)
    finally:
        for handle in handles.values():
            os.close(handle)


def end_run(run: str, sockets: Path) -> int:
    """End everything of a run and the ssh masters of its sockets, also what comes meanwhile; return how many processes that were."""
    ended: set[int] = set()
    for _ in range(_ROUNDS):
        if not (pids := of_run(run) | ssh_masters(sockets)):
            break
        ended |= pids
        end(pids)
    return len(ended)


def _wait(handles: set[int], seconds: float) -> None:
    """Wait until all have exited (a pidfd turns readable then) or the time is over."""
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    until = time.monotonic() + seconds
    while handles and (left := until - time.monotonic()) > 0:
        for handle, _ in poll.poll(left * 1000):
            poll.unregister(handle)
            handles.discard(handle)


def _own() -> list[int]:
    """Pids of this user's processes, without this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if entry.stat().st_uid == os.geteuid():
                    found.append(int(entry.name))
    return found


def _marked(pid: int, run: str) -> bool:
    return f"{MARK}={run}".encode() in _read(pid, "environ").split(b"\0")


def _read(pid: int, file: str) -> bytes:
    """A file of a process; empty when it has gone."""
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return b""


def _session(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        return os.getsid(pid)
    return None
