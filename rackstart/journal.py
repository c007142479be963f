"""The journal of a run: JSON lines, only ever appended to, each on disk before the run goes on."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

KEPT_RUNS = 20


def timestamp() -> str:
    """Local time to the millisecond with its offset, ISO 8601."""
    return datetime.now().astimezone().isoformat(timespec="milliseconds")


class Journal:
    """Writer of `directory/journal.jsonl`; records never hold messages of hosts nor values of variables, so no secret can get in."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = os.open(directory / "journal.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        if os.fstat(self._file).st_size:
            os.write(self._file, b"\n")  # its last line may be torn

    def write(self, kind: str, **values: Any) -> None:
        """Append one record and wait until it is on disk."""
        os.write(self._file, json.dumps({"kind": kind, "at": timestamp(), **values}).encode() + b"\n")
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)


@dataclass
class Record:
    """What a journal says of one run. `ended` is None while it runs, or when its wrapper was killed."""

    directory: Path
    run: dict[str, Any] = field(default_factory=dict)
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)  # last record of each stage, kind stage_start or stage_end
    children: list[dict[str, Any]] = field(default_factory=list)  # pid and start time of each process the run started
    ended: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        return self.directory.name


def read(directory: Path) -> Record:
    """Read one run's journal; a last line that a power loss tore is left out."""
    record = Record(directory)
    for entry in _entries(directory / "journal.jsonl"):
        match entry["kind"]:
            case "run":
                record.run = entry
            case "stage_start" | "stage_end":
                record.stages[entry["stage"]] = entry
            case "inputs":
                record.run |= {"digest": entry["digest"], "inputs": entry["inputs"]}
            case "child":
                record.children.append(entry)
            case "end":
                record.ended = entry
    return record


def _entries(file: Path) -> Iterator[dict[str, Any]]:
    if not file.exists():
        return
    for line in file.read_bytes().split(b"\n"):
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # torn, or the empty piece after the last newline
        if isinstance(entry, dict) and "kind" in entry:
            yield entry


def runs(state: Path) -> list[Record]:
    """All runs of an inventory that have a first record, newest first."""
    folders = sorted((state / "runs").glob("*/"), reverse=True)
    return [record for record in map(read, folders) if record.run]


def new_run(state: Path) -> Path:
    """A fresh directory for a run, named by its time; the oldest runs beyond KEPT_RUNS are removed."""
    parent = state / "runs"
    parent.mkdir(parents=True, exist_ok=True)
    parent.chmod(0o700)  # it may have been there, and open
    directory = parent / datetime.now().strftime("%Y%m%d-%H%M%S-%f")[:-3]
    directory.mkdir(mode=0o700)
    for old in sorted(parent.glob("*/"), reverse=True)[KEPT_RUNS:]:
        shutil.rmtree(old)
    return directory
