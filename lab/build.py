"""Builds cached by the hash of what goes into them: a build is there whole or not at all, whenever its maker was killed."""

import fcntl
import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from lab import paths
from lab.shell import run

_may_build: ContextVar[bool] = ContextVar("may_build", default=True)


class NotBuilt(Exception):
    """Asked only for what is cached, and it is not."""


def build(name: str, inputs: list[Path], params: dict[str, Any], make: Callable[[Path], None]) -> Path:
    """The directory that `make` fills from `inputs` (files or directories) and `params` (JSON values); made once per content.

    `make` gets an empty directory beside the final one and must raise when it fails. Two callers at once make it once.
    """
    target = paths.BUILDS / f"{name}-{_digest(inputs, params)}"
    if target.is_dir():
        return target
    if not _may_build.get():
        raise NotBuilt(name)
    paths.BUILDS.mkdir(parents=True, exist_ok=True)
    with _locked(paths.BUILDS / f".{name}.lock", name):
        if not target.is_dir():
            _make(target, make)
    return target


def cached(artifact: Callable[[], Path]) -> Path | None:
    """What a builder has made before from the same inputs, or None: nothing is built."""
    token = _may_build.set(False)
    try:
        return artifact()
    except NotBuilt:
        return None
    finally:
        _may_build.reset(token)


def _make(target: Path, make: Callable[[Path], None]) -> None:
    for stale in paths.BUILDS.glob(f".{target.name}.*"):
        remove(stale)
    # a name of its own per attempt: what outlived a killed attempt writes there, into nothing
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=paths.BUILDS))
    partial.chmod(0o755)
    started = time.monotonic()
    print(f"lab: building {target.name} ...", file=sys.stderr, flush=True)
    try:
        make(partial)
        run(["sync", "--file-system", partial])
        partial.rename(target)
    finally:
        remove(partial)
    print(f"lab: built {target.name} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def remove(tree: Path) -> None:
    """Remove a directory with what a killed build left mounted in it."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted((m for m in mounts if Path(m).is_relative_to(tree)), reverse=True):
        run(["umount", "--lazy", mount])
    shutil.rmtree(tree, ignore_errors=True)


def _digest(inputs: list[Path], params: dict[str, Any]) -> str:
    """16 hex digits over the inputs' names, modes and bytes, and the parameters."""
    digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode())
    for path in inputs:
        for file in _files(path):
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            digest.update(f"{file.relative_to(path.parent)} {file.stat().st_mode & 0o111} {content}\n".encode())
    return digest.hexdigest()[:16]


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for file in sorted(path.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            yield file


@contextmanager
def _locked(file: Path, name: str) -> Iterator[None]:
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"lab: another process builds {name}: waiting for it", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
