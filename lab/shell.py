"""Errors that speak to the person at the terminal."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class LabError(Exception):
    """What is wrong, where, and what to do about it, in one message."""


def run(command: Sequence[str | Path], *, stdin: str = "", env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Standard output of a command; LabError with the command's own words when it fails."""
    try:
        done = subprocess.run(command, check=False, input=stdin, env=env, cwd=cwd, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise LabError(f"{command[0]}: no such command; `python -m lab up` installs what the lab needs") from error
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-15:]
        raise LabError(f"{' '.join(map(str, command))}: exit code {done.returncode}\n  " + "\n  ".join(words))
    return done.stdout
