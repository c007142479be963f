"""What `bench` does with Ctrl-C, a polite kill and a hang-up: each ends a block in order, or waits until one is over."""

import contextlib
import signal
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def caught(handler: Any) -> Iterator[None]:
    """Another handler for all of them."""
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextlib.contextmanager
def late() -> Iterator[None]:
    """What comes meanwhile counts at the end: between the start of a process and a variable that holds it nothing may be raised."""
    came: list[int] = []
    with caught(lambda number, _: came.append(number)):
        yield
    for number in came:
        signal.raise_signal(number)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt
