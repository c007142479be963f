"""Clients' keys at the gateway: made here and shown once; the cluster gets their SHA-256 alone."""

import hashlib
import re
import secrets
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from rackstart import day2
from rackstart.errors import ConfigurationError
from rackstart.paths import ROOT, Project
from rackstart.stages import KEY

OWN = "rackstart"  # the client that Rackstart itself is at every verdict
FIRST = "first"  # the client of the key that the first run ends with
STATES = {"add": "present", "rotate": "rotated", "revoke": "absent", "list": "listed"}
_UNITS = {"m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Answer:
    """keys: one mapping for each, as the module gateway_keys returns it; key: the new one, if there is one; told: names of replicas."""

    keys: list[dict[str, Any]]
    told: list[str]
    key: str = ""


def seconds(text: str, option: str) -> int:
    """Of 30m, 12h or 90d. Raises ConfigurationError."""
    if found := re.fullmatch(r"(\d+)([mhd])", text):
        return int(found[1]) * _UNITS[found[2]]
    raise ConfigurationError(f"{option} {text}: write a number of minutes, hours or days, such as 30m, 12h or 90d")


def expiry(text: str, now: int) -> int:
    """Seconds since 1970 of a time from now on (90d) or of a day (2027-01-31, its beginning in UTC). Raises ConfigurationError."""
    try:
        at = int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
    except ValueError:
        at = now + seconds(text, "--expires")
    if at <= now:
        raise ConfigurationError(f"--expires {text} is over")
    return at


def request(
    action: str, client: str, models: tuple[str, ...] = (), expires: str = "", rate: int | None = None, overlap: str = "24h"
) -> tuple[dict[str, Any], str]:
    """What the playbook is told, and the new key. Raises ConfigurationError for options that say nothing of the action."""
    if bool(client) != (action != "list"):
        raise ConfigurationError("key list takes no client" if client else f"key {action} CLIENT: say which client")
    if client and (problem := _rules().name_problem(client)):
        raise ConfigurationError(problem)
    if action in ("list", "revoke") and (models or expires or rate):
        raise ConfigurationError("--model, --expires and --rate are for key add and key rotate")
    key = f"rk-{secrets.token_urlsafe(32)}" if action in ("add", "rotate") else ""
    told: dict[str, Any] = {"state": STATES[action], "client": client}
    if key:
        told["sha256"] = hashlib.sha256(key.encode()).hexdigest()
        told |= {"models": list(models), "rate": rate or 0, "expires": expiry(expires, int(time.time())) if expires else 0}
    if action == "rotate":
        told["overlap"] = seconds(overlap, "--overlap")
    return told, key


def _rules() -> Any:
    """Those by which the cluster judges keys."""
    sys.path.insert(0, str(ROOT / "collections"))
    from ansible_collections.rackstart.cluster.plugins.module_utils import gateway_keys

    return gateway_keys


def perform(project: Project, told: dict[str, Any], key: str, console: Console) -> Answer:
    """Keep what was asked, and tell every replica. Raises StageFailed."""
    result = day2.perform(project, KEY, {"gateway_key": told}, "told", console)
    return Answer(result["keys"], result["told"], key)


def first(project: Project, console: Console) -> str:
    """A key for who has just got an endpoint that nobody can use; nothing once any client was given one. Raises StageFailed."""
    told, key = request("add", FIRST)
    kept = perform(project, told | {"state": "first"}, key, console).keys
    return key if any(told["sha256"].startswith(one["sha256"]) for one in kept) else ""


def show(console: Console, action: str, client: str, answer: Answer) -> None:
    """The new key, this once; or all clients; or who was told."""
    if action == "list":
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for column in ("client", "models", "requests a minute", "expires", "created", "SHA-256"):
            table.add_column(column, overflow="fold")
        for key in answer.keys:
            row = (", ".join(key["models"]) or "every one", str(key["rate"] or "any"), key["expires"] or "never", key["created"])
            table.add_row(key["client"], *row, f"{key['sha256']}...")
        console.print(table)
        return
    if answer.key:
        console.print(f"API key of client {client}, shown this once: {answer.key}")
    known = (
        f"known to {len(answer.told)} replicas of the gateway: {', '.join(answer.told)}"
        if answer.told
        else "no replica of the gateway runs"
    )
    console.print(f"{'ended; ' if action == 'revoke' else ''}{known}")
