"""Looks at the lab from outside while a run goes on, and at what it takes of the machine."""

import os
import re
import select
import subprocess
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from lab import cgroups, paths
from lab.host import all_hosts
from rackstart import journal

MARK = "RACKSTART_BENCH"  # environment variable of the wrapper and all that it starts, but for the lab's hosts
EVERY = 1.0  # seconds between looks at memory


class Watch:
    """What one run of the wrapper takes: the peak of memory, and the life of each stage's ansible-playbook process."""

    def __init__(self, state: Path) -> None:
        self.peak = 0
        self._runs = state / "runs"
        self._before = self._newest()
        self._lives: dict[str, Future[float]] = {}
        self._pool = ThreadPoolExecutor()
        self._next = 0.0

    def look(self) -> bool:
        """Look once; False, since a watch never ends a run. To be called several times a second."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY
            self.peak = max(self.peak, memory())
        if self._newest() != self._before:
            for child in self.record.children:
                if (stage := child.get("stage")) and stage not in self._lives:
                    self._lives[stage] = self._pool.submit(_life, child["pid"], child["started"])
        return False

    @property
    def record(self) -> journal.Record:
        return journal.read(self._newest())

    @property
    def lives(self) -> dict[str, float]:
        """Seconds by stage, once the run has ended."""
        return {stage: life.result() for stage, life in self._lives.items()}

    def _newest(self) -> Path:
        return max(self._runs.glob("*/"), default=self._runs)


def memory() -> int:
    """Bytes in use: working set of the hosts' cgroups, proportional set size of marked processes."""
    return sum(map(_working_set, cgroups.directories("*"))) + sum(map(_proportional, Path("/proc").glob("[0-9]*")))


def disk() -> int:
    """Bytes of the lab's state and of the builds that its hosts are made of."""
    used = {path for host in all_hosts() for path in (host.lower, *host.binds)}
    command = ["du", "--summarize", "--total", "--block-size=1", str(paths.STATE), *sorted(used)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1].split()[0])


def _life(pid: int, started: int) -> float:
    """How many seconds a process lives, waiting for its end; `started` in clock ticks since boot."""
    handle = os.pidfd_open(pid)
    try:
        select.select([handle], [], [])  # readable once it has exited
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")
    finally:
        os.close(handle)


def _working_set(cgroup: Path) -> int:
    """Of a cgroup with what is below it; 0 in a hierarchy without the memory controller."""
    for usage, inactive in (("memory.current", "inactive_file"), ("memory.usage_in_bytes", "total_inactive_file")):
        with suppress(OSError):
            used, stat = (cgroup / usage).read_text(), (cgroup / "memory.stat").read_text()
            found = re.search(rf"^{inactive} (\d+)$", stat, re.M)
            return int(used) - int(found[1] if found else 0)
    return 0


def _proportional(process: Path) -> int:
    """Of a process that carries the mark; 0 for others, and for ssh's masters, which write over it."""
    with suppress(OSError):
        if f"{MARK}=1".encode() in (process / "environ").read_bytes().split(b"\0"):
            found = re.search(r"^Pss: +(\d+) kB$", (process / "smaps_rollup").read_text(), re.M)
            return int(found[1]) * 1024 if found else 0
    return 0
