"""One lab per machine: one operation on it at a time."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lab import paths


@contextmanager
def held() -> Iterator[int]:
    """Wait for the lab's lock and hold it; gives its file descriptor. The kernel lets go when the last process that has it open dies."""
    with paths.LOCK.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            print(f"lab: waiting for process {file.read().strip()}, which works on the lab", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield file.fileno()
