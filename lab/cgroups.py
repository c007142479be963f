"""Cgroups of the lab's hosts: children of the cgroup of whoever starts a host, one per hierarchy of the machine.

They also answer which processes belong to a host, whatever became of its pid file: nothing in a host can leave its cgroups.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

from lab import paths
from lab.shell import LabError

ROOT = Path("/sys/fs/cgroup")
KILL_SECONDS = 30


def scope(host: str) -> str:
    """The unit to start a host in where the machine's cgroups are systemd's."""
    return f"{paths.CGROUP_PREFIX}{host}.scope"


def enter(host: str) -> None:
    """Move this process into new cgroups of the host, so that the host's cgroup namespace begins there."""
    for hierarchy, own in _own():
        if Path(own).name == scope(host):  # systemd made it
            continue
        directory = hierarchy / own.lstrip("/") / f"{paths.CGROUP_PREFIX}{host}"
        directory.mkdir(exist_ok=True)
        if hierarchy.name == "cpuset":  # empty in a new cgroup, and nothing can run there
            for file in ("cpuset.cpus", "cpuset.mems"):
                (directory / file).write_text((directory.parent / file).read_text())
            (directory / "cgroup.clone_children").write_text("1")
        (directory / "cgroup.procs").write_text(str(os.getpid()))


def processes(host: str) -> set[int]:
    """Every process of the host, its supervisor included."""
    return {pid for top in directories(host) for directory in _tree(top) for pid in _pids(directory)}


def kill(host: str) -> None:
    """End every process of the host at once, as a power loss does, and remove its cgroups."""
    deadline = time.monotonic() + KILL_SECONDS
    while pids := processes(host):
        if time.monotonic() > deadline:
            raise LabError(f"host {host}: processes {sorted(pids)} survive SIGKILL; see /proc/PID/stack for what they wait for")
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for top in directories(host):
            for directory in _tree(top):  # a paused container dies only when thawed
                with suppress(OSError), (directory / "freezer.state").open("r+") as frozen:
                    frozen.write("THAWED")
        time.sleep(0.05)
    for top in directories(host):
        for directory in reversed(list(_tree(top))):
            _remove(directory, deadline)


def hosts() -> set[str]:
    """Names of all hosts that have cgroups on this machine."""
    return {directory.name.removeprefix(paths.CGROUP_PREFIX).removesuffix(".scope") for directory in directories("*")}


def _own() -> Iterator[tuple[Path, str]]:
    """Mount point and own path of each hierarchy that this process is in."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        names = controllers.removeprefix("name=") or ("unified" if (ROOT / "unified").is_dir() else "")
        if (ROOT / names).is_dir():
            yield ROOT / names, path


def directories(pattern: str) -> Iterator[Path]:
    """The top cgroups of the hosts whose names match, wherever they were started; looked for, as no record outlives every crash."""
    for hierarchy, _ in _own():
        for top, names, _ in os.walk(hierarchy):
            found = [name for name in names if name.startswith(paths.CGROUP_PREFIX)]
            yield from (Path(top) / name for name in found if fnmatch(name.removesuffix(".scope"), paths.CGROUP_PREFIX + pattern))
            names[:] = set(names) - set(found)  # what is below belongs to the host


def _tree(top: Path) -> Iterator[Path]:
    for directory, _, _ in os.walk(top):
        yield Path(directory)


def _pids(directory: Path) -> list[int]:
    try:
        return [int(pid) for pid in (directory / "cgroup.procs").read_text().split()]
    except OSError:  # gone meanwhile
        return []


def _remove(directory: Path, deadline: float) -> None:
    while directory.is_dir():
        try:
            directory.rmdir()
        except OSError:  # its last process is still being reaped
            if time.monotonic() > deadline:
                raise LabError(f"{directory}: the cgroup cannot be removed though no process is left in it") from None
            time.sleep(0.05)
