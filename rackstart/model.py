"""Models in service: what each is, and back to what proved good before."""

import contextlib
from typing import Any

from rich.console import Console
from rich.table import Table

from rackstart import day2, model_change
from rackstart.paths import Project
from rackstart.stages import MODEL

STATES = {"list": "listed", "rollback": "taken_back"}
SHORT = 12  # digits of a revision that tell it from others


def perform(project: Project, action: str, name: str, console: Console) -> list[dict[str, Any]]:
    """Every declared model, as the module model_state returns it. Raises StageFailed, and Locked when a rollback would meet a run."""
    asked = {"model_asked": {"state": STATES[action], "name": name}}
    with model_change.hold(project, f"{action} {name}", console) if action == "rollback" else contextlib.nullcontext():
        found: list[dict[str, Any]] = day2.perform(project, MODEL, asked, "found", console)["found"]
    return found


def show(console: Console, action: str, name: str, found: list[dict[str, Any]]) -> None:
    """All of them; after a rollback, what to declare so that it lasts."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("model", "declared", "in service", "ready", "can go back to"):
        table.add_column(column, overflow="fold")
    for one in found:
        service, back = (one[part]["revision"][:SHORT] if one[part] else "-" for part in ("service", "back"))
        table.add_row(one["name"], one["declared"][:SHORT], service, f"{one['ready']} of {one['replicas']}", back)
    console.print(table)
    if action == "rollback":
        service = next(one["service"] for one in found if one["name"] == name)
        console.print(f"{name} is back to {service['revision']} with {service['image']}")
        console.print("Declare just that in group_vars/all/models.yml and artifacts.yml, or the next run brings what is declared")
