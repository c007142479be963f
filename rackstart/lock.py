"""Writes inventories/NAME/artifacts.lock.yml: the digest of every outside thing in artifacts.yml, read at its source."""

import ssl
import sys
from collections.abc import Callable
from typing import Any

import yaml

from rackstart import files, inventory
from rackstart.artifacts import Source
from rackstart.errors import ConfigurationError, RackstartError
from rackstart.paths import ROOT, Project


def write(project: Project, tell: Callable[[str], None]) -> None:
    """Read each artifact through the inventory's mirror, or at its publisher, and replace the lock file at once.

    Tells what is new or has another digest than before. Raises RackstartError when anything cannot be read or does not match what
    its publisher says; the old lock file stays then.
    """
    declared = _yaml(project.root / "artifacts.yml")
    if not declared:
        raise ConfigurationError(f"{project.root / 'artifacts.yml'} declares nothing")
    before = _yaml(project.lock_file)
    shared = _shared()
    source = _source(project, shared)
    kinds: dict[str, Callable[[dict[str, Any]], dict[str, str]]] = {
        "files": source.file, "charts": source.file, "images": source.image, "repositories": source.key,
    }  # fmt: skip
    locked: dict[str, dict[str, dict[str, str]]] = {}
    for kind, lock in kinds.items():
        for name, entry in (declared.get(kind) or {}).items():
            source.tell = lambda text, what=f"{kind}.{name}": _passing(f"{what} {text}")  # type: ignore[misc]
            try:
                new = lock(entry)
            except RackstartError as error:
                raise RackstartError(
                    f"{kind}.{name}: {shared.advised(str(error))}\n{project.shown(project.lock_file)} was not changed"
                ) from None
            locked.setdefault(kind, {})[name] = new
            _passing("")
            tell(f"{kind}.{name}  {_compared((before.get(kind) or {}).get(name), new)}")
    head = f"# Written by: bootstrap.py --inventory {project.name} lock\n---\n"
    files.replace(project.lock_file, f"{head}{yaml.safe_dump(locked, sort_keys=False, width=200)}")
    tell(f"wrote {project.shown(project.lock_file)}")


def _shared() -> Any:
    """The module that the roles resolve addresses with, and preflight."""
    sys.path.insert(0, str(ROOT / "collections"))
    from ansible_collections.rackstart.cluster.plugins.module_utils import artifacts

    return artifacts


def _source(project: Project, shared: Any) -> Source:
    inventory.check_files(project)
    mirror = str(inventory.variable(project, "artifact_mirror") or "")
    trusted = ssl.create_default_context()
    try:
        shared.trust(trusted, inventory.variable(project, "cluster_ca_certificates") or [])
    except shared.ArtifactError as error:
        raise ConfigurationError(str(error)) from None
    logins = inventory.variable(project, "cluster_registry_auth") or {}
    if problem := shared.login_problem(logins):
        form = "write {HOST: {username: TEXT, password: TEXT}}, and what looks like a number in quotes"
        raise ConfigurationError(f"cluster_registry_auth: {problem}; {form}")
    return Source(lambda url: shared.mirrored(url, mirror), mirror, logins, trusted)


def _compared(old: dict[str, str] | None, new: dict[str, str]) -> str:
    digest = "digest" if "digest" in new else "sha256"
    if not old or not old.get(digest):
        return f"{new[digest]}  new"
    if old == new:
        return f"{new[digest]}  unchanged"
    same_thing = all(old.get(key) == new[key] for key in new if key in ("version", "url", "reference", "key"))
    return f"{new[digest]}  CHANGED from {old[digest]}" + (", under the same name and version" if same_thing else "")


def _yaml(path: Any) -> dict[str, Any]:
    try:
        return yaml.safe_load(path.read_text()) or {}
    except FileNotFoundError:
        return {}
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: not valid YAML: {error}") from None


def _passing(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
