"""Weights that nothing needs are removed from the cluster and from the store."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from rackstart import session
from rackstart.paths import Project
from rackstart.session import Outcome, Request
from rackstart.stages import GC

_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))


def perform(project: Project, check: bool, console: Console, verbosity: int = 0) -> tuple[Request, Outcome, dict[str, Any]]:
    """Remove them, or with `check` only look: {volumes: [KIND/NAME], store: [{what, bytes, why it is kept}]}; empty when it failed."""
    words = ("model", "gc", *(("--check",) if check else ()))
    request = Request("check" if check else "gc", verbosity=verbosity, asked=words)
    outcome = session.perform(project, (GC,), request, console)
    if outcome.error:
        return request, outcome, {}
    found = json.loads((project.state / GC.report).read_text())
    store = [entry | {"what": entry["what"].removeprefix(".unused/")} for entry in found["store"]]  # where what goes was set aside
    return request, outcome, found | {"store": sorted(store, key=lambda entry: entry["what"])}


def show(console: Console, found: dict[str, Any], check: bool) -> None:
    """Each thing with its size, and why the others are kept."""
    gone = "would be removed" if check else "removed"
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for name in found["volumes"]:
        table.add_row(name, "", gone)
    for entry in sorted(found["store"], key=lambda entry: bool(entry["why"])):
        table.add_row(entry["what"], size(entry["bytes"]), f"kept: {entry['why']}" if entry["why"] else gone)
    console.print(table)
    console.print(f"{size(sum(entry['bytes'] for entry in found['store'] if not entry['why']))} {gone}")


def size(number: int) -> str:
    unit, name = next((unit for unit in _UNITS if number >= unit[0]), _UNITS[-1])
    return f"{number / unit:.1f} {name}" if unit > 1 else f"{number} B"
