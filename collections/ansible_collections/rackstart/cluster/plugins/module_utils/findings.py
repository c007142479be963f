"""One line of preflight's report, and how its checks go through what was looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ansible_collections.rackstart.cluster.plugins.module_utils.checks_table import CHECKS

Finding = dict[str, Any]
Look = dict[str, Any]


def finding(id: str, target: str, ok: object, seen: object, **values: object) -> Finding:
    """ok: None when it could not be judged, and seen says why. seen may be of any kind; it is told as text. values fill in the texts."""
    check = CHECKS[id]
    return {
        "id": id,
        "severity": check.severity,
        "target": target,
        "ok": None if ok is None else bool(ok),
        "seen": str(seen),
        "expected": check.expected.format_map(values),
        "remedy": check.remedy.format_map(values),
        "docs": f"docs/preflight.md#{id}",
    }


def probed(look: Look, *groups: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name, entry and probe of each host that could be looked at; with groups, of those that are in one of them."""
    for name, host in look["hosts"].items():
        if host["probe"] and (not groups or set(groups) & set(host["groups"])):
            yield name, host, host["probe"]


def members(look: Look, group: str) -> list[str]:
    return [name for name, host in look["hosts"].items() if group in host["groups"]]


def told(items: Iterable[object], none: str = "none") -> str:
    """A list as text."""
    return ", ".join(map(str, items)) or none
