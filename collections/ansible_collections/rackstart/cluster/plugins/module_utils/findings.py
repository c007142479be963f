"""One line of preflight's report."""

from __future__ import annotations

from typing import Any

Finding = dict[str, Any]


def finding(id: str, target: str, ok: object, seen: object, expected: str, remedy: str, severity: str = "required") -> Finding:
    """severity: required stops a run when red, advice does not. seen may be of any kind; it is told as text."""
    return {"id": id, "severity": severity, "target": target, "ok": bool(ok), "seen": str(seen), "expected": expected, "remedy": remedy}
