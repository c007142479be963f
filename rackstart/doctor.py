"""What preflight found: the checks of preflight.json as a table."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rackstart.paths import Project


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
    """Print the red checks, or every one, and how many are green."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("check", "target", "", "seen", "expected", "what to do"):
        table.add_column(column, overflow="fold")
    for check in sorted(checks, key=lambda check: check["ok"]):
        if every or not check["ok"]:
            word, style, remedy = _state(check)
            table.add_row(check["id"], check["target"], word, str(check["seen"]), str(check["expected"]), remedy, style=style)
    if table.row_count:
        console.print(table)
    console.print(f"preflight: {sum(check['ok'] for check in checks)} of {len(checks)} checks are green")


def _state(check: dict[str, Any]) -> tuple[str, str, str]:
    """Word, style and what to do."""
    if check["ok"]:
        return "ok", "green", ""
    if check["waived"]:
        return "waived", "yellow", check["waived"]
    return check["severity"], "bold red" if check["severity"] == "required" else "yellow", check["remedy"]
