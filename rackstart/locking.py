"""One run at a time per inventory and controller, and none of a dead wrapper beside it."""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rackstart import journal, processes
from rackstart.errors import Locked


@contextmanager
def hold(state: Path, sockets: Path, what: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold the inventory's lock while the body runs; `what` is shown to whoever is refused.

    First ends what a killed run left behind, ssh masters of control sockets in `sockets` among it.
    Raises Locked, naming the holder. The kernel drops the lock with this process, however that ends.
    """
    with (state / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(_refusal(state)) from None
        file.truncate(0)
        pid = os.getpid()
        json.dump({"pid": pid, "started": processes.start_time(pid), "what": what, "since": time.time(), "user": _user()}, file)
        file.flush()
        _end_dead_runs(state, sockets, tell)
        try:
            yield
        finally:
            file.truncate(0)


def holder(state: Path) -> dict[str, Any] | None:
    """Who holds the lock now ({pid, started, what, since, user}), or None. Looks without touching the lock."""
    try:
        found: dict[str, Any] = json.loads((state / "lock").read_text())
    except (OSError, ValueError):
        return None
    return found if processes.start_time(found["pid"]) == found["started"] else None


def _end_dead_runs(state: Path, sockets: Path, tell: Callable[[str], None]) -> None:
    """End every process of runs whose wrapper was killed, and say so in their journals."""
    for record in journal.runs(state):
        if record.ended:
            continue
        count = processes.end_run(record.id, sockets)
        for child in record.children:
            leftover = processes.of_session(child["pid"], child["started"])
            count += len(leftover)
            processes.end(leftover)
        tell(f"run {record.id} was killed; " + (f"ended {count} processes that it left behind" if count else "nothing of it is left"))
        shutil.rmtree(record.directory / "tmp", ignore_errors=True)
        written = journal.Journal(record.directory)
        written.write("end", state="killed", exit=None)
        written.close()


def _refusal(state: Path) -> str:
    who = holder(state)
    if who is None:
        return "another run holds this inventory and has just started; try again"
    minutes = (time.time() - who["since"]) / 60
    holds = f"{who['what']} of user {who['user']} (process {who['pid']}) has held this inventory for {minutes:.0f} min"
    return f"{holds}; wait for it, or stop it with Ctrl-C where it runs"


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
