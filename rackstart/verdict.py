"""The verdict that stage verify wrote: whether the endpoint is good, gate by gate."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rackstart.errors import RackstartError
from rackstart.paths import Project


class Gate(BaseModel):
    """One thing that was looked at: `target` is a host, a node, a model or a replica; `stage` is the one that would put it right."""

    model_config = ConfigDict(extra="forbid")
    id: str
    target: str
    ok: bool
    expected: JsonValue
    seen: JsonValue
    remedy: str
    stage: str


class Endpoint(BaseModel):
    """Where a model answers, and a command that shows it; the key stands in the shell's variable KEY."""

    model_config = ConfigDict(extra="forbid")
    model: str
    url: str
    curl: str


class Cache(BaseModel):
    """How many tokens a replica's cache holds, as its engine says, and in how many seconds it started; null when neither is known."""

    model_config = ConfigDict(extra="forbid")
    model: str
    pod: str
    tokens: int | None
    started: int | None = None


class Verdict(BaseModel):
    """The file verdict.json; its schema is schemas/verdict.schema.json. clients: those that have a key at the gateway."""

    model_config = ConfigDict(extra="forbid")
    version: int
    inventory: str
    generated: str
    green: bool
    gates: list[Gate]
    endpoints: list[Endpoint]
    clients: list[str]
    caches: list[Cache] = []


def file(project: Project) -> Path:
    return project.state / "verdict.json"


def read(project: Project) -> Verdict | None:
    """The last verdict; None when there is none. Raises RackstartError when the file does not fit its schema."""
    try:
        return Verdict.model_validate_json(file(project).read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise RackstartError(f"{project.shown(file(project))} does not fit its schema: {error}") from None


def show(console: Console, verdict: Verdict, key: str = "") -> None:
    """Print red gates one by one, green ones counted by kind, then the endpoints with a command to paste. key: to be shown this once."""
    red = [gate for gate in verdict.gates if not gate.ok]
    word, style = ("green", "bold green") if verdict.green else ("red", "bold red")
    console.print(Text.assemble("verdict: ", (word, style), f", {len(verdict.gates) - len(red)} of {len(verdict.gates)} gates"))
    if red:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for column in ("gate", "target", "expected", "seen", "remedy", "stage"):
            table.add_column(column, overflow="fold")
        for gate in red:
            table.add_row(gate.id, gate.target, str(gate.expected), str(gate.seen), gate.remedy, gate.stage)
        console.print(table)
    kinds: dict[str, list[bool]] = {}
    for gate in verdict.gates:
        kinds.setdefault(gate.id, []).append(gate.ok)
    console.print("  ".join(f"{kind} {sum(oks)}/{len(oks)}" for kind, oks in kinds.items()), style="dim")
    if key:
        console.print(f"\nAPI key of client first, shown this once:\nKEY={key}")
    for endpoint in verdict.endpoints:
        console.print(f"\nendpoint: {endpoint.url} (model {endpoint.model})")
        console.print(endpoint.curl)


def schema() -> dict[str, Any]:
    """JSON schema of the file, as published."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Verdict.model_json_schema()}
