"""What a run would do and why, without touching a host."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from rackstart.inventory import Inventory
from rackstart.resume import Decision
from rackstart.stages import Stage


def rows(
    stages: Sequence[Stage], inventory: Inventory, decisions: Mapping[str, Decision], order: Mapping[str, set[str]], resume: bool
) -> list[dict[str, Any]]:
    """One row per chosen stage: {stage, hosts, action: run|skip, why, waits_for}."""
    planned = []
    for stage in stages:
        hosts, decision = inventory.of(stage), decisions[stage.name]
        action, why = "run", decision.why
        if stage.on_hosts and not hosts:
            action, why = "skip", f"no hosts in {stage.hosts}"
        elif decision.passed:
            action, why = ("skip", why) if resume else ("run", f"{why}; --resume would skip it")
        waits = [other.name for other in stages if other.name in order[stage.name]]
        planned.append({"stage": stage.name, "hosts": list(hosts) or stage.hosts, "action": action, "why": why, "waits_for": waits})
    return planned


def show(console: Console, planned: Sequence[Mapping[str, Any]], inventory: Inventory) -> None:
    """Print the rows as a table, and what is left out."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("stage", "", "on", "why"):
        table.add_column(column, overflow="fold")
    for row in planned:
        on = (
            "controller"
            if isinstance(row["hosts"], str)
            else ", ".join(row["hosts"])
            if len(row["hosts"]) <= 4
            else f"{len(row['hosts'])} hosts"
        )
        table.add_row(
            row["stage"], row["action"], on if row["action"] == "run" else "", row["why"], style="dim" if row["action"] == "skip" else ""
        )
    console.print(table)
    if inventory.out_of_service:
        console.print(f"out of service: {', '.join(inventory.out_of_service)}")
