"""One digest of everything that decides what a run does."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rackstart.paths import Project

_FOLDERS = ("roles", "playbooks", "collections")
_FILES = ("artifacts.yml", "ansible.cfg")


@dataclass(frozen=True)
class Inputs:
    """sha256 of each input by its name, and one over them all."""

    files: dict[str, str]

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.files, sort_keys=True).encode()).hexdigest()


def of(project: Project, extra_vars: Sequence[str]) -> Inputs:
    """Read the inventory's files, roles, playbooks, collections, artifacts and extra variables (-e as given; files by content)."""
    paths = [path for folder in _FOLDERS for path in (project.root / folder).rglob("*")]
    paths += [project.root / name for name in _FILES]
    paths += project.inventory.rglob("*")
    files = {project.shown(path): _sha256(path.read_bytes()) for path in paths if path.is_file() and "__pycache__" not in path.parts}
    for number, text in enumerate(extra_vars, 1):
        files[f"-e number {number}"] = _sha256(Path(text[1:]).expanduser().read_bytes() if text.startswith("@") else text.encode())
    return Inputs(files)


def differences(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Names of the inputs that were changed, added or removed."""
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
