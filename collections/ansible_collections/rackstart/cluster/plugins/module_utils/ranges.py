"""Ranges of numbers, as descriptions in the roles' argument specs state them: "From 1 to 65535." Pure.

Ansible's own specs know types and choices, and no ranges.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

STATED = re.compile(r"From (\d+(?:\.\d+)?) to (\d+(?:\.\d+)?)\.")
Options = dict[str, dict[str, Any]]


def bounds(option: dict[str, Any]) -> tuple[str, str] | None:
    """Lowest and highest value of an option, as its description writes them."""
    described = option.get("description", "")
    stated = STATED.search(described if isinstance(described, str) else " ".join(described))
    return (stated[1], stated[2]) if stated else None


def ranged(option: dict[str, Any]) -> bool:
    """Whether the option, or one inside it, has a range."""
    return bounds(option) is not None or any(map(ranged, (option.get("options") or {}).values()))


def numbers(options: Options, values: dict[str, Any], above: str = "") -> Iterator[dict[str, Any]]:
    """Every number that is set and has a range: its place, value, low and high. Members of a list go by their names."""
    for name, option in options.items():
        value = values.get(name)
        if value is None:
            continue
        if limits := bounds(option):
            yield {"name": f"{above}{name}", "value": value, "low": limits[0], "high": limits[1]}
        members = value if isinstance(value, list) else [value]
        for number, member in enumerate(members):
            if "options" in option and isinstance(member, dict):
                place = f"[{member.get('name', number)}]" if isinstance(value, list) else ""
                yield from numbers(option["options"], member, f"{above}{name}{place}.")


def inside(value: Any, low: str, high: str) -> bool:
    """Whether a value is a number within its range; text counts as Ansible takes it."""
    try:
        return not isinstance(value, bool) and float(low) <= float(value) <= float(high)
    except (TypeError, ValueError):
        return False
