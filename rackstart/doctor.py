"""What preflight found: the checks of preflight.json as a table."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table

from rackstart.paths import Project

_NAMED = 4  # targets that are named in one line


class Finding(BaseModel):
    """One thing that was looked at. `ok` is null when it could not be judged, and `seen` says why; `waived` is the waiver's reason."""

    model_config = ConfigDict(extra="forbid")
    id: str
    severity: Literal["required", "advice"]
    target: str
    ok: bool | None
    seen: str
    expected: str
    remedy: str
    docs: str
    waived: str


class Preflight(BaseModel):
    """The file preflight.json; its schema is schemas/preflight.schema.json."""

    model_config = ConfigDict(extra="forbid")
    version: Literal[1]
    checks: list[Finding]


def file(project: Project) -> Path:
    return project.state / "preflight.json"


def read(project: Project) -> list[dict[str, Any]] | None:
    """The checks, each a Finding; None when preflight has not come so far."""
    try:
        return list(json.loads(file(project).read_bytes())["checks"])
    except FileNotFoundError:
        return None


def schema() -> dict[str, Any]:
    """JSON schema of the file, as published."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Preflight.model_json_schema()}


def refuses(check: dict[str, Any]) -> bool:
    """Whether a check is one that stops a run."""
    return _state(check) == "required"


def concerns_a_run(check: dict[str, Any]) -> bool:
    """Whether a check stops a run, or would without its waiver; all else is for `doctor` to show."""
    return _state(check) in ("required", "waived")


def show(console: Console, checks: list[dict[str, Any]], every: bool) -> None:
    """Print what stops a run and what is waived; with `every` also advice, what could not be judged, and what is green.

    Targets of which the same is said share a line; of green ones a line for each kind.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("check", "target", "", "seen", "expected", "what to do"):
        table.add_column(column, overflow="fold")
    for state, style in _STYLES.items():
        alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for check in checks:
            if _state(check) == state and (every or concerns_a_run(check)):
                alike.setdefault(_likeness(check), []).append(check)
        for found in alike.values():
            seen, expected = _common(found, "seen"), _common(found, "expected")
            table.add_row(found[0]["id"], _targets(found), state, seen, expected, _remedy(found), style=style)
    if table.row_count:
        console.print(table)
        console.print("docs/preflight.md#CHECK has each check")
    console.print(_summary(checks, every))


_STYLES = {"required": "bold red", "waived": "yellow", "advice": "yellow", "unknown": "dim", "ok": "green"}  # in the order of urgency


def _state(check: dict[str, Any]) -> str:
    if check["ok"] is None:
        return "unknown"
    return "ok" if check["ok"] else "waived" if check["waived"] else str(check["severity"])


def _likeness(check: dict[str, Any]) -> tuple[str, ...]:
    """What must be the same for two checks to share a line."""
    return (check["id"],) if check["ok"] else (check["id"], str(check["seen"]), str(check["expected"]), check["waived"])


def _targets(checks: list[dict[str, Any]]) -> str:
    rest = len(checks) - _NAMED
    return ", ".join(check["target"] for check in checks[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _common(checks: list[dict[str, Any]], field: str) -> str:
    """What all say; nothing when they differ."""
    values = {str(check[field]) for check in checks}
    return values.pop() if len(values) == 1 else ""


def _remedy(checks: list[dict[str, Any]]) -> str:
    """A remedy may name its target: that of the first stands for the others."""
    return "" if checks[0]["ok"] is not False else str(checks[0]["waived"] or checks[0]["remedy"])


def _summary(checks: list[dict[str, Any]], every: bool) -> str:
    states = [_state(check) for check in checks]
    rest = {"of advice": states.count("advice"), "not to be judged": states.count("unknown")}
    more = "".join(f", {number} {what}" for what, number in rest.items() if number)
    hint = "; `doctor` shows them" if more and not every else ""
    return f"preflight: {states.count('ok')} of {len(checks)} checks are green{more}{hint}"
