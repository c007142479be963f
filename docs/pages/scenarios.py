"""Which scenarios of molecule play a role, and on which distributions, from the scenarios' and the lab's own files."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pages import ROOT

MOLECULE = ROOT / "molecule"
SUITES = ROOT / "lab/root/suites.yml"
RELEASES = {"bookworm": "Debian 12", "trixie": "Debian 13"}


def of(role: str) -> list[str]:
    """The scenarios that converge it, also by way of another role."""
    return sorted({scenario for scenario, found, _ in _played() if found == role})


def distributions(role: str, emulated: bool) -> list[str]:
    """What it is run on: distributions that are installed, or those that a host only reports."""
    names = {host for _, found, hosts in _played() if found == role for host in hosts}
    found = (_distribution(suite) for name, suite in _hosts().items() if name in names)
    return sorted({name for name, false in found if false == emulated})


def roles_of(node: Any) -> Iterator[tuple[str, str]]:
    """Name and entry point of each role that plays or tasks name."""
    if isinstance(node, list):
        for item in node:
            yield from roles_of(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "roles":
                yield from ((item["role"], "main") for item in value)
            elif key in ("ansible.builtin.import_role", "ansible.builtin.include_role"):
                yield value["name"], value.get("tasks_from", "main")
            else:
                yield from roles_of(value)


@cache
def _played() -> list[tuple[str, str, frozenset[str]]]:
    """(scenario, role, names of hosts) of every play of a converge.yml."""
    found = []
    for path in sorted(MOLECULE.glob("*/converge.yml")):
        for play in _plays(path):
            named = [name for name, _ in roles_of(play)]
            found += [
                (path.parent.name, role, _members(play["hosts"]))
                for role in {*named, *(deep for name in named for deep in _imported(name))}
            ]
    return found


def _plays(path: Path) -> Iterator[dict[str, Any]]:
    for play in yaml.safe_load(path.read_text()):
        if "ansible.builtin.import_playbook" in play:
            yield from _plays(path.parent / play["ansible.builtin.import_playbook"])
        else:
            yield play


def _imported(role: str) -> Iterator[str]:
    for entry in yaml.safe_load((ROOT / "roles" / role / "meta/main.yml").read_text())["dependencies"]:
        yield from (entry["role"], *_imported(entry["role"]))
    for path in sorted((ROOT / "roles" / role / "tasks").glob("*.yml")):
        for name, _ in roles_of(yaml.safe_load(path.read_text())):
            yield from (name, *_imported(name))


@cache
def _hosts() -> dict[str, str]:
    """Each host of molecule's inventory, and what the lab makes it of."""
    found: dict[str, str] = {}
    _gather(yaml.safe_load((MOLECULE / "inventory/hosts.yml").read_text()), found, {})
    return found


def _gather(groups: dict[str, Any], found: dict[str, str], groups_of: dict[str, set[str]]) -> set[str]:
    names: set[str] = set()
    for group, below in groups.items():
        hosts = (below or {}).get("hosts") or {}
        found |= {name: (settings or {}).get("suite", "bookworm") for name, settings in hosts.items()}
        groups_of[group] = set(hosts) | _gather((below or {}).get("children") or {}, found, groups_of)
        names |= groups_of[group]
    return names


def _members(pattern: str) -> frozenset[str]:
    groups_of: dict[str, set[str]] = {}
    _gather(yaml.safe_load((MOLECULE / "inventory/hosts.yml").read_text()), {}, groups_of)
    return frozenset(name for word in pattern.replace(",", ":").split(":") for name in groups_of.get(word, {word}))


def _distribution(suite: str) -> tuple[str, bool]:
    """Its name, and whether it is only reported."""
    table = yaml.safe_load(SUITES.read_text()) if SUITES.exists() else {}
    reported = (table.get(suite) or {}).get("files", {}).get("/etc/os-release", "")
    if not reported:
        return RELEASES[suite], False
    words = dict(line.split("=", 1) for line in reported.splitlines())
    return " ".join(words[key].strip('"') for key in ("NAME", "VERSION_ID")), True
