"""What a host reports itself to be: a release of Debian, or another distribution that a Debian host stands in for."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from lab.shell import LabError

TABLE = Path(__file__).with_suffix(".yml")


@dataclass(frozen=True)
class Suite:
    release: str  # of Debian, which is installed
    packages: list[str] = field(default_factory=list)  # besides those of every host
    files: dict[str, str] = field(default_factory=dict)  # path -> text, laid over it


def find(name: str) -> Suite:
    """A suite by its code name; LabError names those that there are."""
    table = yaml.safe_load(TABLE.read_text())
    if name not in table:
        raise LabError(f"unknown suite {name!r}: {TABLE.parent.name}/{TABLE.name} has {', '.join(table)}")
    kernel, found = os.uname().release, table[name]
    files = {path.format(kernel=kernel): text for path, text in found.get("files", {}).items()}
    return Suite(found["release"], found.get("packages", []), files)
