"""What runs of the tests have left in docs/measured/: a page says "not measured" where there is nothing."""

from typing import Any

import yaml

from pages import ROOT
from tests.faults import page

NOTHING = "not measured"


def read(name: str) -> dict[str, Any]:
    """The result of this name; empty when no run has left one."""
    path = ROOT / "docs/measured" / f"{name}.yml"
    return (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


def tasks(role: str) -> str:
    """How many of a role's tasks some test has run."""
    part = read("coverage").get("parts", {}).get(role)
    return f"[{part['covered']} of {part['tasks']}](coverage.md)" if part else NOTHING


def mutants(role: str) -> str:
    """How many mutants of a role turned a test red."""
    found = read("mutations").get(role)
    return f"[{found['killed']} of {found['of']}](mutations.md#{role})" if found else NOTHING


def faults(role: str) -> str:
    """How many faults of what a role asks of others came out as they should, or where they are; `make test-faults` lists no other."""
    file = ROOT / "docs/faults.md"
    found = sum(row[0] == role for row in page.kept(file.read_text())) if file.exists() else 0
    return f"[{found}](faults.md#{role})" if found else page.ELSEWHERE.get(role, NOTHING)
