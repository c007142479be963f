"""Programs as plain processes of this machine, and ports for them."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def program(
    log: Path, *command: Any, inherited: Mapping[str, str] = os.environ, seconds: int = 300, **environment: Any
) -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """A running process, and how to wait until something about it is true: an OSError or nothing means not yet.

    seconds: patience of one wait.
    """
    env = {**inherited} | {name: str(value) for name, value in environment.items()}
    with log.open("w") as output:
        process = subprocess.Popen(["nice", *map(str, command)], env=env, stdout=output, stderr=subprocess.STDOUT)

    def until(condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError):
                if found := condition():
                    return found
            assert process.poll() is None, log.read_text()[-4000:]
            assert time.monotonic() < deadline, log.read_text()[-4000:]
            time.sleep(0.1)

    try:
        yield until
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
