"""What preflight found: the checks of preflight.json as a table."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rackstart.paths import Project

_NAMED = 4  # targets that are named in one line


def file(project: Project) -> Path:
    return project.state / "preflight.json"


def read(project: Project) -> list[dict[str, Any]] | None:
    """The checks: {id, severity, target, ok, seen, expected, remedy, waived}; None when preflight has not come so far."""
    try:
        return list(json.loads(file(project).read_bytes())["checks"])
    except FileNotFoundError:
        return None


def refuses(check: dict[str, Any]) -> bool:
    """Whether a check is one that stops a run."""
    return not check["ok"] and check["severity"] == "required" and not check["waived"]


def show(console: Console, checks: list[dict[str, Any]], every: bool) -> None:
    """Print the red checks one by one; with `every` also the green ones, a line for each kind; and how many are green."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("check", "target", "", "seen", "expected", "what to do"):
        table.add_column(column, overflow="fold")
    for check in checks:
        if not check["ok"]:
            word, style, remedy = _state(check)
            table.add_row(check["id"], check["target"], word, str(check["seen"]), str(check["expected"]), remedy, style=style)
    kinds: dict[str, list[dict[str, Any]]] = {}
    for check in checks:
        if every and check["ok"]:
            kinds.setdefault(check["id"], []).append(check)
    for kind, green in kinds.items():
        targets = ", ".join(check["target"] for check in green) if len(green) <= _NAMED else f"{len(green)} targets"
        table.add_row(kind, targets, "ok", _common(green, "seen"), _common(green, "expected"), "", style="green")
    if table.row_count:
        console.print(table)
    console.print(f"preflight: {sum(check['ok'] for check in checks)} of {len(checks)} checks are green")


def _state(check: dict[str, Any]) -> tuple[str, str, str]:
    """Word, style and what to do of a red check."""
    if check["waived"]:
        return "waived", "yellow", check["waived"]
    return check["severity"], "bold red" if check["severity"] == "required" else "yellow", check["remedy"]


def _common(checks: list[dict[str, Any]], field: str) -> str:
    """What all say; nothing when they differ."""
    values = {str(check[field]) for check in checks}
    return values.pop() if len(values) == 1 else ""
