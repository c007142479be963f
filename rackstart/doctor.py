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
    """The checks: {id, severity, target, ok, seen, expected, remedy}; None when preflight has not come so far."""
    try:
        found = json.loads(file(project).read_bytes())
    except FileNotFoundError:
        return None
    return list(found["checks"] if isinstance(found, dict) else found)


def show(console: Console, checks: list[dict[str, Any]], every: bool) -> None:
    """Print the red checks, or every one, and how many are green."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("check", "target", "", "seen", "expected", "what to do"):
        table.add_column(column, overflow="fold")
    for check in sorted(checks, key=lambda check: check["ok"]):
        if every or not check["ok"]:
            word, style = (
                ("ok", "green") if check["ok"] else (check["severity"], "bold red" if check["severity"] == "required" else "yellow")
            )
            remedy = "" if check["ok"] else check["remedy"]
            table.add_row(check["id"], check["target"], word, str(check["seen"]), str(check["expected"]), remedy, style=style)
    if table.row_count:
        console.print(table)
    console.print(f"preflight: {sum(check['ok'] for check in checks)} of {len(checks)} checks are green")
